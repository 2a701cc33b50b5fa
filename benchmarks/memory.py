"""How much memory does it take: for what waits, through an outage, after a million spans?

What the process has more than before, as the system counts it, with a warmed-up exporter and the
workload in memory already.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import options, show
from process import OURS, drive, work_file
from workload import from_runs, spans

_POOL = 2_200
_MIB = 1024 * 1024


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--queued", type=int, help="spans that wait (20000; quick: 5000)")
    parser.add_argument("--outage", type=int, help="spans in an outage (200000; quick: 60000)")
    parser.add_argument("--delivered", type=int, help="spans delivered (1000000; quick: 55000)")
    parser.add_argument("--runs", type=Path, help="a file of recorded runs to take the spans from")
    chosen = parser.parse_args()
    queued = chosen.queued or (5_000 if chosen.quick else 20_000)
    outage = chosen.outage or (60_000 if chosen.quick else 200_000)
    delivered = chosen.delivered or (55_000 if chosen.quick else 1_000_000)

    with tempfile.TemporaryDirectory() as directory:
        pool = from_runs(chosen.runs) if chosen.runs else list(spans(_POOL))
        work = work_file(pool, directory)
        steady = drive(OURS, "sustain", work, delivered, within=600.0)
        size = steady["sink"]["bytes"] / max(1, steady["sink"]["spans"])
        cases = {f"{delivered:,} delivered": steady}
        for name, count, spool in (
            (f"{queued:,} waiting", queued, False),
            (f"{queued:,} waiting, spool on", queued, True),
            (f"outage, {outage:,} recorded", outage, False),
            (f"outage, {outage:,} recorded, spool on", outage, True),
        ):
            settings: dict[str, Any] = {"flush_at_exit": False, "shutdown_timeout": 0.0}
            if spool:
                settings["spool_dir"] = str(Path(directory) / name)
            cases[name] = drive(
                OURS, "sustain", work, count, broken="hole", settings=settings, within=300.0
            )
    report: dict[str, Any] = {
        "question": "memory",
        "wire_bytes_a_span": size,
        "cases": {name: _summed(found, size) for name, found in cases.items()},
    }
    rows: list[Sequence[object]] = [
        (
            f"a span is {size:,.0f} bytes on the wire",
            "MiB waiting",
            "MiB more",
            "MiB at most",
            "x waiting",
        )
    ]
    rows += [(name, *each.values()) for name, each in report["cases"].items()]
    show(report, rows, chosen.json)


def _summed(found: dict[str, Any], size: float) -> dict[str, Any]:
    first = found["before"] if "sink" not in found else found["settled"]
    more = found["after"] - first
    # Events that are dropped are nearly all whole spans: begin and end of a parent stay together.
    waiting = (found["spans"] - found["dropped"]) * size if "sink" not in found else None
    return {
        "waiting_mib": waiting / _MIB if waiting else None,
        "more_mib": more / _MIB,
        "most_mib": (found["most"] - found["before"]) / _MIB,
        "ratio": more / waiting if waiting else None,
    }


if __name__ == "__main__":
    main()
