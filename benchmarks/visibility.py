"""How long until a span is visible at the API, from one lone span to full load?

From the end of the record call of a span (under load of the last one of its family) until the
request that holds it has arrived whole. Below zero the span had arrived before its call returned.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from figures import options, part, percentile, show
from process import OURS, PEERS, Rounds, drive, peer_options, title_of, work_file
from workload import PER_FAMILY, from_runs, spans

_POOL = 2_200
_AT_ONCE = 9
_LONE = "lone spans"
_LONE_RATE = 0.6
_ENOUGH = 100
"""Spans from which on a p99 is more than the largest of them."""
_LOADS = {"20 a second": 20.0, "500 a second": 500.0, "2,000 a second": 2_000.0, "full": 1e6}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    peer_options(parser)
    parser.add_argument("--lone", type=int, help="lone spans (5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="length of each load (4; quick: 2)")
    parser.add_argument(
        "--patience", type=float, default=6.0, help="seconds to wait for lone spans (6)"
    )
    parser.add_argument(
        "--load", action="append", choices=_LOADS, help="one load (all); may be given several times"
    )
    chosen = parser.parse_args()
    lone = chosen.lone or (2 if chosen.quick else 5)
    seconds = chosen.seconds or (2 if chosen.quick else 4)

    loads = {load: _LOADS[load] for load in chosen.load or _LOADS}
    found: dict[str, Rounds] = {load: Rounds() for load in (_LONE, *loads)}
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(from_runs(chosen.runs) if chosen.runs else list(spans(_POOL)), directory)
        for load, rate in loads.items():
            count = 2 * PER_FAMILY + int(min(rate * seconds, 5_000 * seconds))
            found[load].measure(OURS, _loaded, work, count, rate)
        # One lone span leaves the machine idle enough for others.
        with ThreadPoolExecutor(_AT_ONCE) as pool_of_threads:
            for name in (OURS, *chosen.peers):
                pool_of_threads.submit(
                    found[_LONE].measure,
                    name,
                    _lone,
                    name,
                    work,
                    lone,
                    chosen.patience,
                )
    report: dict[str, Any] = {
        "question": "visibility",
        "delay_ms": {
            load: {
                name: _spread(rounds.found[name]) for name in (OURS, *PEERS) if name in rounds.found
            }
            for load, rounds in found.items()
        },
        "left_out": found[_LONE].left_out,
    }
    rows: list[Sequence[object]] = [
        ("until visible, ms", "load", "spans", "p50", "p99", "max", "arrived")
    ]
    for load, subjects in report["delay_ms"].items():
        rows += [
            (
                title_of(name),
                load,
                f"{each['spans']:,}",
                each["p50"],
                each["p99"],
                each["max"],
                part(each["arrived"]),
            )
            for name, each in subjects.items()
        ]
    basis = f"One round of each; there is no p99 of fewer than {_ENOUGH} spans."
    show(report, rows, basis, chosen.json)
    if chosen.json != "-":
        found[_LONE].tell()


def _lone(name: str, work: Path, count: int, patience: float) -> dict[str, Any]:
    # Families of which only the parent is recorded; then as long as the slowest interval of any.
    whole = (count + 2) * PER_FAMILY
    return drive(
        name, "visible", work, whole, keep=True, lone=True, rate=_LONE_RATE, patience=patience
    )


def _loaded(work: Path, count: int, rate: float) -> dict[str, Any]:
    return drive(OURS, "visible", work, count, keep=True, rate=rate, patience=1.5)


def _spread(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    waits: list[float] = []
    recorded = 0
    for result in results:
        arrivals = result["sink"]["arrivals"]
        recorded += len(result["moments"])
        waits += [
            (arrivals[mark] - at) / 1e6
            for mark, at in result["moments"].items()
            if mark in arrivals
        ]
    ordered = sorted(waits)
    return {
        "spans": recorded,
        "p50": percentile(ordered, 50) if ordered else None,
        "p99": percentile(ordered, 99) if len(ordered) >= _ENOUGH else None,
        "max": ordered[-1] if ordered else None,
        "arrived": len(ordered) / recorded,
    }


if __name__ == "__main__":
    main()
