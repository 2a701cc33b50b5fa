"""What type checkers make of the test kit; read by them, never run."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, assert_type

from prefactor_exporter import (
    Exporter,
    ExporterConfig,
    Invocation,
    Run,
    Span,
    TerminationSignal,
)
from prefactor_exporter.testing import (
    InMemoryExporter,
    ManualClock,
    RecordedRun,
    RecordedSpan,
    RecordedSpans,
    TelemetryGuard,
    record_in_memory,
)


def stands_in(exporter: Exporter) -> None:
    """Whatever takes an exporter takes the one in memory."""


def build(config: ExporterConfig, moment: datetime) -> None:
    """It is made of nothing, or of what the real one is made of."""
    clock = ManualClock(moment)
    stands_in(InMemoryExporter())
    stands_in(InMemoryExporter(config, clock=clock, strict=False))
    stands_in(Exporter(config, clock=ManualClock(0)))
    assert_type(InMemoryExporter.from_env(), InMemoryExporter)
    assert_type(clock.now(), datetime)
    assert_type(clock.monotonic(), float)
    assert_type(clock.time_ns(), int)


def calls(exporter: InMemoryExporter) -> None:
    """The calls are those of the real one."""
    with exporter as entered, entered.instance() as run, run.span("a") as span:
        assert_type(entered, InMemoryExporter)
        assert_type(run, Run)
        assert_type(span, Span)
    assert_type(exporter.invocation(1.0), Invocation)
    exporter.terminate()
    exporter.terminate("id", "reason")


def seen(exporter: InMemoryExporter) -> None:
    """What was recorded is typed down to the payload."""
    assert_type(exporter.runs, tuple[RecordedRun, ...])
    assert_type(exporter.items, tuple[dict[str, Any], ...])
    spans = exporter.spans
    assert_type(spans, RecordedSpans)
    assert_type(spans[0], RecordedSpan)
    assert_type(spans[1:], list[RecordedSpan])
    assert_type(spans.find("a", payload={"x": 1}), list[RecordedSpan])
    assert_type(spans.roots, list[RecordedSpan])
    assert_type(spans.tree(times=True), str)
    span = spans.one("a", status="failed")
    assert_type(span, RecordedSpan)
    assert_type(span.payload, dict[str, Any])
    assert_type(span.result, dict[str, Any] | None)
    assert_type(span.finished_at, datetime | None)
    assert_type(span.duration, float | None)
    assert_type(span.children, tuple[RecordedSpan, ...])
    assert_type(span.walk(), Iterator[RecordedSpan])
    run = spans.runs[0]
    assert_type(run.termination, TerminationSignal | None)
    assert_type(run.find("a"), list[RecordedSpan])


def guarded(config: ExporterConfig) -> None:
    """Other frameworks have context managers."""
    with TelemetryGuard() as guard, guard.allow():
        assert_type(guard, TelemetryGuard)
    with record_in_memory() as kept:
        assert_type(kept, InMemoryExporter)
        stands_in(Exporter(config))
