"""Run all benchmarks, one after the other, and keep their results for the documents.

Each prints its table; with --json the results are kept as files as well. Each can also be run by
itself, with options of its own: python benchmarks/record_call.py --help
"""

# This runs before there is any environment: only the standard library is there.
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import document
from process import PEERS, peer_options

_HERE = Path(__file__).parent
_ROOT = _HERE.parent
_OWN = ".venv-bench"
"""Where the exporter lives; the others' folders begin with it, too."""


class _Question(NamedTuple):
    """One script."""

    text: str
    peers: bool
    runs: bool


_QUESTIONS = {
    "record_call": _Question("What does a record call cost the caller?", peers=True, runs=True),
    "throughput": _Question(
        "How many spans a second, and how much CPU for each?", peers=True, runs=True
    ),
    "loop_lag": _Question(
        "How much later do the application's own callbacks run?", peers=True, runs=True
    ),
    "memory": _Question("How much memory does it take?", peers=False, runs=True),
    "visibility": _Question("How long until a span is visible?", peers=True, runs=True),
    "exit_time": _Question("How long does a process take to end?", peers=True, runs=True),
    "startup": _Question("How long do import and start-up take?", peers=True, runs=False),
    "extras_cost": _Question("What do redaction and the spool cost?", peers=False, runs=True),
    "worker_cost": _Question("Where does the CPU of a span go?", peers=False, runs=True),
    "growth": _Question("Does a span cost more as everything grows?", peers=False, runs=False),
    "worst_call": _Question("How long may a record call take at worst?", peers=False, runs=False),
    "idle": _Question("What does an exporter with nothing to do cost?", peers=False, runs=False),
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/bench")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of fewer spans")
    parser.add_argument(
        "--only",
        action="append",
        choices=sorted(_QUESTIONS),
        help="one question; may be given several times",
    )
    parser.add_argument("--json", type=Path, metavar="DIR", help="keep the results as files there")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put the tables and plots into docs/, from this run or from the files in DIR",
    )
    parser.add_argument(
        "--no-run", action="store_true", help="run nothing: for --write-docs with --json DIR"
    )
    peer_options(parser)
    parser.set_defaults(peers=list(PEERS))
    chosen = parser.parse_args()
    if chosen.no_run and not (chosen.write_docs and chosen.json):
        parser.error("--no-run is for --write-docs with --json DIR")
    if chosen.only and chosen.write_docs and not chosen.no_run:
        parser.error("--write-docs shows a whole run, --only is a part of one")
    if chosen.runs and not chosen.runs.is_file():
        parser.error(f"--runs: there is no file {chosen.runs}")
    with tempfile.TemporaryDirectory() as scratch:
        kept: Path = chosen.json or Path(scratch)
        kept.mkdir(parents=True, exist_ok=True)
        failed = [] if chosen.no_run else _run(chosen, kept.absolute())
        if failed:
            sys.exit(f"bench: failed: {', '.join(failed)}")
        if chosen.write_docs:
            document.write(kept, _QUESTIONS)


def _run(chosen: argparse.Namespace, kept: Path) -> list[str]:
    """Run the scripts; return those that failed."""
    names = chosen.only or list(_QUESTIONS)
    if not _set_up(_OWN, "run"):
        sys.exit("bench: no environment for the exporter")
    if any(_QUESTIONS[name].peers for name in names):
        for peer in chosen.peers:
            if not _set_up(f"{_OWN}-{peer}", f"bench-{peer}"):
                print(f"bench: no environment for {peer}", file=sys.stderr)
    failed: list[str] = []
    began = monotonic()
    for name in names:
        question, result = _QUESTIONS[name], kept / f"{name}.json"
        result.unlink(missing_ok=True)  # an older one is no answer
        print(f"\n{question.text}  ({name}.py)\n", flush=True)
        python = _ROOT / _OWN / "bin" / "python"
        command = [str(python), str(_HERE / f"{name}.py"), "--json", str(result)]
        command += ["--quick"] if chosen.quick else []
        if question.peers:
            command += ["--peers", ",".join(chosen.peers) or "none"]
        if question.runs and chosen.runs:
            command += ["--runs", str(chosen.runs)]
        started = monotonic()
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"({monotonic() - started:.0f} s)", flush=True)
    print(f"\nall of it: {(monotonic() - began) / 60:.1f} minutes", flush=True)
    return failed


def _set_up(folder: str, kind: str) -> bool:
    """Make an environment, unless it is there; return whether it is."""
    made = subprocess.run(
        [str(_ROOT / "scripts" / "setup"), kind], env={**os.environ, "VENV": folder}, check=False
    )
    return made.returncode == 0


if __name__ == "__main__":
    main()
