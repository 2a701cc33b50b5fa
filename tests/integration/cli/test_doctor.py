"""``doctor``: names what is wrong and what to do, says nothing of the token, and is right."""

import http.server
import json
import ssl
import threading
from email.utils import formatdate

import pytest

from prefactor_exporter import HttpClientConfig
from prefactor_exporter.cli import checks
from prefactor_exporter.cli.checks import Check, diagnose
from prefactor_http.devserver import DevServer

pytestmark = pytest.mark.slow

ALL = [
    "configuration",
    "address",
    "name",
    "connection",
    "clock",
    "token",
    "agent",
    "partition",
    "round trip",
    "spool",
]


@pytest.fixture
def environ(server):
    """What somebody with a token of the account has set."""
    return {
        "PREFACTOR_API_URL": server.url,
        "PREFACTOR_API_TOKEN": server.token,
        "PREFACTOR_AGENT_ID": server.agent_id,
        "PREFACTOR_ENVIRONMENT_ID": server.environment_id,
    }


@pytest.fixture
def deployment(server):
    """What somebody with a token of a deployment has set."""
    return {"PREFACTOR_API_URL": server.url, "PREFACTOR_API_TOKEN": server.deployment_token}


def diagnosis(environ):
    """Return the checks by name; the last one is what went wrong, if anything did."""
    return {check.name: check for check in diagnose(environ)}


@pytest.mark.parametrize("kind", ["environ", "deployment"])
def test_all_is_well(call, tmp_path, request, kind):
    """Every check has a line, and the exit status says that all is well."""
    variables = request.getfixturevalue(kind)
    done = call("doctor", PREFACTOR_EXPORTER_SPOOL_DIR=tmp_path / "new", **variables)

    assert (done.exit_code, done.stderr) == (0, "")
    assert [line[:16].rstrip() for line in done.stdout.splitlines()] == [
        f"✓ {name}" for name in [*ALL, "backlog"]
    ]
    assert variables["PREFACTOR_API_TOKEN"] not in done.stdout
    assert list((tmp_path / "new").iterdir()) == []


def test_answers_are_readable_for_machines(call, environ):
    """``--json`` has every check with its answer."""
    done = call("doctor", "--json", **environ)
    told = json.loads(done.stdout)

    assert (done.exit_code, told["ok"]) == (0, True)
    assert [check["name"] for check in told["checks"]] == ALL
    assert [check["ok"] for check in told["checks"]] == [True] * 9 + [None]


def test_failure_says_what_to_do_and_has_status_1(call, server):
    """A failed check ends in advice, and what stands on it is not asked."""
    done = call("doctor", "--url", server.url, "--token", "hocus pocus?")
    wrong = call("doctor", "--url", server.url, "--token", "hocus-pocus")

    assert (done.exit_code, wrong.exit_code) == (1, 1)
    assert wrong.stderr == "error: 1 of 7 checks failed\n"
    assert (
        "✗ token         the API refuses it: the token is missing or unknown: copy " in wrong.stdout
    )
    assert "hocus" not in done.output + wrong.output


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "there is no token"),
        ({"PREFACTOR_EXPORTER_LINGER": "soon"}, "PREFACTOR_EXPORTER_LINGER='soon' cannot be read"),
        ({"PREFACTOR_API_TOKEN": "a\n"}, "PREFACTOR_API_TOKEN: http.api_token has a control"),
        ({"PREFACTOR_EXPORTER_LINGR": "1"}, "nothing reads PREFACTOR_EXPORTER_LINGR"),
    ],
)
def test_configuration_is_checked(variables, problem):
    """What the exporter would not read, or not as meant, is named."""
    token = {} if problem == "there is no token" else {"PREFACTOR_API_TOKEN": "t"}
    first = next(iter(diagnose(token | variables)))

    assert (first.name, first.ok) == ("configuration", False)
    assert first.detail.startswith(problem)
    assert first.advice


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://here", "it must begin with https:// or http://"),
        ("http://", "it names no host"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://here:99999", "Port out of range"),
        ("http://here:0", "its port is 0"),
        ("http://me@here", "it must end with the host or a path"),
    ],
)
def test_address_is_checked(environ, url, problem):
    """A bad address is named before anybody is asked."""
    found = diagnosis(environ | {"PREFACTOR_API_URL": url})

    assert found["configuration"].ok is False
    assert "PREFACTOR_API_URL" in found["configuration"].detail
    assert problem in found["configuration"].detail
    assert "address" not in found


