"""What do redaction and the spool cost?

Bursts with the defaults, without redaction and with the spool take turns; the caller's cost is that
of its record calls, CPU is that of the whole process.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import figure, options, part, plural, show
from process import OURS, drive, work_file
from workload import from_runs, spans

_POOL = 2_200
_DEFAULTS = "defaults"


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="rounds (7; quick: 1)")
    parser.add_argument("--spans", type=int, help="spans in a burst (22000; quick: 5500)")
    parser.add_argument("--runs", type=Path, help="a file of recorded runs to take the spans from")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 7)
    count = chosen.spans or (5_500 if chosen.quick else 22_000)
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        pool = from_runs(chosen.runs) if chosen.runs else list(spans(_POOL))
        work = work_file(pool, directory)
        for number in range(rounds):
            cases: dict[str, dict[str, Any]] = {
                _DEFAULTS: {},
                "redaction off": {"redact": None},
                "spool on": {"spool_dir": str(Path(directory) / f"spool-{number}")},
            }
            for name, settings in cases.items():
                result = drive(OURS, "burst", work, count, settings=settings)
                found.setdefault(name, []).append(result)
    report: dict[str, Any] = {
        "question": "extras_cost",
        "rounds": rounds,
        "spans": count,
        "cases": {name: _summed(each, found[_DEFAULTS]) for name, each in found.items()},
    }
    rows: list[Sequence[object]] = [
        (
            "a burst",
            "call µs, mean",
            "x defaults",
            "CPU µs a span",
            "CPU µs more",
            "spans/s",
            "x defaults",
            "delivered",
        )
    ]
    rows += [
        (
            name,
            each["call_us"],
            each["call_share"] if name != _DEFAULTS else None,
            each["cpu_us"],
            each["cpu_more_us"] if name != _DEFAULTS else None,
            each["rate"],
            each["rate_share"] if name != _DEFAULTS else None,
            part(each["delivered"]),
        )
        for name, each in report["cases"].items()
    ]
    basis = (
        f"{plural(rounds, 'round')} of {plural(count, 'span')} each; *more* and *x defaults* are "
        "taken within a round, *delivered* is the least of the rounds."
    )
    show(report, rows, basis, chosen.json)


def _summed(each: list[dict[str, Any]], defaults: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = list(zip(each, defaults, strict=True))
    return {
        "call_us": figure([e["call_us"]["mean"] for e in each]),
        "call_share": figure([e["call_us"]["mean"] / d["call_us"]["mean"] for e, d in pairs]),
        "cpu_us": figure([e["cpu_us"] for e in each]),
        "cpu_more_us": figure([e["cpu_us"] - d["cpu_us"] for e, d in pairs]),
        "rate": figure([e["rate"] for e in each]),
        "rate_share": figure([e["rate"] / d["rate"] for e, d in pairs]),
        "delivered": min(e["sink"]["spans"] / e["spans"] for e in each),
    }


if __name__ == "__main__":
    main()
