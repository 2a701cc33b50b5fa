"""Does a span cost more as spans, runs and threads become 10 and 100 times as many?

CPU of the whole process for each span, from the record call until it is delivered.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Figure, figure, options, plural, show
from process import OURS, drive, work_file
from workload import spans

_POOL = 2_200
_SPANS = (2_200, 22_000, 220_000)
_RUNS = (1, 10, 100)
_THREADS = (1, 10, 100)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 1)")
    parser.add_argument("--spans", type=int, help="spans where they do not grow (11000; 5500)")
    parser.add_argument("--steps", type=int, default=3, help="steps of ten times as many (3)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    count = chosen.spans or (5_500 if chosen.quick else 11_000)
    lengths = [min(number, 10 * count) for number in _SPANS] if chosen.quick else list(_SPANS)
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(list(spans(_POOL)), directory)
        found: dict[str, dict[int, list[float]]] = {"spans": {}, "runs": {}, "threads": {}}
        for _ in range(rounds):
            for number in list(dict.fromkeys(lengths))[: chosen.steps]:
                _note(found["spans"], number, _sustained(work, number, 1))
            for number in _RUNS[: chosen.steps]:
                _note(found["runs"], number, _sustained(work, count, number))
            for number in _THREADS[: chosen.steps]:
                result = drive(OURS, "burst", work, count, threads=number)
                _note(found["threads"], number, result)
    report: dict[str, Any] = {
        "question": "growth",
        "rounds": rounds,
        "spans": count,
        "curves": {
            what: {
                number: _summed(each, next(iter(curve.values()))) for number, each in curve.items()
            }
            for what, curve in found.items()
        },
    }
    rows: list[Sequence[object]] = [("CPU µs a span", "number", "CPU", "x first")]
    for what, curve in report["curves"].items():
        rows += [
            (what, f"{number:,}", point["cpu_us"], point["share"])
            for number, point in curve.items()
        ]
    basis = (
        f"{plural(rounds, 'round')}, *x first* is taken within a round. While runs or threads "
        f"grow, {plural(count, 'span')} are recorded."
    )
    show(report, rows, basis, chosen.json)


def _summed(each: Sequence[float], first: Sequence[float]) -> dict[str, Figure]:
    shares = [value / least for value, least in zip(each, first, strict=True)]
    return {"cpu_us": figure(each), "share": figure(shares)}


def _sustained(work: Path, count: int, instances: int) -> dict[str, Any]:
    settings: dict[str, Any] = {"instances": instances}
    return drive(OURS, "sustain", work, count, settings=settings, within=600.0)


def _note(curve: dict[int, list[float]], number: int, result: dict[str, Any]) -> None:
    if result["sink"]["spans"] != result["spans"]:
        sys.exit(f"growth: {result['sink']['spans']:,} of {result['spans']:,} spans arrived")
    curve.setdefault(number, []).append(result["cpu_us"])


if __name__ == "__main__":
    main()
