"""Own the long jobs of a measured process: steady load, a full queue, idleness."""

import gc
import os
import resource
import sys
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time
from typing import Any

from figures import percentile
from sink import break_down, reset
from subjects.subject import Subject
from workload import PER_FAMILY, Recorded

__all__ = ["full", "idle", "sustain"]

_CHUNK = 200 * PER_FAMILY
_SORTED = 0.1
"""Seconds in which the worker has sorted what it took last, and counted it."""
_PERCENTS = (50, 90, 99, 99.9, 99.99)


def sustain(
    subject: Subject, pool: Sequence[Recorded], count: int, url: str, broken: str | None
) -> dict[str, Any]:
    """Record *count* spans in bursts, each delivered before the next while the API works."""
    work = list(_cut(pool))
    subject.warm_up(work[: 2 * PER_FAMILY])
    gc.collect()
    gc.freeze()  # the workload is not the subject's garbage
    reset(url)
    if broken:
        break_down(url, broken)
    before = most = _resident()
    settled: int | None = None
    cpu, started, done = process_time(), perf_counter(), 0
    while done < count:
        part = work[: min(len(work), _CHUNK, count - done)]
        subject.run(part, None)
        if not broken:
            subject.flush()
        done += len(part)
        most = max(most, _resident())
        if settled is None and done >= count // 10:
            settled = _resident()
    took, cpu = perf_counter() - started, process_time() - cpu
    if broken:
        threading.Event().wait(_SORTED)
    after = _resident()
    found = {
        "spans": done,
        "cpu_us": cpu * 1e6 / done,
        "rate": done / took,
        "before": before,
        "settled": settled,
        "after": after,
        "most": max(most, after),
        **subject.counts(),
    }
    subject.close()
    return found


def full(
    subject: Subject, pool: Sequence[Recorded], count: int, url: str, threads: int
) -> dict[str, Any]:
    """Record in many threads while the API takes requests and never answers, the queue full."""
    work = list(_cut(pool))
    subject.warm_up(work[: 2 * PER_FAMILY])
    break_down(url, "hole")
    gc.collect()
    gc.freeze()
    while not subject.full:
        subject.run(work, None)
    spent: list[array[int]] = []
    together = threading.Barrier(threads)

    def record() -> None:
        own = array("q", bytes(8 * (count // threads)))
        parent = subject.begin(work[0])
        children = [span for span in work if not span.root]
        together.wait()
        for number in range(len(own)):
            span = children[number % len(children)]
            before = perf_counter_ns()
            subject.record(span, parent)
            own[number] = perf_counter_ns() - before
        subject.end(work[0], parent)
        spent.append(own)

    running = [threading.Thread(target=record) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    ordered = sorted(each for own in spent for each in own)
    found = {f"p{percent}": percentile(ordered, percent) / 1e3 for percent in _PERCENTS}
    return {
        "calls": len(ordered),
        "call_us": {**found, "max": ordered[-1] / 1e3},
        "switch_interval_us": sys.getswitchinterval() * 1e6,
        **subject.counts(),
    }


def idle(subject: Subject, pool: Sequence[Recorded], seconds: float) -> dict[str, Any]:
    """Use the subject, then do nothing for a while."""
    subject.warm_up(list(_cut(pool))[: 2 * PER_FAMILY])
    rest = threading.Event()
    rest.wait(1.0)  # what delivery leaves to do is done
    before, usage = process_time(), resource.getrusage(resource.RUSAGE_SELF)
    rest.wait(seconds)
    cpu, later = process_time() - before, resource.getrusage(resource.RUSAGE_SELF)
    subject.close()
    return {
        "cpu_ms": cpu * 1e3,
        "wake_ups": later.ru_nvcsw - usage.ru_nvcsw,
    }


def _cut(pool: Sequence[Recorded]) -> Sequence[Recorded]:
    """Return whole families, as many as a burst has, over and over those in *pool*."""
    whole = len(pool) // PER_FAMILY * PER_FAMILY or len(pool)
    return [pool[number % whole] for number in range(_CHUNK)]


def _resident() -> int:
    """Return the bytes of memory that the process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
