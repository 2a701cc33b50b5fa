"""``replay``: recorded agent runs become instances and spans."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, ExporterStats, SchemaRegistry
from prefactor_exporter.cli.connection import (
    AgentOption,
    EnvironmentOption,
    TokenOption,
    UrlOption,
    connection,
)
from prefactor_exporter.cli.console import (
    ERROR,
    INTERRUPTED,
    USAGE,
    fail,
    note,
    sums_table,
    write_json,
    write_table,
)
from prefactor_exporter.cli.patience import LOOK_EVERY, Patience
from prefactor_exporter.cli.recordings import RecordedRun, RecordingError, StepKind, read
from prefactor_http.devserver.server import DEFAULT_DEPLOYMENT_TOKEN

__all__ = ["Replay", "replay"]

_SCHEMA_NAMES: dict[StepKind, str] = {
    "user": "agent:user",
    "llm": "agent:llm",
    "tool": "agent:tool",
}


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Recordings: JSON or JSON lines, plain or gzipped; `-` is standard input.",
            show_default=False,
        ),
    ],
    *,
    url: UrlOption = None,
    token: TokenOption = None,
    agent_id: AgentOption = None,
    environment_id: EnvironmentOption = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Replay the first N runs only.", show_default=False),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Pace the spans, X times as fast as they may have happened; "
            "1 is about what a real run takes.",
            show_default="as fast as possible",
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="Give up when nothing was delivered for this long."
        ),
    ] = 60.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the sums as JSON on standard output.")
    ] = False,
) -> None:
    """Send recorded agent runs: each run becomes an instance, each message a span.

    Recordings hold chat messages in the OpenAI format. An answer of the model becomes a span
    `agent:llm`, a tool's answer `agent:tool` under the model call that asked for
    it, a message of the user `agent:user`. Recordings tell no times, so plausible ones are
    made up, the last one being now. Nothing is sent unless all files can be read.
    """
    if speed is not None and not 0 < speed < math.inf:
        fail(f"--speed must be a number above 0, got {speed:g}", status=USAGE)
    config = settings(url, token, agent_id, environment_id, patience=patience)
    recorded = _read_all(files)[:runs]
    with _progress(recorded) as show:
        replayed = Replay(config, patience=patience, show=show)
        interrupted = replayed.run(recorded, speed=speed)
    report = replayed.report()
    if as_json:
        write_json(report)
    else:
        write_table(sums_table("Replay", _rows(report)))
    complete = (
        report["recorded"] == report["delivered"] and report["spans"] == report["spans_total"]
    )
    if interrupted:
        note("interrupted; what was recorded before is in the sums")
        raise typer.Exit(INTERRUPTED)
    if not complete:
        reason = report["last_error"] or "see the sums"
        fail(f"not everything was delivered to {config.http.api_url}: {reason}")


class Replay:
    """Feeds recorded runs to an exporter, never faster than it can take them.

    Args:
        config: The exporter's settings.
        patience: Seconds without a delivery after which the rest is given up.
        show: Called with the number of spans recorded and the exporter's figures.
    """

    def __init__(
        self,
        config: ExporterConfig,
        *,
        patience: float,
        show: Callable[[int, ExporterStats], None] = lambda _spans, _stats: None,
    ) -> None:
        self._show = show
        self._exporter = Exporter(config)
        self._patience = Patience(
            self._exporter,
            config,
            seconds=patience,
            show=lambda stats: show(self._spans, stats),
        )
        self._pause = Event()  # never set: its wait can be interrupted and needs no sleep
        self._runs = 0
        self._spans = 0
        self._spans_total = 0
        self._seconds = 0.0

    def run(self, recorded: list[RecordedRun], *, speed: float | None = None) -> bool:
        """Record *recorded* and wait for delivery; return whether Ctrl-C ended it early.

        Args:
            recorded: The runs, one after the other in time.
            speed: How many times faster than recorded; None for as fast as possible.
        """
        began = time.monotonic()
        self._spans_total = sum(len(run.steps) for run in recorded)
        interrupted = False
        in_time = True
        try:
            in_time = self._record(recorded, speed) and self._patience.delivered()
        except KeyboardInterrupt:
            interrupted = True
        # Patience has run out already: waiting once more would change nothing.
        self._exporter.shutdown(timeout=None if in_time else 0.0)
        self._seconds = time.monotonic() - began
        self._show(self._spans, self._exporter.stats())
        return interrupted

    def report(self) -> dict[str, Any]:
        """Return the sums, ready for JSON."""
        stats = self._exporter.stats()
        return {
            "runs": self._runs,
            "spans": self._spans,
            "spans_total": self._spans_total,
            **{name: getattr(stats, name) for name in _FIGURES},
            "dead_reasons": stats.dead_reasons,
            "dropped_reasons": stats.dropped_reasons,
            "seconds": round(self._seconds, 3),
            "spans_per_second": round(self._spans / self._seconds, 1) if self._seconds else 0.0,
            "last_error": stats.last_error,
        }

    def _record(self, recorded: list[RecordedRun], speed: float | None) -> bool:
        """Record every run; false if nothing gets delivered any more.

        Without a *speed* their times end now, with one they begin now.
        """
        begin = time.time_ns()
        if speed is None:
            begin -= sum(run.duration for run in recorded)
        for run in recorded:
            if not self._patience.room():
                return False
            self._record_run(run, begin, speed)
            begin += round(run.duration / (speed or 1))
        return True

    def _record_run(self, run: RecordedRun, begin: int, speed: float | None) -> None:
        """Record one run that began at *begin*."""
        exporter = self._exporter
        instance_id = exporter.register_instance(update_current_version=False)
        exporter.start_instance(instance_id, timestamp=begin)
        self._runs += 1
        ids: list[str] = []
        for step in run.steps:
            finished = begin + round(step.finished / (speed or 1))
            if speed is not None:
                self._wait_until(finished)
            ids.append(
                exporter.record_span(
                    _SCHEMA_NAMES[step.kind],
                    step.payload,
                    result_payload=step.result,
                    instance_id=instance_id,
                    parent_span_id=None if step.parent is None else ids[step.parent],
                    started_at=begin + round(step.started / (speed or 1)),
                    finished_at=finished,
                )
            )
            self._spans += 1
        exporter.finish_instance(instance_id, timestamp=begin + round(run.duration / (speed or 1)))
        self._show(self._spans, exporter.stats())

    def _wait_until(self, moment: int) -> None:
        """Wait for the *moment*, in nanoseconds since the epoch."""
        while (seconds := (moment - time.time_ns()) / 1e9) > 0:
            self._pause.wait(min(seconds, LOOK_EVERY))
            self._show(self._spans, self._exporter.stats())


_FIGURES = ("recorded", "delivered", "dead", "dropped", "requests", "retries")


def schemas() -> SchemaRegistry:
    """Return the types of the spans a replay records."""
    registry = SchemaRegistry()
    anything: dict[str, Any] = {}
    text = {"type": ["string", "null"]}
    registry.add(
        "agent:user",
        params=_object(content=anything),
        title="User message",
        description="What the user said.",
        template="{{ content }}",
    )
    registry.add(
        "agent:llm",
        params=_object(messages={"type": "array"}, model=text),
        result=_object(content=anything, tool_calls={"type": "array"}),
        title="LLM call",
        description="The messages new to the model, and its answer or the tools it asked for.",
        template="{{ content }} {{ tool_calls[0].name }}",
    )
    registry.add(
        "agent:tool",
        params=_object(name=text, arguments=anything),
        result=_object(content=anything),
        title="Tool call",
        description="A tool with the arguments the model gave it, and its answer.",
        template="{{ name }}: {{ content }}",
    )
    return registry


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object that may have more than *properties*."""
    return {"type": "object", "properties": properties, "additionalProperties": True}


