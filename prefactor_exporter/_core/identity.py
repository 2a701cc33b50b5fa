"""Own the ids of runs and spans as the API knows them.

Ids are minted on this side and carry the account's partition. Until that is known they carry a
provisional one, which is replaced when an item is composed. An API that refuses ids made by
clients assigns its own, and so does one that tells the partition only by what it makes; then this
module remembers which of ours became which of theirs, and nothing that refers to an id goes out
before the id is known (docs/wire.md, Ids).
"""

from collections import deque
from typing import Literal

from prefactor_exporter._core.ids import PROVISIONAL

__all__ = ["Identity", "Lesson", "makes_no_ids"]

Lesson = Literal["first", "another", "refused"]

_REMEMBERED = 10_000
"""Spans that are over whose assigned ids are kept for children that come late."""
_CONVINCED = 3
"""Strange answers in a row after which the API is asked for an id no more."""
_NOT_OFFERED = frozenset({400, 404, 405, 422})


def makes_no_ids(status: int | None, code: str | None, *, strange: int) -> bool:
    """Return whether an API that answered the request for an id like that will never make one.

    Args:
        status: The HTTP status, None if the answer is not what it claims to be.
        code: The API's word for the error, None if these are not the API's words: the page of a
            proxy says nothing about the API, and what is cut short was meant otherwise.
        strange: How many answers in a row, this one included, were neither an id nor an error that
            passes.
    """
    return (status in _NOT_OFFERED and code is not None) or strange >= _CONVINCED


class Identity:
    """Translates ids of this process into ids of the API.

    Attributes:
        partition: Partition text, None while unknown.
        confirmed: Whether the API itself told the partition (a configured agent id may be stale).
        server_made: Whether the API assigns the ids.
        learning: Whether it does so only until something it made tells the partition.
        trying: Whether that has told it, and the API has yet to accept an id made from it.
        translating: Whether the API may have assigned ids to something that is still going on.
    """

    def __init__(self, partition: str | None = None) -> None:
        self.partition = partition
        self.confirmed = False
        self.server_made = False
        self.learning = False
        self.trying = False
        self.translating = False
        self._stale = {PROVISIONAL}
        self._doubted: str | None = None
        self._tables: dict[str, dict[str, str | None]] = {}
        self._over: deque[tuple[str, str]] = deque()

    @property
    def ready(self) -> bool:
        """Whether items can be composed."""
        return self.partition is not None or self.server_made

    @property
    def settled(self) -> bool:
        """Whether it is known who makes the ids, and from what."""
        return self.ready and not (self.learning or self.trying)

    def learn(self, partition: str) -> Lesson:
        """Take the *partition* the API told.

        Returns:
            ``first`` if nothing was composed before, ``another`` if it was with another partition
            that the API refused, ``refused`` if that is the very one it refused.
        """
        doubted = self._doubted
        self.partition = partition
        self.confirmed = True
        self.trying = self.learning
        self.learning = False
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
        self.translating = True
        self._tables.setdefault(instance, {}).setdefault(local, None)

    def assign(self, instance: str, local: str, assigned: str) -> None:
        """Note the id the API assigned to *local*."""
        self.translating = True
        self._tables.setdefault(instance, {})[local] = assigned

    def expects(self, instance: str, local: str) -> bool:
        """Return whether the id of *local* is the API's to assign."""
        return local in self._tables.get(instance, {})

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
        self.translating = bool(self._tables)

    def translate(self, instance: str, local: str) -> str | None:
        """Return the API's id for *local*; None while the API has yet to assign it."""
        if self.translating:
            table = self._tables.get(instance)
            if table is not None and local in table:
                return table[local]
        return self.stamp(local)

    def stamp(self, local: str) -> str:
        """Return *local* as an id made on this side is sent: with the partition in it."""
        if self.partition is not None and local[10:16] in self._stale:
            return f"{local[:10]}{self.partition}{local[16:]}"
        return local
