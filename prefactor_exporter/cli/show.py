"""``show``: one run of a server as a tree of its spans."""

from collections.abc import Callable, Iterable
from typing import Annotated, Final

import typer
from rich.text import Text

from prefactor_exporter.cli.connection import TokenOption, UrlOption, connection
from prefactor_exporter.cli.connection import with_client as ask
from prefactor_exporter.cli.console import fail, plain, progress_bar, write_json, write_line
from prefactor_exporter.cli.outline import below, outline, pretty, span_line
from prefactor_exporter.cli.reading import about, as_data, newest_run, seconds_of, spans_of
from prefactor_http.client import PrefactorHttpClient
from prefactor_http.devserver.server import DEFAULT_TOKEN
from prefactor_http.exceptions import PrefactorNotFoundError
from prefactor_http.models.agent_instance import AgentInstance, AgentInstanceSummary
from prefactor_http.models.agent_span import AgentSpanSummary

__all__ = [
    "OfAgentOption",
    "RunArgument",
    "find_run",
    "nested",
    "run_lines",
    "show",
    "sums",
    "termination_line",
]

_LITTLE: Final = 100
"""Spans that are read in no time."""

RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="Id of the run; the newest one if left out.", show_default=False
    ),
]

OfAgentOption = Annotated[
    str | None,
    typer.Option(
        "--agent-id",
        metavar="ID",
        envvar="PREFACTOR_AGENT_ID",
        help="Whose newest run; of any agent if left out.",
        show_default=False,
    ),
]


def show(
    run: RunArgument = None,
    *,
    url: UrlOption = None,
    token: TokenOption = None,
    agent_id: OfAgentOption = None,
    payloads: Annotated[
        bool, typer.Option("--payloads", help="Show what went into each span and what came out.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the run and its spans as JSON, payloads included.")
    ] = False,
) -> None:
    """Show a run: its spans as a tree, with durations, statuses and summaries.

    Works against the development server and against Prefactor, where it needs a token of the
    account.
    """
    http = connection(url, token, local_token=DEFAULT_TOKEN)
    with progress_bar("reading") as update:
        found, spans = ask(http, lambda client: _read(client, http.api_url, run, agent_id, update))
    tree = list(outline(*nested(spans)))
    if as_json:
        rows = [as_data(span) | {"depth": depth} for _, span, depth in tree]
        write_json({"run": as_data(found), "spans": rows})
        return
    for line in run_lines(found, spans):
        write_line(line)
    for guide, span, _ in tree:
        line = span_line(span.schema_name, span.status, seconds_of(span), about(span), guide=guide)
        write_line(line)
        if payloads:
            for part in _payloads(span, below(guide)):
                write_line(part)


async def _read(
    client: PrefactorHttpClient,
    url: str,
    run: str | None,
    agent_id: str | None,
    update: Callable[[int, int, str], None],
) -> tuple[AgentInstance, list[AgentSpanSummary]]:
    found = await find_run(client, url, run, agent_id)

    def progress(done: int, total: int) -> None:
        if total > _LITTLE:
            update(done, total, "")

    spans, _ = await spans_of(client, found.id, progress=progress)
    return found, spans


async def find_run(
    client: PrefactorHttpClient, url: str, run: str | None, agent_id: str | None
) -> AgentInstance:
    """Return the run with that id, or the newest one; end the command if there is none."""
    if run is None:
        newest = await newest_run(client, agent_id)
        if newest is None:
            whose = f" of agent {agent_id}" if agent_id else ""
            fail(f"there is no run{whose} at {url} yet: record something first")
        run = newest.id
    try:
        return await client.agent_instances.get(run)
    except (PrefactorNotFoundError, ValueError):
        fail(f"there is no run {run} at {url}: without an id, the newest run is taken")


def nested(
    spans: Iterable[AgentSpanSummary],
) -> tuple[list[AgentSpanSummary], Callable[[AgentSpanSummary], list[AgentSpanSummary]]]:
    """Return the roots among *spans*, and what tells the children of each, in order of time.

    A span whose parent is not among them, or that is its own ancestor, is a root.
    """
    ordered = sorted(spans, key=lambda span: (span.started_at is None, span.started_at, span.id))
    parents = {span.id: span.parent_span_id for span in ordered}
    children: dict[str, list[AgentSpanSummary]] = {}
    roots: list[AgentSpanSummary] = []
    for span in ordered:
        if span.parent_span_id in parents and not _circular(span.id, parents):
            children.setdefault(span.parent_span_id or "", []).append(span)
        else:
            roots.append(span)

    def children_of(span: AgentSpanSummary) -> list[AgentSpanSummary]:
        return children.get(span.id, [])

    return roots, children_of


def _circular(span_id: str, parents: dict[str, str | None]) -> bool:
    """Return whether *span_id* is its own ancestor."""
    passed: set[str] = set()
    here: str | None = span_id
    while here is not None and here not in passed:
        passed.add(here)
        here = parents.get(here)
        if here == span_id:
            return True
    return False


def run_lines(run: AgentInstanceSummary, spans: Iterable[AgentSpanSummary]) -> list[Text]:
    """Return the lines about *run* itself."""
    lines = [span_line("run " + run.id, run.status, seconds_of(run), sums(spans))]
    started = "" if run.started_at is None else f", started {run.started_at:%Y-%m-%d %H:%M:%S %Z}"
    lines.append(Text(f"agent {plain(run.agent_id).plain}{started}", style="dim"))
    if run.termination_reason:
        lines.append(termination_line(run.termination_reason))
    return lines


def termination_line(reason: str) -> Text:
    """Return the line that says why a run was terminated."""
    return Text(f"terminated: {plain(reason).plain}", style="bold red")


def sums(spans: Iterable[AgentSpanSummary]) -> str:
    """Say how many spans there are, and how many of them did not end well."""
    counts: dict[str, int] = {}
    for span in spans:
        counts[span.status] = counts.get(span.status, 0) + 1
    total = sum(counts.values())
    unusual = [f"{count:,} {status}" for status, count in counts.items() if status != "complete"]
    text = f"{total:,} span" + ("" if total == 1 else "s")
    return text + (f" ({', '.join(sorted(unusual))})" if unusual else "")


def _payloads(span: AgentSpanSummary, indent: str) -> Iterable[Text]:
    yield from pretty("payload", span.payload, indent=indent)
    if span.result_payload is not None:
        yield from pretty("result", span.result_payload, indent=indent)
