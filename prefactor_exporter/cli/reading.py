"""What a server knows of runs and their spans, read page by page."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from prefactor_exporter.cli.outline import summary
from prefactor_http.client import PrefactorHttpClient
from prefactor_http.models.agent_instance import AgentInstanceSummary
from prefactor_http.models.agent_span import AgentSpan, AgentSpanSummary

__all__ = [
    "FINAL",
    "about",
    "as_data",
    "instances_since",
    "newest_run",
    "seconds_of",
    "spans_of",
]

FINAL: Final = frozenset({"complete", "failed", "cancelled", "terminated"})
"""Statuses after which nothing more happens."""

_PAGE: Final = 100


async def newest_run(
    client: PrefactorHttpClient, agent_id: str | None = None
) -> AgentInstanceSummary | None:
    """Return the run that was registered last, of one agent or of all; None if there is none."""
    runs = await instances_since(client, agent_id, None)
    # Of those registered in the same moment, the last in the list.
    return max(reversed(runs), key=lambda run: run.inserted_at, default=None)


async def instances_since(
    client: PrefactorHttpClient, agent_id: str | None, offset: int | None
) -> list[AgentInstanceSummary]:
    """Return the runs behind *offset*; without one, the last page of the list."""
    found: list[AgentInstanceSummary] = []
    start = offset
    if start is None:
        first = await client.agent_instances.list_instances(agent_id=agent_id, page_size=1)
        count = first.pagination.item_count if first.pagination is not None else 0
        start = max(0, count - _PAGE)
    following: int | None = start
    while following is not None:
        page = await client.agent_instances.list_instances(
            agent_id=agent_id, offset=following, page_size=_PAGE
        )
        found += page.summaries
        following = _next(page.pagination, following, len(page.summaries))
    return found


async def spans_of(
    client: PrefactorHttpClient,
    run_id: str,
    *,
    offset: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[list[AgentSpanSummary], int]:
    """Return the spans of a run behind *offset*, and how many there are in all.

    Args:
        client: Whom to ask.
        run_id: The run.
        offset: How many rows to skip.
        progress: Called after each page with the rows read so far and the rows to read.
    """
    found: list[AgentSpanSummary] = []
    following: int | None = offset
    total = 0
    while following is not None:
        page = await client.agent_spans.list_spans(
            run_id, include_summaries=True, offset=following, page_size=_PAGE
        )
        found += page.summaries
        total = page.pagination.item_count if page.pagination is not None else len(found)
        progress(len(found), total - offset)
        following = _next(page.pagination, following, len(page.summaries))
    return found, total


def _next(pagination: Any, offset: int, rows: int) -> int | None:
    """Return the offset of the next page, None if there is none (docs/wire.md, Lists)."""
    following: int | None = pagination.next_page_offset if pagination is not None else None
    return following if rows and following is not None and following > offset else None


def seconds_of(thing: AgentSpan | AgentInstanceSummary) -> float | None:
    """Return how long a span or a run took; None while it runs."""
    if thing.started_at is None or thing.finished_at is None:
        return None
    return (_aware(thing.finished_at) - _aware(thing.started_at)).total_seconds()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def about(span: AgentSpan) -> str:
    """Say in a few words what *span* was about: its summary, else what went in and came out."""
    if span.summary:
        return " ".join(span.summary.split())
    return summary(span.payload.values(), (span.result_payload or {}).values())


def as_data(thing: AgentSpan | AgentInstanceSummary, *, payloads: bool = True) -> dict[str, Any]:
    """Return *thing* as plain data for a machine, with the seconds it took."""
    data = thing.model_dump(mode="json")
    if not payloads:
        data.pop("payload", None)
        data.pop("result_payload", None)
    return data | {"seconds": seconds_of(thing)}