def test_an_address_without_encryption_is_named(environ):
    """Before anybody is asked; the token would be there to read."""
    found = diagnosis(environ | {"PREFACTOR_API_URL": "http://example.org"})

    assert found["address"].ok is False
    assert "is not encrypted" in found["address"].detail
    assert "name" not in found


def test_impossible_name_is_told(environ):
    """A name that cannot be one is no reason to crash."""
    found = diagnosis(environ | {"PREFACTOR_API_URL": "https://a..b"})

    assert found["name"].detail.startswith("a..b cannot be looked up: ")


def test_unknown_name_is_told(environ, monkeypatch):
    """What cannot be looked up is not connected to."""

    def fail(*_, **__):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(checks.socket, "getaddrinfo", fail)
    found = diagnosis(environ)

    assert found["name"].detail == "127.0.0.1 cannot be looked up: Name or service not known"
    assert "connection" not in found


@pytest.mark.parametrize(
    ("url", "problem"),
    [("http://127.0.0.1:1", "nobody listens there"), ("https", "no encrypted connection: ")],
)
def test_connection_is_checked(environ, server, url, problem):
    """A port nobody listens on, and one that does not speak TLS, are told apart."""
    url = server.url.replace("http", "https") if url == "https" else url
    found = diagnosis(environ | {"PREFACTOR_API_URL": url, "HTTPS_PROXY": "http://proxy"})

    assert found["connection"].detail.startswith(problem)
    assert "proxies of the environment (HTTPS_PROXY) are not used" in found["connection"].advice
    assert "token" not in found


def untrusted():
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (untrusted(), "the certificate is not trusted: self-signed certificate"),
        (TimeoutError(), "no answer within 10 s"),
        (http.client.BadStatusLine("SSH-2.0"), "what answers does not speak HTTP: "),
        (OSError("Network is unreachable"), "Network is unreachable"),
    ],
)
def test_each_failure_of_a_connection_has_its_advice(error, problem):
    """Whoever reads it knows where to look."""
    detail, advice = checks._what_failed(error)

    assert detail.startswith(problem)
    assert advice


class Strange(http.server.BaseHTTPRequestHandler):
    """Answers with the clock and the status it is told."""

    def do_GET(self):
        self.wfile.write(self.server.answer.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def strange():
    """A web server that is no API; its answer can be set."""
    with http.server.HTTPServer(("127.0.0.1", 0), Strange) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("date", "ok", "detail"),
    [
        (formatdate(0, usegmt=True), False, " ahead"),
        (formatdate(2**33, usegmt=True), False, " behind"),
        ("yesterday", None, "the server does not say"),
    ],
)
def test_clock_is_compared_with_the_servers(environ, strange, date, ok, detail):
    """A clock that is far off makes spans that lie."""
    strange.answer = f"HTTP/1.0 200 OK\r\nDate: {date}\r\n\r\n<html>"
    found = diagnosis(environ | {"PREFACTOR_API_URL": f"http://127.0.0.1:{strange.server_port}"})

    assert found["clock"].ok is ok
    assert detail in found["clock"].detail
    assert found["token"].ok is False
    assert "does not speak the Prefactor API" in found["token"].detail


def test_redirect_is_not_followed(environ, strange):
    """Where the API really is goes into the configuration."""
    strange.answer = "HTTP/1.0 301 Moved\r\nLocation: https://there\r\n\r\n"
    found = diagnosis(environ | {"PREFACTOR_API_URL": f"http://127.0.0.1:{strange.server_port}"})

    assert found["connection"].detail.startswith("the address redirects to https://there")
    assert "token" not in found


@pytest.mark.parametrize(
    ("variables", "detail", "advice"),
    [
        ({"PREFACTOR_AGENT_ID": ""}, "a token of the account", "set PREFACTOR_AGENT_ID, or"),
        (
            {"PREFACTOR_AGENT_ID": "", "PREFACTOR_ENVIRONMENT_ID": ""},
            "a token of the account",
            "set PREFACTOR_AGENT_ID and PREFACTOR_ENVIRONMENT_ID, or",
        ),
        ({"PREFACTOR_AGENT_ID": "nobody"}, "this account has no agent nobody", "check PREFACTOR"),
    ],
)
def test_agent_goes_with_the_token(environ, variables, detail, advice):
    """A token of the account needs an agent that the account has."""
    found = diagnosis(environ | variables)["agent"]

    assert found.ok is False
    assert found.detail.startswith(detail)
    assert found.advice.startswith(advice)


