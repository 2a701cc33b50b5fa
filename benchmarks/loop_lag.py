"""How much later do an application's own callbacks run, because it records?

An asyncio application records one span every half millisecond while a timer of its own asks to be
called a thousand times a second. Shown is how late that is, and how much of it is not there when
nothing is recorded.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

from figures import Figure, figure, options, show
from process import OURS, PEERS, Rounds, drive, peer_options, work_file
from workload import from_runs, spans

_NOTHING = "nothing"
_POOL = 1_100


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    peer_options(parser)
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="length of each (3; quick: 1)")
    parser.add_argument("--rate", type=float, default=2_000.0, help="spans a second (2000)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    count = int(chosen.rate * (chosen.seconds or (1 if chosen.quick else 3)))

    lags = Rounds()
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(from_runs(chosen.runs) if chosen.runs else list(spans(_POOL)), directory)
        for number in range(rounds):
            # What the others add is seen in one.
            peers = chosen.peers if number == 0 else []
            for name in (_NOTHING, OURS, *peers):
                lags.measure(name, drive, name, "lag", work, count, rate=chosen.rate)
    report: dict[str, Any] = {
        "question": "loop_lag",
        "rate": chosen.rate,
        "rounds": rounds,
        "lag_ms": {
            name: _summed(found, lags.found[_NOTHING]) for name, found in lags.found.items()
        },
        "left_out": lags.left_out,
    }
    rows: list[Sequence[object]] = [
        (f"at {chosen.rate:,.0f} spans/s, ms late", "p50", "p99 (quartiles)", "p99 added", "max")
    ]
    rows += [
        (
            PEERS[name].title if name in PEERS else name,
            found["p50"],
            Figure(*found["p99"]),
            found["p99_added"].median,
            found["max"],
        )
        for name, found in report["lag_ms"].items()
    ]
    show(report, rows, chosen.json)
    if chosen.json != "-":
        lags.tell()


def _summed(found: Sequence[dict[str, Any]], nothing: Sequence[dict[str, Any]]) -> dict[str, Any]:
    late = [f["late_ms"] for f in found]
    without = [n["late_ms"]["p99"] for n in nothing]
    return {
        "p50": figure([each["p50"] for each in late]).median,
        "p99": figure([each["p99"] for each in late]),
        "p99_added": figure([e["p99"] - w for e, w in zip(late, without, strict=False)]),
        "max": max(each["max"] for each in late),
    }


if __name__ == "__main__":
    main()
