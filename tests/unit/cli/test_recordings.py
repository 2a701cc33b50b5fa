"""Recorded runs become steps; what is no recording is named with its place."""

import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter.cli.recordings import RecordingError, parse, read

CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
MESSAGES = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "name": "find", "content": "found"},
    {"role": "assistant", "content": "here it is"},
]
ROLE_NAMES = ["system", "developer", "user", "assistant", "tool"]
WRONG_ID = "Expected `str | null`, got `int` - at `$.tool_calls[0].id`"
KINDS = ["user", "llm", "tool", "llm"]


def kinds(run):
    return [step.kind for step in run.steps]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        (json.dumps([{"traj": MESSAGES}, {"messages": MESSAGES}]), 2),
        (json.dumps([MESSAGES, MESSAGES]), 2),
        (json.dumps({"messages": MESSAGES}, indent=2), 1),
        (json.dumps(MESSAGES), 1),
        ("".join(json.dumps({"messages": MESSAGES}) + "\n" for _ in range(3)), 3),
        ("\n\n".join(json.dumps(MESSAGES) for _ in range(3)), 3),
        ("\r\n".join(json.dumps(message) for message in MESSAGES), 1),
        ("\ufeff" + json.dumps(MESSAGES), 1),
    ],
    ids=[
        "array of runs",
        "array of message arrays",
        "one run",
        "array of messages",
        "lines of runs",
        "lines of message arrays",
        "lines of messages",
        "byte order mark",
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_every_usual_shape_is_read(text, runs, pack):
    """The content decides what a file is, plain or gzipped."""
    found = parse(pack(text.encode()), "a file")

    assert [kinds(run) for run in found] == [KINDS] * runs


def test_single_message_is_a_run():
    """One line of a file that would go on is a run of one message."""
    (run,) = parse(b'{"role": "user", "content": "hello"}', "a file")

    assert kinds(run) == ["user"]


def test_tool_that_names_no_call_is_a_step_of_its_own():
    """A tool's answer without an id belongs to no call, not even to one without an id."""
    messages = [
        {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "find"}}]},
        {"role": "tool", "content": "found"},
    ]
    (run,) = parse(json.dumps(messages).encode(), "a file")

    assert [step.parent for step in run.steps] == [None, None]
    assert run.steps[1].payload == {"name": None}


def test_model_sees_what_came_since_its_last_answer():
    """The payload of a model call is what is new to the model, the system prompt included."""
    (run,) = parse(json.dumps(MESSAGES).encode(), "a file")

    assert run.steps[1].payload["messages"] == MESSAGES[:2]
    assert run.steps[3].payload["messages"] == [MESSAGES[3]]
    assert run.steps[1].result == {
        "content": None,
        "tool_calls": [{"id": "call_1", "name": "find", "arguments": {"a": 1}}],
    }


def test_tool_step_holds_the_call_and_the_answer():
    """A tool step shows its name, its parsed arguments and what it answered."""
    (run,) = parse(json.dumps(MESSAGES).encode(), "a file")
    step = run.steps[2]

    assert step.parent == 1
    assert step.payload == {"name": "find", "arguments": {"a": 1}, "tool_call_id": "call_1"}
    assert step.result == {"content": "found"}


def test_tool_without_a_call_is_a_step_of_its_own():
    """An answer nobody asked for is kept, without a parent."""
    messages = [{"role": "tool", "tool_call_id": "unheard", "name": "find", "content": "found"}]
    (run,) = parse(json.dumps(messages).encode(), "a file")

    assert [(step.kind, step.parent) for step in run.steps] == [("tool", None)]
    assert run.steps[0].payload == {"name": "find", "tool_call_id": "unheard"}


def test_arguments_that_are_no_json_stay_as_they_are():
    """A model's malformed arguments are shown, not refused."""
    call = {"id": "c", "function": {"name": "find", "arguments": '{"a": '}}
    messages = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "what?"},
    ]
    (run,) = parse(json.dumps(messages).encode(), "a file")

    assert run.steps[1].payload == {"name": "find", "arguments": '{"a": ', "tool_call_id": "c"}


def test_first_model_call_tells_what_is_known_of_the_run():
    """Plain values beside the messages travel with the first model call, the model with each."""
    recording = {"task_id": 7, "model": "gpt-x", "info": {"big": []}, "traj": MESSAGES}
    (run,) = parse(json.dumps([recording]).encode(), "a file")

    assert run.steps[1].payload["recording"] == {"task_id": 7, "model": "gpt-x"}
    assert [step.payload.get("model") for step in run.steps] == [None, "gpt-x", None, "gpt-x"]
    assert "recording" not in run.steps[3].payload


ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
IDS = st.sampled_from(["a", "b", "c"])


