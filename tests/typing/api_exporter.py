"""What type checkers make of the exporter's public face; read by them, never run."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import cached_property
from typing import assert_type

from prefactor_exporter import (
    CURRENT,
    AgentInfo,
    Exporter,
    ExporterConfig,
    ExporterStats,
    FlushReport,
    HttpClientConfig,
    Redaction,
    Run,
    SchemaRegistry,
    Sensitive,
    Span,
    TerminationSignal,
)


def build(http: HttpClientConfig) -> Exporter:
    """A configuration takes keywords only; the environment gives an exporter in any case."""
    assert_type(Exporter.from_env(), Exporter)
    assert_type(ExporterConfig.from_env({}), ExporterConfig | None)
    agent = AgentInfo(agent_id="a", version="v1")
    return Exporter(
        ExporterConfig(http=http, agent=agent, overflow="block", redact=Redaction(), on_drop=None)
    )


def calls(exporter: Exporter, moment: datetime) -> None:
    """Each call returns its own type."""
    span_id = exporter.record_span("a", {"x": Sensitive(1)}, started_at=moment, finished_at=1)
    assert_type(span_id, str)
    assert_type(exporter.start_span("a", parent_span_id=CURRENT), str)
    assert_type(exporter.start_span("a", parent_span_id=None), str)
    exporter.finish_span(span_id, status="failed", result_payload={})
    instance = exporter.register_instance(agent_schema_version=SchemaRegistry())
    assert_type(instance, str)
    exporter.start_instance(instance, timestamp=moment)
    exporter.finish_instance(instance, status="complete", timestamp=1)
    exporter.record_quality("q", {})
    assert_type(exporter.flush(), FlushReport)
    assert_type(exporter.shutdown(1.0), FlushReport)
    assert_type(exporter.stats(), ExporterStats)
    assert_type(exporter.terminated(instance), TerminationSignal | None)
    exporter.on_terminate(lambda _instance, _reason: None)


async def waits(exporter: Exporter) -> None:
    """What is awaited returns the same."""
    assert_type(await exporter.flush_async(), FlushReport)
    assert_type(await exporter.shutdown_async(), FlushReport)
    async with exporter as entered:
        assert_type(entered, Exporter)
    async with exporter.instance() as run, run.span("a") as span:
        assert_type(run, Run)
        assert_type(span, Span)


def blocks(exporter: Exporter) -> None:
    """Context managers give what they are."""
    with exporter as entered, entered.instance() as run:
        assert_type(entered, Exporter)
        assert_type(run, Run)
        assert_type(run.id, str)
        assert_type(run.should_stop, bool)
        assert_type(run.termination, TerminationSignal | None)
        with run.span("a", {}) as span:
            assert_type(span, Span)
            assert_type(span.id, str)
            span.set_result({})
            span.fail()
            span.cancel()


async def decorators(exporter: Exporter, run: Run) -> None:
    """A decorated function keeps its signature."""

    @exporter.trace("a")
    def function(x: int) -> str:
        return str(x)

    @run.trace("a")
    async def coroutine(x: int) -> str:
        return str(x)

    @exporter.trace("a")
    def generator() -> Iterator[int]:
        yield 1

    @exporter.trace("a")
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    class Holder:
        @exporter.trace("a")
        @staticmethod
        def static(x: int) -> str:
            return str(x)

        @exporter.trace("a")
        @classmethod
        def make(cls, x: int) -> str:
            return str(x)

        @exporter.trace("a")
        @cached_property
        def computed(self) -> int:
            return 1

    assert_type(Holder.static(1), str)
    assert_type(Holder.make(1), str)
    assert_type(Holder().computed, int)
    assert_type(function(1), str)
    assert_type(await coroutine(1), str)
    assert_type(list(generator()), list[int])
    async for number in async_generator():
        assert_type(number, int)
