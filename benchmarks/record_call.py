"""What does one record call cost the caller, compared with the least it could cost?

The floor is what no implementation can avoid: encode payload and result with msgspec, and append
them to a deque. Rounds of all cases alternate, so that a slow moment of the machine hits all, and
ratios are taken within a round. With --peers, other projects' exporters record a burst as well,
each in a process of its own, while they deliver it.
"""

import gc
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter_ns, thread_time_ns
from typing import Any, NamedTuple

from figures import figure, options, part, percentile, plural, show
from process import (
    OURS,
    PEERS,
    Rounds,
    drive,
    peer_options,
    peers_in_round,
    title_of,
    work_file,
)
from sink import sink
from subjects.exporter import ExporterSubject, configured
from subjects.floor import FloorSubject
from workload import Recorded, from_runs, numbered, spans

import prefactor_http.client  # the worker imports it: before anything is measured  # noqa: F401
from prefactor_exporter import Exporter, __version__

_NOWHERE = "http://127.0.0.1:9"
_SIZES = ("small", "typical", "large")
_THREADS = (4, 16)
_LARGE_IS_FEWER = 20
_BESIDE_ROUNDS = 5
_OTHERS = 2
"""Rounds of those that no target names."""
_SETTLED = 0.03
"""Seconds in which the worker has started, looked at the first events and gone to sleep."""

Call = Callable[[Recorded], object]


class Sample(NamedTuple):
    """One round of one case, in nanoseconds a span."""

    mean: float
    p50: float
    p99: float


