"""Own the barrier that keeps forks out of the moments in which they would cripple the child.

A child that is forked while another thread imports a module, or is inside SQLite, inherits a lock
that nobody will ever release there: its own import of that module, or its own use of SQLite, then
never ends.
"""

import threading

__all__ = ["no_fork"]

no_fork = threading.RLock()
"""Held by the worker at such moments; a fork waits for it. Re-entrant: an import may fork."""
