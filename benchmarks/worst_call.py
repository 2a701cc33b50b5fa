"""How long may a record call take at worst: many threads, an API that never answers, a full queue?

Nothing the exporter does then may wait for I/O or for a lock, so that what is left is the
interpreter, which gives each of the threads its turn. The floor (encode and append, no exporter) in
as many threads shows what that alone amounts to.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

from figures import figure, options, plural, show
from process import OURS, drive, work_file
from workload import spans

_FLOOR = "floor"
_POOL = 1_100


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--calls", type=int, help="record calls in a round (200000; quick: 50000)")
    parser.add_argument("--threads", type=int, default=16, help="threads (16)")
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 1)")
    chosen = parser.parse_args()
    calls = chosen.calls or (50_000 if chosen.quick else 200_000)
    rounds = chosen.rounds or (1 if chosen.quick else 5)

    settings = {OURS: {"flush_at_exit": False}, _FLOOR: {"most": 30_000}}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in settings}
    interval = 0.0
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(list(spans(_POOL)), directory)
        for _ in range(rounds):
            for name, own in settings.items():
                result = drive(
                    name,
                    "full",
                    work,
                    calls,
                    settings=own,
                    threads=chosen.threads,
                    broken="hole",
                    within=600.0,
                )
                found[name].append(result["call_us"])
                interval = result["switch_interval_us"]
    summed = {
        name: {point: figure([each[point] for each in each_round]) for point in each_round[0]}
        | {"max": figure([max(each["max"] for each in each_round)])}
        for name, each_round in found.items()
    }
    report: dict[str, Any] = {
        "question": "worst_call",
        "calls": calls,
        "threads": chosen.threads,
        "rounds": rounds,
        "switch_interval_us": interval,
        "call_us": summed,
    }
    rows: list[Sequence[object]] = [
        (f"µs a call, {plural(chosen.threads, 'thread')}", *summed[OURS]),
        *((name, *each.values()) for name, each in summed.items()),
        ("the interpreter's switch interval", interval, *[""] * (len(summed[OURS]) - 1)),
    ]
    basis = (
        f"{plural(rounds, 'round')} of {plural(calls, 'call')} each; *max* is the largest of all "
        f"{rounds * calls:,}."
    )
    show(report, rows, basis, chosen.json)


if __name__ == "__main__":
    main()
