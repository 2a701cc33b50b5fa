"""``replay``: recorded runs arrive whole, or the command says what is wrong."""

import gzip
import json
import signal
import threading

import pytest

from prefactor_exporter import ExporterConfig, HttpClientConfig
from prefactor_exporter.cli.recordings import read
from prefactor_exporter.cli.replay import Replay

CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
MESSAGES = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "name": "find", "content": "found"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "name": "find", "content": "found again"},
    {"role": "assistant", "content": "here it is"},
]
SPANS = 6
ROLES = "system, developer, user, assistant, tool"


@pytest.fixture
def recording(tmp_path):
    """A gzipped recording of five runs under a name that does not say so."""
    path = tmp_path / "runs.json"
    path.write_bytes(gzip.compress(json.dumps([{"traj": MESSAGES}] * 5).encode()))
    return path


@pytest.fixture
def target(server):
    return ["--url", server.url, "--token", server.deployment_token]


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults",
    [[], ["times=1 status=503", "times=1 reset=after", "times=1 status=429 retry_after_ms=10"]],
    ids=["no faults", "faults"],
)
def test_runs_arrive_whole_and_once(run, server, target, recording, faults):
    """Each run is a complete instance, each message a span, tools under their calls."""
    for fault in faults:
        server.faults.add(fault)
    done = run("replay", recording, *target, "--json")
    told = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert (told["runs"], told["spans"]) == (5, 5 * SPANS)
    assert told["recorded"] == told["delivered"]
    assert [row["status"] for row in server.instances()] == ["complete"] * 5
    assert len(server.spans()) == 5 * SPANS
    for instance in server.instances():
        spans = sorted(server.spans(instance["id"]), key=lambda row: row["started_at"])
        ids = [row["id"] for row in spans]
        user, llm, tool = "agent:user", "agent:llm", "agent:tool"
        assert [row["schema_name"] for row in spans] == [user, llm, tool, llm, tool, llm]
        parents = [row["parent_span_id"] for row in spans]
        assert parents == [None, None, ids[1], None, ids[3], None]
        assert {row["status"] for row in spans} == {"complete"}
        assert [row["mismatch"] for row in spans] == [None] * SPANS
        assert spans[4]["payload"]["arguments"] == {"a": 1}
        assert spans[4]["result_payload"] == {"content": "found again"}
        assert instance["started_at"] <= spans[0]["started_at"]
        assert instance["finished_at"] >= spans[-1]["finished_at"]


@pytest.mark.slow
def test_environment_and_runs_are_heeded(run, server, recording):
    """The usual variables say where to, ``--runs`` how much."""
    done = run(
        "replay",
        recording,
        "--runs",
        2,
        PREFACTOR_API_URL=server.url,
        PREFACTOR_API_TOKEN=server.token,
        PREFACTOR_AGENT_ID=server.agent_id,
        PREFACTOR_ENVIRONMENT_ID=server.environment_id,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [row["agent_id"] for row in server.instances()] == [server.agent_id] * 2
    assert "spans recorded" in done.stdout


@pytest.mark.slow
def test_standard_input_and_several_files(run, server, target, recording):
    """``-`` stands for standard input, beside other files."""
    lines = "\n".join(json.dumps(message) for message in MESSAGES)
    done = run("replay", recording, "-", *target, "--json", stdin=lines)

    assert done.returncode == 0
    assert json.loads(done.stdout)["runs"] == len(server.instances()) == 6


@pytest.mark.slow
def test_speed_paces_without_changing_what_arrives(run, server, target, recording):
    """A paced replay arrives whole, with times that began with the replay."""
    done = run("replay", recording, *target, "--runs", 1, "--speed", 1e6, "--json")

    assert done.returncode == 0
    assert len(server.spans()) == SPANS


@pytest.mark.slow
def test_refused_runs_are_not_success(run, server, target, recording):
    """What the API refuses is in the sums and makes the command fail."""
    server.faults.add("schema_name=agent:tool item_error=validation_errors")
    done = run("replay", recording, *target, "--json")
    told = json.loads(done.stdout)

    assert done.returncode == 1
    assert told["dead"] == 10
    assert told["recorded"] == told["delivered"] + told["dead"]
    assert done.stderr.startswith(f"error: not everything was delivered to {server.url}: ")


@pytest.mark.slow
def test_absent_api_is_given_up_in_words(run, recording):
    """Where nobody listens, the command ends by itself and says so."""
    done = run("replay", recording, "--url", "http://127.0.0.1:9", "--patience", 0)

    assert done.returncode == 1
    assert "not everything was delivered to http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_full_queue_without_an_api_is_given_up(recording):
    """What does not fit any more is not recorded once nothing is delivered."""
    http = HttpClientConfig("http://127.0.0.1:9", "a token")
    config = ExporterConfig(http=http, max_queue_items=10, overflow="block", block_timeout=0.0)
    replay = Replay(config, patience=0.0)
    interrupted = replay.run(read(recording))
    report = replay.report()

    assert not interrupted
    assert (report["runs"], report["spans"], report["spans_total"]) == (1, SPANS, 5 * SPANS)
    assert report["recorded"] == report["dropped"]


@pytest.mark.slow
def test_ctrl_c_ends_a_replay_with_its_sums(start, server, target, recording):
    """An interrupted replay delivers what it has, shows the sums and has status 130."""
    child = start("replay", recording, *target, "--speed", 0.001, "--json")
    tick = threading.Event()
    while not server.instances():
        tick.wait(0.01)
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate()
    told = json.loads(output)

    assert child.returncode == 130
    assert told["recorded"] == told["delivered"]
    assert errors == "interrupted; what was recorded before is in the sums\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"hello", "line 1, column 1: not JSON: JSON is malformed: invalid character"),
        (gzip.compress(b"[]" * 99)[:-9], "the gzip data ends too early; is it truncated?"),
        (
            json.dumps([MESSAGES, [*MESSAGES, {"role": "wizard"}]]).encode(),
            f"run 1, message 7 (from 0): unknown role 'wizard'; the roles are {ROLES}",
        ),
    ],
    ids=["missing", "not JSON", "truncated gzip", "wrong shape"],
)
def test_bad_file_is_one_line_and_sends_nothing(run, server, recording, content, problem):
    """A bad file is named with its place before any of the good ones is sent."""
    path = recording.with_name("bad.json")
    if content is not None:
        path.write_bytes(content)
    done = run("replay", recording, path, "--url", server.url)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {path}: {problem}\n"
    assert server.requests.count() == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--speed", "0"], "--speed must be a number above 0, got 0"),
        (["--speed", "nan"], "--speed must be a number above 0, got nan"),
        (["--url", "http://[::1"], "--url must be an address such as http://127.0.0.1:8787"),
        (["--url", "nowhere"], "--url must be an address such as http://127.0.0.1:8787"),
        (["--url", "https://example.org"], "https://example.org needs a token: give --token"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(run, recording, arguments, problem):
    """A mistake in an option is one line that says what is wanted."""
    done = run("replay", recording, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.count("\n") == 1
