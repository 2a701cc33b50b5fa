"""Own the floor as a subject: what no exporter can avoid at a record call.

Payload and result are encoded, or else what the application changes afterwards would change what
was recorded, and appended to a queue. Nothing is delivered.
"""

from collections import deque
from typing import Any

import msgspec
from workload import Recorded

from subjects.subject import Subject

__all__ = ["FloorSubject", "make"]


class FloorSubject(Subject):
    """Encodes and appends."""

    def __init__(self, most: int | None = None) -> None:
        self._encode = msgspec.json.Encoder().encode
        self.kept: deque[tuple[bytes, bytes]] = deque(maxlen=most)

    def begin(self, span: Recorded) -> None:
        self.record(span, None)

    def record(self, span: Recorded, parent: Any) -> None:
        del parent
        encode = self._encode
        self.kept.append((encode(span.payload), encode(span.result)))

    def end(self, span: Recorded, parent: Any) -> None:
        """Do nothing: the parent was recorded when it began."""


def make(url: str, settings: dict[str, Any]) -> FloorSubject:
    """Return the floor, which keeps the last ``most`` of the settings."""
    del url
    return FloorSubject(settings.get("most"))
