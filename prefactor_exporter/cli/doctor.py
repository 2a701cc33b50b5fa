"""``doctor``: is everything as it should be, from the configuration to the API and the disk."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from prefactor_exporter.cli.checks import Check, diagnose
from prefactor_exporter.cli.connection import AgentOption, EnvironmentOption
from prefactor_exporter.cli.console import OUTPUT, fail, plain, write_json

__all__ = ["doctor"]

_MARKS: Final = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("-", "dim")}
_PLAIN_MARKS: Final = {True: "ok  ", False: "FAIL", None: "-   "}
_WIDTH: Final = 14


def doctor(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", metavar="ADDRESS", envvar="PREFACTOR_API_URL", help="Where the API is."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TOKEN",
            envvar="PREFACTOR_API_TOKEN",
            help="The API token; never shown.",
        ),
    ] = None,
    agent_id: AgentOption = None,
    environment_id: EnvironmentOption = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIRECTORY",
            envvar="PREFACTOR_EXPORTER_SPOOL_DIR",
            help="The spool directory.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:
    """Check what an exporter with this environment would meet, and say what to do.

    Configuration, address, name, connection, clock, token, agent, partition, a round trip that
    changes nothing, the spool directory and what waits in it. What stands on a check that failed
    is not asked.
    """
    given = {
        "PREFACTOR_API_URL": url,
        "PREFACTOR_API_TOKEN": token,
        "PREFACTOR_AGENT_ID": agent_id,
        "PREFACTOR_ENVIRONMENT_ID": environment_id,
        "PREFACTOR_EXPORTER_SPOOL_DIR": None if directory is None else str(directory),
    }
    environ = os.environ | {name: value for name, value in given.items() if value is not None}
    checks: list[Check] = []
    for check in diagnose(environ):
        checks.append(check)
        if not as_json:
            _write(check)
    failed = sum(check.ok is False for check in checks)
    if as_json:
        write_json({"ok": not failed, "checks": checks})
    if failed:
        fail(f"{failed} of {len(checks)} checks failed")


def _write(check: Check) -> None:
    mark, style = _MARKS[check.ok]
    if not OUTPUT.encoding.lower().startswith("utf"):
        mark = _PLAIN_MARKS[check.ok]
    line = Text(f"{mark} ", style=style).append(f"{check.name:{_WIDTH}}", style="default")
    line.append_text(plain(check.detail))
    if check.advice:
        line.append(f": {plain(check.advice).plain}", style="bold")
    OUTPUT.print(line, soft_wrap=not OUTPUT.is_terminal)
