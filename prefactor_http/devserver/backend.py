"""What every action works on: one account's storage, ids, switches and declared span types."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from prefactor_http.devserver import stamps
from prefactor_http.devserver.auth import Token, Tokens
from prefactor_http.devserver.errors import invalid, not_found
from prefactor_http.devserver.ids import Mint, random_partition
from prefactor_http.devserver.schema_check import compile_for_objects
from prefactor_http.devserver.storage import Storage
from prefactor_http.devserver.switches import Switches

_MOST_KNOWN_INSTANCES = 10_000
_EMPTY_OBJECT_ONLY: dict[str, Any] = {"type": "object", "additionalProperties": False}


class SpanType(msgspec.Struct, frozen=True, kw_only=True):
    """A declared kind of span, ready to check with."""

    title: str
    template: str | None
    data_risk: dict[str, Any] | None
    check_payload: Callable[[Any], str | None] | None
    check_result: Callable[[Any], str | None] | None


class KnownInstance(msgspec.Struct, kw_only=True):
    """The part of an instance every span action needs."""

    id: str
    agent_id: str
    status: str
    termination_reason: str | None
    span_types: dict[str, SpanType]


class Call(NamedTuple):
    """One action being run: by whom, when, and whether inside a bulk request."""

    backend: "Backend"
    token: Token
    now: str
    in_bulk: bool
    key: str | None


class Backend:
    """One account and everything stored for it.

    Args:
        path: The database file, None for memory.
        partition: Partition of a new account, None for a random one; an existing database keeps
            its own.
        switches: The behaviour to start with.

    Attributes:
        changed_bodies: Keys that came again with another body, in order of arrival.
    """

    def __init__(
        self, path: str | Path | None, *, partition: int | None, switches: Switches
    ) -> None:
        first_mint = Mint(random_partition() if partition is None else partition)
        self.storage = Storage(path)
        self.switches = switches
        if self.storage.fresh:
            self._create_account(first_mint)
        account = self.storage.one("SELECT * FROM account")
        self.account_id: str = account["id"]
        self.agent_id: str = account["agent_id"]
        self.environment_id: str = account["environment_id"]
        self.mint = Mint(account["partition"])
        self.tokens = Tokens(self.storage)
        self.changed_bodies: list[str] = []
        self._instances: dict[str, KnownInstance] = {}
        self._span_types: dict[str, dict[str, SpanType]] = {}

    def _create_account(self, mint: Mint) -> None:
        """Fill an empty database with an account, an environment and an agent."""
        account_id, agent_id, environment_id = mint(), mint(), mint()
        now = stamps.now()
        with self.storage.transaction():
            self.storage.run(
                "INSERT INTO account VALUES (?, ?, ?, ?)",
                (account_id, mint.partition, agent_id, environment_id),
            )
            self.storage.run(
                "INSERT INTO environments VALUES (?, ?)", (environment_id, "development")
            )
            self.storage.run(
                "INSERT INTO agents (id, name, status, inserted_at, updated_at)"
                " VALUES (?, 'Development agent', 'pending', ?, ?)",
                (agent_id, now, now),
            )

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Run one transaction; what is remembered in memory never outlives a failed one."""
        try:
            with self.storage.transaction():
                yield
        except BaseException:
            self._instances.clear()
            raise

    def new_id(self, wanted: str | None) -> str:
        """Return the id of a new object: the *wanted* one if it is allowed, else a fresh one.

        Raises:
            ApiError: 422 naming ``id``.
        """
        if wanted is None:
            return self.mint()
        if self.switches.refuse_client_ids:
            raise invalid("id", "is not allowed")
        if not self.mint.owns(wanted):
            raise invalid("id", "must be a PFID in the partition of the account")
        return wanted

    def instance(self, token: Token, instance_id: str | None) -> KnownInstance:
        """Return an instance *token* may see.

        Raises:
            ApiError: 404 if there is none; 422 if *instance_id* is None.
        """
        if instance_id is None:
            raise invalid("agent_instance_id", "is required")
        known = self._instances.get(instance_id)
        if known is None:
            known = self._load(instance_id)
        if known is None or not token.sees(known.agent_id):
            raise not_found("agent instance")
        return known

    def changed(self, instance_id: str) -> None:
        """Forget what is remembered of an instance, because its row has changed."""
        self._instances.pop(instance_id, None)

    def span_types(self, schema_version_id: str) -> dict[str, SpanType]:
        """Return the span types of a schema version by name."""
        known = self._span_types.get(schema_version_id)
        if known is None:
            row = self.storage.one(
                "SELECT body FROM schema_versions WHERE id = ?", (schema_version_id,)
            )
            declared: dict[str, dict[str, Any]] = msgspec.json.decode(row["body"])["span_types"]
            known = {name: _span_type(body) for name, body in declared.items()}
            self._span_types[schema_version_id] = known
        return known

    def _load(self, instance_id: str) -> KnownInstance | None:
        """Read an instance into memory."""
        row: sqlite3.Row | None = self.storage.one(
            "SELECT * FROM instances WHERE id = ?", (instance_id,)
        )
        if row is None:
            return None
        if len(self._instances) >= _MOST_KNOWN_INSTANCES:
            self._instances.clear()
        known = KnownInstance(
            id=row["id"],
            agent_id=row["agent_id"],
            status=row["status"],
            termination_reason=row["termination_reason"],
            span_types=self.span_types(row["schema_version_id"]),
        )
        self._instances[instance_id] = known
        return known


def _span_type(body: dict[str, Any]) -> SpanType:
    """Prepare one declared span type; a missing result schema allows an empty object only."""
    result_schema = body["result_schema"]
    return SpanType(
        title=body["title"],
        template=body["template"],
        data_risk=body["data_risk"],
        check_payload=compile_for_objects(body["params_schema"]),
        check_result=compile_for_objects(
            _EMPTY_OBJECT_ONLY if result_schema is None else result_schema
        ),
    )
