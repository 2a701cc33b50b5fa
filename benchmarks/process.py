"""Own the measured processes: which subjects there are, where each lives, and running one."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic_ns
from typing import Any, NamedTuple

from sink import report, sink
from workload import Recorded, write

__all__ = [
    "OURS",
    "PEERS",
    "NotMeasuredError",
    "Peer",
    "Rounds",
    "drive",
    "drive_at",
    "environment",
    "peer_options",
    "peers_in_round",
    "python_of",
    "title_of",
    "work_file",
]

OURS = "exporter"
_ROOT = Path(__file__).parent.parent
_TIMEOUT = 120.0


class Peer(NamedTuple):
    """Another project's exporter.

    Attributes:
        title: What tables call it.
        imports: What an application that uses it imports.
        share: Part of the spans that it gets, so that a slow one does not take all the time.
        judged: Whether a target names it; then it gets as many rounds as the exporter.
    """

    title: str
    imports: str
    share: float = 1.0
    judged: bool = False


PEERS = {
    "prefactor-core": Peer("prefactor-core", "import prefactor_core", share=0.1, judged=True),
    "opentelemetry": Peer(
        "OpenTelemetry SDK",
        "from opentelemetry.sdk.trace import TracerProvider;"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor;"
        "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter",
        judged=True,
    ),
    "langfuse": Peer("Langfuse", "import langfuse", share=0.5),
    "langsmith": Peer(
        "LangSmith", "from langsmith import Client; from langsmith.run_helpers import trace", 0.5
    ),
    "ddtrace": Peer("ddtrace, tracer", "from ddtrace.trace import tracer", judged=True),
    "posthog": Peer("PostHog", "import posthog", share=0.5),
    "sentry": Peer("Sentry", "import sentry_sdk", share=0.5),
    "logfire": Peer("Logfire", "import logfire", share=0.25),
}


class NotMeasuredError(Exception):
    """A subject could not be measured; the text says why."""


def peer_options(parser: argparse.ArgumentParser) -> None:
    """Add what scripts understand that compare with other projects, or take recorded runs."""
    parser.add_argument(
        "--peers",
        type=_peers,
        default=[],
        metavar="NAMES",
        help=f"compare with all, or with some of {', '.join(PEERS)}",
    )
    parser.add_argument("--runs", type=Path, help="a file of recorded runs to take the spans from")


def _peers(wanted: str) -> list[str]:
    if wanted in {"all", "none"}:
        return list(PEERS) if wanted == "all" else []
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"no peer is called {name!r}")
    return names


def peers_in_round(number: int, peers: Sequence[str], most: int) -> list[str]:
    """Return which *peers* take part in round *number*: who is judged in each, others in *most*."""
    return [name for name in peers if PEERS[name].judged or number < most]


def title_of(subject: str) -> str:
    """Return what tables call *subject*."""
    return PEERS[subject].title if subject in PEERS else subject


def environment() -> dict[str, str]:
    """Return the variables of a measured process: compiled modules are kept, as pip keeps them."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def work_file(found: Sequence[Recorded], directory: str) -> Path:
    """Write the spans where measured processes find them."""
    path = Path(directory) / "spans.json"
    write(found, path)
    return path


def drive(
    subject: str,
    job: str,
    work: Path,
    count: int,
    *,
    keep: bool = False,
    effort: int = 1,
    **options: Any,
) -> dict[str, Any]:
    """Measure *subject* in a process of its own, against a sink of its own.

    Args:
        subject: Name of a module in `subjects`.
        job: What it does; see `drive`.
        work: The file of spans.
        count: How many of them it records.
        keep: Whether the sink keeps bulk requests, and the report has arrivals.
        effort: How many times the sink does its work for each bulk request.
        **options: Further options of `drive`.

    Returns:
        What the process reported, and under ``sink`` what arrived.

    Raises:
        NotMeasuredError: It could not be measured.
    """
    with sink(keep=keep, effort=effort, python=python_of(subject)) as url:
        found = drive_at(url, subject, job, work, count, **options)
        if "broken" not in options:
            found["sink"] = report(url, arrivals=keep)
    return found


def drive_at(
    url: str, subject: str, job: str, work: Path, count: int, **options: Any
) -> dict[str, Any]:
    """Measure *subject* as `drive` does, against the sink at *url*."""
    python = python_of(subject)
    settings = options.pop("settings", {})
    patience = options.pop("within", _TIMEOUT)
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "result.json"
        command = [str(python), str(Path(__file__).with_name("drive.py"))]
        command += [subject, job, str(work), str(out), "--url", url, "--count", str(count)]
        command += ["--settings", json.dumps(settings)]
        for name, value in options.items():
            command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        log = Path(directory) / "log"
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    command,
                    env=environment(),
                    check=False,
                    stdout=output,
                    stderr=output,
                    timeout=patience,
                )
            except subprocess.TimeoutExpired:
                raise NotMeasuredError(f"more than {patience:.0f} s") from None
        left = monotonic_ns()
        if not out.exists():
            raise NotMeasuredError(f"ended with {done.returncode}: {_last_line(log)}")
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return {**found, "left": left}


def python_of(subject: str) -> Path:
    """Return the interpreter of the environment in which *subject* lives."""
    if subject not in PEERS:
        return Path(sys.executable)
    python = _ROOT / f".venv-bench-{subject}" / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise NotMeasuredError("has no environment; ./scripts/bench makes it")
    return python


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "without a word"


class Rounds:
    """Measures several subjects in turn, round after round; one that fails is left out.

    Attributes:
        found: The results of each subject, one of each round.
        left_out: The subjects that could not be measured, and why.
    """

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, Any]]] = {}
        self.left_out: dict[str, str] = {}

    def measure(
        self, name: str, run: Callable[..., dict[str, Any]], *args: Any, **options: Any
    ) -> None:
        """Measure the subject *name* once more with *run*, unless it failed before."""
        if name in self.left_out:
            return
        print(f"  {name} ...", file=sys.stderr, flush=True)
        try:
            result = run(*args, **options)
        except NotMeasuredError as failure:
            self.left_out[name] = str(failure)
            self.found.pop(name, None)
        else:
            self.found.setdefault(name, []).append(result)

    def tell(self) -> None:
        """Print who was left out."""
        for name, reason in self.left_out.items():
            print(f"left out: {name}: {reason}")
