"""Own what was recorded in memory: bulk items become spans and runs, as they would at the API."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, overload

import msgspec

from prefactor_exporter.stats import TerminationSignal
from prefactor_exporter.testing.recorded import RecordedRun, RecordedSpan, nest, select, tree_of

__all__ = ["Feed", "Recorded", "RecordedSpans", "Recording"]

_MOST_SHOWN = 4
"""Spans in the short form of a list of them."""

_QUALITY = "agent_instances/record_quality"

_decode_item = msgspec.json.Decoder(dict[str, Any]).decode


class Feed(Protocol):
    """What an exporter that records into memory is to its recording."""

    def deliver(self) -> None:
        """Hand over what still waits."""
        ...

    def signal_termination(self, instance_id: str, reason: str | None) -> None:
        """Tell the exporter that an operator terminated the run."""
        ...


class Recorded(NamedTuple):
    """Everything recorded up to a moment.

    Attributes:
        items: Bulk items, in the order in which their events were recorded.
        spans: The spans in them, in the same order.
        runs: Their runs, in the same order.
    """

    items: tuple[dict[str, Any], ...]
    spans: tuple[RecordedSpan, ...]
    runs: tuple[RecordedRun, ...]


class Recording:
    """Takes the place of the API. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._feeds: list[Feed] = []
        self._items: list[dict[str, Any]] = []
        self._spans: dict[str, RecordedSpan] = {}
        self._runs: dict[str, RecordedRun] = {}
        self._sources: dict[str, Feed] = {}
        self._read: Recorded | None = None

    def connect(self, feed: Feed) -> None:
        """Have *feed* asked for what waits before anything is read."""
        with self._lock:
            self._feeds.append(feed)

    def take(self, wire: bytes, feed: Feed) -> str:
        """Take one bulk item, as *feed* would have sent it; return why it is refused, if it is."""
        item = _decode_item(wire)
        with self._lock:
            problem = self._problem_with(item)
            if problem:
                return problem
            self._items.append(item)
            self._read = None
            run_id = _APPLY[item["_type"]](self, item)
            if run_id is not None:
                self._sources.setdefault(run_id, feed)
        return ""

    def _problem_with(self, item: dict[str, Any]) -> str:
        """Return why the API would refuse *item*: a quality must be declared by its run."""
        if item["_type"] != _QUALITY:
            return ""
        run = self._runs.get(item["agent_instance_id"])
        if run is None or not run.registered:
            return ""  # another process declared it, or did not
        declared = run.agent_schema_version.get("quality_schemas") or ()
        if any(quality["name"] == item["name"] for quality in declared):
            return ""
        return f"name {item['name']!r} is not a quality schema of the registered schema version"

    def read(self) -> Recorded:
        """Return everything recorded before the call."""
        self._catch_up()
        with self._lock:
            if self._read is None:
                self._read = self._assemble()
            return self._read

    def count(self) -> int:
        """Return how many spans there are, which costs less than to read them."""
        self._catch_up()
        return len(self._spans)

    def _catch_up(self) -> None:
        for feed in tuple(self._feeds):
            feed.deliver()

    def terminate(self, instance_id: str | None, reason: str | None) -> None:
        """Have an active run, or all of them, get the signal of an operator.

        Raises:
            ValueError: There is no such run or it is not active.
        """
        active = [run.id for run in self.read().runs if run.status == "active"]
        chosen = active if instance_id is None else [id_ for id_ in active if id_ == instance_id]
        if not chosen:
            known = "none is" if not active else f"active are {', '.join(active)}"
            raise ValueError(
                "only an active run can be terminated, and "
                f"{'none is' if instance_id is None else f'{instance_id!r} is not: {known}'}"
            )
        for run in chosen:
            with self._lock:
                self._read = None
                self._change_run(run, termination=TerminationSignal(instance_id=run, reason=reason))
            self._sources[run].signal_termination(run, reason)

    def _assemble(self) -> Recorded:
        by_run: dict[str, dict[str, RecordedSpan]] = {run: {} for run in self._runs}
        for span in self._spans.values():
            by_run[span.instance_id][span.id] = span
        nested: dict[str, RecordedSpan] = {}
        runs: list[RecordedRun] = []
        for run_id, spans in by_run.items():
            inside = nest(spans)
            nested |= inside
            below = {child.id for span in inside.values() for child in span.children}
            roots = tuple(span for span in inside.values() if span.id not in below)
            runs.append(msgspec.structs.replace(self._runs[run_id], spans=roots))
        in_order = tuple(nested[span_id] for span_id in self._spans)
        return Recorded(tuple(self._items), in_order, tuple(runs))

    # -- what the items mean -----------------------------------------------------------------

    # Each returns the run it is about, None if that is not known.

    def _change_run(self, run_id: str, **changes: Any) -> str:
        run = self._runs.get(run_id) or RecordedRun(id=run_id)
        self._runs[run_id] = msgspec.structs.replace(run, **changes)
        return run_id

    def _create_span(self, item: dict[str, Any]) -> str:
        details = item["details"]
        finished = details.get("finished_at")
        span = RecordedSpan(
            id=details["id"],
            instance_id=details["agent_instance_id"],
            parent_id=details.get("parent_span_id"),
            schema_name=details["schema_name"],
            status=details["status"],
            payload=details["payload"],
            result=details.get("result_payload"),
            started_at=datetime.fromisoformat(details["started_at"]),
            finished_at=datetime.fromisoformat(finished) if finished is not None else None,
            sensitive=details.get("sensitive_encoding", False),
        )
        self._spans[span.id] = span
        return self._change_run(span.instance_id)

    def _finish_span(self, item: dict[str, Any]) -> str | None:
        span = self._spans.get(item["agent_span_id"])
        if span is None:
            return None  # it began in another process
        self._spans[span.id] = msgspec.structs.replace(
            span,
            status=item["status"],
            finished_at=datetime.fromisoformat(item["timestamp"]),
            result=item.get("result_payload", span.result),
            sensitive=span.sensitive or item.get("sensitive_encoding", False),
        )
        return span.instance_id

    def _register(self, item: dict[str, Any]) -> str:
        return self._change_run(
            item["id"],
            registered=True,
            status="pending",
            agent_id=item.get("agent_id"),
            environment_id=item.get("environment_id"),
            external_identifier=item.get("external_identifier"),
            purpose=item.get("purpose"),
            agent_version=item["agent_version"],
            agent_schema_version=item["agent_schema_version"],
        )

    def _start_run(self, item: dict[str, Any]) -> str:
        started = datetime.fromisoformat(item["timestamp"])
        return self._change_run(item["agent_instance_id"], status="active", started_at=started)

    def _finish_run(self, item: dict[str, Any]) -> str:
        finished = datetime.fromisoformat(item["timestamp"])
        return self._change_run(
            item["agent_instance_id"], status=item["status"], finished_at=finished
        )

    def _record_quality(self, item: dict[str, Any]) -> str:
        run_id, name, payload = item["agent_instance_id"], item["name"], item["payload"]
        known = self._runs.get(run_id)
        qualities = dict(known.qualities) if known is not None else {}
        qualities.pop(name, None)
        if payload is not None:
            qualities[name] = payload
        return self._change_run(run_id, qualities=qualities)


