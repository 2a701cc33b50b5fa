"""Own the object an application holds: the record calls, and the conveniences on top of them."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter.config import ExporterConfig
from prefactor_exporter.context import CURRENT, Current
from prefactor_exporter.invocation import Invocation
from prefactor_exporter.recorder import Recorder, Timestamp, seconds
from prefactor_exporter.tracing import Function, Run, Span, traced
from prefactor_http._log import get_logger

__all__ = ["Exporter"]


class Exporter(Recorder):
    """Records what an agent does and delivers it in the background.

    Construction does no I/O and starts nothing; the first event starts one thread. Usable with
    ``with`` and ``async with``, which shut it down at the end.

    Args:
        config: The settings; None makes a disabled exporter: one warning is logged, and all its
            calls do nothing.
        clock: Where the time comes from, for tests; None for the system's clocks.
    """

    def __init__(self, config: ExporterConfig | None, *, clock: Clock | None = None) -> None:
        super().__init__(config, clock=clock)
        if config is None:
            get_logger("prefactor_exporter").warning(
                "exporter_disabled", advice="nothing is recorded; set PREFACTOR_API_TOKEN to record"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Build an exporter from ``PREFACTOR_*`` variables.

        Without ``PREFACTOR_API_TOKEN`` the exporter is disabled.

        Args:
            environ: The variables; None for those of the process.

        Raises:
            ConfigError: A variable has a value that cannot be read; the text names it.
        """
        return cls(ExporterConfig.from_env(environ))

    def instance(
        self,
        *,
        agent_version: object = None,
        agent_schema_version: object = None,
        agent_id: str | None = None,
        environment_id: str | None = None,
        instance_id: str | None = None,
        external_identifier: str | None = None,
        purpose: str | None = None,
        update_current_version: bool = True,
    ) -> Run:
        """Return a run, to be used with ``with`` or ``async with``.

        Arguments as for :meth:`register_instance`.
        """
        return Run(
            self,
            {
                "agent_version": agent_version,
                "agent_schema_version": agent_schema_version,
                "agent_id": agent_id,
                "environment_id": environment_id,
                "instance_id": instance_id,
                "external_identifier": external_identifier,
                "purpose": purpose,
                "update_current_version": update_current_version,
            },
        )

    def span(
        self,
        schema_name: str,
        payload: object = None,
        *,
        instance_id: str | None = None,
        parent_span_id: str | Current | None = CURRENT,
        started_at: Timestamp | None = None,
    ) -> Span:
        """Return a span, to be used with ``with`` or ``async with``.

        Arguments as for :meth:`start_span`.
        """
        return Span(
            self,
            schema_name,
            payload,
            instance_id=instance_id,
            parent_span_id=parent_span_id,
            started_at=started_at,
        )

    def trace(self, schema_name: str) -> Callable[[Function], Function]:
        """Return a decorator that records each call of a function as a span.

        The payload is **every argument of the call**, by name: not the defaults of those left
        out, and not ``self`` or ``cls``. The result is what the function returns, under
        ``result``; of a generator it is what that returns, never what it yields. An exception
        makes the span ``failed``. All of it is redacted as any payload is, and no more: where an
        argument must not leave the process, make the span by hand.

        Works on functions, coroutine functions, generators and async generators, on objects that
        can be called, and above ``staticmethod``, ``classmethod``, ``cached_property``,
        ``partial`` and ``partialmethod``. The span of a generator is the current one only while
        the generator itself runs, not in the code that consumes it.

        Raises:
            TypeError: When it decorates anything else, such as a class or a property.
        """
        return traced(lambda payload: self.span(schema_name, payload))

    def invocation(self, deadline: float) -> Invocation:
        """Return what delivers at the end of one call of a serverless handler.

        To be used with ``with`` or ``async with`` around the handler's work. The end of the block
        waits until everything recorded is delivered, as long as the deadline allows.

        Args:
            deadline: Seconds from now in which the platform wants the call to be over; leave a
                margin for what comes after the block. Below zero it is over already, and the end
                of the block does not wait.

        Raises:
            TypeError: *deadline* is no number.
            ValueError: It is NaN.
        """
        return Invocation(self, seconds("deadline", deadline), self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shutdown(None, "failed" if error is not None else "complete")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._shutdown_async(None, "failed" if error is not None else "complete")

    def __repr__(self) -> str:
        config: Any = self.config
        where = config.http.api_url if config is not None else "disabled"
        return f"<Exporter {where} {self.stats().state}>"
