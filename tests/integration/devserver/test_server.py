"""Promises of the server as a thing to hold: threads, ports, files, and the command line."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import aiohttp
import pytest
from pfid import extract_partition

from prefactor_http.devserver import DevServer, StorageError

ROOT = Path(__file__).parents[3]


def ping(url, token):
    request = urllib.request.Request(
        f"{url}/api/v1/ping", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["status"]


async def test_it_runs_inside_a_loop_without_blocking_it():
    """``async with`` works beside other tasks."""
    async with DevServer() as server:
        assert await asyncio.to_thread(ping, server.url, server.token) == "success"


def test_it_has_an_account_an_agent_an_environment_and_two_tokens():
    """All ids in one partition, which can be chosen."""
    with DevServer(partition=77, token="mine", deployment_token="its") as server:
        assert ping(server.url, "mine") == ping(server.url, "its") == "success"
        ids = (server.account_id, server.agent_id, server.environment_id)
        assert {extract_partition(pfid) for pfid in ids} == {server.partition} == {77}


async def test_pause_takes_the_api_down_and_resume_brings_it_back(api):
    """On the same port, with everything still there."""
    run, url = await api.instance(), api.server.url
    api.server.pause()
    api.server.pause()
    with pytest.raises(aiohttp.ClientError):
        await api.get("/ping")
    api.server.resume()
    api.server.resume()
    status, _ = await api.get(f"/agent_instance/{run}")

    assert status == 200 and api.server.url == url


async def test_reading_is_safe_from_any_thread(api):
    """While requests come in, rows are whole and counts only grow."""
    run = await api.instance()
    stop, failures, sizes = threading.Event(), [], []

    def read():
        while not stop.is_set():
            try:
                sizes.append(len(api.server.spans(run)))
                api.server.instances()
            except Exception as error:  # noqa: BLE001 - any failure is the finding
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(20):
        items = [
            {
                "_type": "agent_spans/create",
                "idempotency_key": f"{n:04}-{m:04}",
                "details": api.span(run),
            }
            for m in range(10)
        ]
        await api.bulk(*items)
    stop.set()
    reader.join()

    assert failures == []
    assert sizes == sorted(sizes)
    assert {size % 10 for size in sizes} <= {0}
    assert len(api.server.spans(run)) == 200


async def test_more_runs_than_are_kept_in_memory_are_served(api, monkeypatch):
    """What is forgotten is read again."""
    monkeypatch.setattr("prefactor_http.devserver.backend._MOST_KNOWN_INSTANCES", 1)
    runs = [await api.instance() for _ in range(3)]
    for run in runs * 2:
        await api.create(run)

    assert [len(api.server.spans(run)) for run in runs] == [2, 2, 2]


def test_terminating_what_does_not_run_is_an_error():
    """The message is the API's."""
    with DevServer() as server, pytest.raises(ValueError, match="not found"):
        server.terminate("nope", "x")


def test_a_file_keeps_data_tokens_and_partition(tmp_path):
    """Reopened with other words, the old tokens still work."""
    path = tmp_path / "dev.db"
    with DevServer(db=path, token="first", partition=5) as server:
        account_id = server.account_id
        server.set_token_state("first", "suspended")
        server.set_token_state("first", "active")
    with DevServer(db=path, token="second", partition=6) as server:
        assert ping(server.url, "first") == ping(server.url, "second") == "success"
        assert (server.account_id, server.partition) == (account_id, 5)


def test_a_file_of_another_program_is_refused(tmp_path):
    """A database that is not ours, a file that is none, a directory."""
    other, text = tmp_path / "other.db", tmp_path / "text.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    text.write_text("no database " * 100)

    for path in (other, text, tmp_path):
        with pytest.raises(StorageError, match="database"):
            DevServer(db=path)


def test_a_taken_port_is_an_os_error():
    """And the failed server is cleaned up."""
    with DevServer() as first:
        second = DevServer(port=first.port)
        with pytest.raises(OSError, match="address already in use"):
            second.start()
        second.stop()


def test_stopping_twice_or_before_starting_is_fine():
    """Nothing is left behind, and pausing what does not run says what to do."""
    server = DevServer()
    with pytest.raises(RuntimeError, match="with DevServer"):
        server.pause()
    server.stop()
    server.stop()


