"""The SQLite database: its schema, its one connection, and transactions."""

import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_APPLICATION_ID = 0x50464456
_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE account (id TEXT PRIMARY KEY, partition INTEGER NOT NULL, agent_id TEXT NOT NULL,
    environment_id TEXT NOT NULL);
CREATE TABLE tokens (token TEXT PRIMARY KEY, scope TEXT NOT NULL, state TEXT NOT NULL,
    account_id TEXT NOT NULL, agent_id TEXT, environment_id TEXT);
CREATE TABLE environments (id TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE agents (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, name TEXT NOT NULL,
    description TEXT, external_identifier TEXT UNIQUE, status TEXT NOT NULL,
    owner_person_id TEXT, risk_profile_id TEXT, team_id TEXT,
    deleted INTEGER NOT NULL DEFAULT 0, inserted_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE deployments (id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, environment_id TEXT NOT NULL,
    current_version_id TEXT, UNIQUE (agent_id, environment_id));
CREATE TABLE agent_versions (id TEXT PRIMARY KEY, agent_id TEXT NOT NULL,
    external_identifier TEXT, body BLOB NOT NULL);
CREATE INDEX versions_of ON agent_versions (agent_id, external_identifier);
CREATE TABLE schema_versions (id TEXT PRIMARY KEY, agent_id TEXT NOT NULL,
    external_identifier TEXT, repeats INTEGER NOT NULL, body BLOB NOT NULL,
    inserted_at TEXT NOT NULL);
CREATE INDEX schemas_of ON schema_versions (agent_id, external_identifier);
CREATE TABLE instances (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, agent_id TEXT NOT NULL,
    agent_name TEXT NOT NULL, agent_version_id TEXT NOT NULL, environment_id TEXT NOT NULL,
    deployment_id TEXT NOT NULL, schema_version_id TEXT NOT NULL, status TEXT NOT NULL,
    purpose TEXT NOT NULL, external_identifier TEXT, termination_reason TEXT, started_at TEXT,
    finished_at TEXT, inserted_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    quality BLOB NOT NULL DEFAULT '{}');
CREATE INDEX instances_of ON instances (agent_id, external_identifier);
CREATE TABLE spans (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL,
    agent_instance_id TEXT NOT NULL, parent_span_id TEXT, schema_name TEXT NOT NULL,
    status TEXT NOT NULL, started_at TEXT, finished_at TEXT, inserted_at TEXT NOT NULL,
    updated_at TEXT NOT NULL, sensitive_encoding INTEGER NOT NULL, mismatch TEXT,
    create_key TEXT, finish_key TEXT, payload BLOB NOT NULL, result_payload BLOB);
CREATE INDEX spans_of ON spans (agent_instance_id, seq, status, schema_name);
CREATE TABLE answers (account_id TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL,
    status INTEGER NOT NULL, fingerprint INTEGER NOT NULL, span_id TEXT,
    with_result INTEGER NOT NULL, head BLOB NOT NULL, tail BLOB NOT NULL,
    PRIMARY KEY (account_id, key));
"""


class StorageError(Exception):
    """The database cannot be used; the text says which file and why."""


class Storage:
    """One SQLite database, in memory or in a file.

    Safe to use from any thread: reads and transactions take turns.

    Args:
        path: The file, or None for memory.

    Raises:
        StorageError: If the file cannot be opened or belongs to another program.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                ":memory:" if path is None else str(path),
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except sqlite3.Error as error:
            raise StorageError(f"cannot open the database {path}: {error}") from error
        self._connection.row_factory = sqlite3.Row
        try:
            self.fresh = self._prepare(path)
        except sqlite3.Error as error:
            self._connection.close()
            raise StorageError(f"cannot use the database {path}: {error}") from error
        except StorageError:
            self._connection.close()
            raise

    def _prepare(self, path: str | Path | None) -> bool:
        """Create the schema if the database is empty; return whether it was."""
        run = self._connection.execute
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        owner = run("PRAGMA application_id").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        if tables and (owner, version) != (_APPLICATION_ID, _SCHEMA_VERSION):
            raise StorageError(
                f"cannot use the database {path}: it was not made by this version of the "
                "development server; choose another file"
            )
        if path is not None:
            run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = OFF")
        run("PRAGMA cache_size = -65536")
        if not tables:
            self._connection.executescript(
                f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; "
                f"PRAGMA user_version = {_SCHEMA_VERSION}; {_SCHEMA} COMMIT;"
            )
        return not tables

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Do everything inside or, after an exception, nothing of it."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @property
    def changes(self) -> int:
        """A number that grows with every change; SQLite counts anyway, so it costs nothing."""
        return self._connection.total_changes

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement; return the number of rows it changed."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row, or None."""
        with self._lock:
            return self._connection.execute(sql, values).fetchone()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the database; nothing works afterwards."""
        with self._lock:
            self._connection.close()
