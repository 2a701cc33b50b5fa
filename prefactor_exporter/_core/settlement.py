"""Decide what an answer means for each item (docs/wire.md, What an answer means). Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from prefactor_exporter._core.events import (
    CREATES,
    FINISH,
    FINISH_INSTANCE,
    START_INSTANCE,
    Event,
)

__all__ = [
    "AGAIN",
    "AUTH",
    "DEAD",
    "DELIVERED",
    "RESTATE",
    "SPLIT",
    "SPLIT_BY_SIZE",
    "TOO_LARGE",
    "UNANSWERED",
    "UNTRIED",
    "WRONG_ID",
    "Outcome",
    "Verdict",
    "judge",
    "judge_request",
]

DELIVERED = "delivered"
"""Applied, now or earlier."""
UNTRIED = "untried"
"""Not run, because an item before it failed: send it again at once, it was no attempt."""
AGAIN = "again"
"""An error that may pass: send it again after a wait."""
RESTATE = "restate"
"""Refused in this form; it has another form that says nearly the same."""
WRONG_ID = "wrong_id"
"""The id made on this side was refused."""
AUTH = "auth"
"""The token was refused, nothing is wrong with the item."""
DEAD = "dead"
"""Refused for good."""
SPLIT = "split"
"""Of a request: refused as a whole, so halve it until the culprit stands alone."""
SPLIT_BY_SIZE = "split_by_size"
"""Likewise, because it is too large."""
TOO_LARGE = "too_large"
"""Of a request: its only item is larger than the API accepts."""

UNANSWERED = "unanswered"
"""Code of an item that the answer should have mentioned."""

_STATUS_TOO_LARGE = 413
_REFUSED_WHOLE = frozenset({400, _STATUS_TOO_LARGE, 422})
_PERMANENT = frozenset({"validation_errors", "bad_request", "not_found", "invalid_action"})
_AUTH = frozenset({"bad_authtoken", "unauthorized", "forbidden"})
_OVER = frozenset({FINISH, FINISH_INSTANCE})


class Outcome(Protocol):
    """What settlement reads of one answer."""

    @property
    def status(self) -> str: ...
    @property
    def code(self) -> str | None: ...
    @property
    def message(self) -> str | None: ...
    @property
    def errors(self) -> Any: ...


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What became of one item.

    Attributes:
        fate: One of the constants of this module.
        code: The API's error code, or the reason in our words.
        message: The API's text.
    """

    fate: str
    code: str = ""
    message: str = ""


_DELIVERED = Verdict(DELIVERED)
_UNTRIED = Verdict(UNTRIED)
_UNANSWERED = Verdict(AGAIN, UNANSWERED, "the answer does not mention this item")


def judge(events: Sequence[Event], outcomes: Mapping[str, Outcome]) -> list[Verdict] | None:
    """Return one verdict for each of *events*, in order; None if all of them are delivered.

    The API stops at the first item that fails, so an item it does not mention was not run when
    another one failed; without a failure the omission is a breach of contract, and the item is
    repeated under its key, which is safe. An outcome of something else says nothing about these:
    an error among those would have them repeated for ever.
    """
    mine = [outcomes.get(event.key) for event in events]
    if all(outcome is not None and outcome.status == "success" for outcome in mine):
        return None
    failed = any(outcome is not None and outcome.status != "success" for outcome in mine)
    absent = _UNTRIED if failed else _UNANSWERED
    verdicts: list[Verdict] = []
    for event, outcome in zip(events, mine, strict=True):
        if outcome is None:
            verdicts.append(absent)
        elif outcome.status == "success":
            verdicts.append(_DELIVERED)
        else:
            verdicts.append(_judge_error(event, outcome))
    return verdicts


def judge_request(status: int | None, *, refused_token: bool, items: int) -> str:
    """Return what becomes of a request that failed as a whole.

    Args:
        status: The HTTP status, None if there was no answer, or none of the API's.
        refused_token: Whether it says that the token is refused.
        items: How many items it had.
    """
    if refused_token:
        return AUTH
    if status not in _REFUSED_WHOLE:
        return AGAIN
    if status == _STATUS_TOO_LARGE:
        return SPLIT_BY_SIZE if items > 1 else TOO_LARGE
    return SPLIT if items > 1 else DEAD


def _judge_error(event: Event, outcome: Outcome) -> Verdict:
    code = outcome.code or "unknown"
    message = outcome.message or ""
    if code in _AUTH:
        return Verdict(AUTH, code, message)
    if code not in _PERMANENT:
        return Verdict(AGAIN, code, message)
    if event.kind in CREATES and _names_id(outcome):
        return Verdict(WRONG_ID, code, message)
    if code != "not_found" and event.status == "cancelled":
        # Whether what runs may be cancelled is disputed (docs/wire.md, Cancelling); fail it may.
        # If it was already over, the restated finish is answered by invalid_action once more.
        return Verdict(RESTATE, code, message)
    if code == "invalid_action" and (
        event.kind in _OVER or (event.doubtful and event.kind in CREATES | {START_INSTANCE})
    ):
        # Already over; or it already exists, made by a request whose answer was lost.
        return _DELIVERED
    return Verdict(DEAD, code, message)


def _names_id(outcome: Outcome) -> bool:
    errors = outcome.errors
    return isinstance(errors, Mapping) and "id" in errors
