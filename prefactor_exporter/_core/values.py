"""Own the reading of what callers pass: points in time, and how values look in messages. Pure."""

from datetime import UTC, datetime
from typing import Final

__all__ = ["nanoseconds", "shown", "text"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS: Final = 253_402_300_799 * 10**9
"""The last second of the year 9999."""
_ENOUGH: Final = 100


def nanoseconds(value: object) -> int | None:
    """Return *value* as nanoseconds since the epoch, None if it is no point in time.

    Args:
        value: An aware datetime, or an int that is in nanoseconds already.
    """
    if type(value) is int:
        return value if 0 <= value <= _LAST_NS else None
    if not isinstance(value, datetime):
        return None
    try:
        delta = value - _EPOCH
    except Exception:  # noqa: BLE001  # it is naive, or its time zone is code that fails
        return None
    ns = (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1_000
    return ns if ns >= 0 else None


def shown(value: object) -> str:
    """Return *value* for a message: simple values as they are, of others only the type."""
    try:
        if value is None or isinstance(value, str | int | float | datetime):
            text = repr(value)
            return text if len(text) <= _ENOUGH else f"{text[: _ENOUGH - 3]}..."
        return f"a value of type {type(value).__name__}"
    except Exception:  # noqa: BLE001  # its text is code of the application
        return "a value that cannot be shown"


def text(value: object) -> str | None:
    """Return *value* as a plain string; None if it is no string, is empty, or cannot be sent.

    What cannot be sent is half a surrogate pair: it has no UTF-8 form. Members of string
    enumerations become their value.
    """
    if not isinstance(value, str):
        return None
    plain = str.__str__(value)  # what a subclass adds to it is the application's
    if not plain:
        return None
    try:
        plain.encode()
    except UnicodeEncodeError:
        return None
    return plain
