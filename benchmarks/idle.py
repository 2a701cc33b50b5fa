"""What does an exporter that has nothing to do cost?

CPU, and how often the process woke up, over a while in which nothing is recorded; with nothing at
all for comparison.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from figures import options, show
from process import OURS, drive, work_file
from workload import spans


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, help="how long (60; quick: 5)")
    chosen = parser.parse_args()
    seconds = chosen.seconds or (5.0 if chosen.quick else 60.0)
    with tempfile.TemporaryDirectory() as directory:
        work = work_file(list(spans(110)), directory)
        with ThreadPoolExecutor() as pool:  # each is alone, as long as the other does nothing
            names = ("nothing", OURS)
            measured = pool.map(lambda name: drive(name, "idle", work, 0, patience=seconds), names)
            found = dict(zip(names, measured, strict=True))
    report: dict[str, Any] = {"question": "idle", "seconds": seconds, "idle": found}
    rows: list[Sequence[object]] = [(f"over {seconds:g} s", "CPU, ms", "wake-ups")]
    rows += [(name, each["cpu_ms"], each["wake_ups"]) for name, each in found.items()]
    show(report, rows, chosen.json)


if __name__ == "__main__":
    main()
