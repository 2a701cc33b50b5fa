"""Own one file of the spool: a database of events that one living process at a time may change.

A lock beside the file, which the operating system drops when its process dies, says whether the
owner lives.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from prefactor_exporter._core.events import FINISH, FINISH_INSTANCE, START, START_INSTANCE, Event
from prefactor_exporter._core.stored import pack
from prefactor_exporter._delivery.database import Database

try:
    import fcntl
except ImportError:  # pragma: no cover - another operating system
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "DAMAGED",
    "SUFFIX",
    "Change",
    "Mark",
    "Row",
    "SpoolFile",
    "discard",
    "is_alive",
    "open_database",
    "token_mark",
]

SUFFIX: Final = ".spool"
DAMAGED: Final = ".damaged"
"""In place of it on a file that cannot be read and was set aside."""
_SHRINK_ABOVE: Final = 8 * 1024 * 1024
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    row INTEGER PRIMARY KEY, kind INTEGER NOT NULL, id TEXT NOT NULL, instance TEXT NOT NULL,
    at INTEGER NOT NULL, parts INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS open (
    id TEXT PRIMARY KEY, kind INTEGER NOT NULL, instance TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS assigned (
    instance TEXT NOT NULL, local TEXT NOT NULL, assigned TEXT NOT NULL,
    PRIMARY KEY (instance, local)
)
"""


class Mark(NamedTuple):
    """Something that has begun and not ended.

    Attributes:
        id: The span, or the run.
        kind: What began it: a start of a span or of a run.
        instance: The run.
        at: The beginning, in nanoseconds since the epoch.
    """

    id: str
    kind: int
    instance: str
    at: int


class Row(NamedTuple):
    """One stored event, still packed; *parts* is 2 for a merged span."""

    row: int
    parts: int
    body: bytes


class Change(NamedTuple):
    """What one commit does.

    Attributes:
        new: Events to add, in order.
        changed: Events to write anew where they are.
        gone: Rows to delete.
        opened: What began and was delivered.
        closed: Ids of what ended.
        assigned: Run, local id and the API's id, for ids that the API makes.
        forgotten: Whether these are all there are, and others go.
    """

    new: Sequence[Event] = ()
    changed: Sequence[Event] = ()
    gone: Sequence[int] = ()
    opened: Sequence[Mark] = ()
    closed: Sequence[str] = ()
    assigned: Sequence[tuple[str, str, str]] = ()
    forgotten: bool = False


def token_mark(token: str) -> str:
    """Return what tells tokens apart without telling them."""
    return hashlib.sha256(b"prefactor-exporter spool\0" + token.encode()).hexdigest()[:16]


