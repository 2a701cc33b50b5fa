"""Own the way to get a logger, in both packages."""

import functools
import logging
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger
    from structlog.typing import EventDict, WrappedLogger

__all__ = ["get_logger"]


@functools.cache
def get_logger(name: str) -> "BoundLogger":
    """Return a structured logger whose output belongs to the application.

    The fields of an event reach the standard library's logging as ``extra``, for formatters that
    know what to do with them, and stand in the message too, because most do not. structlog's
    global configuration is neither read nor changed.

    Args:
        name: Name of the standard library's logger, usually ``__name__``.
    """
    # Imported with the first event: it brings more modules than all the rest of the packages.
    import structlog  # noqa: PLC0415

    return cast(
        "BoundLogger",
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[
                structlog.stdlib.filter_by_level,
                _spell_out,
                structlog.stdlib.render_to_log_kwargs,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=True,
        ),
    )


_IN_RECORD = frozenset({"event", "exc_info", "stack_info", "stacklevel"})


def _spell_out(_logger: "WrappedLogger", _method: str, fields: "EventDict") -> "EventDict":
    """Put the fields of an event into its message, and keep them as fields."""
    spelled = "; ".join(f"{k}: {v}" for k, v in fields.items() if k not in _IN_RECORD)
    if spelled:
        fields["event"] = f"{fields['event']} ({spelled})"
    return fields
