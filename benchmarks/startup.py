"""How long do import and start-up take?

Each in fresh processes: what an application imports, and then making the exporter and recording a
first parent with ten children. The time of a bare interpreter is not in it.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import figure, options, plural, show
from process import (
    OURS,
    PEERS,
    NotMeasuredError,
    Rounds,
    drive,
    environment,
    peer_options,
    python_of,
    title_of,
    work_file,
)
from workload import spans

_PEER_ROUNDS = 3
_OURS = "import prefactor_exporter"
_PROBE = """
import json, sys
from time import perf_counter
before = perf_counter()
{imports}
took = perf_counter() - before
found = {{"ms": took * 1e3, "modules": len(sys.modules), "aiohttp": "aiohttp" in sys.modules}}
print(json.dumps(found))
"""


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    peer_options(parser)
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 1)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    subjects = Rounds()
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(list(spans(11)), directory)
        for number in range(rounds + 1):
            for name in (OURS, *(chosen.peers if number <= _PEER_ROUNDS else [])):
                subjects.measure(name, _started, name, work)
            if number == 0:  # the first round compiles, and fills the system's cache
                subjects.found.clear()
    report: dict[str, Any] = {
        "question": "startup",
        "rounds": rounds,
        "subjects": {name: _summed(each) for name, each in subjects.found.items()},
        "left_out": subjects.left_out,
    }
    rows: list[Sequence[object]] = [
        ("ms", "rounds", "import", "modules", "imports aiohttp", "make", "first 11 spans")
    ]
    rows += [
        (
            title_of(name),
            each["import_ms"].rounds,
            each["import_ms"],
            each["modules"],
            "yes" if each["aiohttp"] else "no",
            each["make_ms"].median,
            each["first_ms"].median,
        )
        for name, each in report["subjects"].items()
    ]
    basis = (
        f"Each round is two new processes; {plural(1, 'round')} before the first is not counted."
    )
    show(report, rows, basis, chosen.json)
    if chosen.json != "-":
        subjects.tell()


def _started(name: str, work: Path) -> dict[str, Any]:
    imports = PEERS[name].imports if name in PEERS else _OURS
    command = [str(python_of(name)), "-I", "-c", _PROBE.format(imports=imports)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env=environment()
    )
    if done.returncode:
        raise NotMeasuredError(f"cannot be imported: {done.stderr.strip()[-200:]}")
    imported: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**drive(name, "start", work, 11), **imported}


def _summed(each: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "import_ms": figure([e["ms"] for e in each]),
        "modules": each[-1]["modules"],
        "aiohttp": each[-1]["aiohttp"],
        "make_ms": figure([e["make_ms"] for e in each]),
        "first_ms": figure([e["first_ms"] for e in each]),
    }


if __name__ == "__main__":
    main()
