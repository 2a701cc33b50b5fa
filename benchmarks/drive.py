"""Own one measured process: it records a workload with one subject, and tells what it saw.

Started by the benchmarks with the interpreter of the environment in which the subject lives, so
only the standard library is needed here. The result is written to a file as JSON, because some
exporters print.
"""

import argparse
import asyncio
import gc
import importlib
import inspect
import json
import selectors
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, monotonic_ns, perf_counter, process_time
from typing import Any

from endurance import full, idle, sustain
from figures import percentile
from sink import break_down, reset
from subjects.subject import Subject
from workload import PER_FAMILY, Recorded, numbered, read

_PERCENTS = (50, 99, 99.9)
_TICK = 0.001
_WARM_UP = 2 * PER_FAMILY
_SETTLING = 1.0
"""Seconds in which what was recorded first leaves, and threads and connections are made for it."""


class Job:
    """What a job is given.

    Attributes:
        options: The command line.
        pool: The spans in the file.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pool = read(options.work)

    @property
    def work(self) -> list[Recorded]:
        """Return as many spans as are wanted, each with a mark of its own."""
        return numbered(self.pool, self.options.count)

    def subject(self) -> Subject:
        """Make the subject."""
        module = importlib.import_module(f"subjects.{self.options.subject.replace('-', '_')}")
        made: Subject = module.make(self.options.url, json.loads(self.options.settings))
        return made


def burst(job: Job) -> dict[str, Any]:
    """Record everything, paced or not, and deliver it; a few spans before that warm it up."""
    subject, work = job.subject(), job.work
    subject.prepare(work)
    subject.warm_up(work[:_WARM_UP])
    reset(job.options.url)
    gc.collect()
    gc.freeze()  # the workload is not the subject's garbage
    cpu, started = process_time(), perf_counter()
    if job.options.threads == 1:
        spent = subject.run(work, job.options.rate)
    else:
        spent = _in_threads(subject, work, job.options.threads)
    recorded = perf_counter()
    subject.flush()
    cpu, flushed = process_time() - cpu, perf_counter()
    found = {
        "spans": len(work),
        "cpu_us": cpu * 1e6 / len(work),
        "recording_s": recorded - started,
        "rate": len(work) / (flushed - started),
        "call_us": _spread(spent, 1e-3),
        **subject.counts(),
    }
    subject.close()
    return found


def _in_threads(subject: Subject, work: Sequence[Recorded], threads: int) -> "array[int]":
    share = len(work) // threads // PER_FAMILY * PER_FAMILY
    all_spent = array("q")
    parts = [work[number * share : (number + 1) * share] for number in range(threads)]

    def record(part: Sequence[Recorded]) -> None:
        all_spent.extend(subject.run(part, None))

    running = [threading.Thread(target=record, args=(part,)) for part in parts]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return all_spent


def lag(job: Job) -> dict[str, Any]:
    """Run an application's event loop, and see how late its callbacks are while it records."""
    # select() counts in microseconds where epoll rounds up to the next millisecond.
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        late = runner.run(_lag(job))
    return {"late_ms": _spread(late, 1e-6), "ticks": len(late)}


async def _lag(job: Job) -> "array[int]":
    subject, work = job.subject(), job.work
    subject.prepare(work)
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    await _record_evenly(subject, work[:_WARM_UP], job.options.rate)
    await asyncio.sleep(_SETTLING)
    late = array("q")
    ticking = loop.create_task(_tick(late))
    await _record_evenly(subject, work[_WARM_UP:], job.options.rate)
    ticking.cancel()
    if hasattr(subject, "close_async"):
        await subject.close_async()
    else:
        await loop.run_in_executor(None, subject.close)
    return late


