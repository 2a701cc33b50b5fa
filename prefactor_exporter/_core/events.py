"""Own the shape of a recorded event on its way from the caller to the wire."""

from typing import Any

import msgspec

__all__ = [
    "CREATES",
    "ENVELOPE",
    "FINISH",
    "FINISH_INSTANCE",
    "NO_ROW",
    "QUALITY",
    "RECORD",
    "REGISTER",
    "SENSITIVE",
    "SPAN_KINDS",
    "START",
    "START_INSTANCE",
    "Event",
    "describe",
]

# Kinds are plain ints: the hot path compares them, and an enum member costs ten times as much.
RECORD = 0
"""A span that is already over."""
START = 1
"""A span that begins."""
FINISH = 2
"""A span that ends."""
REGISTER = 3
START_INSTANCE = 4
FINISH_INSTANCE = 5
QUALITY = 6

NO_ROW = -1
"""In place of a row: the event is settled or part of another one."""

CREATES = frozenset({RECORD, START, REGISTER})
SPAN_KINDS = frozenset({RECORD, START, FINISH})

SENSITIVE = 2
"""Flag: some value inside is wrapped as sensitive."""

_KIND_NAMES = {
    RECORD: "span",
    START: "span",
    FINISH: "span_finish",
    REGISTER: "instance",
    START_INSTANCE: "instance_start",
    FINISH_INSTANCE: "instance_finish",
    QUALITY: "quality",
}

ENVELOPE = 400
"""Bytes an item needs beside its payloads: ids, key, times and field names, rounded up."""


class Event(msgspec.Struct, gc=False):
    """One event; the queue holds nothing else, and the worker needs no second object for it.

    Not tracked by the garbage collector: it refers to strings, bytes and numbers only (and, for a
    registration, to plain JSON data), so it can never be part of a cycle, and a long queue does
    not make collections slower.

    Attributes:
        kind: One of the constants of this module.
        instance: Id of the run it belongs to, as the caller knows it.
        id: What it acts on: the span, the run, or a fresh id for a quality record.
        at: Start, or the moment of the action; nanoseconds since the epoch.
        payload: JSON object, encoded.
        parent: Parent span, None for a root.
        name: Span type, or the name of a quality.
        status: Status on the wire.
        ended: End of the span in nanoseconds since the epoch, 0 while it runs.
        result: JSON object, encoded; None if there is none.
        flags: Bits of this module.
        size: About how many bytes it takes on the wire and in memory; exact once it is composed.
        details: The fields of a registration.
        seq: Position among all events, given by the ledger; 1 is the first.
        merged_seq: Position of the finish that was merged into this create, 0 if none was.
        wire: The composed item; once it was sent it is never composed anew under the same key.
        key: Idempotency key of ``wire``.
        revision: How often the item had to be restated under a new key.
        attempts: Requests it was part of.
        judged: Answers of its own that spoke of an error that may pass.
        first_try: Monotonic seconds of its first request, 0.0 before.
        doubtful: Whether an earlier request may have applied it.
        row: Where it is on disk; 0 for nowhere, :data:`NO_ROW` once it must not be written any
            more.
        merged_row: Where the finish is that was merged into this create, 0 for nowhere.
        stale: Whether what is on disk is no longer what would be sent.
    """

    kind: int
    instance: str
    id: str
    at: int
    payload: bytes = b"{}"
    parent: str | None = None
    name: str = ""
    status: str = ""
    ended: int = 0
    result: bytes | None = None
    flags: int = 0
    size: int = ENVELOPE
    details: dict[str, Any] | None = None
    seq: int = 0
    merged_seq: int = 0
    wire: bytes | None = None
    key: str = ""
    revision: int = 0
    attempts: int = 0
    judged: int = 0
    first_try: float = 0.0
    doubtful: bool = False
    row: int = 0
    merged_row: int = 0
    stale: bool = False

    @property
    def parts(self) -> int:
        """How many recorded events this is: two once a finish was merged into it."""
        return 2 if self.merged_seq else 1

    def restate(self) -> None:
        """Have it composed anew; under a new key if the old form may have been seen."""
        self.wire = None
        self.stale = True
        if self.attempts:
            self.revision += 1

    def measure(self) -> None:
        """Set the size anew, after a payload changed."""
        result = self.result
        self.size = len(self.payload) + (len(result) if result is not None else 0) + ENVELOPE


def describe(event: Event) -> dict[str, Any]:
    """Return what people are told of *event*; nothing of its payloads."""
    return {
        "kind": _KIND_NAMES[event.kind],
        "id": event.id,
        "instance_id": event.instance,
        "name": event.name,
        "bytes": event.size,
    }
