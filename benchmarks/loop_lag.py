"""How much later do an application's own callbacks run, because it records?

An asyncio application records one span every half millisecond while a timer of its own asks to be
called a thousand times a second. Shown is how late that is, and how much of it is not there when
nothing is recorded. ``raw post`` records nothing either: a thread posts bodies that were made
beforehand with aiohttp, as many as the exporter and as large.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

from figures import figure, options, part, plural, show
from process import OURS, Rounds, drive, peer_options, title_of, work_file
from workload import from_runs, spans

_NOTHING = "nothing"
_RAW = "raw post"
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
            arrived = lags.found[OURS][-1]["sink"]
            settings = {"items": max(1, arrived["spans"] // arrived["requests"])}
            lags.measure(
                _RAW, drive, "raw_post", "lag", work, count, rate=chosen.rate, settings=settings
            )
    report: dict[str, Any] = {
        "question": "loop_lag",
        "rate": chosen.rate,
        "rounds": rounds,
        "lag_ms": {
            name: _summed(found, lags.found[_NOTHING], count) for name, found in lags.found.items()
        },
        "left_out": lags.left_out,
    }
    rows: list[Sequence[object]] = [
        (
            f"at {chosen.rate:,.0f} spans/s, ms late",
            "rounds",
            "p50",
            "p99",
            "p99 added",
            "max",
            "delivered",
        )
    ]
    rows += [
        (
            title_of(name),
            found["p99"].rounds,
            found["p50"],
            found["p99"],
            found["p99_added"] if name != _NOTHING else None,
            found["max"],
            part(found["delivered"]) if name != _NOTHING else None,
        )
        for name, found in report["lag_ms"].items()
    ]
    ticks = min(each["ticks"] for found in lags.found.values() for each in found)
    basis = (
        f"A round records {plural(count, 'span')} and times {plural(ticks, 'callback')} or more; "
        "*p99 added* is taken within a round, *max* is the largest of all rounds, *delivered* the "
        "least."
    )
    show(report, rows, basis, chosen.json)
    if chosen.json != "-":
        lags.tell()


def _summed(
    found: Sequence[dict[str, Any]], nothing: Sequence[dict[str, Any]], count: int
) -> dict[str, Any]:
    late = [f["late_ms"] for f in found]
    without = [n["late_ms"]["p99"] for n in nothing]
    return {
        "p50": figure([each["p50"] for each in late]).median,
        "p99": figure([each["p99"] for each in late]),
        "p99_added": figure([e["p99"] - w for e, w in zip(late, without, strict=False)]),
        "max": max(each["max"] for each in late),
        "delivered": min(f["sink"]["spans"] / count for f in found),
    }


if __name__ == "__main__":
    main()
