"""Moments as the API writes them: UTC, ISO 8601, ending in Z."""

from datetime import UTC, datetime

from prefactor_http.devserver.errors import invalid


def now() -> str:
    """Return the present moment."""
    return _text(datetime.now(UTC))


def written(moment: datetime, field: str) -> str:
    """Write *moment*, which came in *field*; a naive one is taken as UTC.

    Raises:
        ApiError: If the moment lies outside the calendar once it is turned into UTC.
    """
    if moment.tzinfo is None:
        return _text(moment.replace(tzinfo=UTC))
    if moment.tzinfo is UTC:
        return _text(moment)
    try:
        return _text(moment.astimezone(UTC))
    except OverflowError:
        raise invalid(field, "is outside the calendar") from None


def _text(moment: datetime) -> str:
    """Write an aware UTC moment, always with six digits of fraction so that texts sort."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"
