"""Own the raw cost of delivery as a subject: the same bytes, made beforehand, posted with aiohttp.

Nothing is encoded, kept, decided or understood while it is measured; answers are read as bytes.
"""

import asyncio
import json
import threading
from array import array
from collections.abc import Sequence
from typing import Any

import aiohttp
from workload import Recorded

from subjects.subject import Subject

__all__ = ["make"]

_ID = "01m883j318s24wkzdvxzphvqga2bw7g8"
_HEADERS = {
    "Authorization": "Bearer token",
    "Content-Type": "application/json",
    "Accept": "application/json",
}


class RawPostSubject(Subject):
    """Posts bodies of so many items, one after the other on one connection.

    `run` posts them all at once. Recorded span by span, each that makes a body full has a thread
    post it, as an exporter does.
    """

    def __init__(self, url: str, items: int) -> None:
        self._url = f"{url}/api/v1/bulk"
        self._items = items
        self._bodies: list[bytes] = []
        self._recorded = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._full: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._thread: threading.Thread | None = None

    def warm_up(self, work: Sequence[Recorded]) -> None:
        """Do nothing: there is nothing that later rounds could use again."""

    def prepare(self, work: Sequence[Recorded]) -> None:
        items = [_item(number, span) for number, span in enumerate(work)]
        size = self._items
        self._bodies = [
            b'{"items":[' + b",".join(items[start : start + size]) + b"]}"
            for start in range(0, len(items), size)
        ]

    def run(self, work: Sequence[Recorded], rate: float | None) -> "array[int]":
        del work, rate
        asyncio.run(self._post())
        return array("q")

    async def _post(self) -> None:
        async with aiohttp.ClientSession(headers=_HEADERS) as session:
            for body in self._bodies:
                async with session.post(self._url, data=body) as answer:
                    await answer.read()

    def begin(self, span: Recorded) -> None:
        self.record(span, None)

    def record(self, span: Recorded, parent: Any) -> None:
        del span, parent
        self._recorded += 1
        if self._recorded % self._items == 0:
            self._hand_over(self._bodies[self._recorded // self._items - 1])

    def end(self, span: Recorded, parent: Any) -> None:
        """Do nothing: a span that is over is one item."""

    def close(self) -> None:
        if self._thread is not None:
            if self._recorded % self._items:
                self._hand_over(self._bodies[-1])
            self._hand_over(None)
            self._thread.join()

    def _hand_over(self, body: bytes | None) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_until_complete, args=(self._post_when_full(),)
            )
            self._thread.start()
        self._loop.call_soon_threadsafe(self._full.put_nowait, body)

    async def _post_when_full(self) -> None:
        async with aiohttp.ClientSession(headers=_HEADERS) as session:
            while (body := await self._full.get()) is not None:
                async with session.post(self._url, data=body) as answer:
                    await answer.read()

    def counts(self) -> dict[str, Any]:
        return {"requests": len(self._bodies)}


def _item(number: int, span: Recorded) -> bytes:
    """Return a bulk item as long as the exporter's own."""
    own = f"{_ID[:-8]}{number:08d}"
    now = "2026-01-01T00:00:00.000000Z"
    details = {
        "agent_instance_id": _ID,
        "schema_name": span.schema_name,
        "status": "complete",
        "started_at": now,
        "id": own,
        "parent_span_id": _ID,
        "finished_at": now,
        "payload": span.payload,
        "result_payload": span.result,
    }
    item = {"_type": "agent_spans/create", "idempotency_key": own, "details": details}
    return json.dumps(item, separators=(",", ":")).encode()


def make(url: str, settings: dict[str, Any]) -> RawPostSubject:
    """Return what posts ``items`` of the settings in a request."""
    return RawPostSubject(url, settings["items"])
