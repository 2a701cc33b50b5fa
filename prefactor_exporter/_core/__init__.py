"""Decide what happens to events: pure code, with time and randomness passed in."""