def run(*arguments, **options):
    command = [sys.executable, "-m", "prefactor_http.devserver", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_line_serves_until_told_to_stop(tmp_path, number):
    """One line with URL and token, then silence and exit status 0."""
    options = ["--port", "0", "--db", str(tmp_path / "x.db"), "--token", "mine"]
    with run(*options, "--fault", "every=2 status=503", "--switch", "create_status=201") as process:
        line = process.stdout.readline()
        url = line.split()[2]
        answer = ping(url, "mine")
        with pytest.raises(urllib.error.HTTPError, match="503") as failure:
            ping(url, "mine")
        failure.value.close()
        os.kill(process.pid, number)
        rest, errors = process.communicate(timeout=20)

    assert line.startswith("Listening on http://127.0.0.1:") and "token=mine" in line
    assert answer == "success"
    assert (process.returncode, rest, errors) == (0, "", "")


KNOWN = {"token": "dev-account-token", "deployment_token": "dev-deployment-token"}
OWN = {"token": "mine", "deployment_token": "its"}


@pytest.mark.parametrize(
    ("host", "tokens", "named"),
    [
        ("127.0.0.1", KNOWN, None),
        ("127.8.8.8", KNOWN, None),
        ("::1", KNOWN, None),
        ("localhost", KNOWN, None),
        ("0.0.0.0", OWN, None),
        ("0.0.0.0", KNOWN, "(dev-account-token, dev-deployment-token)"),
        ("::", KNOWN | {"token": "mine"}, "(dev-deployment-token)"),
        ("box.example", OWN | {"token": "dev-account-token"}, "(dev-account-token)"),
    ],
)
def test_a_server_knows_that_anybody_can_come_in(host, tokens, named):
    """From other machines, with a token that everybody knows."""
    server = DevServer(host=host, **tokens)
    exposure = server.exposure
    server.stop()

    assert exposure is None if named is None else named in exposure


def test_a_file_keeps_well_known_tokens_too(tmp_path):
    """Other tokens on the next start do not close the door."""
    DevServer(db=tmp_path / "x.db").stop()
    server = DevServer(db=tmp_path / "x.db", host="0.0.0.0", **OWN)
    assert "dev-account-token" in server.exposure
    server.set_token_state("dev-account-token", "revoked")
    server.set_token_state("dev-deployment-token", "revoked")
    assert server.exposure is None
    server.stop()


@pytest.mark.slow
def test_the_command_line_warns_of_an_open_door():
    """In one line; with tokens of one's own there is nothing to say."""
    with run("--host", "0.0.0.0", "--port", "0") as process:
        assert process.stdout.readline().startswith("Listening on")
        process.terminate()
        _, errors = process.communicate(timeout=20)

    assert errors.startswith("prefactor_http.devserver: warning: 0.0.0.0 is open to other machines")
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_the_port_of_a_paused_server_is_taken_by_nobody_else():
    """It refuses connections as a dead server would, and comes back where it was."""
    with DevServer() as server:
        server.pause()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), timeout=10)
        others = [socket.create_server((server.host, 0), reuse_port=False) for _ in range(50)]
        ports = {other.getsockname()[1] for other in others}
        for other in others:
            other.close()
        server.resume()
        socket.create_connection((server.host, server.port), timeout=10).close()

    assert server.port not in ports


def test_what_cannot_work_is_said_in_one_line(tmp_path):
    """A taken port, a bad database, a bad rule, a bad switch: no traceback."""
    (tmp_path / "bad.db").write_text("x" * 5000)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = [
            (["--port", port], 1, "cannot listen on 127.0.0.1"),
            (["--port", "0", "--db", str(tmp_path / "bad.db")], 1, "cannot use the database"),
            (["--port", "0", "--partition", "-1"], 1, "partition must be between"),
            (["--port", "99999"], 1, "cannot listen"),
            (["--fault", "sometimes"], 2, "unknown word 'sometimes'"),
            (["--switch", "sometimes"], 2, "unknown switch 'sometimes'"),
        ]
        processes = [run(*arguments) for arguments, _, _ in cases]
        outcomes = [(process.communicate(timeout=20), process.returncode) for process in processes]

    for (_, status, message), ((out, errors), returned) in zip(cases, outcomes, strict=True):
        assert returned == status
        assert message in errors and "Traceback" not in errors and out == ""