_APPLY: dict[str, Callable[[Recording, dict[str, Any]], str | None]] = {
    "agent_spans/create": Recording._create_span,  # noqa: SLF001  # the table of this class
    "agent_spans/finish": Recording._finish_span,  # noqa: SLF001
    "agent_instances/register": Recording._register,  # noqa: SLF001
    "agent_instances/start": Recording._start_run,  # noqa: SLF001
    "agent_instances/finish": Recording._finish_run,  # noqa: SLF001
    _QUALITY: Recording._record_quality,  # noqa: SLF001
}


class RecordedSpans(Sequence[RecordedSpan]):
    """The recorded spans, in the order in which they began to be recorded; always up to date.

    It compares equal to a list or tuple of the same spans, and its text is the tree of all runs.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def runs(self) -> tuple[RecordedRun, ...]:
        """The runs they belong to, and those without spans."""
        return self._recording.read().runs

    @property
    def roots(self) -> list[RecordedSpan]:
        """The spans without a recorded parent, run by run; the others are below them."""
        return [span for run in self.runs for span in run.spans]

    def find(
        self,
        schema_name: str | None = None,
        *,
        status: str | None = None,
        payload: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> list[RecordedSpan]:
        """Return the spans that match everything that is given.

        Args:
            schema_name: Type of the span.
            status: ``active``, ``complete``, ``failed`` or ``cancelled``.
            payload: What the payload has, at least; it may have more, at any depth of mappings.
            result: What the result has, likewise.
        """
        return select(self, schema_name, status=status, payload=payload, result=result)

    def one(
        self,
        schema_name: str | None = None,
        *,
        status: str | None = None,
        payload: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> RecordedSpan:
        """Return the only span that matches. Arguments as for :meth:`find`.

        Raises:
            AssertionError: There is none, or more than one; the text shows what was recorded.
        """
        __tracebackhide__ = True  # pytest shows the line of the test instead
        found = self.find(schema_name, status=status, payload=payload, result=result)
        if len(found) != 1:
            wanted = {
                "schema_name": schema_name,
                "status": status,
                "payload": payload,
                "result": result,
            }
            given = ", ".join(f"{k}={v!r}" for k, v in wanted.items() if v is not None)
            recorded = self.tree() or "nothing"
            raise AssertionError(
                f"expected one span with {given or 'anything'}, found {len(found)}; recorded was:\n"
                f"{recorded}"
            )
        return found[0]

    def tree(self, *, payloads: bool = True, times: bool = False) -> str:
        """Return all spans as a text, a line for each, indented below their parents.

        Without times it is the same for every execution of the same code.

        Args:
            payloads: Whether payloads and results are shown, shortened where they are long.
            times: Whether durations are shown.
        """
        return tree_of(self.roots, payloads=payloads, times=times)

    def __len__(self) -> int:
        return self._recording.count()

    @overload
    def __getitem__(self, index: int) -> RecordedSpan: ...
    @overload
    def __getitem__(self, index: slice) -> list[RecordedSpan]: ...
    def __getitem__(self, index: int | slice) -> RecordedSpan | list[RecordedSpan]:
        spans = self._recording.read().spans
        return list(spans[index]) if isinstance(index, slice) else spans[index]

    def __iter__(self) -> Iterator[RecordedSpan]:
        return iter(self._recording.read().spans)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | tuple | RecordedSpans):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        spans = self._recording.read().spans
        shown = [f"{span.schema_name} {span.status}" for span in spans[:_MOST_SHOWN]]
        more = ["..."] if len(spans) > _MOST_SHOWN else []
        return f"<RecordedSpans {len(spans)}: {', '.join([*shown, *more]) or 'none'}>"

    def __str__(self) -> str:
        return self.tree()