class SpoolFile:
    """A file of the spool that this process owns.

    Used by one thread at a time. Every method raises ``OSError`` if the disk fails it, and
    ``DamagedError`` if the file is beyond repair.

    Attributes:
        path: The database.
        base: Added to the row numbers of this file, so that they differ from those of others.
        rows: Events in it.
        last: The highest row number used so far, ``base`` if none was.
        about: What was noted about the process that wrote it.
    """

    def __init__(self, path: Path, lock: int, base: int) -> None:
        self.path = path
        self.base = base
        self._lock = lock
        self._database = database = Database(path, schema=_SCHEMA, version=_VERSION)
        try:
            self.about: dict[str, str] = dict(database.execute("SELECT name, value FROM meta"))
            query = "SELECT count(*), ifnull(max(row), 0) FROM events"
            self.rows, last = database.execute(query)[0]
            self.last = base + last
        except BaseException:
            database.close()
            raise

    @classmethod
    def create(cls, directory: Path, about: Mapping[str, str], now_ns: int, *, base: int) -> Self:
        """Make a new file in *directory*, which is made too if need be, for this user alone."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Names sort by age, so that those who adopt begin with the oldest.
        path = directory / f"{now_ns:020d}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        lock = _lock(path)
        if lock is None:  # pragma: no cover - the name is ours alone
            raise OSError(f"{path} is locked by another process")
        try:
            file = cls(path, lock, base)
            file.commit(Change(), about)
        except BaseException:
            _remove(path)
            os.close(lock)
            raise
        file.about.update(about)
        return file

    @classmethod
    def adopt(cls, path: Path, *, base: int) -> Self | None:
        """Take over a file whose process is gone; None if it lives, or somebody was faster."""
        lock = _lock(path)
        if lock is None:
            return None
        try:
            if path.exists():
                return cls(path, lock, base)
        except BaseException:
            os.close(lock)
            raise
        _remove(path)
        os.close(lock)
        return None

    @property
    def size(self) -> int:
        """Bytes of disk that events take."""
        return self._database.size if self.rows else 0

    def count(self) -> int:
        """Return how many recorded events the rows stand for: a merged span is two."""
        return int(self._database.execute("SELECT ifnull(sum(parts), 0) FROM events")[0][0])

    def commit(self, change: Change, notes: Mapping[str, str]) -> None:
        """Apply *change* as a whole or not at all, and *notes* about the process with it."""
        base, first, database = self.base, self.last + 1, self._database
        with database.transaction():
            deleted = database.execute_each(
                "DELETE FROM events WHERE row = ?", ((row - base,) for row in change.gone)
            )
            database.execute_each(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (row, event.kind, event.id, event.instance, event.at, event.parts, pack(event))
                    for row, event in enumerate(change.new, first - base)
                ),
            )
            database.execute_each(
                "UPDATE events SET parts = ?, body = ? WHERE row = ?",
                ((event.parts, pack(event), event.row - base) for event in change.changed),
            )
            database.execute_each("INSERT OR REPLACE INTO open VALUES (?, ?, ?, ?)", change.opened)
            database.execute_each(
                "DELETE FROM open WHERE id = ?", ((id_,) for id_ in change.closed)
            )
            if change.forgotten:
                database.execute("DELETE FROM assigned")
            database.execute_each(
                "INSERT OR REPLACE INTO assigned VALUES (?, ?, ?)", change.assigned
            )
            database.execute_each("INSERT OR REPLACE INTO meta VALUES (?, ?)", notes.items())
        self.rows += len(change.new) - deleted
        self.last += len(change.new)
        for row, event in enumerate(change.new, first):
            event.row = row
        for event in (*change.new, *change.changed):
            event.merged_row = 0
            event.stale = False
        if deleted and not self.rows and database.path.stat().st_size > _SHRINK_ABOVE:
            database.give_back_space()

    def read(self, after: int, most: int) -> list[Row]:
        """Return at most so many events behind row *after*, oldest first."""
        rows = self._database.execute(
            "SELECT row, parts, body FROM events WHERE row > ? ORDER BY row LIMIT ?",
            (after - self.base, most),
        )
        return [Row(self.base + row, parts, body) for row, parts, body in rows]

    def unfinished(self) -> list[Mark]:
        """Return what has begun and not ended, delivered or not: children first, runs last."""
        begun = self._database.execute(
            "SELECT id, kind, instance, at FROM open UNION "
            "SELECT id, kind, instance, at FROM events "
            "WHERE kind = ? AND parts = 1 OR kind = ? ORDER BY at DESC",
            (START, START_INSTANCE),
        )
        over = set(
            self._database.execute(
                "SELECT id, kind FROM events WHERE kind IN (?, ?)", (FINISH, FINISH_INSTANCE)
            )
        )
        marks = [Mark(*mark) for mark in begun]
        spans = [m for m in marks if m.kind == START and (m.id, FINISH) not in over]
        runs = [
            m for m in marks if m.kind == START_INSTANCE and (m.id, FINISH_INSTANCE) not in over
        ]
        return spans + runs

    def close_unfinished(self, finishes: Sequence[Event]) -> None:
        """Add *finishes*, and forget what was open."""
        closed = [id_ for (id_,) in self._database.execute("SELECT id FROM open")]
        self.commit(Change(new=finishes, closed=closed), {})

    def assignments(self) -> list[tuple[str, str, str]]:
        """Return run, local id and the API's id of what the API made ids for."""
        return self._database.execute("SELECT instance, local, assigned FROM assigned")

    def close(self, *, remove: bool) -> None:
        """Give the file up; *remove* it, or leave it to whoever adopts it."""
        try:
            self._database.close()
            if remove:
                _remove(self.path)
        finally:
            os.close(self._lock)

    def set_aside(self) -> None:
        """Close a file that cannot be read; keep it under another name."""
        try:
            with contextlib.suppress(OSError):
                self._database.close()
            self.path.rename(self.path.with_suffix(DAMAGED))
            _remove(self.path)
        finally:
            os.close(self._lock)

    def disown(self) -> None:
        """Drop the lock that a fork copied; the database stays the parent's and is not touched."""
        with contextlib.suppress(OSError):
            os.close(self._lock)


def open_database(path: Path) -> Database:
    """Open a file of the spool without owning it, to look at it; its owner may remove it."""
    return Database(path, schema=_SCHEMA, version=_VERSION, create=False)


def is_alive(path: Path) -> bool:
    """Return whether the process that owns the file at *path* lives."""
    lock = _lock(path)
    if lock is None:
        return True
    try:
        if not path.exists():
            _remove(path)  # its owner ended a moment ago, and this call made the lock anew
    finally:
        os.close(lock)
    return False


def discard(path: Path) -> bool:
    """Remove the file at *path* with what is in it; return False if its owner lives."""
    lock = _lock(path)
    if lock is None:
        return False
    try:
        _remove(path)
    finally:
        os.close(lock)
    return True


def _lock(path: Path) -> int | None:
    """Lock the file at *path*; None if its owner lives, or it vanished meanwhile."""
    if fcntl is None:  # pragma: no cover - another operating system
        raise OSError("the spool needs file locks that this operating system does not have")
    name = path.with_suffix(".lock")
    lock = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who locks a file that was removed a moment ago locks nothing.
        if os.fstat(lock).st_ino == name.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _remove(path: Path) -> None:
    """Remove the database at *path* with everything beside it, the lock last."""
    for suffix in (SUFFIX, SUFFIX + "-wal", SUFFIX + "-shm", ".lock"):
        path.with_suffix(suffix).unlink(missing_ok=True)
