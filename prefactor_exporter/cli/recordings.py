"""Read recorded agent runs: chat messages in the OpenAI format become runs of timed steps.

Pure but for `read`. A recording is JSON (an array of runs, one run, or an array of messages) or
JSON lines (a run, an array of messages or a message on each line), plain or gzipped; the content
decides, never the name. A run is an object with its messages under ``messages`` or ``traj``.
"""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

__all__ = ["RecordedRun", "RecordingError", "Step", "StepKind", "parse", "read"]

StepKind = Literal["user", "llm", "tool"]

STDIN = Path("-")

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_MESSAGE_KEYS = ("messages", "traj")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_MILLISECOND = 1_000_000


class RecordingError(Exception):
    """A file is no recording; the text names the file, the place in it and what is wrong."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run, which becomes one span.

    Attributes:
        kind: Who acted: the user, the language model or a tool.
        parent: Position among the steps of the model call that asked for this tool; None for a
            step of its own.
        started: Nanoseconds from the beginning of the run.
        finished: Nanoseconds from the beginning of the run, never before ``started``.
        payload: What went in.
        result: What came out, None if the step has no result.
    """

    kind: StepKind
    parent: int | None
    started: int
    finished: int
    payload: dict[str, Any]
    result: dict[str, Any] | None


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded run of an agent, its steps in the order they happened."""

    steps: tuple[Step, ...]

    @property
    def duration(self) -> int:
        """Nanoseconds from the beginning to the end of the last step."""
        return self.steps[-1].finished if self.steps else 0


class _Function(msgspec.Struct, frozen=True):
    """What a tool call calls; ``arguments`` is JSON in a string."""

    name: str
    arguments: Any = None


class _Call(msgspec.Struct, frozen=True):
    """A tool call of an assistant message."""

    function: _Function
    id: str | None = None


class _Message(msgspec.Struct, frozen=True):
    """The part of a chat message that decides what becomes of it."""

    role: str
    content: Any = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    model: str | None = None


def read(path: Path) -> list[RecordedRun]:
    """Read the recorded runs in the file *path*; ``-`` is standard input.

    Raises:
        RecordingError: The file cannot be read or is no recording.
    """
    source = "standard input" if path == STDIN else str(path)
    try:
        data = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{source}: {error.strerror or error}") from None
    return parse(data, source)


def parse(data: bytes, source: str) -> list[RecordedRun]:
    """Turn the content of a recording into runs.

    Args:
        data: The content, plain or gzipped.
        source: What errors call it.

    Raises:
        RecordingError: The content is no recording.
    """
    data = _unpacked(data, source).removeprefix(_BOM)
    if not data.strip():
        raise RecordingError(f"{source}: is empty")
    return [
        _run(entry, place, message_place) for entry, place, message_place in _entries(data, source)
    ]


_Entry = tuple[Any, str, Callable[[int], str]]
"""A run as it was found, where it stands, and where its n-th message stands."""


def _unpacked(data: bytes, source: str) -> bytes:
    """Undo gzip, if *data* is gzipped."""
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except EOFError:
        raise RecordingError(f"{source}: the gzip data ends too early; is it truncated?") from None
    except (OSError, zlib.error) as error:
        raise RecordingError(f"{source}: the gzip data is damaged: {error}") from None


def _entries(data: bytes, source: str) -> list[_Entry]:
    """Split the content into what is one run each."""
    try:
        whole = _decode(data)
    except ValueError as error:
        lines = [
            (number, line)
            for number, line in enumerate(data.splitlines(), start=1)
            if line and not line.isspace()
        ]
        if len(lines) > 1 and _is_json(lines[0][1]):
            return _entries_of_lines(lines, source)
        raise RecordingError(f"{source}: {_position(data, str(error))}") from None
    if not isinstance(whole, list) or _is_message(whole[0] if whole else None):
        return [(whole, source, lambda index: f"{source}: message {index} (from 0)")]
    if not whole:
        raise RecordingError(f"{source}: the array holds no runs")
    return [
        _entry(entry, f"{source}: run {index}", " (from 0)") for index, entry in enumerate(whole)
    ]


def _entries_of_lines(lines: Sequence[tuple[int, bytes]], source: str) -> list[_Entry]:
    """Split JSON lines into what is one run each."""
    decoded: list[tuple[int, Any]] = []
    for number, line in lines:
        try:
            decoded.append((number, _decode(line)))
        except ValueError as error:
            problem = _position(line, str(error), first_line=number)
            raise RecordingError(f"{source}: {problem}") from None
    if _is_message(decoded[0][1]):
        numbers = [number for number, _ in decoded]
        messages = [message for _, message in decoded]
        return [(messages, source, lambda index: f"{source}: line {numbers[index]}")]
    return [_entry(entry, f"{source}: line {number}", "") for number, entry in decoded]


def _entry(entry: Any, place: str, base: str) -> _Entry:
    """Put *entry* together with the names of its places; *base* says how they are counted."""
    return entry, place + base, lambda index: f"{place}, message {index} (from 0)"


def _run(entry: Any, place: str, message_place: Callable[[int], str]) -> RecordedRun:
    """Read one run.

    Raises:
        RecordingError: It has no messages, or one of them is no chat message.
    """
    about: dict[str, Any] = {}
    messages = entry
    if _is_message(entry):
        messages = [entry]
    elif isinstance(entry, dict):
        key = next((key for key in _MESSAGE_KEYS if key in entry), None)
        if key is None:
            raise RecordingError(
                f"{place}: a run needs its chat messages under 'messages' or 'traj'"
            )
        messages = entry[key]
        about = {
            name: value
            for name, value in entry.items()
            if isinstance(value, str | int | float | bool)
        }
    if not isinstance(messages, list):
        raise RecordingError(f"{place}: expected chat messages, found {_kind(messages)}")
    builder = _Builder(about)
    for index, raw in enumerate(messages):
        try:
            builder.add(raw, _message(raw))
        except ValueError as error:
            raise RecordingError(f"{message_place(index)}: {error}") from None
    return RecordedRun(steps=tuple(builder.steps))


class _Builder:
    """Turns the messages of one run into steps, in order."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.steps: list[Step] = []
        self._about = about
        self._model: Any = about.get("model")
        self._unseen: list[Any] = []  # by the model
        self._calls: dict[str, tuple[int, _Call]] = {}  # the nearest one, as ids come again
        self._clock = 0

    def add(self, raw: Any, message: _Message) -> None:
        """Take the next message."""
        if message.role == "assistant":
            self._add_llm(message)
            self._unseen = []
            return
        self._unseen.append(raw)
        if message.role == "tool":
            self._add_tool(message)
        elif message.role == "user":
            self._step("user", {"content": message.content}, None, said=message.content)

    def _add_llm(self, message: _Message) -> None:
        """Take an answer of the model; it was given what came since its last one."""
        payload: dict[str, Any] = {}
        model = message.model or self._model
        if model is not None:
            payload["model"] = model
        if self._about:
            payload["recording"] = self._about
            self._about = {}
        payload["messages"] = self._unseen
        calls = message.tool_calls or []
        result = {
            "content": message.content,
            "tool_calls": [
                {
                    "id": call.id,
                    "name": call.function.name,
                    "arguments": _arguments(call.function.arguments),
                }
                for call in calls
            ],
        }
        said = (message.content, [call.function.arguments for call in calls])
        self._step("llm", payload, result, said=said)
        position = len(self.steps) - 1
        self._calls.update((call.id, (position, call)) for call in calls if call.id)

    def _add_tool(self, message: _Message) -> None:
        """Take the answer of a tool; it hangs on the model call that asked for it, if one did."""
        parent, call = self._calls.get(message.tool_call_id or "", (None, None))
        payload: dict[str, Any] = {"name": message.name}
        if call is not None:
            payload = {
                "name": message.name or call.function.name,
                "arguments": _arguments(call.function.arguments),
            }
        if message.tool_call_id is not None:
            payload["tool_call_id"] = message.tool_call_id
        result = {"content": message.content}
        self._step("tool", payload, result, said=message.content, parent=parent)

    def _step(
        self,
        kind: StepKind,
        payload: dict[str, Any],
        result: dict[str, Any] | None,
        *,
        said: Any,
        parent: int | None = None,
    ) -> None:
        """Append a step that takes about as long as saying *said* would."""
        pause, least, each, most = _PACE[kind]
        started = self._clock + pause * _MILLISECOND
        self._clock = started + int(min(most, least + each * len(str(said))) * _MILLISECOND)
        self.steps.append(
            Step(
                kind=kind,
                parent=parent,
                started=started,
                finished=self._clock,
                payload=payload,
                result=result,
            )
        )


