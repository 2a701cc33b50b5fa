"""Where the API is and who asks: the options many commands share, and what is wrong in one line."""

import asyncio
import dataclasses
import ssl
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import typer

from prefactor_exporter.cli.console import USAGE, fail
from prefactor_exporter.cli.serve import DEFAULT_PORT
from prefactor_exporter.config import DEFAULT_API_URL, address_problem
from prefactor_http.client import PrefactorHttpClient
from prefactor_http.config import HttpClientConfig
from prefactor_http.exceptions import (
    PrefactorAuthError,
    PrefactorHttpError,
    PrefactorResponseContractError,
    PrefactorRetryExhaustedError,
    is_connection_error,
)

__all__ = [
    "LOCAL_URL",
    "AgentOption",
    "EnvironmentOption",
    "TokenOption",
    "UrlOption",
    "connection",
    "explained",
    "is_local",
    "tls_trouble",
    "token_problem",
    "with_client",
]

LOCAL_URL: Final = f"http://127.0.0.1:{DEFAULT_PORT}"
"""Where ``prefactor-exporter serve`` listens unless it is told otherwise."""

_LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TIMEOUT: Final = 10.0
_RETRY_AFTER: Final = 0.2

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="ADDRESS",
        envvar="PREFACTOR_API_URL",
        help="Where the API is.",
        show_default=LOCAL_URL,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="PREFACTOR_API_TOKEN",
        help="The API token.",
        show_default="that of the development server",
    ),
]
AgentOption = Annotated[
    str | None,
    typer.Option(
        "--agent-id",
        metavar="ID",
        envvar="PREFACTOR_AGENT_ID",
        help="The agent the runs belong to; not needed with a deployment token.",
        show_default=False,
    ),
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment-id",
        metavar="ID",
        envvar="PREFACTOR_ENVIRONMENT_ID",
        help="The environment the runs belong to; not needed with a deployment token.",
        show_default=False,
    ),
]

T = TypeVar("T")


def connection(url: str | None, token: str | None, *, local_token: str) -> HttpClientConfig:
    """Return where to and as whom; the development server needs neither.

    Without address and token it is the development server on this machine, with a token only it
    is Prefactor. A mistake ends the command.

    Args:
        url: The address given.
        token: The token given.
        local_token: The token of the development server to use if none is given.
    """
    url = url or (DEFAULT_API_URL if token else LOCAL_URL)
    if address_problem(url):
        fail(f"--url must be an address such as {LOCAL_URL}, got {url!r}", status=USAGE)
    if not token:
        if not is_local(url):
            fail(f"{url} needs a token: give --token or set PREFACTOR_API_TOKEN", status=USAGE)
        token = local_token
    if problem := token_problem(token):
        fail(f"{problem}: check --token or PREFACTOR_API_TOKEN", status=USAGE)
    return HttpClientConfig(url, token)


def token_problem(token: str) -> str:
    """Return why *token* can be none, empty if it can; it is not in the text."""
    if token != token.strip() or not token.isprintable() or not token.isascii():
        return "the token has spaces, line breaks or other characters no token has"
    return ""


def is_local(url: str) -> bool:
    """Return whether *url*, a valid address, is on this machine."""
    return urlsplit(url).hostname in _LOCAL_HOSTS


def with_client(
    http: HttpClientConfig,
    work: Callable[[PrefactorHttpClient], Coroutine[Any, Any, T]],
    *,
    reading: bool = True,
) -> T:
    """Return what *work* returns; what the API or the network does wrong ends the command.

    Somebody waits for it, so the client is less patient than one that delivers.
    """
    hasty = dataclasses.replace(
        http, request_timeout=_TIMEOUT, max_retries=1, initial_retry_delay=_RETRY_AFTER
    )

    async def run() -> T:
        async with PrefactorHttpClient(hasty) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except PrefactorHttpError as error:
        fail(explained(error, http, reading=reading))
    except Exception as error:
        if not is_connection_error(error):
            raise
        fail(explained(error, http))


def explained(error: Exception, http: HttpClientConfig, *, reading: bool = False) -> str:
    """Return in one line what went wrong between us and the API, and what to do.

    Args:
        error: What went wrong.
        http: Where, and as whom.
        reading: Whether runs were to be read, which not every token may.
    """
    if isinstance(error, PrefactorRetryExhaustedError) and error.last_error is not None:
        error = error.last_error
    url = http.api_url
    if isinstance(error, PrefactorAuthError):
        hint = "; reading runs needs a token of the account, not of a deployment" if reading else ""
        return (
            f"{url} refuses the token ({error.message}): check --token or PREFACTOR_API_TOKEN{hint}"
        )
    if isinstance(error, PrefactorResponseContractError):
        return f"what answers at {url} does not speak the Prefactor API ({error}): check --url"
    if isinstance(error, ssl.SSLError):
        return f"no connection to {url}: {': '.join(tls_trouble(error))}"
    if is_connection_error(error):
        cause: object = getattr(error, "os_error", error)
        what = getattr(cause, "strerror", None) or str(error) or "no answer in time"
        start = "start it with 'prefactor-exporter serve', or " if is_local(url) else ""
        return f"no connection to {url} ({what}): {start}check --url or PREFACTOR_API_URL"
    return f"{url} answered: {error}"


def tls_trouble(error: ssl.SSLError) -> tuple[str, str]:
    """Return why there is no encrypted connection, and what to do."""
    # aiohttp wraps what it met.
    cause: object = getattr(error, "certificate_error", getattr(error, "os_error", error))
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not trusted: {cause.verify_message}",
            "if a proxy inspects the traffic, name its certificate in SSL_CERT_FILE",
        )
    return (
        f"no encrypted connection: {getattr(cause, 'reason', None) or cause}",
        "check the port, and whether the address begins with http:// or https://",
    )
