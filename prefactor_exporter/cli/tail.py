"""``tail``: follow a run of a server as it happens."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple

import typer

from prefactor_exporter.cli.connection import (
    TokenOption,
    UrlOption,
    connection,
    explained,
)
from prefactor_exporter.cli.connection import with_client as ask
from prefactor_exporter.cli.console import note, write_json, write_line
from prefactor_exporter.cli.outline import pretty, span_line
from prefactor_exporter.cli.reading import (
    FINAL,
    about,
    as_data,
    instances_since,
    newest_run,
    seconds_of,
    spans_of,
)
from prefactor_exporter.cli.show import OfAgentOption, RunArgument, find_run, sums, termination_line
from prefactor_http.client import PrefactorHttpClient
from prefactor_http.config import HttpClientConfig
from prefactor_http.devserver.server import DEFAULT_TOKEN
from prefactor_http.exceptions import is_transient_http_error
from prefactor_http.models.agent_instance import AgentInstance
from prefactor_http.models.agent_span import AgentSpanSummary

__all__ = ["Follower", "News", "tail"]

_LEAST_INTERVAL: Final = 0.1
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MARKS: Final = {"complete": "✓", "failed": "✗"}


def tail(
    run: RunArgument = None,
    *,
    url: UrlOption = None,
    token: TokenOption = None,
    agent_id: OfAgentOption = None,
    upcoming: Annotated[
        bool, typer.Option("--next", help="Wait for the next run to be registered.")
    ] = False,
    last: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Begin with the latest N things that happened."),
    ] = 20,
    interval: Annotated[
        float, typer.Option(min=_LEAST_INTERVAL, metavar="SECONDS", help="Time between two looks.")
    ] = 1.0,
    payloads: Annotated[
        bool, typer.Option("--payloads", help="Show what went into each span and what came out.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a line of JSON for each thing that happens."),
    ] = False,
) -> None:
    """Follow a run as it happens: each span when it begins and when it ends.

    Ends when the run ends, or with Ctrl-C. Works against the development server and against
    Prefactor, where it needs a token of the account.
    """
    http = connection(url, token, local_token=DEFAULT_TOKEN)
    show = _Printer(payloads=payloads, as_json=as_json)

    async def follow(client: PrefactorHttpClient) -> None:
        run_id = await _next_run(client, http, agent_id, interval) if upcoming else run
        found = await find_run(client, http.api_url, run_id, agent_id)
        note(f"run {found.id} is {found.status}" + ("" if found.status in FINAL else "; following"))
        await _follow(client, http, found, show, last=last, interval=interval)

    ask(http, follow)


async def _next_run(
    client: PrefactorHttpClient, http: HttpClientConfig, agent_id: str | None, interval: float
) -> str:
    """Wait until another run is registered, and return its id."""
    newest = await newest_run(client, agent_id)
    known = {run.id for run in await instances_since(client, agent_id, None)}
    after = newest.inserted_at if newest is not None else _EPOCH
    note(f"waiting for the next run at {http.api_url}")
    while True:
        await asyncio.sleep(interval)
        try:
            found = await instances_since(client, agent_id, None)
        except Exception as error:
            if not is_transient_http_error(error):
                raise
            continue
        fresh = [run for run in found if run.id not in known and run.inserted_at >= after]
        if fresh:
            return min(fresh, key=lambda run: run.inserted_at).id


async def _follow(
    client: PrefactorHttpClient,
    http: HttpClientConfig,
    run: AgentInstance,
    show: "_Printer",
    *,
    last: int,
    interval: float,
) -> None:
    """Print what happens in *run* until it ends."""
    follower = Follower()
    troubled = False
    most: int | None = last
    while True:
        try:
            # The run first: what is read after it has ended is all there will be.
            run = await client.agent_instances.get(run.id)
            spans, total = await spans_of(client, run.id, offset=follower.settled)
            if not follower.complete(spans, total):
                spans, _ = await spans_of(client, run.id)
                follower.settled = 0
        except Exception as error:
            if not is_transient_http_error(error):
                raise
            if not troubled:
                note(f"{explained(error, http)}; trying again")
            troubled = True
        else:
            troubled = False
            news = list(follower.look(spans))
            for item in news if most is None else news[len(news) - min(most, len(news)) :]:
                show.span(item)
            most = None
            if run.status in FINAL:
                show.end(run, follower.known.values())
                return
        await asyncio.sleep(interval)


class News(NamedTuple):
    """Something that happened to a span.

    Attributes:
        happened: What.
        at: When; of a span that was over when it was first seen, when it began, so that it
            stands before its children.
        span: The span as it is now.
        depth: How many ancestors it has.
    """

    happened: Literal["began", "ended"]
    at: datetime
    span: AgentSpanSummary
    depth: int


class Follower:
    """Finds out what is new in the spans of a run. Pure.

    Lists are long and their beginning does not change any more, so only what comes behind it is
    asked for again.

    Attributes:
        known: The spans as they were seen last, by id.
        settled: How many rows at the beginning of the list are over.
    """

    def __init__(self) -> None:
        self.known: dict[str, AgentSpanSummary] = {}
        self.settled = 0

    def complete(self, spans: Iterable[AgentSpanSummary], total: int) -> bool:
        """Return whether *spans* and those known are all of the *total* there are.

        They are not if the list is in another order than that of arrival.
        """
        return len(self.known.keys() | {span.id for span in spans}) >= total

    def look(self, spans: list[AgentSpanSummary]) -> Iterator[News]:
        """Take the rows from ``settled`` on; yield what happened since the last look, in order."""
        news: list[tuple[Literal["began", "ended"], datetime | None, AgentSpanSummary]] = []
        for span in spans:
            before = self.known.get(span.id)
            self.known[span.id] = span
            if span.status in FINAL:
                if before is None:
                    news.append(("ended", span.started_at, span))
                elif before.status not in FINAL:
                    news.append(("ended", span.finished_at, span))
            elif before is None:
                news.append(("began", span.started_at, span))
        for span in spans:
            if span.status not in FINAL:
                break
            self.settled += 1
        found = [
            News(happened, _moment(at or span.updated_at), span, self._depth(span))
            for happened, at, span in news
        ]
        yield from sorted(found, key=lambda item: item.at)

    def _depth(self, span: AgentSpanSummary) -> int:
        passed = {span.id}
        parent = span.parent_span_id
        while parent in self.known and parent not in passed:
            passed.add(parent)
            parent = self.known[parent].parent_span_id
        return len(passed) - 1


def _moment(at: datetime | None) -> datetime:
    at = at or _EPOCH
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


class _Printer:
    """Prints what happens, for people or for a machine."""

    def __init__(self, *, payloads: bool, as_json: bool) -> None:
        self._payloads = payloads
        self._as_json = as_json

    def span(self, item: News) -> None:
        """Print that a span began or ended."""
        span = item.span
        if self._as_json:
            data = as_data(span, payloads=self._payloads)
            write_json({"happened": item.happened, "depth": item.depth, "span": data})
            return
        over = item.happened == "ended"
        mark = _MARKS.get(span.status, "·") if over else "▸"
        local = item.at.astimezone()
        guide = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}  {'  ' * item.depth}{mark} "
        status = span.status if over else "…"
        write_line(span_line(span.schema_name, status, seconds_of(span), about(span), guide=guide))
        if self._payloads:
            indent = " " * (len(guide) + 1)
            parts: dict[str, Any] = {"payload": span.payload, "result": span.result_payload}
            for label, value in parts.items():
                if value:
                    for line in pretty(label, value, indent=indent):
                        write_line(line)

    def end(self, run: AgentInstance, spans: Iterable[AgentSpanSummary]) -> None:
        """Print how the run ended."""
        if self._as_json:
            write_json({"happened": "run_ended", "run": as_data(run)})
            return
        write_line(span_line("run " + run.id, run.status, seconds_of(run), sums(spans)))
        if run.termination_reason:
            write_line(termination_line(run.termination_reason))