def test_agent_of_another_account_is_told(environ):
    """Agent and token have the same partition, or do not belong together."""
    with DevServer() as other:
        found = diagnosis(environ | {"PREFACTOR_AGENT_ID": other.agent_id})

    assert found["partition"].ok is False
    assert str(other.partition) in found["partition"].detail
    assert diagnosis(environ | {"PREFACTOR_AGENT_ID": "nobody"})["partition"].advice


@pytest.mark.parametrize(
    ("fault", "failed", "detail"),
    [
        ("path=pfid status=404", "partition", "answered: "),
        ("path=bulk html", "round trip", "does not speak the Prefactor API"),
        ("path=bulk drop_output", "round trip", "does not mention its item"),
        ("path=bulk status=413", "round trip", "answered: "),
    ],
)
def test_what_the_api_does_not_do_is_told(environ, server, fault, failed, detail):
    """Each call the exporter depends on is tried."""
    server.faults.add(fault)
    found = diagnosis(environ)

    assert found[failed].ok is False
    assert detail in found[failed].detail


def test_nothing_is_changed_by_the_round_trip(environ, server):
    """Looking leaves no run, no span and no agent behind."""
    diagnosis(environ)

    assert server.instances() == server.spans() == []


@pytest.mark.parametrize("directory", ["file", "file/below"])
def test_spool_must_be_writable(environ, tmp_path, directory):
    """What cannot be a directory is told with the reason."""
    (tmp_path / "file").write_text("no directory")
    found = diagnosis(environ | {"PREFACTOR_EXPORTER_SPOOL_DIR": str(tmp_path / directory)})

    assert found["spool"].ok is False
    assert "cannot be written" in found["spool"].detail
    assert "backlog" not in found


def test_little_space_is_told(environ, tmp_path, monkeypatch):
    """A spool without room keeps nothing."""
    monkeypatch.setattr(checks, "_LITTLE_SPACE", 2**80)
    found = diagnosis(environ | {"PREFACTOR_EXPORTER_SPOOL_DIR": str(tmp_path)})

    assert found["spool"].advice.startswith("make room")


def test_backlog_is_told(environ, server, record, tmp_path):
    """Dead letters, and what no living process delivers, need somebody."""
    server.faults.add("type=agent_spans/create item_error=validation_errors times=1")
    first = record(spool_dir=tmp_path)
    first.record_span("a")
    first.flush()
    first.shutdown()
    server.faults.clear()
    other = record(spool_dir=tmp_path, http=HttpClientConfig("http://127.0.0.1:1", "t"))
    other.register_instance()
    other.shutdown(timeout=0)
    (tmp_path / "x.damaged").touch()
    found = diagnosis(environ | {"PREFACTOR_EXPORTER_SPOOL_DIR": str(tmp_path)})

    assert found["backlog"] == Check(
        name="backlog",
        ok=False,
        detail="1 events wait that no living process delivers; 1 dead letters; "
        "1 files that cannot be read",
        advice="look with 'prefactor-exporter spool ls', then 'spool resend' or 'spool purge'",
    )


def test_token_in_a_text_of_the_api_is_masked(call, server):
    """Whoever repeats the token, doctor does not."""
    server.faults.add("path=ping status=401 message=bad:hocus-pocus")
    done = call("doctor", "--url", server.url, "--token", "hocus-pocus")

    assert "bad:***" in done.stdout
    assert "hocus" not in done.output


@pytest.mark.parametrize("token", ["w", "refuses"])
def test_a_short_token_garbles_no_words(call, server, token):
    """Masking the letters of a sentence would spell the token out."""
    done = call("doctor", "--url", server.url, "--token", token)

    assert "this clock and the server's agree" in done.stdout
    assert "the API refuses it: the token is missing or unknown" in done.stdout
    assert "*" not in done.stdout


def test_poor_terminals_get_words(run):
    """Where the marks cannot be shown, words stand for them."""
    done = run("doctor", PYTHONIOENCODING="ascii")

    assert done.returncode == 1
    assert done.stdout.startswith("FAIL configuration ")
