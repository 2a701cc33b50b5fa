"""Where does the CPU of one span go, from the record call until it is delivered?

The thread that records is measured by itself; what is left of the process is the worker. Its stages
are measured where they begin and end, a batch or a slice of one at a time, so that measuring costs
next to nothing. What no stage accounts for is the HTTP client, the event loop and the system.
"""

import functools
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import process_time, thread_time
from typing import Any, Protocol

from figures import figure, options, plural, show
from sink import report, reset, sink
from subjects.exporter import ExporterSubject, configured
from workload import Recorded, from_runs, numbered, spans

import prefactor_http.client  # the worker imports it: before anything is measured  # noqa: F401
from prefactor_exporter import __version__
from prefactor_exporter._core.lanes import Lanes
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._delivery import worker
from prefactor_exporter._delivery.pipeline import Pipeline
from prefactor_exporter._delivery.spool import Spool
from prefactor_http.endpoints import bulk

_POOL = 2_000

_STAGES: dict[str, tuple[tuple[object, str], ...]] = {
    "search for secrets": ((Pipeline, "_prepare"),),
    "order: books, lanes, merging": ((Ledger, "take"), (worker.Worker, "_sort")),
    "compose items": ((Lanes, "compose_ahead"), (Lanes, "take")),
    "write to the spool": ((Spool, "tick"), (Spool, "queue"), (Spool, "entered")),
    "read the answer": ((bulk, "_decode_outcomes"),),
    "settle": ((worker, "judge"), (worker.Worker, "_answered")),
}


class _Stage(Protocol):
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class _Clock:
    """Seconds of CPU by stage; what runs inside of another stage counts as its own."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(_STAGES, 0.0)
        self._inner = [0.0]

    def timed(self, stage: str, function: _Stage) -> _Stage:
        """Return *function*, with its time added to *stage*."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            began = thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = thread_time() - began
                self.spent[stage] += took - self._inner.pop()
                self._inner[-1] += took

        return timed


@contextmanager
def _measured_stages() -> Iterator[_Clock]:
    clock = _Clock()
    before: list[tuple[object, str, _Stage]] = []
    for stage, functions in _STAGES.items():
        for owner, name in functions:
            function: _Stage = getattr(owner, name)
            before.append((owner, name, function))
            setattr(owner, name, clock.timed(stage, function))
    try:
        yield clock
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="bursts (9; quick: 3)")
    parser.add_argument("--spans", type=int, help="spans in a burst (20000; quick: 5000)")
    parser.add_argument("--runs", type=Path, help="a file of recorded runs to take the spans from")
    parser.add_argument("--no-redaction", action="store_true", help="switch redaction off")
    parser.add_argument("--spool", type=Path, help="a directory to keep events in as well")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (3 if chosen.quick else 9)
    count = chosen.spans or (5_000 if chosen.quick else 20_000)
    settings: dict[str, Any] = {}
    if chosen.no_redaction:
        settings["redact"] = None
    if chosen.spool is not None:
        settings["spool_dir"] = chosen.spool

    pool = from_runs(chosen.runs) if chosen.runs else list(spans(min(count, _POOL)))
    work = numbered(pool, count)
    gc.collect()
    gc.freeze()  # the workload is not the exporter's garbage
    with sink() as url:
        samples = [_burst(work, url, settings) for _ in range(rounds + 1)][1:]
    parts = {name: figure([sample[name] for sample in samples]) for name in samples[0]}
    others = {name: parts.pop(name) for name in ("all", "per_request", "delivered")}
    rows: list[Sequence[object]] = [("CPU of a span in a burst", "µs", "part of all")]
    rows += [
        (name, found, f"{found.median / others['all'].median:.0%}") for name, found in parts.items()
    ]
    rows += [("all", others["all"], "100%")]
    summed = {"question": "worker_cost", "version": __version__, "rounds": rounds, "spans": count}
    basis = (
        f"{plural(rounds, 'burst')} of {plural(count, 'span')} each, "
        f"{others['per_request'].median:.0f} items in a request."
    )
    show({**summed, "parts_us": parts, **others}, rows, basis, chosen.json)


def _burst(work: Sequence[Recorded], url: str, settings: dict[str, Any]) -> dict[str, float]:
    """Return µs of CPU for each part, and what else is worth knowing."""
    reset(url)
    gc.collect()
    with _measured_stages() as clock:
        cpu, own = process_time(), thread_time()
        subject = ExporterSubject(
            configured(url, flush_at_exit=False, flush_on_signals=(), **settings)
        )
        subject.run(work, None)
        subject.flush()
        cpu, own = process_time() - cpu, thread_time() - own
    counts = subject.counts()
    subject.close()
    arrived = report(url)
    each = 1e6 / len(work)
    stages = {name: spent * each for name, spent in clock.spent.items() if spent}
    rest = (cpu - own) * each - sum(stages.values())
    return {
        "record call": own * each,
        **stages,
        "HTTP client, event loop, system": rest,
        "all": cpu * each,
        "per_request": arrived["spans"] / max(1, counts["requests"]),
        "delivered": arrived["spans"] / len(work),
    }


if __name__ == "__main__":
    main()
