"""A long run with every fault at once, and an exact count of what arrived of what was recorded."""
