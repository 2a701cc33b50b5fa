"""``python -m tests.soak``: run a soak and print what was found."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.soak.run import Soak


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> int:
    """Read the command line, run, print; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Record for a long time while everything goes wrong, and compare exactly.",
    )
    parser.add_argument("--spans", type=int, default=100_000, help="spans in all")
    parser.add_argument("--processes", type=int, default=3, help="recording processes at a time")
    parser.add_argument("--kills", type=int, default=6, help="processes ended by kill -9")
    parser.add_argument("--seed", type=int, default=1, help="of faults, kills and payloads")
    parser.add_argument(
        "--pause", type=float, default=0.0, help="average seconds between two spans of a thread"
    )
    parser.add_argument("--calm", action="store_true", help="no faults of the API")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prefactor-soak-") as folder:
        findings = Soak(
            Path(folder),
            spans=options.spans,
            processes=options.processes,
            kills=options.kills,
            seed=options.seed,
            pause=options.pause,
            calm=options.calm,
            tell=None if options.json else _say,
        ).run()
    if options.json:
        sys.stdout.write(json.dumps(findings.as_dict(), indent=2) + "\n")
    else:
        sys.stdout.write(findings.as_text())
    return 0 if findings.clean else 1


if __name__ == "__main__":
    sys.exit(main())
