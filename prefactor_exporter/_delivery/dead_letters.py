"""Own the dead letters: events refused for good, kept on disk until somebody has looked at them.

One database for all processes that share a directory. It is opened for each use, because a use is
rare, and keeps the newest letters when it is full.
"""

import contextlib
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from prefactor_exporter._core.events import Event
from prefactor_exporter._core.lanes import Buried
from prefactor_exporter._core.stored import pack
from prefactor_exporter._delivery.database import Database

__all__ = ["NAME", "UNREADABLE_CODE", "DeadLetter", "DeadLetters", "LetterHead"]

NAME: Final = "dead-letters.db"
"""The database in a directory of the spool."""
UNREADABLE_CODE: Final = "unreadable"
"""Code of what was found in place of an event: nobody can deliver it."""

_MOST: Final = 10_000
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS letters (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, died INTEGER NOT NULL,
    code TEXT NOT NULL, message TEXT NOT NULL, body BLOB NOT NULL
)
"""


class DeadLetter(NamedTuple):
    """An event that was refused for good.

    Attributes:
        number: Its number in the directory.
        died: When it was refused, in nanoseconds since the epoch.
        code: The API's error code, or the reason in our words.
        message: The API's text.
        body: The packed event.
    """

    number: int
    died: int
    code: str
    message: str
    body: bytes


class LetterHead(NamedTuple):
    """A dead letter without its event.

    Attributes:
        number: Its number in the directory.
        died: When it was refused, in nanoseconds since the epoch.
        code: The API's error code, or the reason in our words.
        message: The API's text.
        size: Bytes of the packed event.
    """

    number: int
    died: int
    code: str
    message: str
    size: int


class DeadLetters:
    """The dead letters of a directory; None keeps none.

    Every method raises ``OSError`` if the disk fails it.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def add(self, letters: Iterable[Buried], now_ns: int) -> None:
        """Keep *letters*; one that is known already is replaced."""
        self._insert(
            (_key(entry.event), now_ns, entry.reason, entry.message, pack(entry.event))
            for entry in letters
        )

    def add_unreadable(self, body: bytes, problem: str, now_ns: int) -> None:
        """Keep what was found in place of an event."""
        self._insert([(f"unreadable:{now_ns}", now_ns, UNREADABLE_CODE, problem, body)])

    def all(self) -> list[DeadLetter]:
        """Return all letters, oldest first."""
        if self._directory is None or not (self._directory / NAME).exists():
            return []
        with self._open() as database:
            rows = database.execute(
                "SELECT number, died, code, message, body FROM letters ORDER BY number"
            )
        return [DeadLetter(*row) for row in rows]

    def heads(self) -> list[LetterHead]:
        """Return all letters without their events, oldest first."""
        if self._directory is None or not (self._directory / NAME).exists():
            return []
        with self._open() as database:
            rows = database.execute(
                "SELECT number, died, code, message, length(body) FROM letters ORDER BY number"
            )
        return [LetterHead(*row) for row in rows]

    def read(self, numbers: Sequence[int]) -> list[DeadLetter]:
        """Return those of the letters with these numbers that are there, oldest first."""
        with self._open() as database:
            rows = [
                row
                for number in sorted(numbers)
                for row in database.execute(
                    "SELECT number, died, code, message, body FROM letters WHERE number = ?",
                    (number,),
                )
            ]
        return [DeadLetter(*row) for row in rows]

    def refused_again(self, number: int, event: Event, code: str, message: str, at: int) -> None:
        """Note that the letter with this number was sent once more, as *event*, and refused."""
        with self._open() as database:
            database.execute("DELETE FROM letters WHERE number = ?", (number,))
            database.execute(
                "INSERT OR REPLACE INTO letters VALUES (?, ?, ?, ?, ?, ?)",
                (number, _key(event), at, code, message, pack(event)),
            )

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget letters."""
        with self._open() as database:
            database.execute_each(
                "DELETE FROM letters WHERE number = ?", ((number,) for number in numbers)
            )

    def _insert(self, rows: Iterable[tuple[str, int, str, str, bytes]]) -> None:
        with self._open() as database:
            database.execute_each(
                "INSERT OR REPLACE INTO letters (key, died, code, message, body) "
                "VALUES (?, ?, ?, ?, ?)",
                rows,
            )
            database.execute(
                "DELETE FROM letters WHERE number <= (SELECT max(number) FROM letters) - ?",
                (_MOST,),
            )

    @contextlib.contextmanager
    def _open(self) -> Generator[Database]:
        """Open the database for one transaction; make it if need be, for this user alone."""
        if self._directory is None:
            raise RuntimeError("there is no directory for dead letters")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = Database(self._directory / NAME, schema=_SCHEMA, version=_VERSION)
        with contextlib.closing(database), database.transaction():
            yield database


def _key(event: Event) -> str:
    return event.key or f"{event.kind}:{event.id}"
