"""Own the time of one call of a serverless handler: what it recorded is delivered within it."""

from types import TracebackType
from typing import Self

from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter.recorder import Recorder
from prefactor_exporter.stats import FlushReport

__all__ = ["Invocation"]


class Invocation:
    """Delivers at the end of its ``with`` or ``async with`` block, within the time that is left.

    A platform that freezes the process between two calls freezes the exporter's thread with it:
    what was not delivered before would come with the next call, or never.

    Attributes:
        report: What became of everything recorded so far; None before the end of the block.
    """

    def __init__(self, recorder: Recorder, deadline: float, clock: Clock) -> None:
        self.report: FlushReport | None = None
        self._recorder = recorder
        self._clock = clock
        self._ends = clock.monotonic() + deadline

    @property
    def remaining(self) -> float:
        """Seconds that are left, never less than zero."""
        return max(0.0, self._ends - self._clock.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.report = self._recorder.flush(self.remaining)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.report = await self._recorder.flush_async(self.remaining)
