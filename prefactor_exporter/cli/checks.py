"""What ``doctor`` looks at: one question each, with the answer and what to do about it."""

import asyncio
import contextlib
import http.client
import os
import re
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from prefactor_exporter import AgentInfo, ExporterConfig
from prefactor_exporter._core.ids import extract_partition, is_pfid
from prefactor_exporter._delivery.inspection import survey
from prefactor_exporter.cli.connection import (
    explained,
    is_local,
    tls_trouble,
    token_problem,
)
from prefactor_exporter.cli.outline import duration
from prefactor_http.client import PrefactorHttpClient
from prefactor_http.config import HttpClientConfig
from prefactor_http.exceptions import (
    PrefactorAuthError,
    PrefactorHttpError,
    PrefactorNotFoundError,
    is_connection_error,
)

__all__ = ["Check", "diagnose"]

_TIMEOUT: Final = 10.0
_MOST_SKEW: Final = 30.0
_LITTLE_SPACE: Final = 100 * 1024 * 1024
_REDIRECTS: Final = range(300, 400)
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")
_PREFIX: Final = "PREFACTOR_EXPORTER_"
_MICROSECOND: Final = 1e6
_SHORTEST_TOKEN: Final = 8

T = TypeVar("T")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one question.

    Attributes:
        name: What was asked.
        ok: Whether all is well; None if it could not be asked, or need not be.
        detail: What was found.
        advice: What to do, empty if nothing.
    """

    name: str
    ok: bool | None
    detail: str
    advice: str = ""


def diagnose(environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield the answers one by one, each when it is known.

    Args:
        environ: The variables that configure the exporter.
    """
    config, configuration = _configuration(environ)
    yield configuration
    if config is not None:
        yield from _network(config, environ)
    directory = environ.get(_PREFIX + "SPOOL_DIR")
    if not directory:
        yield Check(
            name="spool", ok=None, detail="no directory: what waits is lost when the process dies"
        )
        return
    writable = _writable(Path(directory))
    yield writable
    if writable.ok:
        yield _backlog(Path(directory))


# -- configuration ---------------------------------------------------------------------------


def _configuration(environ: Mapping[str, str]) -> tuple[ExporterConfig | None, Check]:
    name = "configuration"
    try:
        config = ExporterConfig.from_env(environ)
    except ValueError as error:
        advice = "correct the variable, or unset it for the default"
        return None, Check(name=name, ok=False, detail=str(error), advice=advice)
    if config is None:
        return None, Check(
            name=name,
            ok=False,
            detail="there is no token, so nothing is recorded",
            advice="set PREFACTOR_API_TOKEN, or try 'prefactor-exporter serve' without an account",
        )
    if problem := token_problem(config.http.api_token):
        return None, Check(
            name=name,
            ok=False,
            detail=problem,
            advice="copy PREFACTOR_API_TOKEN once more, without what stands around it",
        )
    known = {_PREFIX + field.upper() for field in ExporterConfig.__struct_fields__}
    unknown = sorted(key for key in environ if key.startswith(_PREFIX) and key not in known)
    if unknown:
        return config, Check(
            name=name,
            ok=False,
            detail=f"nothing reads {', '.join(unknown)}",
            advice="correct the name; docs/configuration.md lists them all",
        )
    given = sum(key.startswith("PREFACTOR_") for key in environ)
    return config, Check(name=name, ok=True, detail=f"{given} variables, all of them readable")


# -- network ---------------------------------------------------------------------------------


class _Probe(NamedTuple):
    """What a first request without a token found out.

    Attributes:
        status: Of the answer.
        date: The server's clock, None if it did not say.
        asked: Our clock in the middle of the request.
        seconds: How long it took.
        tls: The version of TLS, empty without.
        location: Where it redirects to, empty if nowhere.
    """

    status: int
    date: datetime | None
    asked: float
    seconds: float
    tls: str
    location: str


