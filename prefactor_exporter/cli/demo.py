"""``demo``: an agent, the exporter and a development server, and a look at what arrived."""

import asyncio
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from prefactor_exporter import (
    AgentInfo,
    Exporter,
    ExporterConfig,
    ExporterStats,
    HttpClientConfig,
)
from prefactor_exporter.cli.agent import SPANS_PER_RUN, Agent, Journal, declared, in_parallel
from prefactor_exporter.cli.console import (
    ERROR,
    INTERRUPTED,
    OUTPUT,
    USAGE,
    fail,
    note,
    sums_table,
    write_json,
    write_line,
    write_table,
)
from prefactor_exporter.cli.outline import outline, span_line, summary
from prefactor_exporter.cli.patience import Patience
from prefactor_exporter.cli.serve import fault_script, until_stopped
from prefactor_http.devserver import DevServer, FaultScript

__all__ = ["demo"]

_PATIENCE = 30.0  # seconds
_UNHURRIED = 200  # spans, up to which the agent takes its time
_PARALLEL_RUNS = 8
_RUNS_SHOWN = 3
_MOST_PROBLEMS = 20
_NUMBERS = frozenset({"step", "below"})  # in payloads, to tell spans from one another


def demo(
    *,
    spans: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Record at least N spans, in runs of eight."),
    ] = 2 * SPANS_PER_RUN,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Have the server misbehave, for example 'every=3 status=503'; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what arrived and the sums as JSON.")
    ] = False,
    keep_serving: Annotated[
        bool,
        typer.Option("--keep-serving", help="Leave the server running until Ctrl-C."),
    ] = False,
) -> None:
    """Watch a small agent being recorded, and see what arrived.

    Starts a development server of its own, so it needs no account. The agent's spans are nested;
    one of its tools fails and is tried again.
    """
    try:
        faults = fault_script(fault)
    except ValueError as error:
        fail(str(error), status=USAGE)
    try:
        problems = _run(faults, spans=spans, as_json=as_json, keep_serving=keep_serving)
    except KeyboardInterrupt:
        note("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    if problems:
        fail(f"what arrived is not what was recorded ({problems} problems)")


def _run(faults: FaultScript, *, spans: int, as_json: bool, keep_serving: bool) -> int:
    """Run the agent and show what arrived; return the number of problems."""
    with DevServer(faults=faults) as server:
        journals, stats = _record(server, runs=math.ceil(spans / SPANS_PER_RUN))
        arrived = arrival(server)
        problems = compare(journals, arrived)
        if stats.recorded != stats.delivered:
            problems.append(_undelivered(stats))
        if as_json:
            write_json(
                {
                    "complete": not problems,
                    "problems": problems,
                    "runs": arrived,
                    "stats": msgspec.to_builtins(stats),
                }
            )
        else:
            show(arrived, stats)
        for problem in problems[:_MOST_PROBLEMS]:
            note(f"problem: {problem}")
        if keep_serving:
            with suppress(KeyboardInterrupt):
                note(f"The server stays on {server.url}; Ctrl-C ends it.")
                until_stopped()
    return len(problems)


def arrival(server: DevServer) -> list[dict[str, Any]]:
    """Read what is on the server back, each run with its spans in a tree."""
    runs: list[dict[str, Any]] = []
    for instance in server.instances():
        nodes: dict[str, dict[str, Any]] = {
            row["id"]: {
                "id": row["id"],
                "type": row["schema_name"],
                "status": row["status"],
                "seconds": _seconds(row["started_at"], row["finished_at"]),
                "payload": row["payload"],
                "result": row["result_payload"],
                "parent": row["parent_span_id"],
                "children": [],
            }
            for row in sorted(server.spans(instance["id"]), key=lambda row: row["started_at"])
        }
        roots: list[dict[str, Any]] = []
        for node in nodes.values():
            siblings: list[dict[str, Any]] = roots
            if node["parent"] in nodes:
                siblings = nodes[node["parent"]]["children"]
            siblings.append(node)
        runs.append(
            {
                "id": instance["id"],
                "status": instance["status"],
                "seconds": _seconds(instance["started_at"], instance["finished_at"]),
                "spans": roots,
            }
        )
    return runs


def compare(journals: dict[str, Journal], arrived: list[dict[str, Any]]) -> list[str]:
    """Return what differs between what the agent did and what arrived, in words."""
    problems: list[str] = []
    found = {run["id"]: run for run in arrived}
    problems += [f"run {name} was never recorded" for name in found.keys() - journals.keys()]
    for name, journal in journals.items():
        run = found.get(name)
        if run is None:
            problems.append(f"run {name} is missing")
            continue
        if run["status"] != "complete":
            problems.append(f"run {name} is {run['status']}, not complete")
        expected = sorted(journal.spans)
        there = sorted(_facts(run["spans"], None))
        problems += [
            f"run {name}: missing {_said(*fact)}" for fact in expected if fact not in there
        ]
        problems += [
            f"run {name}: unexpected {_said(*fact)}" for fact in there if fact not in expected
        ]
        if len(there) != len(set(there)):
            problems.append(f"run {name} has spans twice")
    return problems


def _facts(
    spans: list[dict[str, Any]], parent: int | None
) -> Iterator[tuple[int, str, int | None, str]]:
    """Yield step, type, parent's step and status of *spans* and all below them."""
    for span in spans:
        step: int = span["payload"].get("step", 0)
        yield step, span["type"], parent, span["status"]
        yield from _facts(span["children"], step)


def _said(step: int, schema_name: str, parent: int | None, status: str) -> str:
    """Describe a span."""
    where = "at the top" if parent is None else f"below step {parent}"
    return f"step {step} {schema_name} {status} {where}"


def _undelivered(stats: ExporterStats) -> str:
    """Say how many events were not delivered, and why."""
    reasons = [
        f"{count} {name}" for name, count in (stats.dead_reasons | stats.dropped_reasons).items()
    ]
    why = "; ".join(reasons + ([stats.last_error] if stats.last_error else []))
    return f"{stats.recorded - stats.delivered} events were not delivered: {why or 'time was up'}"


def _record(server: DevServer, *, runs: int) -> tuple[dict[str, Journal], ExporterStats]:
    """Let the agent work and wait until all of it is delivered or nothing gets done any more."""
    config = ExporterConfig(
        http=HttpClientConfig(server.url, server.token, request_timeout=5.0),
        agent=AgentInfo(
            agent_id=server.agent_id,
            environment_id=server.environment_id,
            name="Travel assistant",
            version="demo",
            schema=declared().to_dict(),
        ),
        overflow="block",
        block_timeout=_PATIENCE,
        linger=0.05,
    )
    pace = 0.12 if runs * SPANS_PER_RUN <= _UNHURRIED else 0.0
    with Exporter(config) as exporter, _progress(runs) as show:
        agent = Agent(exporter, pace=pace, progressed=lambda: show(exporter.stats()))
        works = [partial(agent.answer, number) for number in range(runs)]
        asyncio.run(in_parallel(works, at_most=_PARALLEL_RUNS))
        Patience(exporter, config, seconds=_PATIENCE, show=show).delivered()
        show(exporter.stats())
    return agent.journals, exporter.stats()


@contextmanager
def _progress(runs: int) -> Generator[Callable[[ExporterStats], None]]:
    """Show how many events are recorded and delivered, on a terminal."""
    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=ERROR,
        disable=not ERROR.is_terminal,
    ) as progress:
        # A span is recorded when it begins and when it ends; a run is registered as well.
        events = runs * (2 * SPANS_PER_RUN + 3)
        recorded = progress.add_task("recorded", total=events, state="")
        delivered = progress.add_task("delivered", total=events, state="")

        def show(stats: ExporterStats) -> None:
            progress.update(recorded, completed=stats.recorded)
            state = "" if stats.state in {"idle", "delivering"} else stats.state
            progress.update(delivered, completed=stats.delivered, state=state)

        yield show


def show(arrived: list[dict[str, Any]], stats: ExporterStats) -> None:
    """Print the trees of the first runs and the sums."""
    for run in arrived[:_RUNS_SHOWN]:
        write_line(span_line("run " + run["id"], run["status"], run["seconds"], ""))
        for guide, span, _ in outline(run["spans"], lambda span: span["children"]):
            about = _about(span)
            line = span_line(span["type"], span["status"], span["seconds"], about, guide=guide)
            write_line(line)
    if len(arrived) > _RUNS_SHOWN:
        OUTPUT.print(f"… and {len(arrived) - _RUNS_SHOWN:,} more runs", style="dim")
    figures: dict[str, Any] = msgspec.to_builtins(stats)
    rows = [
        (name.replace("_", " "), value) for name, value in figures.items() if isinstance(value, int)
    ]
    write_table(sums_table("Events", rows))


def _about(span: dict[str, Any]) -> str:
    """Say in a few words what went into *span* and what came out."""
    went_in = [value for name, value in span["payload"].items() if name not in _NUMBERS]
    return summary(went_in, (span["result"] or {}).values())


def _seconds(began: str | None, ended: str | None) -> float | None:
    """Return the seconds between two stamps; None if one is missing."""
    if began is None or ended is None:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