def settings(
    url: str | None,
    token: str | None,
    agent_id: str | None,
    environment_id: str | None,
    *,
    patience: float,
) -> ExporterConfig:
    """Put the exporter's settings together; the development server needs none of them."""
    http = connection(url, token, local_token=DEFAULT_DEPLOYMENT_TOKEN)
    try:
        return ExporterConfig(
            http=http,
            agent=AgentInfo(
                agent_id=agent_id or None,
                environment_id=environment_id or None,
                version="replay",
                schema=schemas().to_dict(),
            ),
            overflow="block",
            block_timeout=patience,
        )
    except ValueError as error:
        fail(str(error), status=USAGE)


def _read_all(files: Iterable[Path]) -> list[RecordedRun]:
    """Read every file before anything is sent."""
    try:
        return [run for file in files for run in read(file)]
    except RecordingError as error:
        fail(str(error), status=USAGE)


@contextmanager
def _progress(recorded: list[RecordedRun]) -> Generator[Callable[[int, ExporterStats], None]]:
    """Show a progress bar on a terminal; yield what updates it."""
    with Progress(
        TextColumn("[bold]replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("spans, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=ERROR,
        disable=not ERROR.is_terminal,
    ) as progress:
        total = sum(len(run.steps) for run in recorded)
        task = progress.add_task("replay", total=total, rate=0.0, state="")

        def show(spans: int, stats: ExporterStats) -> None:
            elapsed = progress.tasks[task].elapsed or 0.0
            share = stats.delivered / stats.recorded if stats.recorded else 0.0
            done = int(spans * share)
            state: str = stats.state if stats.state in {"retrying", "suspended"} else ""
            if state and stats.last_error:
                state = f"{state}: {stats.last_error}"[:60]
            rate = done / elapsed if elapsed else 0.0
            progress.update(task, completed=done, rate=rate, state=state)

        yield show


def _rows(report: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Name the figures of *report* for people."""
    yield "runs", report["runs"]
    yield "spans recorded", report["spans"]
    yield "events recorded", report["recorded"]
    for name in _FIGURES[1:]:
        yield name, report[name]
        for reason, count in report.get(f"{name}_reasons", {}).items():
            yield f"  {reason}", count
    yield "seconds", f"{report['seconds']:.2f}"
    yield "spans/s", f"{report['spans_per_second']:,.0f}"
