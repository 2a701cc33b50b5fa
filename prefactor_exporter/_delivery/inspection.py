"""Own the look at a spool directory from outside: what waits there, whose it is, what was refused.

Nothing here needs an exporter, and nothing disturbs one that uses the directory: looking takes no
file away from its owner, and only what belongs to nobody is removed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from prefactor_exporter._core.events import Event, describe
from prefactor_exporter._core.stored import UNREADABLE, unpack
from prefactor_exporter._core.wire import rfc3339
from prefactor_exporter._delivery.dead_letters import DeadLetter, DeadLetters, LetterHead
from prefactor_exporter._delivery.spool_file import (
    DAMAGED,
    SUFFIX,
    discard,
    is_alive,
    open_database,
)

__all__ = [
    "Survey",
    "WaitingFile",
    "described",
    "letters_of",
    "purge_file",
    "survey",
    "waiting_events",
]

_ROWS_AT_ONCE: Final = 50
_LETTERS_AT_ONCE: Final = 50


class WaitingFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of events that wait to be delivered.

    Attributes:
        path: The file.
        alive: Whether the process that writes it lives; what it holds is that process's to deliver.
        events: Recorded events in it; a merged span counts as two.
        bytes: What the file and its log take on disk.
        oldest: When the oldest of its events happened, in nanoseconds since the epoch; None if
            there is none.
        pid: The process that made it.
        api_url: Where the events go.
        agent_id: The agent they are recorded for; empty if the token says it.
        token_mark: What tells that token from others; empty if the agent is known.
        problem: Why it cannot be read, empty if it can; then the figures are unknown and zero.
    """

    path: Path
    alive: bool
    events: int = 0
    bytes: int = 0
    oldest: int | None = None
    pid: str = ""
    api_url: str = ""
    agent_id: str = ""
    token_mark: str = ""
    problem: str = ""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a spool directory.

    Attributes:
        files: What waits, oldest file first.
        letters: What was refused, oldest first.
        letters_problem: Why the dead letters cannot be read, empty if they can.
    """

    files: tuple[WaitingFile, ...]
    letters: tuple[LetterHead, ...]
    letters_problem: str = ""

    @property
    def left_behind(self) -> tuple[WaitingFile, ...]:
        """Files that can be read, with events, of processes that are gone."""
        return tuple(
            file for file in self.files if file.events and not file.alive and not file.problem
        )


def survey(directory: Path) -> Survey:
    """Return what is in *directory*, which need not exist."""
    found = [_look(path) for path in sorted(directory.glob("*" + SUFFIX))]
    found += [
        WaitingFile(
            path=path,
            alive=False,
            bytes=_bytes_of(path),
            problem="it was damaged and set aside",
        )
        for path in sorted(directory.glob("*" + DAMAGED))
    ]
    problem = ""
    letters: list[LetterHead] = []
    try:
        letters = DeadLetters(directory).heads()
    except OSError as error:
        problem = str(error)
    return Survey(
        files=tuple(file for file in found if file is not None),
        letters=tuple(letters),
        letters_problem=problem,
    )


def _look(path: Path) -> WaitingFile | None:
    """Return what is in the file at *path*; None if it is gone by now."""
    alive = False
    try:
        alive = is_alive(path)
        database = open_database(path)
        try:
            about: dict[str, str] = dict(database.execute("SELECT name, value FROM meta"))
            query = "SELECT ifnull(sum(parts), 0), min(at) FROM events"
            events, oldest = database.execute(query)[0]
        finally:
            database.close()
    except OSError as error:
        if not path.exists():
            return None
        return WaitingFile(path=path, alive=alive, bytes=_bytes_of(path), problem=str(error))
    return WaitingFile(
        path=path,
        alive=alive,
        events=events,
        bytes=_bytes_of(path),
        oldest=oldest,
        pid=about.get("pid", ""),
        api_url=about.get("api_url", ""),
        agent_id=about.get("agent_id", ""),
        token_mark=about.get("token", ""),
    )


def _bytes_of(path: Path) -> int:
    sizes = 0
    for beside in (path, path.with_name(path.name + "-wal")):
        try:
            sizes += beside.stat().st_size
        except FileNotFoundError:
            continue
    return sizes


def waiting_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what is in the file at *path*, oldest first, each event described.

    Raises:
        OSError: The file cannot be read.
    """
    database = open_database(path)
    try:
        last = 0
        while rows := database.execute(
            "SELECT row, body FROM events WHERE row > ? ORDER BY row LIMIT ?",
            (last, _ROWS_AT_ONCE),
        ):
            yield from (described(body) for _, body in rows)
            last = rows[-1][0]
    finally:
        database.close()


def letters_of(directory: Path, numbers: Sequence[int]) -> Iterator[DeadLetter]:
    """Yield the dead letters with these numbers that are there, oldest first.

    Raises:
        OSError: They cannot be read.
    """
    letters = DeadLetters(directory)
    for start in range(0, len(numbers), _LETTERS_AT_ONCE):
        yield from letters.read(numbers[start : start + _LETTERS_AT_ONCE])


def described(body: bytes) -> dict[str, Any]:
    """Return what a stored event says, in words and plain data; secrets were removed before."""
    try:
        event = unpack(body)
        return describe(event) | _more(event)
    except (*UNREADABLE, LookupError, OverflowError, OSError) as error:
        # Damage, or what a later release wrote: an unknown kind, a time out of range.
        return {"kind": "unreadable", "bytes": len(body), "problem": str(error)}


def _more(event: Event) -> dict[str, Any]:
    """Return what a description leaves out, where there is any."""
    optional = {
        "status": event.status,
        "parent_span_id": event.parent,
        "finished_at": rfc3339(event.ended) if event.ended else None,
        "payload": msgspec.json.decode(event.payload) if event.payload != b"{}" else None,
        "result_payload": msgspec.json.decode(event.result) if event.result is not None else None,
        "details": event.details,
    }
    more: dict[str, Any] = {"at": rfc3339(event.at), "attempts": event.attempts}
    return more | {name: value for name, value in optional.items() if value or value == {}}


def purge_file(file: WaitingFile) -> bool:
    """Remove *file* with what is in it; return False if its process lives.

    Raises:
        OSError: It cannot be removed.
    """
    if file.path.suffix == DAMAGED:
        file.path.unlink(missing_ok=True)
        return True
    return discard(file.path)
