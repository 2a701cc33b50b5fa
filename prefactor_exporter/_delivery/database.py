"""Own how SQLite is used: loaded when first needed, for one thread at a time, errors as OSError."""

import contextlib
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["DamagedError", "Database", "VersionError"]

_BUSY_TIMEOUT: Final = 1.0
_LOG_LIMIT: Final = 4 * 1024 * 1024
_PRIMARY: Final = 0xFF
_DAMAGED: Final = frozenset({11, 26})  # SQLITE_CORRUPT, SQLITE_NOTADB


class DamagedError(OSError):
    """A database cannot be read any more.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path.name} is damaged: {problem}")
        self.path = path


class VersionError(OSError):
    """A database was written by another release, in another format."""

    def __init__(self, path: Path, found: int, wanted: int) -> None:
        super().__init__(
            f"{path.name} has version {found} of its format, this release reads {wanted}"
        )


class Database:
    """One connection. Nothing is committed without being told to.

    The write-ahead log makes a commit survive the death of the process; it is synced at
    checkpoints, so the loss of power may cost the last commits, never the file.

    Args:
        path: The file; made, readable for this user alone, if it does not exist.
        schema: Statements for a new file.
        version: Number of the format.
        create: Whether a file that does not exist is made.

    Raises:
        DamagedError: The file is no database.
        VersionError: It has another format.
        OSError: It cannot be used now.
    """

    def __init__(self, path: Path, *, schema: str, version: int, create: bool = True) -> None:
        import sqlite3  # noqa: PLC0415  # a program without a spool does not pay for it

        self.path = path
        self._error: type[Exception] = sqlite3.Error
        if create and not path.exists():
            path.touch(mode=0o600)
        with self._translated():
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",  # never makes a file by itself
                uri=True,
                timeout=_BUSY_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            self._prepare(schema, version)
        except BaseException:
            self.close()
            raise

    def _prepare(self, schema: str, version: int) -> None:
        self.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")
        # There is nothing to lose in a new file, and a sync may take a second on a busy disk.
        self.execute("PRAGMA synchronous = OFF")
        found: int = self.execute("PRAGMA user_version")[0][0]
        if not found:
            self.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self.execute("PRAGMA journal_mode = WAL")
            with self._translated():
                self._connection.executescript(
                    f"BEGIN IMMEDIATE; {schema}; PRAGMA user_version = {version}; COMMIT"
                )
        elif found != version:
            raise VersionError(self.path, found, version)
        self.execute("PRAGMA synchronous = NORMAL")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement; return all rows of its answer."""
        with self._translated():
            return self._connection.execute(statement, values).fetchall()

    def execute_each(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each of *rows*; return how many rows it changed in all."""
        with self._translated():
            return max(0, self._connection.executemany(statement, rows).rowcount)

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Commit what is done inside as a whole, or nothing of it."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
            raise

    @property
    def size(self) -> int:
        """Bytes in use on disk; what was deleted and can be used again does not count."""
        pages, free, page = (
            int(self.execute(f"PRAGMA {name}")[0][0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page

    def give_back_space(self) -> None:
        """Return to the operating system what is not in use."""
        self.execute("PRAGMA incremental_vacuum")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        with self._translated():
            self._connection.close()

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        """Tell damage, which lasts, from trouble that may pass."""
        try:
            yield
        except self._error as error:
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGED:
                raise DamagedError(self.path, str(error)) from error
            raise OSError(f"{self.path.name}: {error}") from error
