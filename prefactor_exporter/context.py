"""Own the current run and span of a piece of code, carried by a context variable.

It follows ``await``, tasks and copied contexts, so two runs in one process never mix.
"""

from contextvars import ContextVar
from enum import Enum
from typing import Final, Literal, NamedTuple

__all__ = ["CURRENT", "Current", "Scope", "current_scope"]


class Current(Enum):
    """The type of :data:`CURRENT`."""

    CURRENT = "current"

    def __repr__(self) -> str:
        return "CURRENT"


CURRENT: Final[Literal[Current.CURRENT]] = Current.CURRENT
"""Default of ``parent_span_id``: the current span of the same run, if there is one."""


class Scope(NamedTuple):
    """Where a piece of code stands.

    Attributes:
        owner: Identity of the exporter it belongs to; other exporters ignore the scope.
        instance: The run.
        span: The current span, None outside of any.
    """

    owner: object
    instance: str
    span: str | None


current_scope: ContextVar[Scope | None] = ContextVar("prefactor_scope", default=None)
