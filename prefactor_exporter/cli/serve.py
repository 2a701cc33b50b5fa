"""``serve``: the development server, with what to export to record into it."""

import errno
import signal
import threading
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Annotated, Final

import typer

from prefactor_exporter.cli.console import OUTPUT, USAGE, fail, note, write_json
from prefactor_http.devserver import DevServer, FaultScript, StorageError, Switches
from prefactor_http.devserver.server import DEFAULT_DEPLOYMENT_TOKEN, DEFAULT_TOKEN
from prefactor_http.devserver.switches import parse_switches

__all__ = ["DEFAULT_PORT", "fault_script", "serve", "until_stopped"]

DEFAULT_PORT: Final = 8787
"""Port of the development server unless it is told otherwise."""


def serve(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port to listen on; 0 takes a free one."
        ),
    ] = DEFAULT_PORT,
    db: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Database file; in memory if left out.", show_default=False
        ),
    ] = None,
    token: Annotated[
        str, typer.Option(metavar="TOKEN", help="An account token that works.")
    ] = DEFAULT_TOKEN,
    deployment_token: Annotated[
        str,
        typer.Option(metavar="TOKEN", help="A token of the default agent's deployment that works."),
    ] = DEFAULT_DEPLOYMENT_TOKEN,
    partition: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Partition of a new account's ids.",
            show_default="a random one",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Misbehave, for example 'every=7 status=503'; may be repeated.",
        ),
    ] = None,
    switch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Choose where the API's documentation is silent; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print address, tokens and ids as JSON.")
    ] = False,
) -> None:
    """Run the development server until Ctrl-C or SIGTERM.

    It speaks the Prefactor API and needs no account; its page shows the runs. What it prints on
    standard output can be pasted into a shell.
    """
    try:
        faults = fault_script(fault)
        switches = parse_switches(switch or [])
    except ValueError as error:
        fail(str(error), status=USAGE)
    # From here on both ways to be told to stop look the same, wherever they arrive.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server = _start(
            host=host,
            port=port,
            db=db,
            token=token,
            deployment_token=deployment_token,
            partition=partition,
            switches=switches,
            faults=faults,
        )
        try:
            _announce(server, db, as_json=as_json)
            until_stopped()
        finally:
            server.stop()


def until_stopped() -> None:
    """Wait for Ctrl-C.

    Raises:
        KeyboardInterrupt: Always, in the end.
    """
    while True:
        threading.Event().wait()


def fault_script(rules: list[str] | None) -> FaultScript:
    """Read rules of misbehaviour.

    Raises:
        ValueError: A rule cannot be read; names the bad part and the words allowed.
    """
    return FaultScript(*(rules or ()))


def _start(
    *,
    host: str,
    port: int,
    db: Path | None,
    token: str,
    deployment_token: str,
    partition: int | None,
    switches: Switches,
    faults: FaultScript,
) -> DevServer:
    """Start the server, or end the command with the reason in one line."""
    try:
        server = DevServer(
            host=host,
            port=port,
            db=db,
            token=token,
            deployment_token=deployment_token,
            partition=partition,
            switches=switches,
            faults=faults,
        )
        server.start()
    except (StorageError, ValueError) as error:
        fail(str(error), status=USAGE)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fail(
                f"port {port} of {host} is taken: stop what listens there, "
                "or choose another with --port (0 takes a free one)"
            )
        fail(f"cannot listen on {host}:{port}: {error.strerror or error}")
    return server


def _announce(server: DevServer, db: Path | None, *, as_json: bool) -> None:
    """Print where the server is and how to record into it."""
    where = "in memory" if db is None else f"in {db}"
    note(f"Development server on {server.url}, {where}; Ctrl-C ends it.")
    if server.exposure is not None:
        note(f"warning: {server.exposure}")
    if as_json:
        write_json(
            {
                "url": server.url,
                "token": server.token,
                "deployment_token": server.deployment_token,
                "account_id": server.account_id,
                "agent_id": server.agent_id,
                "environment_id": server.environment_id,
            }
        )
        return
    for name, value in (
        ("URL", server.url),
        ("TOKEN", server.token),
    ):
        OUTPUT.out(f"export PREFACTOR_API_{name}={quote(value)}", highlight=False)
    OUTPUT.out(f"export PREFACTOR_AGENT_ID={server.agent_id}", highlight=False)
    OUTPUT.out(f"export PREFACTOR_ENVIRONMENT_ID={server.environment_id}", highlight=False)
    note("Or with the deployment token, which knows its agent:")
    OUTPUT.out(
        f"# export PREFACTOR_API_TOKEN={quote(server.deployment_token)}; "
        "unset PREFACTOR_AGENT_ID PREFACTOR_ENVIRONMENT_ID",
        highlight=False,
    )
