"""What was asked of the server: counts by path, and the most recent requests."""

import threading
from collections import Counter, deque
from typing import NamedTuple

from aiohttp import web

_MOST_RECENT = 10_000


class Entry(NamedTuple):
    """One request; *items* of a bulk request, *status* 0 if no answer left the server."""

    method: str
    path: str
    items: int
    status: int


class Journal:
    """The requests a server has seen. Safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_path: Counter[str] = Counter()
        self._recent: deque[Entry] = deque(maxlen=_MOST_RECENT)

    def note(self, request: web.Request, items: int, status: int) -> None:
        """Add a request that was answered."""
        with self._lock:
            self._by_path[request.path] += 1
            self._recent.append(Entry(request.method, request.path, items, status))

    def count(self, path: str | None = None) -> int:
        """Return how many requests went to *path*, or to all paths."""
        with self._lock:
            return self._by_path.total() if path is None else self._by_path[path]

    @property
    def by_path(self) -> dict[str, int]:
        """How many requests went to each path."""
        with self._lock:
            return dict(self._by_path)

    @property
    def recent(self) -> list[Entry]:
        """The last requests, oldest first, at most 10,000."""
        with self._lock:
            return list(self._recent)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._by_path.clear()
            self._recent.clear()
