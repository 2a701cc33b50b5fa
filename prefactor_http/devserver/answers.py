"""Success envelopes, and remembering them under their idempotency key."""

import time
from typing import Any, NamedTuple

import msgspec

from prefactor_http.devserver.backend import Call
from prefactor_http.devserver.errors import ApiError

_RESULT = b',"result_payload":'
_NULL = b"null"


class Answer(NamedTuple):
    """The body of a success, in pieces.

    Payloads are not copied into the remembered answer: if *span_id* is set, the body is *head*,
    the payload, the result, *tail*, and the payloads can be taken from the stored span again.
    """

    head: bytes
    tail: bytes = b""
    span_id: str | None = None
    payload: Any = b""
    result: Any = None

    def body(self) -> bytes:
        """Put the pieces together."""
        if self.span_id is None:
            return self.head
        result = _NULL if self.result is None else self.result
        return b"".join((self.head, self.payload, _RESULT, result, self.tail))


def single(details: Any, **siblings: Any) -> Answer:
    """Return the envelope of one object, with *siblings* beside it."""
    return Answer(
        msgspec.json.encode({"status": "success", "details": details} | siblings),
    )


def remember(call: Call, answer: Answer, fingerprint: int) -> None:
    """Store *answer* under the key of *call*."""
    call.backend.storage.run(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)",
        (
            call.token.account_id,
            call.key,
            time.time(),
            fingerprint,
            answer.span_id,
            answer.result is not None,
            answer.head,
            answer.tail,
        ),
    )


def remember_error(call: Call, error: ApiError, status: int, fingerprint: int) -> None:
    """Store a failure under the key of *call*."""
    call.backend.storage.run(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, NULL, 0, ?, x'')",
        (call.token.account_id, call.key, time.time(), status, fingerprint, error.body()),
    )


class Remembered(NamedTuple):
    """What a key was answered with before; *status* is 0 for a success."""

    status: int
    fingerprint: int
    body: bytes


def recall(call: Call) -> Remembered | None:
    """Return what the key of *call* was answered with, if it is not forgotten."""
    storage = call.backend.storage
    row = storage.one(
        "SELECT at, status, fingerprint, span_id, with_result, head, tail FROM answers"
        " WHERE account_id = ? AND key = ?",
        (call.token.account_id, call.key),
    )
    if row is None or time.time() - row[0] >= call.backend.switches.idempotency_seconds:
        return None
    _, status, fingerprint, span_id, with_result, head, tail = row
    if span_id is None:
        return Remembered(status, fingerprint, head)
    span = storage.one("SELECT payload, result_payload FROM spans WHERE id = ?", (span_id,))
    answer = Answer(head, tail, span_id, span[0], span[1] if with_result else None)
    return Remembered(status, fingerprint, answer.body())
