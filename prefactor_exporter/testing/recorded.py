"""Own what a test gets to see: recorded spans and runs as frozen values, and their trees."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from prefactor_exporter.stats import TerminationSignal

__all__ = ["RecordedRun", "RecordedSpan", "nest", "select", "tree_of"]

_MAX_SHOWN: Final = 72
"""Characters of a payload in a tree."""

_encode = msgspec.json.Encoder().encode


class RecordedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span as it would have reached the API: encoded, redacted and trimmed.

    Attributes:
        id: Id of the span.
        instance_id: The run it belongs to.
        parent_id: Its parent, None for a root.
        schema_name: Type of the span.
        status: ``active`` while it is open, then ``complete``, ``failed`` or ``cancelled``.
        payload: What went in.
        result: What came out, None if nothing did.
        started_at: Begin, in UTC.
        finished_at: End, in UTC; None while it is open.
        sensitive: Whether values in the payloads are wrapped as sensitive.
        children: The spans below it, in the order in which they were recorded.
    """

    id: str
    instance_id: str
    schema_name: str
    started_at: datetime
    parent_id: str | None = None
    status: str = "active"
    payload: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    finished_at: datetime | None = None
    sensitive: bool = False
    children: "tuple[RecordedSpan, ...]" = ()

    @property
    def duration(self) -> float | None:
        """Seconds from begin to end, None while it is open."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    def walk(self) -> "Iterator[RecordedSpan]":
        """Yield this span and everything below it, parents first."""
        pending: list[RecordedSpan] = [self]
        while pending:
            span = pending.pop()
            yield span
            pending.extend(reversed(span.children))

    def find(
        self,
        schema_name: str | None = None,
        *,
        status: str | None = None,
        payload: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> "list[RecordedSpan]":
        """Return the spans below this one that match, parents first.

        Arguments as for :meth:`RecordedSpans.find`.
        """
        below = (span for span in self.walk() if span is not self)
        return select(below, schema_name, status=status, payload=payload, result=result)

    def tree(self, *, payloads: bool = True, times: bool = False) -> str:
        """Return this span and everything below it as a text, a line for each.

        Arguments as for :meth:`RecordedSpans.tree`.
        """
        return tree_of([self], payloads=payloads, times=times)

    def __repr__(self) -> str:
        return f"<RecordedSpan {_line(self, payloads=True, times=False)}>"


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it would have reached the API.

    Attributes:
        id: Id of the run.
        registered: Whether it was registered here; False for a run of another process that only
            got spans, a finish or a quality from this one.
        status: ``pending`` until it is started, ``active`` until it is finished, then ``complete``,
            ``failed`` or ``cancelled``.
        agent_id: The agent, None if the token is to say.
        environment_id: The environment, likewise.
        external_identifier: The application's own name of the run.
        purpose: ``live``, ``smoke_test`` or ``eval``; None if it was not given.
        agent_version: What it was registered with.
        agent_schema_version: The schemas it was registered with.
        started_at: Begin, in UTC; None before.
        finished_at: End, in UTC; None before.
        qualities: The qualities recorded, by name.
        termination: The stop signal it was sent, None if none was.
        spans: Its spans that have no parent in it; the others are below them.
    """

    id: str
    registered: bool = False
    status: str = "active"
    agent_id: str | None = None
    environment_id: str | None = None
    external_identifier: str | None = None
    purpose: str | None = None
    agent_version: dict[str, Any] = {}
    agent_schema_version: dict[str, Any] = {}
    started_at: datetime | None = None
    finished_at: datetime | None = None
    qualities: dict[str, Any] = {}
    termination: TerminationSignal | None = None
    spans: tuple[RecordedSpan, ...] = ()

    def walk(self) -> Iterator[RecordedSpan]:
        """Yield every span of the run, parents first."""
        for span in self.spans:
            yield from span.walk()

    def find(
        self,
        schema_name: str | None = None,
        *,
        status: str | None = None,
        payload: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> list[RecordedSpan]:
        """Return the spans of the run that match, parents first.

        Arguments as for :meth:`RecordedSpans.find`.
        """
        return select(self.walk(), schema_name, status=status, payload=payload, result=result)

    def tree(self, *, payloads: bool = True, times: bool = False) -> str:
        """Return the run and its spans as a text, a line for each.

        Arguments as for :meth:`RecordedSpans.tree`.
        """
        head = f"run {self.status}"
        below = tree_of(self.spans, payloads=payloads, times=times)
        return "\n".join([head, *(f"  {line}" for line in below.splitlines())])

    def __repr__(self) -> str:
        return f"<RecordedRun {self.id} {self.status}, {sum(1 for _ in self.walk())} spans>"


def nest(spans: Mapping[str, RecordedSpan]) -> dict[str, RecordedSpan]:
    """Return *spans* of one run, by id and in their order, each with its children.

    Spans that name each other as parents, which only a mistake can bring about, are all kept: the
    first of them counts as a root.
    """
    below: dict[str, list[str]] = {}
    for span in spans.values():
        if span.parent_id is not None:
            below.setdefault(span.parent_id, []).append(span.id)
    roots = [span.id for span in spans.values() if span.parent_id not in spans]
    order: dict[str, list[str]] = {}
    for first in [*roots, *spans]:
        pending = [first] if first not in order else []
        while pending:
            span_id = pending.pop()
            children = [child for child in below.get(span_id, ()) if child not in order]
            order[span_id] = [child for child in children if child != span_id]
            pending.extend(reversed(order[span_id]))
    nested: dict[str, RecordedSpan] = {}
    for span_id, children in reversed(order.items()):
        nested[span_id] = msgspec.structs.replace(
            spans[span_id], children=tuple(nested[child] for child in children)
        )
    return {span_id: nested[span_id] for span_id in spans}


def select(
    spans: Iterable[RecordedSpan],
    schema_name: str | None,
    *,
    status: str | None,
    payload: Mapping[str, Any] | None,
    result: Mapping[str, Any] | None,
) -> list[RecordedSpan]:
    """Return those of *spans* that match everything that is not None."""
    return [
        span
        for span in spans
        if (schema_name is None or span.schema_name == schema_name)
        and (status is None or span.status == status)
        and (payload is None or _contains(span.payload, payload))
        and (result is None or _contains(span.result, result))
    ]


def _contains(whole: Any, part: Any) -> bool:
    """Return whether *whole* has everything that *part* has; mappings may have more."""
    if isinstance(whole, Mapping) and isinstance(part, Mapping):
        return all(key in whole and _contains(whole[key], part[key]) for key in part)
    return bool(whole == part)


def tree_of(roots: Iterable[RecordedSpan], *, payloads: bool, times: bool) -> str:
    """Return *roots* and everything below them as a text, a line for each span."""
    lines: list[str] = []
    pending = [(root, 0) for root in reversed(list(roots))]
    while pending:
        span, depth = pending.pop()
        lines.append("  " * depth + _line(span, payloads=payloads, times=times))
        pending.extend((child, depth + 1) for child in reversed(span.children))
    return "\n".join(lines)


def _line(span: RecordedSpan, *, payloads: bool, times: bool) -> str:
    parts = [span.schema_name, span.status]
    duration = span.duration
    if times and duration is not None:
        parts.append(f"{duration * 1000:.1f} ms")
    if payloads and span.payload:
        parts.append(_shown(span.payload))
    if payloads and span.result is not None:
        parts.append(f"-> {_shown(span.result)}")
    return " ".join(parts)


def _shown(payload: dict[str, Any]) -> str:
    text = _encode(payload).decode()
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
