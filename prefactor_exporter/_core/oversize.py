"""Own what becomes of a lone item that the API refuses as too large: it is cut, step by step.

At the end a marker is left in place of the payload, so that the span keeps its place in the trace.
"""

from prefactor_exporter._core.events import Event
from prefactor_exporter._core.snapshot import trim

__all__ = ["shrink"]

_STEPS = (64 * 1024, 2 * 1024, 0)
"""Bytes that payload and result are cut to, each; one try for each step."""
_LEFT_OUT = b'{"truncated":"left out: the API refused the span as too large"}'


def shrink(event: Event) -> bool:
    """Cut the payloads of *event* one step further; return False if that was done in vain."""
    if event.judged >= len(_STEPS):
        return False
    limit = _STEPS[event.judged]
    event.judged += 1
    event.payload = trim(event.payload, limit) if limit else _LEFT_OUT
    if event.result is not None:
        event.result = trim(event.result, limit) if limit else None
    event.measure()
    event.restate()
    return True