_PACE: dict[StepKind, tuple[int, int, float, int]] = {
    # Milliseconds: before it begins, at least, for each character, at most.
    "user": (1500, 800, 40.0, 30_000),
    "llm": (5, 450, 4.0, 12_000),
    "tool": (2, 60, 0.3, 4_000),
}


def _message(raw: Any) -> _Message:
    """Read one chat message.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"expected a chat message, found {_kind(raw)}")  # noqa: TRY004  # the file is wrong, not the program
    message = msgspec.convert(raw, _Message)
    if message.role not in _ROLES:
        raise ValueError(f"unknown role {message.role[:40]!r}; the roles are {', '.join(_ROLES)}")
    return message


def _arguments(text: Any) -> Any:
    """Read the arguments of a call; what is not JSON stays as it is."""
    if not isinstance(text, str):
        return text
    try:
        return _decode(text.encode())
    except ValueError:
        return text


def _decode(data: bytes) -> Any:
    """Decode JSON.

    Raises:
        ValueError: It is none, or nested too deeply.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _is_json(line: bytes) -> bool:
    """Say whether *line* alone is an object or array."""
    try:
        return isinstance(_decode(line), dict | list)
    except ValueError:
        return False


def _is_message(value: Any) -> bool:
    """Say whether *value* is meant as a chat message."""
    return isinstance(value, dict) and "role" in value


def _position(data: bytes, problem: str, *, first_line: int = 1) -> str:
    """Say *problem* of *data* with a line and column instead of msgspec's byte."""
    text, found, byte = problem.removesuffix(")").rpartition(" (byte ")
    if not found or not byte.isdecimal():
        return f"not JSON: {problem}"
    before = data[: int(byte)]
    line = before.count(b"\n") + first_line
    column = len(before) - before.rfind(b"\n")
    return f"line {line}, column {column}: not JSON: {text}"


def _kind(value: Any) -> str:
    """Name the kind of a JSON value."""
    kinds: Iterable[tuple[type, str]] = (
        (bool, "true or false"),
        (str, "a text"),
        (int, "a number"),
        (float, "a number"),
        (list, "an array"),
        (dict, "an object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
