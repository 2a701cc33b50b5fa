"""How much memory does it take: for what waits, through an outage, after a million spans?

What the process has more than before, as the system counts it, with a warmed-up exporter and the
workload in memory already.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Figure, figure, options, plural, show
from process import OURS, drive, work_file
from workload import from_runs, spans

_POOL = 2_200
_MIB = 1024 * 1024


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="rounds of what waits (5; quick: 1)")
    parser.add_argument("--queued", type=int, help="spans that wait (20000; quick: 5000)")
    parser.add_argument("--outage", type=int, help="spans in an outage (200000; quick: 60000)")
    parser.add_argument("--delivered", type=int, help="spans delivered (1000000; quick: 55000)")
    parser.add_argument("--runs", type=Path, help="a file of recorded runs to take the spans from")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    queued = chosen.queued or (5_000 if chosen.quick else 20_000)
    outage = chosen.outage or (60_000 if chosen.quick else 200_000)
    delivered = chosen.delivered or (55_000 if chosen.quick else 1_000_000)

    with tempfile.TemporaryDirectory() as directory:
        pool = from_runs(chosen.runs) if chosen.runs else list(spans(_POOL))
        work = work_file(pool, directory)
        steady = drive(OURS, "sustain", work, delivered, within=600.0)
        size = steady["sink"]["bytes"] / max(1, steady["sink"]["spans"])
        waiting: dict[str, list[dict[str, Any]]] = {}
        for number in range(rounds):
            for name, count, of_it in (
                (f"{queued:,} waiting", queued, rounds),
                (f"{queued:,} waiting, spool on", queued, rounds),
                (f"outage, {outage:,} recorded", outage, 1),
                (f"outage, {outage:,} recorded, spool on", outage, 1),
            ):
                if number < of_it:
                    spool = Path(directory) / f"{name} {number}" if "spool" in name else None
                    waiting.setdefault(name, []).append(_left_waiting(work, count, spool))
    report: dict[str, Any] = {
        "question": "memory",
        "rounds": rounds,
        "wire_bytes_a_span": size,
        "delivered": {
            "spans": delivered,
            "more_mib": (steady["after"] - steady["settled"]) / _MIB,
            "most_mib": (steady["most"] - steady["before"]) / _MIB,
        },
        "waiting": {name: _summed(each, size) for name, each in waiting.items()},
    }
    rows: list[Sequence[object]] = [
        (
            f"a span is {size:,.0f} bytes on the wire",
            "rounds",
            "spans in memory",
            "on disk",
            "dropped",
            "MiB counted",
            "MiB more",
            "MiB at most",
            "x the wire",
        ),
        (
            f"{delivered:,} delivered",
            1,
            *[None] * 4,
            report["delivered"]["more_mib"],
            report["delivered"]["most_mib"],
            None,
        ),
    ]
    rows += [
        (
            name,
            each["ratio"].rounds,
            *(f"{each[where]:,.0f}" for where in ("in_memory", "on_disk", "dropped")),
            each["counted_mib"],
            each["more_mib"],
            each["most_mib"],
            each["ratio"] if not each["on_disk"] else None,
        )
        for name, each in report["waiting"].items()
    ]
    basis = (
        "*Counted* is `stats().queued_bytes`, *more* is what the process grew by, *x the wire* is "
        "that to the bytes on the wire of the spans in memory, unless some just left it for the "
        "disk. After "
        f"{plural(delivered, 'delivered span')} *more* is since the first tenth of them."
    )
    show(report, rows, basis, chosen.json)


def _left_waiting(work: Path, count: int, spool: Path | None) -> dict[str, Any]:
    """Record *count* spans while the API does not answer."""
    settings: dict[str, Any] = {"flush_at_exit": False, "shutdown_timeout": 0.0}
    if spool is not None:
        settings["spool_dir"] = str(spool)
    return drive(OURS, "sustain", work, count, broken="hole", settings=settings, within=300.0)


def _summed(each: Sequence[dict[str, Any]], size: float) -> dict[str, float | Figure]:
    more = [(found["after"] - found["before"]) / _MIB for found in each]
    in_memory = [_spans(found, "in_memory") for found in each]
    return {
        "in_memory": figure(in_memory).median,
        "on_disk": figure([_spans(found, "on_disk") for found in each]).median,
        "dropped": figure([_spans(found, "dropped") for found in each]).median,
        "counted_mib": figure([found["counted_bytes"] / _MIB for found in each]).median,
        "more_mib": figure(more),
        "most_mib": max((found["most"] - found["before"]) / _MIB for found in each),
        "ratio": figure([m * _MIB / (n * size) for m, n in zip(more, in_memory, strict=True)]),
    }


def _spans(found: dict[str, Any], where: str) -> float:
    """Return how many spans are *where*: a parent is two events, and all families are alike."""
    spans: float = found["spans"] * found[where] / found["undelivered"]
    return spans


if __name__ == "__main__":
    main()
