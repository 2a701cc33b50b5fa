"""Own the raw cost of delivery as a subject: the same bytes, made beforehand, posted with aiohttp.

Nothing is encoded, kept, decided or understood while it is measured; answers are read as bytes.
"""

import asyncio
import json
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
    """Posts bodies of so many items, one after the other on one connection."""

    def __init__(self, url: str, items: int) -> None:
        self._url = f"{url}/api/v1/bulk"
        self._items = items
        self._bodies: list[bytes] = []

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
