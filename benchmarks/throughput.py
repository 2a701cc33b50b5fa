"""How many spans a second, and how much CPU, from the first record call until all is delivered?

One process records a burst as fast as it can and flushes; and once more at 2,000 spans a second.
CPU is that of the whole process. ``raw post`` posts the same bytes, made beforehand, with aiohttp:
as many items in a request as the exporter put in one.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Figure, figure, options, show
from process import OURS, PEERS, Rounds, drive, peer_options, work_file
from workload import PER_FAMILY, from_runs, spans

_POOL = 2_200
_RATE = 2_000.0
_RAW = "raw post"
_SECONDS = (1, 5)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    peer_options(parser)
    parser.add_argument("--rounds", type=int, help="rounds (3; quick: 1)")
    parser.add_argument("--spans", type=int, help="spans in a burst (22000; quick: 5500)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    count = chosen.spans or (5_500 if chosen.quick else 22_000)

    bursts, paced = Rounds(), Rounds()
    with tempfile.TemporaryDirectory() as directory:
        pool = from_runs(chosen.runs) if chosen.runs else list(spans(min(count, _POOL)))
        work = work_file(pool, directory)
        for _ in range(rounds):
            _round(bursts, work, count, chosen.peers)
        for name in (OURS, *chosen.peers):
            if name not in bursts.left_out:
                seconds = _SECONDS[0] if chosen.quick else _SECONDS[1]
                most = min(int(_RATE * seconds), max(count, PER_FAMILY))
                share = PEERS[name].share if name in PEERS else 1.0
                of_it = max(PER_FAMILY, int(most * share)) if share <= 0.1 else most  # noqa: PLR2004
                paced.measure(name, drive, name, "burst", work, of_it, rate=_RATE)
    report: dict[str, Any] = {
        "question": "throughput",
        "rounds": rounds,
        "spans": count,
        "burst": {name: _summed(found, bursts.found[OURS]) for name, found in bursts.found.items()},
        "paced": {name: _summed(found, paced.found[OURS]) for name, found in paced.found.items()},
        "left_out": bursts.left_out | paced.left_out,
    }
    show(report, _table(report), chosen.json)
    if chosen.json != "-":
        bursts.tell()
        paced.tell()


def _round(bursts: Rounds, work: Path, count: int, peers: Sequence[str]) -> None:
    bursts.measure(OURS, drive, OURS, "burst", work, count)
    ours = bursts.found[OURS][-1]
    items = max(1, round(ours["sink"]["spans"] / ours["sink"]["requests"]))
    settings = {"items": items}
    bursts.measure(_RAW, drive, "raw_post", "burst", work, count, settings=settings)
    for name in peers:
        of_it = max(PER_FAMILY, int(count * PEERS[name].share))
        bursts.measure(name, drive, name, "burst", work, of_it)


def _summed(found: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = list(zip(found, ours, strict=True))
    return {
        "spans": found[0]["spans"],
        "rate": figure([f["rate"] for f in found]),
        "rate_share": figure([o["rate"] / f["rate"] for f, o in pairs]),
        "cpu_us": figure([f["cpu_us"] for f in found]),
        "cpu_share": figure([f["cpu_us"] / o["cpu_us"] for f, o in pairs]),
        "call_us": figure([f["call_us"]["mean"] for f in found]) if found[0]["call_us"] else None,
        "delivered": figure([f["sink"]["spans"] / f["spans"] for f in found]),
        "requests": figure([f["sink"]["requests"] for f in found]),
        "sink_us": figure([f["sink"]["cpu"] * 1e6 / f["spans"] for f in found]),
    }


def _table(report: dict[str, Any]) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = [
        (
            "burst",
            "spans/s",
            "ours is x faster",
            "CPU µs a span",
            "x our CPU",
            "call µs, mean",
            "delivered",
            "sink µs",
        )
    ]
    for kind in ("burst", "paced"):
        if kind == "paced":
            rows.append((f"at {_RATE:,.0f} a second", *[""] * 7))
        for name, found in report[kind].items():
            call = found["call_us"]
            rows.append(
                (
                    PEERS[name].title if name in PEERS else name,
                    Figure(*found["rate"]) if kind == "burst" else None,
                    found["rate_share"].median if kind == "burst" else None,
                    Figure(*found["cpu_us"]),
                    found["cpu_share"].median,
                    call.median if call is not None else None,
                    f"{found['delivered'].median:.1%}",
                    found["sink_us"].median,
                )
            )
    return rows


if __name__ == "__main__":
    main()
