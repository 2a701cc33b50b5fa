"""Where does the CPU of one span go, from the record call until it is delivered?

The whole process is measured, and the thread that records by itself; what is left is the worker.
With --profile the same burst runs once more under a profiler, which slows Python calls down much
more than the rest: read its shares, not its times.
"""

import cProfile
import gc
import pstats
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Any, NamedTuple

from figures import figure, options, plural, show
from sink import report, reset, sink
from subjects.exporter import ExporterSubject, configured
from workload import Recorded, from_runs, numbered, spans

import prefactor_http.client  # the worker imports it: before anything is measured  # noqa: F401
from prefactor_exporter import __version__

_TOP = 30
_POOL = 2_000


class Sample(NamedTuple):
    """One burst; times in microseconds a span."""

    caller: float
    worker: float
    whole: float
    sink: float
    rate: float
    per_request: float
    delivered: float


_NAMES = {
    "caller": "CPU of the recording thread, µs",
    "worker": "CPU of the worker, µs",
    "whole": "CPU of the process, µs",
    "sink": "CPU of the sink, µs",
    "rate": "spans a second",
    "per_request": "items in a request",
    "delivered": "delivered of each span recorded",
}

_ONE_PROFILER = (3, 12)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="bursts (9; quick: 3)")
    parser.add_argument("--spans", type=int, help="spans in a burst (20000; quick: 5000)")
    parser.add_argument("--runs", type=Path, help="a file of recorded runs to take the spans from")
    parser.add_argument("--profile", action="store_true", help="split by function as well")
    parser.add_argument("--no-redaction", action="store_true", help="switch redaction off")
    parser.add_argument("--spool", type=Path, help="a directory to keep events in as well")
    chosen = parser.parse_args()
    if chosen.profile and sys.version_info >= _ONE_PROFILER:
        parser.error("--profile needs Python 3.11: newer ones have one profiler for all threads")
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
        profiled = _profiled(work, url, settings) if chosen.profile else []
    found = {name: figure([getattr(s, name) for s in samples]) for name in Sample._fields}
    rows: list[Sequence[object]] = [("a burst of spans, defaults", "median (quartiles)")]
    rows += [(_NAMES[name], value) for name, value in found.items()]
    summed = {"question": "worker_cost", "version": __version__, "rounds": rounds, "spans": count}
    basis = f"{plural(rounds, 'burst')} of {plural(count, 'span')} each."
    show({**summed, **found, "profile": profiled}, rows, basis, chosen.json)
    if profiled and chosen.json != "-":
        _print_profile(profiled)


def _burst(work: Sequence[Recorded], url: str, settings: dict[str, Any]) -> Sample:
    reset(url)
    gc.collect()
    cpu, own, started = process_time(), thread_time(), perf_counter()
    subject = ExporterSubject(configured(url, flush_at_exit=False, flush_on_signals=(), **settings))
    subject.run(work, None)
    subject.flush()
    cpu, own, took = process_time() - cpu, thread_time() - own, perf_counter() - started
    counts = subject.counts()
    subject.close()
    arrived = report(url)
    each = 1e6 / len(work)
    return Sample(
        own * each,
        (cpu - own) * each,
        cpu * each,
        arrived["cpu"] * each,
        len(work) / took,
        arrived["spans"] / max(1, counts["requests"]),
        arrived["spans"] / len(work),
    )


def _profiled(work: Sequence[Recorded], url: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return where a burst spends its time, by thread and function, the most costly first."""
    profiles: dict[str, cProfile.Profile] = {}

    def begin(*_event: object) -> None:
        # Called by the first event of a new thread, in it: from now on the profiler listens there.
        sys.setprofile(None)
        profile = profiles[threading.current_thread().name] = cProfile.Profile()
        profile.enable()

    threading.setprofile(begin)
    own = profiles["caller"] = cProfile.Profile()
    own.enable()
    _burst(work, url, settings)
    own.disable()
    threading.setprofile(None)
    found: list[dict[str, Any]] = []
    for thread, profile in profiles.items():
        profile.create_stats()
        entries: dict[tuple[str, int, str], tuple[int, int, float, float, object]]
        entries = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # not in the stubs
        for (file, _, name), (_, calls, self_time, _, _) in entries.items():
            place = "/".join(Path(file).parts[-2:]) if file != "~" else "built-in"
            each = self_time * 1e6 / len(work)
            found.append(
                {
                    "thread": thread,
                    "place": place,
                    "function": name,
                    "calls": calls / len(work),
                    "us": each,
                }
            )
    return sorted(found, key=lambda entry: -entry["us"])


def _print_profile(profiled: Sequence[dict[str, Any]]) -> None:
    busy = [entry for entry in profiled if "wait" not in entry["function"]]
    busy = [e for e in busy if not any(s in e["function"] for s in ("acquire", "poll", "select"))]
    threads: dict[str, float] = defaultdict(float)
    for entry in busy:
        threads[entry["thread"]] += entry["us"]
    for thread, total in threads.items():
        print(f"\n{thread}: {total:.1f} µs a span under the profiler")
        for entry in [e for e in busy if e["thread"] == thread][:_TOP]:
            print(
                f"  {entry['us'] / total:6.1%} {entry['us']:7.2f} µs {entry['calls']:7.2f} calls  "
                f"{entry['place']} {entry['function']}"
            )


if __name__ == "__main__":
    main()
