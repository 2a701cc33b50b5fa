"""How long does a process take to end after it recorded 1,000 spans?

With the API working, with its port closed, and with an API that takes requests and never answers;
it stops working only after the exporter got to know it. The process ends as one does: its main
module is over, and what must be called before that according to the project's documents is called.
Several run at once, since they do little but wait.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from figures import options, plural, show
from process import OURS, NotMeasuredError, drive, peer_options, title_of, work_file
from workload import PER_FAMILY, from_runs, spans

_STATES = {"works": None, "port closed": "refuse", "black hole": "hole"}
_AT_ONCE = 9
_WARM_UP = 2 * PER_FAMILY


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    peer_options(parser)
    parser.add_argument("--spans", type=int, default=1_000, help="spans recorded (1000)")
    parser.add_argument("--within", type=float, help="seconds to wait at most (45; quick: 10)")
    parser.add_argument("--deadline", type=float, help="the exporter's shutdown_timeout (default)")
    chosen = parser.parse_args()
    own = {} if chosen.deadline is None else {"shutdown_timeout": chosen.deadline}
    within = chosen.within or (10.0 if chosen.quick else 45.0)

    with tempfile.TemporaryDirectory() as directory:
        work = work_file(
            from_runs(chosen.runs) if chosen.runs else list(spans(chosen.spans)), directory
        )
        names = (OURS, *chosen.peers)

        def measure(case: tuple[str, str]) -> float | str:
            name = case[0]
            options: dict[str, Any] = {"settings": own} if name == OURS else {}
            return _leave(*case, work, chosen.spans, within=within, **options)

        cases = [(name, state) for name in names for state in _STATES]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            took = list(pool.map(measure, cases))
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for (name, state), seconds in zip(cases, took, strict=True):
        found[name][state] = seconds
    report: dict[str, Any] = {
        "question": "exit_time",
        "spans": chosen.spans,
        "within": within,
        "seconds": found,
    }
    rows: list[Sequence[object]] = [("seconds to end, API", *_STATES)]
    rows += [(title_of(name), *(each[state] for state in _STATES)) for name, each in found.items()]
    basis = f"One round of each, after {plural(chosen.spans, 'span')}."
    show(report, rows, basis, chosen.json)


def _leave(name: str, state: str, work: Path, count: int, **options: Any) -> float | str:
    """Return the seconds from the last record call to the end of the process, or why not."""
    if _STATES[state] is not None:
        options["broken"] = _STATES[state]
    try:
        result = drive(name, "leave", work, count + _WARM_UP, **options)
    except NotMeasuredError as failure:
        return str(failure)
    return float(result["left"] - result["ended"]) / 1e9


if __name__ == "__main__":
    main()