async def _tick(late: "array[int]") -> None:
    """Note how much later than asked the loop runs a callback, a thousand times a second."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK
        reached = loop.create_future()
        loop.call_at(due, reached.set_result, None)
        await reached
        late.append(int((loop.time() - due) * 1e9))


async def _record_evenly(subject: Subject, work: Sequence[Recorded], rate: float) -> None:
    opened: tuple[Recorded, Any] | None = None
    due = monotonic()
    for span in work:
        await asyncio.sleep(max(0.0, due - monotonic()))
        due += 1 / rate
        if span.root or opened is None:
            if opened is not None:
                await _awaited(subject.end(*opened))
            opened = (span, await _awaited(subject.begin(span)))
        else:
            await _awaited(subject.record(span, opened[1]))
    if opened is not None:
        await _awaited(subject.end(*opened))


async def _awaited(outcome: Any) -> Any:
    return await outcome if inspect.isawaitable(outcome) else outcome


def visible(job: Job) -> dict[str, Any]:
    """Record lone spans at odd times, or at a rate, and tell when each was recorded."""
    subject, work = job.subject(), job.work
    moments: dict[str, int] = {}
    subject.warm_up(work[:_WARM_UP])
    rate = job.options.rate
    families = [
        work[start : start + PER_FAMILY] for start in range(_WARM_UP, len(work), PER_FAMILY)
    ]
    due = monotonic()
    for family in families:
        # A lone span is a parent without children.
        part = family[:1] if job.options.lone else family
        threading.Event().wait(max(0.0, due - monotonic()))
        due += len(part) / rate
        subject.run(part, None)
        moments |= dict.fromkeys((span.payload["request"] for span in part), monotonic_ns())
    threading.Event().wait(job.options.patience)
    subject.flush()
    subject.close()
    return {"moments": moments}


def leave(job: Job) -> dict[str, Any]:
    """Record while the API works, then while it does not, and end the process as one does."""
    subject, work = job.subject(), job.work
    subject.warm_up(work[:_WARM_UP])
    if job.options.broken:
        break_down(job.options.url, job.options.broken)
    subject.run(work[_WARM_UP:], None)
    found = {"ended": monotonic_ns()}
    _write(job.options.out, found)
    subject.leave()
    return found


def start(job: Job) -> dict[str, Any]:
    """Tell what importing, making and first using the subject takes in a fresh process."""
    gc.collect()
    before = perf_counter()
    module = importlib.import_module(f"subjects.{job.options.subject.replace('-', '_')}")
    imported = perf_counter()
    subject: Subject = module.make(job.options.url, json.loads(job.options.settings))
    made = perf_counter()
    subject.run(job.work[:PER_FAMILY], None)
    used = perf_counter()
    loaded = len(sys.modules)
    subject.close()
    return {
        "import_ms": (imported - before) * 1e3,
        "make_ms": (made - imported) * 1e3,
        "first_ms": (used - made) * 1e3,
        "modules": loaded,
    }


def _spread(spent: Sequence[int], unit: float) -> dict[str, float]:
    if not spent:
        return {}
    ordered = sorted(spent)
    found = {f"p{percent}": percentile(ordered, percent) * unit for percent in _PERCENTS}
    mean = sum(ordered) / len(ordered)
    return {**found, "mean": mean * unit, "max": ordered[-1] * unit}


def _write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found), encoding="utf-8")


def _sustain(job: Job) -> dict[str, Any]:
    options = job.options
    return sustain(job.subject(), job.pool, options.count, options.url, options.broken)


def _full(job: Job) -> dict[str, Any]:
    options = job.options
    return full(job.subject(), job.pool, options.count, options.url, options.threads)


def _idle(job: Job) -> dict[str, Any]:
    return idle(job.subject(), job.pool, job.options.patience)


_JOBS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "burst": burst,
    "full": _full,
    "idle": _idle,
    "lag": lag,
    "leave": leave,
    "start": start,
    "sustain": _sustain,
    "visible": visible,
}


def main() -> None:
    """Do one job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject")
    parser.add_argument("job", choices=sorted(_JOBS))
    parser.add_argument("work", type=Path, help="the file of spans")
    parser.add_argument("out", type=Path, help="the file for the result")
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lone", action="store_true")
    parser.add_argument("--patience", type=float, default=0.0)
    parser.add_argument("--broken", choices=["hole", "refuse"])
    options = parser.parse_args()
    _write(options.out, _JOBS[options.job](Job(options)))


if __name__ == "__main__":
    main()
