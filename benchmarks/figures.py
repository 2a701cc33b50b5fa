"""Own how figures are summed up and shown: medians with quartiles, plain tables, JSON."""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "Figure",
    "figure",
    "machine",
    "options",
    "part",
    "percentile",
    "plural",
    "short",
    "show",
]


class Figure(NamedTuple):
    """A figure over the rounds of a run: the median, and the quartiles as its spread."""

    median: float
    q1: float
    q3: float
    rounds: int

    def __str__(self) -> str:
        if self.rounds == 1:  # one value has no spread
            return short(self.median)
        return f"{short(self.median)} ({short(self.q1)} to {short(self.q3)})"


def figure(values: Sequence[float]) -> Figure:
    """Sum up one value of each round."""
    if len(values) == 1:
        return Figure(values[0], values[0], values[0], 1)
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, first, third, len(values))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the value below which *percent* of the *ordered* values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every script understands: ``--quick`` and ``--json``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds of fewer spans")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write one JSON object to FILE, or instead of the table",
    )
    return parser


def machine() -> dict[str, str]:
    """Return where this runs, for people who compare."""
    model = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "python": platform.python_version(),
        "processor": model,
        "cores": str(len(_cores())),
        "system": f"{platform.system()} {platform.release()}",
    }


def show(
    report: dict[str, Any], rows: Sequence[Sequence[object]], basis: str, target: str | None
) -> None:
    """Print *rows*, the first of which is the head, as a table; and *report* where it is wanted.

    Args:
        report: Everything measured.
        rows: The table for people.
        basis: How many rounds of how much the table stands on.
        target: None, ``-`` for JSON instead of the table, or a file that gets the JSON.
    """
    whole = {
        **report,
        "machine": machine(),
        "quick": "--quick" in sys.argv,
        "table": [[_cell(cell) for cell in r] for r in rows],
        "basis": basis,
    }
    encoded = json.dumps(whole, indent=1)
    if target == "-":
        sys.stdout.write(encoded + "\n")
        return
    if target is not None:
        Path(target).write_text(encoded + "\n", encoding="utf-8")
    cells = whole["table"]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for number, row in enumerate(cells):
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *others)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print(basis)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return short(value) if isinstance(value, float) else str(value)


def part(value: float) -> str:
    """Return *value* of 1 as a percentage, and ``all`` only if not one is missing."""
    return "all" if value >= 1 else f"{min(value, 0.999):.1%}"


def plural(number: int, word: str) -> str:
    """Return *number* of *word*, such as ``1 round`` and ``5 rounds``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def short(value: float) -> str:
    """Return three digits that matter."""
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2  # noqa: PLR2004  # three digits
    return f"{value:,.{digits}f}" if size >= 0.1 else f"{value:.2g}"  # noqa: PLR2004


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _cores() -> Sequence[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