@given(plan=st.lists(st.tuples(ROLES, st.lists(IDS, min_size=1, max_size=3)), max_size=30))
def test_tool_hangs_on_the_nearest_call_before_it(plan):
    """Whatever ids repeat, a tool's parent is the latest model call before it with its id."""
    messages = []
    for role, ids in plan:
        message = {"role": role, "content": "text"}
        if role == "assistant":
            message["tool_calls"] = [{"id": id_, "function": {"name": "f"}} for id_ in ids]
        elif role == "tool":
            message["tool_call_id"] = ids[0]
        messages.append(message)
    (run,) = parse(json.dumps({"messages": messages}).encode(), "a file")

    spans = [(role, ids) for role, ids in plan if role != "system"]
    assert len(run.steps) == len(spans)
    for position, ((role, ids), step) in enumerate(zip(spans, run.steps, strict=True)):
        callers = [
            before
            for before in range(position)
            if role == "tool" and spans[before][0] == "assistant" and ids[0] in spans[before][1]
        ]
        assert step.parent == (callers[-1] if callers else None)


@given(texts=st.lists(st.text(max_size=200), min_size=1, max_size=10))
def test_steps_follow_one_another_in_time(texts):
    """Times only grow, and the same recording always gets the same ones."""
    messages = [{"role": "user", "content": text} for text in texts]
    data = json.dumps(messages).encode()
    (run,) = parse(data, "a file")
    times = [time for step in run.steps for time in (step.started, step.finished)]

    assert times == sorted(set(times))
    assert run.duration == times[-1]
    assert parse(data, "a file") == [run]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "f: is empty"),
        (b" \n ", "f: is empty"),
        (b"[]", "f: the array holds no runs"),
        (b"5", "f: expected chat messages, found a number"),
        (b"{}", "f: a run needs its chat messages under 'messages' or 'traj'"),
        (b'[{"messages": 5}]', "f: run 0 (from 0): expected chat messages, found a number"),
        (b'[{"traj": []}, null]', "f: run 1 (from 0): expected chat messages, found null"),
        (
            b'[{"traj": []}, {"traj": [{"role": "user"}, "hm"]}]',
            "f: run 1, message 1 (from 0): expected a chat message, found a text",
        ),
        (
            b'[{"role": "user"}, {"role": "wizard"}]',
            "f: message 1 (from 0): unknown role 'wizard'; the roles are " + ", ".join(ROLE_NAMES),
        ),
        (
            b'{"messages": [{"content": "x"}]}',
            "f: message 0 (from 0): Object missing required field `role`",
        ),
        (
            b'[[{"role": "assistant", "tool_calls": [{"id": 1, "function": {"name": "f"}}]}]]',
            f"f: run 0, message 0 (from 0): {WRONG_ID}",
        ),
        (
            b'{"role": "user"}\n\n{"role": ]\n',
            "f: line 3, column 10: not JSON: JSON is malformed: invalid character",
        ),
        (b'{"role": "user"}\n{"role": 5}\n', "f: line 2: Expected `str`, got `int` - at `$.role`"),
        (
            b'{"traj": []}\n{"traj": [7]}',
            "f: line 2, message 0 (from 0): expected a chat message, found a number",
        ),
        (
            b'[\n  {"traj": oops',
            "f: line 2, column 12: not JSON: JSON is malformed: invalid character",
        ),
        (b'[{"traj": [', "f: not JSON: Input data was truncated"),
        (b"[" * 100_000, "f: not JSON: the JSON is nested too deeply"),
        (gzip.compress(b"[]" * 100)[:-9], "f: the gzip data ends too early; is it truncated?"),
    ],
)
def test_what_is_no_recording_is_named_with_its_place(data, problem):
    """The error names the file, the run, the message and what is wrong there."""
    with pytest.raises(RecordingError) as caught:
        parse(data, "f")

    assert str(caught.value) == problem


def test_damaged_gzip_is_named():
    """A gzip file with a wrong checksum or junk inside is not half read."""
    data = bytearray(gzip.compress(b'[{"role": "user"}]'))
    data[-8] ^= 0xFF

    with pytest.raises(RecordingError, match="f: the gzip data is damaged: "):
        parse(bytes(data), "f")


def test_missing_file_is_named(tmp_path):
    """A file that is not there is one clear sentence."""
    path = tmp_path / "none.json"

    with pytest.raises(RecordingError) as caught:
        read(path)

    assert str(caught.value) == f"{path}: No such file or directory"


LOOKALIKES = st.text('[]{}":,0role mesagtj\n', max_size=60).map(str.encode)


@given(data=st.binary(max_size=60) | LOOKALIKES)
def test_any_bytes_give_runs_or_one_clear_error(data):
    """Nothing in a file ends in anything but runs or a RecordingError."""
    with suppress(RecordingError):
        assert parse(data, "f")
