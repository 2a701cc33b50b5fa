"""How many spans a second, and how much CPU, from the first record call until all is delivered?

One process records a burst as fast as it can and flushes; and once more at 2,000 spans a second.
CPU is that of the whole process. ``raw post`` posts the same bytes, made beforehand, with aiohttp:
as many items in a request as the exporter put in one. To see whether the sink matters, the exporter
runs once more in each round against one that does its work twice.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import figure, options, part, plural, show
from process import (
    OURS,
    PEERS,
    Rounds,
    drive,
    peer_options,
    peers_in_round,
    title_of,
    work_file,
)
from workload import PER_FAMILY, from_runs, spans

_POOL = 2_200
_RATE = 2_000.0
_RAW = "raw post"
_TWICE = "exporter, sink works twice"
_SECONDS = (1, 5)
_OTHERS = 2
"""Rounds of those that no target names."""


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    peer_options(parser)
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 1)")
    parser.add_argument("--spans", type=int, help="spans in a burst (22000; quick: 5500)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    count = chosen.spans or (5_500 if chosen.quick else 22_000)

    bursts, paced = Rounds(), Rounds()
    with tempfile.TemporaryDirectory() as directory:
        pool = from_runs(chosen.runs) if chosen.runs else list(spans(min(count, _POOL)))
        work = work_file(pool, directory)
        for number in range(rounds):
            _round(bursts, work, count, peers_in_round(number, chosen.peers, _OTHERS))
        for name in (OURS, *chosen.peers):
            if name not in bursts.left_out:
                seconds = _SECONDS[0] if chosen.quick else _SECONDS[1]
                most = min(int(_RATE * seconds), max(count, PER_FAMILY))
                share = PEERS[name].share if name in PEERS else 1.0
                of_it = max(PER_FAMILY, int(most * share)) if share <= 0.1 else most  # noqa: PLR2004
                paced.measure(name, drive, name, "burst", work, of_it, rate=_RATE)
    summed = {name: _summed(found, bursts.found[OURS]) for name, found in bursts.found.items()}
    report: dict[str, Any] = {
        "question": "throughput",
        "rounds": rounds,
        "spans": count,
        "sink_twice": summed.pop(_TWICE),
        "burst": summed,
        "paced": {name: _summed(found, paced.found[OURS]) for name, found in paced.found.items()},
        "left_out": bursts.left_out | paced.left_out,
    }
    basis = (
        f"A burst is {plural(count, 'span')}, or as many of them as the project can do in that "
        "time; *delivered* is the least of the rounds, *sink busy* the part of the time in which "
        "the receiving end computed."
    )
    show(report, _table(report), basis, chosen.json)
    if chosen.json != "-":
        bursts.tell()
        paced.tell()


def _round(bursts: Rounds, work: Path, count: int, peers: Sequence[str]) -> None:
    bursts.measure(OURS, drive, OURS, "burst", work, count)
    ours = bursts.found[OURS][-1]
    items = max(1, round(ours["sink"]["spans"] / ours["sink"]["requests"]))
    settings = {"items": items}
    bursts.measure(_RAW, drive, "raw_post", "burst", work, count, settings=settings)
    bursts.measure(_TWICE, drive, OURS, "burst", work, count, effort=2)
    for name in peers:
        of_it = max(PER_FAMILY, int(count * PEERS[name].share))
        bursts.measure(name, drive, name, "burst", work, of_it)


def _summed(found: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = list(zip(found, ours, strict=False))
    return {
        "spans": found[0]["spans"],
        "rate": figure([f["rate"] for f in found]),
        "rate_share": figure([o["rate"] / f["rate"] for f, o in pairs]),
        "cpu_us": figure([f["cpu_us"] for f in found]),
        "cpu_share": figure([f["cpu_us"] / o["cpu_us"] for f, o in pairs]),
        "our_cpu_share": figure([o["cpu_us"] / f["cpu_us"] for f, o in pairs]),
        "call_us": figure([f["call_us"]["mean"] for f in found]) if found[0]["call_us"] else None,
        "delivered": min(f["sink"]["spans"] / f["spans"] for f in found),
        "requests": figure([f["sink"]["requests"] for f in found]),
        "sink_us": figure([f["sink"]["cpu"] * 1e6 / f["spans"] for f in found]),
        "sink_busy": figure([f["sink"]["cpu"] * f["rate"] / f["spans"] for f in found]),
    }


def _table(report: dict[str, Any]) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = [
        (
            "burst",
            "rounds",
            "spans/s",
            "ours is x faster",
            "CPU µs a span",
            "x our CPU",
            "call µs, mean",
            "delivered",
            "sink busy",
        )
    ]
    rows += [_row(name, found) for name, found in report["burst"].items()]
    rows.append(_row(_TWICE, report["sink_twice"]))
    rows.append((f"at {_RATE:,.0f} a second", *[""] * (len(rows[0]) - 1)))
    rows += [_row(name, found, paced=True) for name, found in report["paced"].items()]
    return rows


def _row(name: str, found: dict[str, Any], *, paced: bool = False) -> Sequence[object]:
    call = found["call_us"]
    return (
        title_of(name),
        found["cpu_us"].rounds,
        found["rate"] if not paced else None,
        found["rate_share"] if not paced else None,
        found["cpu_us"],
        found["cpu_share"],
        call.median if call is not None else None,
        part(found["delivered"]),
        f"{found['sink_busy'].median:.0%}",
    )


if __name__ == "__main__":
    main()