class Case(NamedTuple):
    """One row of the table; ``floor`` names the row that it is compared with."""

    name: str
    floor: str
    run: Callable[[], Sample]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    peer_options(parser)
    parser.add_argument("--rounds", type=int, help="rounds of each case (15; quick: 5)")
    parser.add_argument("--spans", type=int, help="spans a round (2000; quick: 500)")
    parser.add_argument("--beside", type=int, help="spans a round beside the worker (11000; 5500)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (5 if chosen.quick else 15)
    count = chosen.spans or (500 if chosen.quick else 2000)
    beside = chosen.beside or (5_500 if chosen.quick else 11_000)
    beside_rounds = 1 if chosen.quick else _BESIDE_ROUNDS

    pool = {size: list(spans(_count(size, count), size=size)) for size in _SIZES}
    if chosen.runs:
        pool["typical"] = numbered(from_runs(chosen.runs), count)
    many = numbered(pool["typical"], beside)
    gc.collect()
    gc.freeze()  # the workload is not the exporter's garbage
    with sink() as url:
        samples = _measure(_cases(pool, many, url), rounds)
    bursts = Rounds()
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(pool["typical"], directory)
        for number in range(beside_rounds):
            for name in ("floor", OURS, *peers_in_round(number, chosen.peers, _OTHERS)):
                few = int(beside * PEERS[name].share) if name in PEERS else beside
                bursts.measure(name, drive, name, "burst", work, few)
    report: dict[str, Any] = {
        "question": "record_call",
        "version": __version__,
        "rounds": rounds,
        "spans": count,
        "spans_beside": beside,
        "cases": [_summed(name, floor, samples) for name, floor in samples],
        "beside": {name: _beside_others(each, bursts) for name, each in bursts.found.items()},
        "left_out": bursts.left_out,
    }
    rows: list[Sequence[object]] = [
        ("case, µs a span", "rounds", "p50", "p99", "mean", "x floor", "delivered"),
        *(
            (c["case"], rounds, c["p50_us"], c["p99_us"], c["mean_us"], c["ratio"], None)
            for c in report["cases"]
        ),
        ("in a process of its own, delivering", "", "", "", "", "x ours", ""),
        *(
            (
                title_of(name),
                found["mean_us"].rounds,
                found["p50_us"],
                found["p99_us"],
                found["mean_us"],
                found["ratio"],
                part(found["delivered"]) if name != "floor" else None,
            )
            for name, found in report["beside"].items()
        ),
    ]
    basis = (
        f"A round of the first part times {plural(count, 'call')} ({_count('large', count):,} of "
        f"the large ones, {beside:,} beside the busy worker), one of the second part a burst of "
        f"{plural(beside, 'span')}, or as many of them as the project can do in that time."
    )
    show(report, rows, basis, chosen.json)
    if chosen.json != "-":
        bursts.tell()


def _count(size: str, count: int) -> int:
    return max(11, count // _LARGE_IS_FEWER) if size == "large" else count


def _cases(pool: dict[str, list[Recorded]], many: list[Recorded], url: str) -> list[Case]:
    cases: list[Case] = []
    for size, work in pool.items():
        floor = f"floor, {size}"
        cases += (
            Case(floor, floor, partial(_floor, work)),
            Case(f"record_span, {size}", floor, partial(_idle_worker, _recording, work)),
        )
    typical, work = "floor, typical", pool["typical"]
    cases.append(
        Case("start_span + finish_span", typical, partial(_idle_worker, _start_and_finish, work))
    )
    cases += (
        Case(f"record_span, {number} threads", typical, partial(_in_threads, work, number))
        for number in _THREADS
    )
    cases.append(Case("record_span, worker busy", typical, partial(_beside, many, url)))
    return cases


def _measure(cases: Sequence[Case], rounds: int) -> dict[tuple[str, str], list[Sample]]:
    """Return the samples of each case: its rounds alternate with those of the others."""
    samples: dict[tuple[str, str], list[Sample]] = {(c.name, c.floor): [] for c in cases}
    for number in range(rounds + 1):
        for case in cases:
            gc.collect()
            sample = case.run()
            if number:  # the first round warms up
                samples[case.name, case.floor].append(sample)
    return samples


def _summed(name: str, floor: str, samples: dict[tuple[str, str], list[Sample]]) -> dict[str, Any]:
    own, least = samples[name, floor], samples[floor, floor]
    return {
        "case": name,
        "p50_us": figure([s.p50 / 1000 for s in own]).median,
        "p99_us": figure([s.p99 / 1000 for s in own]).median,
        "mean_us": figure([s.mean / 1000 for s in own]),
        "ratio": figure([s.mean / f.mean for s, f in zip(own, least, strict=True)]),
    }


def _beside_others(each: Sequence[dict[str, Any]], bursts: Rounds) -> dict[str, Any]:
    calls = [found["call_us"] for found in each]
    ours = [found["call_us"]["mean"] for found in bursts.found[OURS]]
    return {
        "p50_us": figure([call["p50"] for call in calls]).median,
        "p99_us": figure([call["p99"] for call in calls]).median,
        "mean_us": figure([call["mean"] for call in calls]),
        "ratio": figure([c["mean"] / o for c, o in zip(calls, ours, strict=False)]),
        "delivered": min(found["sink"]["spans"] / found["spans"] for found in each),
    }


def _alone(call: Call, work: Sequence[Recorded]) -> Sample:
    """Time *call* for each of *work*: the mean undisturbed, then each by itself.

    Nothing is waited for here, so the mean is CPU time, in which other programs do not show.
    """
    started = thread_time_ns()
    for span in work:
        call(span)
    mean = (thread_time_ns() - started) / len(work)
    return _spread(mean, _timed(call, work))


def _timed(call: Call, work: Sequence[Recorded]) -> list[int]:
    spent: list[int] = []
    note = spent.append
    for span in work:
        before = perf_counter_ns()
        call(span)
        note(perf_counter_ns() - before)
    return spent


def _spread(mean: float, spent: Sequence[int]) -> Sample:
    ordered = sorted(spent)
    return Sample(mean, percentile(ordered, 50), percentile(ordered, 99))


def _floor(work: Sequence[Recorded]) -> Sample:
    record = FloorSubject().record
    return _alone(lambda span: record(span, None), work)


def _waiting_exporter() -> Exporter:
    # The worker is kept waiting for company: only the caller's side is measured.
    return Exporter(
        configured(
            _NOWHERE,
            max_queue_items=10_000_000,
            max_queue_bytes=1 << 40,
            max_batch_items=10_000_000,
            max_batch_bytes=1 << 40,
            linger=3600.0,
            flush_at_exit=False,
            flush_on_signals=(),
        )
    )


def _idle_worker(make: Callable[[Exporter], Call], work: Sequence[Recorded]) -> Sample:
    exporter = _waiting_exporter()
    with exporter.instance() as run, run.span("agent:turn"):
        threading.Event().wait(_SETTLED)
        sample = _alone(make(exporter), work)
        exporter.shutdown(timeout=0)
    return sample


def _recording(exporter: Exporter) -> Call:
    record = exporter.record_span
    return lambda span: record(span.schema_name, span.payload, result_payload=span.result)


def _start_and_finish(exporter: Exporter) -> Call:
    start, finish = exporter.start_span, exporter.finish_span
    return lambda span: finish(start(span.schema_name, span.payload), result_payload=span.result)


def _in_threads(work: Sequence[Recorded], number: int) -> Sample:
    """Record in *number* threads at once, all of *work* in each tenth of one."""
    exporter = _waiting_exporter()
    run = exporter.register_instance()
    parent = exporter.start_span("agent:turn", instance_id=run)
    threading.Event().wait(_SETTLED)
    share = work[: max(11, len(work) * 4 // number)]
    together = threading.Barrier(number + 1)
    spent: list[list[int]] = []

    def call(span: Recorded) -> object:
        return exporter.record_span(
            span.schema_name,
            span.payload,
            result_payload=span.result,
            instance_id=run,
            parent_span_id=parent,
        )

    def record() -> None:
        together.wait()
        spent.append(_timed(call, share))

    threads = [threading.Thread(target=record) for _ in range(number)]
    for thread in threads:
        thread.start()
    together.wait()
    started = perf_counter_ns()
    for thread in threads:
        thread.join()
    mean = (perf_counter_ns() - started) / (number * len(share))
    exporter.shutdown(timeout=0)
    return _spread(mean, [each for some in spent for each in some])


def _beside(work: Sequence[Recorded], url: str) -> Sample:
    """Record a burst with the default settings, while the worker delivers it."""
    subject = ExporterSubject(configured(url, flush_at_exit=False, flush_on_signals=()))
    started = perf_counter_ns()
    spent = subject.run(work, None)
    mean = (perf_counter_ns() - started) / len(work)
    subject.flush()
    subject.close()
    return _spread(mean, spent)


if __name__ == "__main__":
    main()
