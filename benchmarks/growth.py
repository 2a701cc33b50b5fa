"""Does a span cost more as spans, runs and threads become 10 and 100 times as many?

CPU of the whole process for each span, from the record call until it is delivered.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Figure, figure, options, show
from process import OURS, drive, work_file
from workload import spans

_POOL = 2_200
_SPANS = (5_500, 55_000, 550_000)
_RUNS = (1, 10, 100)
_THREADS = (1, 10, 100)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="rounds (2; quick: 1)")
    parser.add_argument("--spans", type=int, help="spans where they do not grow (22000; 5500)")
    parser.add_argument("--steps", type=int, default=3, help="steps of ten times as many (3)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 2)
    count = chosen.spans or (5_500 if chosen.quick else 22_000)
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
                _note(found["threads"], number, result["cpu_us"])
    curves = {
        what: {number: figure(each) for number, each in curve.items()}
        for what, curve in found.items()
    }
    report: dict[str, Any] = {
        "question": "growth",
        "rounds": rounds,
        "spans": count,
        "cpu_us": curves,
    }
    rows: list[Sequence[object]] = [("CPU µs a span", "number", "median (quartiles)", "x first")]
    for what, curve in curves.items():
        first = next(iter(curve.values())).median
        rows += [
            (what, f"{number:,}", Figure(*value), value.median / first)
            for number, value in curve.items()
        ]
    show(report, rows, chosen.json)


def _sustained(work: Path, count: int, instances: int) -> float:
    settings: dict[str, Any] = {"instances": instances}
    result = drive(OURS, "sustain", work, count, settings=settings, within=600.0)
    cpu: float = result["cpu_us"]
    return cpu


def _note(curve: dict[int, list[float]], number: int, cpu: float) -> None:
    curve.setdefault(number, []).append(cpu)


if __name__ == "__main__":
    main()
