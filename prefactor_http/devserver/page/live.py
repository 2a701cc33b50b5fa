"""Server-sent events: tell the page that something has changed, and nothing about what.

Each watcher looks at the storage's change counter now and then, so the requests of the API have
no work with it, whether somebody watches or nobody does.
"""

import asyncio

from aiohttp import web

from prefactor_http.devserver.errors import ApiError
from prefactor_http.devserver.page.guard import HEADERS
from prefactor_http.devserver.storage import Storage

_MOST_WATCHERS = 64
_GLANCE = 0.2
_GLANCES_TO_A_PULSE = 75


class Live:
    """The streams of one server."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._watchers = 0

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send an event at once and after every change, until the watcher goes.

        Raises:
            ApiError: 503 if too many are watching.
        """
        if self._watchers >= _MOST_WATCHERS:
            raise ApiError("service_unavailable", "too many pages are open", status=503)
        self._watchers += 1
        try:
            response = web.StreamResponse(headers=HEADERS | {"Content-Type": "text/event-stream"})
            await response.prepare(request)
            told, quiet = -1, 0
            while True:
                changes = self._storage.changes
                if changes != told:
                    told, quiet = changes, 0
                    await response.write(b"event: change\ndata: %d\n\n" % changes)
                elif quiet == _GLANCES_TO_A_PULSE:
                    quiet = 0
                    await response.write(b": still here\n\n")
                quiet += 1
                await asyncio.sleep(_GLANCE)
        finally:
            self._watchers -= 1
