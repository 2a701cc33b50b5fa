"""Own the ids of runs and spans as the API knows them.

Ids are minted on this side and carry the account's partition. Until that is known they carry a
provisional one, which is replaced when an item is composed. An API that refuses ids made by
clients assigns its own; then this module remembers which of ours became which of theirs, and
nothing that refers to an id goes out before the id is known (docs/wire.md, Ids).
"""

from collections import deque
from typing import Literal

from prefactor_exporter._core.ids import PROVISIONAL

__all__ = ["Identity", "Lesson"]

Lesson = Literal["first", "another", "refused"]

_REMEMBERED = 10_000
"""Spans that are over whose assigned ids are kept for children that come late."""


class Identity:
    """Translates ids of this process into ids of the API.

    Attributes:
        partition: Partition text, None while unknown.
        confirmed: Whether the API itself told the partition (a configured agent id may be stale).
        server_made: Whether the API assigns the ids.
    """

    def __init__(self, partition: str | None = None) -> None:
        self.partition = partition
        self.confirmed = False
        self.server_made = False
        self._stale = {PROVISIONAL}
        self._doubted: str | None = None
        self._tables: dict[str, dict[str, str | None]] = {}
        self._over: deque[tuple[str, str]] = deque()

    @property
    def ready(self) -> bool:
        """Whether items can be composed."""
        return self.partition is not None or self.server_made

    def learn(self, partition: str) -> Lesson:
        """Take the *partition* the API told.

        Returns:
            ``first`` if nothing was composed before, ``another`` if it was with another partition
            that the API refused, ``refused`` if that is the very one it refused.
        """
        doubted = self._doubted
        self.partition = partition
        self.confirmed = True
        self._stale.discard(partition)
        if doubted is None:
            return "first"
        return "refused" if doubted == partition else "another"

    def doubt(self) -> None:
        """Note that the API refused an id with a partition that it did not tell itself."""
        if self.partition is not None:
            self._doubted = self.partition
            self._stale.add(self.partition)
            self.partition = None

    def expect(self, instance: str, local: str) -> None:
        """Note that the API will assign an id for *local*, unless it already has."""
        self._tables.setdefault(instance, {}).setdefault(local, None)

    def assign(self, instance: str, local: str, assigned: str) -> None:
        """Note the id the API assigned to *local*."""
        self._tables.setdefault(instance, {})[local] = assigned

    def assignments(self) -> list[tuple[str, str, str]]:
        """Return run, our id and the API's id wherever the API assigned one."""
        return [
            (instance, local, assigned)
            for instance, table in self._tables.items()
            for local, assigned in table.items()
            if assigned is not None
        ]

    def abandon(self, instance: str, local: str) -> None:
        """Stop waiting for an id for *local*: its create was refused."""
        self._tables.get(instance, {}).pop(local, None)

    def end(self, instance: str, local: str) -> None:
        """Note that the span *local* is over: nobody but a late child will ask for its id."""
        self._over.append((instance, local))
        if len(self._over) > _REMEMBERED:
            self.abandon(*self._over.popleft())

    def forget(self, instance: str) -> None:
        """Free everything known of a finished *instance*."""
        self._tables.pop(instance, None)

    def translate(self, instance: str, local: str) -> str | None:
        """Return the API's id for *local*; None while the API has yet to assign it."""
        if self.server_made:
            table = self._tables.get(instance)
            if table is not None and local in table:
                return table[local]
        if self.partition is not None and local[10:16] in self._stale:
            return f"{local[:10]}{self.partition}{local[16:]}"
        return local
