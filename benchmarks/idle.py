"""What does an exporter that has nothing to do cost?

CPU, and how often the process woke up, over a while in which nothing is recorded; with nothing at
all for comparison. An exporter with an open run asks the API every 30 seconds whether that run
should stop, so it is measured with and without one. Several sets of processes do nothing at the
same time, and are compared within a set.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from figures import figure, options, plural, show
from process import OURS, drive, work_file
from workload import spans

_NOTHING = "nothing"
_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    _NOTHING: (_NOTHING, {}),
    "exporter, no run open": (OURS, {"ended": True}),
    "exporter, one run open": (OURS, {}),
}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="sets of processes (5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="how long (60; quick: 35)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    seconds = chosen.seconds or (35.0 if chosen.quick else 60.0)
    cases = list(_CASES) * rounds
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(list(spans(110)), directory)

        def measure(case: str) -> dict[str, Any]:
            name, settings = _CASES[case]
            return drive(name, "idle", work, 0, patience=seconds, settings=settings)

        with ThreadPoolExecutor(len(cases)) as pool:
            measured = list(pool.map(measure, cases))
    found = {case: measured[number :: len(_CASES)] for number, case in enumerate(_CASES)}
    report: dict[str, Any] = {
        "question": "idle",
        "rounds": rounds,
        "seconds": seconds,
        "idle": {
            case: _summed(each, found[_NOTHING], 60 / seconds) for case, each in found.items()
        },
    }
    rows: list[Sequence[object]] = [
        (f"over {seconds:g} s", "CPU, ms", "wake-ups", "more CPU, ms a minute")
    ]
    rows += [
        (
            case,
            each["cpu_ms"],
            each["wake_ups"],
            each["more_ms_a_minute"] if case != _NOTHING else None,
        )
        for case, each in report["idle"].items()
    ]
    basis = f"{plural(rounds, 'round')}, all at the same time."
    show(report, rows, basis, chosen.json)


def _summed(
    each: list[dict[str, Any]], nothing: list[dict[str, Any]], minute: float
) -> dict[str, Any]:
    pairs = zip(each, nothing, strict=True)
    return {
        "cpu_ms": figure([e["cpu_ms"] for e in each]),
        "wake_ups": figure([e["wake_ups"] for e in each]),
        "more_ms_a_minute": figure([(e["cpu_ms"] - n["cpu_ms"]) * minute for e, n in pairs]),
    }


if __name__ == "__main__":
    main()