def _network(config: ExporterConfig, environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield the answers about the way to the API, as far as it goes."""
    url = config.http.api_url
    address = _address(url)
    yield address
    if not address.ok:
        return
    parts = urlsplit(url)
    found = _lookup(parts)
    yield found
    if not found.ok:
        return
    probe, connected = _connect(parts, environ)
    yield connected
    if probe is None:
        return
    yield _clock(probe)
    if connected.ok:
        yield from _account(config)


def _address(url: str) -> Check:
    if urlsplit(url).scheme == "http" and not is_local(url):
        return Check(
            name="address",
            ok=False,
            detail=f"{url} is not encrypted: anybody on the way can read the token",
            advice="set PREFACTOR_API_URL to an address with https://",
        )
    return Check(name="address", ok=True, detail=url)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _lookup(parts: SplitResult) -> Check:
    host = parts.hostname or ""
    try:
        answers = socket.getaddrinfo(host, _port(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter for a name with an empty part
        return Check(
            name="name",
            ok=False,
            detail=f"{host} cannot be looked up: {getattr(error, 'strerror', None) or error}",
            advice="check the name for a mistake, and the network's DNS",
        )
    addresses = dict.fromkeys(str(answer[4][0]) for answer in answers)
    return Check(name="name", ok=True, detail=f"{host} is {', '.join(addresses)}")


def _connect(parts: SplitResult, environ: Mapping[str, str]) -> tuple[_Probe | None, Check]:
    name = "connection"
    try:
        probe = _ask(parts)
    except (OSError, http.client.HTTPException) as error:
        detail, advice = _what_failed(error)
        if any(environ.get(variable) for variable in _PROXIES):
            advice += "; proxies of the environment (HTTPS_PROXY) are not used"
        return None, Check(name=name, ok=False, detail=detail, advice=advice)
    if probe.status in _REDIRECTS:
        return probe, Check(
            name=name,
            ok=False,
            detail=f"the address redirects to {probe.location}, which is not followed",
            advice="set PREFACTOR_API_URL to where the API really is",
        )
    how = f"{probe.tls}, " if probe.tls else ""
    return probe, Check(name=name, ok=True, detail=f"{how}answer after {duration(probe.seconds)}")


def _ask(parts: SplitResult) -> _Probe:
    """Send a request without a token: it is not shown to anybody before TLS is."""
    host, port = parts.hostname or "", _port(parts)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    with contextlib.closing(connection):
        began, clock = time.time(), time.monotonic()  # the clock is what is checked
        connection.request("GET", parts.path.rstrip("/") + "/api/v1/ping")
        version = getattr(connection.sock, "version", lambda: "")() or ""
        response = connection.getresponse()
        seconds = time.monotonic() - clock
        date = None
        with contextlib.suppress(TypeError, ValueError):
            date = parsedate_to_datetime(response.headers["Date"])
        return _Probe(
            status=response.status,
            date=date if date is None or date.tzinfo else date.replace(tzinfo=UTC),
            asked=began + seconds / 2,
            seconds=seconds,
            tls=version,
            location=response.headers.get("Location", ""),
        )


def _what_failed(error: Exception) -> tuple[str, str]:
    """Return what went wrong with a connection, and what to do."""
    match error:
        case ssl.SSLError():
            return tls_trouble(error)
        case ConnectionRefusedError():
            return "nobody listens there", "check host and port, and whether the server runs"
        case TimeoutError():
            return (
                f"no answer within {_TIMEOUT:.0f} s",
                "check host and port, and whether a firewall is in the way",
            )
        case http.client.HTTPException():
            return (
                f"what answers does not speak HTTP: {error!r}",
                "check the port, and whether the address begins with http:// or https://",
            )
        case _:
            return str(error), "check the network, host and port"


def _clock(probe: _Probe) -> Check:
    if probe.date is None:
        return Check(name="clock", ok=None, detail="the server does not say what time it is")
    # The header has whole seconds: half of one is the best guess.
    skew = probe.asked - probe.date.timestamp() - 0.5
    if abs(skew) > _MOST_SKEW:
        return Check(
            name="clock",
            ok=False,
            detail=f"this clock is {duration(abs(skew))} {'ahead' if skew > 0 else 'behind'}",
            advice="set it, best by NTP: spans carry its time",
        )
    return Check(name="clock", ok=True, detail="this clock and the server's agree")


# -- account ---------------------------------------------------------------------------------


def _account(config: ExporterConfig) -> Iterator[Check]:
    """Yield the answers that need the token."""
    token = _checked("token", config.http, _token)
    yield token
    if not token.ok:
        return
    agent = config.agent or AgentInfo()
    yield _checked("agent", config.http, lambda client: _agent(client, agent))
    yield _checked("partition", config.http, lambda client: _partition(client, agent.agent_id))
    yield _checked("round trip", config.http, _round_trip)


def _checked(
    name: str,
    http: HttpClientConfig,
    ask: Callable[[PrefactorHttpClient], Coroutine[Any, Any, Check]],
) -> Check:
    """Return what *ask* finds out, an error being an answer too, with the token masked.

    The API may repeat the token in its texts; what this side writes does not hold it.
    """
    hasty = HttpClientConfig(
        http.api_url,
        http.api_token,
        request_timeout=_TIMEOUT,
        max_retries=1,
        initial_retry_delay=0.2,
    )

    async def run() -> Check:
        async with PrefactorHttpClient(hasty) as client:
            return await ask(client)

    try:
        check = asyncio.run(run())
    except Exception as error:
        if not isinstance(error, PrefactorHttpError | ValueError) and not is_connection_error(
            error
        ):
            raise
        detail, _, advice = explained(error, http).partition(": check ")
        advice = f"check {advice}" if advice else ""
        check = Check(name=name, ok=False, detail=detail, advice=advice)
    return msgspec.structs.replace(check, detail=_without(http.api_token, check.detail))


def _without(token: str, text: str) -> str:
    """Return *text* with the *token* masked.

    What is shorter than any token is left: to mask a word of the language would tell it.
    """
    if len(token) < _SHORTEST_TOKEN:
        return text
    return re.sub(rf"(?<!\w){re.escape(token)}(?!\w)", "***", text)


async def _token(client: PrefactorHttpClient) -> Check:
    try:
        await client.validate_token()
    except PrefactorAuthError as error:
        return Check(
            name="token",
            ok=False,
            detail=f"the API refuses it: {error.message}",
            advice="copy PREFACTOR_API_TOKEN once more, or make a new one, for this address",
        )
    return Check(name="token", ok=True, detail="the API accepts it")


async def _agent(client: PrefactorHttpClient, agent: AgentInfo) -> Check:
    """Find out whose token it is, and whether agent and environment go with it."""
    try:
        await client.agent_instances.list_instances(page_size=1)
    except PrefactorAuthError:
        detail = "a deployment's token, which knows its agent"
        return Check(name="agent", ok=True, detail=detail)
    missing = [
        variable
        for variable, value in (
            ("PREFACTOR_AGENT_ID", agent.agent_id),
            ("PREFACTOR_ENVIRONMENT_ID", agent.environment_id),
        )
        if not value
    ]
    if missing:
        return Check(
            name="agent",
            ok=False,
            detail="a token of the account, which does not say for which agent",
            advice=f"set {' and '.join(missing)}, or use the token of a deployment",
        )
    try:
        found = await client.agents.get(agent.agent_id or "")
    except (PrefactorNotFoundError, ValueError):
        return Check(
            name="agent",
            ok=False,
            detail=f"this account has no agent {agent.agent_id}",
            advice="check PREFACTOR_AGENT_ID",
        )
    return Check(name="agent", ok=True, detail=f"{found.name} ({found.id})")


async def _partition(client: PrefactorHttpClient, agent_id: str | None) -> Check:
    name = "partition"
    answer = await client.pfids.generate(count=1)
    partition = extract_partition(answer.pfids[0])
    if agent_id is None:
        return Check(name=name, ok=True, detail=f"ids of this account have {partition}")
    if not is_pfid(agent_id):
        return Check(
            name=name,
            ok=False,
            detail=f"PREFACTOR_AGENT_ID={agent_id!r} is no id",
            advice="an id has 32 characters; copy it once more",
        )
    if extract_partition(agent_id) != partition:
        return Check(
            name=name,
            ok=False,
            detail=f"the agent is of account {extract_partition(agent_id)}, the token of another,"
            f" {partition}",
            advice="use an agent and a token of the same account",
        )
    return Check(name=name, ok=True, detail=f"{partition}, and the agent has the same")


async def _round_trip(client: PrefactorHttpClient) -> Check:
    """Send a bulk request, as the exporter does, whose one item asks for a run that is none."""
    key = (await client.pfids.generate(count=1)).pfids[0]
    item = {"_type": "agent_instances/show", "idempotency_key": key, "agent_instance_id": key}
    began = time.monotonic()
    outcomes = await client.bulk.execute_encoded([msgspec.json.encode(item)])
    took = duration(time.monotonic() - began)
    if key not in outcomes:
        return Check(
            name="round trip",
            ok=False,
            detail="the API's answer to a bulk request does not mention its item",
            advice="check whether PREFACTOR_API_URL is the API itself",
        )
    return Check(name="round trip", ok=True, detail=f"a bulk request was answered after {took}")


# -- spool -----------------------------------------------------------------------------------


def _writable(directory: Path) -> Check:
    name = "spool"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
            file.write(b"written to see whether that works")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return Check(
            name=name,
            ok=False,
            detail=f"{directory} cannot be written: {error.strerror or error}",
            advice="check PREFACTOR_EXPORTER_SPOOL_DIR, who owns the directory, and its space",
        )
    if free < _LITTLE_SPACE:
        return Check(
            name=name,
            ok=False,
            detail=f"{directory} has {free / _MICROSECOND:,.0f} MB left",
            advice="make room, or choose another PREFACTOR_EXPORTER_SPOOL_DIR",
        )
    return Check(name=name, ok=True, detail=f"{directory} can be written")


def _backlog(directory: Path) -> Check:
    name = "backlog"
    found = survey(directory)
    troubles: list[str] = []
    left = sum(file.events for file in found.left_behind)
    if left:
        troubles.append(f"{left:,} events wait that no living process delivers")
    if found.letters:
        troubles.append(f"{len(found.letters):,} dead letters")
    damaged = sum(bool(file.problem) for file in found.files)
    if damaged or found.letters_problem:
        troubles.append(f"{damaged + bool(found.letters_problem):,} files that cannot be read")
    if troubles:
        return Check(
            name=name,
            ok=False,
            detail="; ".join(troubles),
            advice="look with 'prefactor-exporter spool ls', then 'spool resend' or 'spool purge'",
        )
    waiting = sum(file.events for file in found.files)
    return Check(name=name, ok=True, detail=f"{waiting:,} events wait, with living processes")
