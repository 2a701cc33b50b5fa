"""Own the form of an event on disk. Pure.

A stored event is a MessagePack array; fields are only ever added at its end. The composed item is
not stored: composing the same event again gives the same bytes.
"""

from typing import Any, Final

import msgspec

from prefactor_exporter._core.events import ENVELOPE, Event

__all__ = ["UNREADABLE", "pack", "unpack"]

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError)
"""What :func:`unpack` raises for bytes that are no stored event."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    tuple[
        int,
        str,
        str,
        int,
        bytes,
        str | None,
        str,
        str,
        int,
        bytes | None,
        int,
        dict[str, Any] | None,
        int,
        int,
        int,
        int,
        int,
    ]
).decode


def pack(event: Event) -> bytes:
    """Return *event* as it is kept on disk."""
    return _encode(
        (
            event.kind,
            event.instance,
            event.id,
            event.at,
            event.payload,
            event.parent,
            event.name,
            event.status,
            event.ended,
            event.result,
            event.flags,
            event.details,
            event.seq,
            event.merged_seq,
            event.revision,
            event.attempts,
            event.judged,
        )
    )


def unpack(body: bytes) -> Event:
    """Return the event that was kept as *body*.

    Raises:
        msgspec.MsgspecError: The bytes are no stored event; see also :data:`UNREADABLE`.
    """
    (
        kind,
        instance,
        id_,
        at,
        payload,
        parent,
        name,
        status,
        ended,
        result,
        flags,
        details,
        seq,
        merged_seq,
        revision,
        attempts,
        judged,
    ) = _decode(body)
    return Event(
        kind,
        instance,
        id_,
        at,
        payload,
        parent,
        name,
        status,
        ended,
        result,
        flags,
        len(body) + ENVELOPE,
        details,
        seq,
        merged_seq,
        revision=revision,
        attempts=attempts,
        judged=judged,
    )
