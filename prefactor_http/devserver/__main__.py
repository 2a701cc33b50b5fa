"""The command line: read the arguments, then serve until told to stop."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from prefactor_http.devserver.faults import FaultScript
from prefactor_http.devserver.server import (
    DEFAULT_DEPLOYMENT_TOKEN,
    DEFAULT_TOKEN,
    DevServer,
)
from prefactor_http.devserver.storage import StorageError
from prefactor_http.devserver.switches import parse_switches


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        switches = parse_switches(given.switch)
        faults = FaultScript(*given.fault)
    except ValueError as error:
        parser.error(str(error))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        server = DevServer(
            host=given.host,
            port=given.port,
            db=given.db,
            token=given.token,
            deployment_token=given.deployment_token,
            partition=given.partition,
            switches=switches,
            faults=faults,
        )
        server.start()
    except (StorageError, ValueError) as error:
        return _fail(str(error))
    except (OSError, OverflowError) as error:
        return _fail(f"cannot listen on {given.host}:{given.port}: {error}")
    if server.exposure is not None:
        _say(f"warning: {server.exposure}")
    sys.stdout.write(
        f"Listening on {server.url} token={server.token} "
        f"deployment_token={server.deployment_token} agent_id={server.agent_id}\n"
    )
    sys.stdout.flush()
    stop.wait()
    server.stop()
    return 0


def _fail(message: str) -> int:
    """Say why it did not work; return the exit status."""
    _say(message)
    return 1


def _say(message: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(f"prefactor_http.devserver: {message}\n")


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m prefactor_http.devserver",
        description="A development server that speaks the Prefactor API.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8787, help="port to listen on; 0 for any")
    parser.add_argument("--db", metavar="FILE", help="database file; in memory if left out")
    parser.add_argument("--token", default=DEFAULT_TOKEN, help="an account token that works")
    parser.add_argument(
        "--deployment-token",
        default=DEFAULT_DEPLOYMENT_TOKEN,
        metavar="TOKEN",
        help="a token of the default agent's deployment that works",
    )
    parser.add_argument("--partition", type=int, help="partition of a new account's ids")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="RULE",
        help="misbehave, for example 'every=7 status=503'; may be repeated",
    )
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="choose where the API's documentation is silent; may be repeated",
    )
    return parser


if __name__ == "__main__":  # pragma: no branch - always so in the child process of the tests
    sys.exit(main())
