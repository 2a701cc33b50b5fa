"""Own what of the events is on disk: journal of what waits in memory, overflow, and inheritance.

Every ``spool_interval`` one commit writes what is not settled by then and deletes what is, so an
event that is delivered sooner never touches the disk. When memory is half full, newer events go to
disk only, behind which later ones queue, and come back in order. Files of processes that are gone
are adopted: their events are delivered, and what they left open is closed.

Without a directory, or while the disk fails, all of this is as if it were not there.
"""

import contextlib
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from prefactor_exporter._core.events import (
    FINISH,
    FINISH_INSTANCE,
    NO_ROW,
    START,
    START_INSTANCE,
    Event,
)
from prefactor_exporter._core.lanes import Buried, Lanes
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.stored import UNREADABLE, unpack
from prefactor_exporter._delivery.barrier import no_fork
from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter._delivery.database import DamagedError, VersionError
from prefactor_exporter._delivery.dead_letters import DeadLetters
from prefactor_exporter._delivery.herald import Herald
from prefactor_exporter._delivery.spool_file import SUFFIX, Change, Mark, SpoolFile, token_mark
from prefactor_exporter.config import ExporterConfig
from prefactor_http.config import HttpClientConfig

__all__ = ["Spool"]

_FILE_ROWS: Final = 1 << 40
"""Row numbers a file may use before those of the next one begin."""
_CROWD: Final = 1_000
"""Events that go to disk at once, so that memory is free for others."""
_ROWS_AT_ONCE: Final = 50
_SCAN_EVERY: Final = 10.0
_WEIGH_EVERY: Final = 5.0
_ADOPTED_AT_ONCE: Final = 4
_MOST_ASSIGNED: Final = 10_000
"""Ids that the API made which are kept on disk before those that are needed no more are removed."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_UNREADABLE: Final = "spool_unreadable"
"""Reason of a loss on disk."""


class Spool:
    """The durable half of the buffer. Used by the worker's thread alone, but for a few figures.

    Args:
        config: The settings; ``spool_dir`` None switches everything off.
        http: The client's settings; the token may be replaced while running.
        lanes: Where the events wait that this journal keeps.
        ledger: Where events that leave memory, or are adopted, are counted.
        clock: Where the time comes from.
        herald: Tells people about trouble.

    Attributes:
        errors: Operations on the disk that failed.
        last_error: The latest of them in words, empty if there was none.
        adopted: Events taken over from processes that are gone.
    """

    def __init__(
        self,
        config: ExporterConfig,
        http: HttpClientConfig,
        *,
        lanes: Lanes,
        ledger: Ledger,
        clock: Clock,
        herald: Herald,
    ) -> None:
        self.errors = 0
        self.last_error = ""
        self.adopted = 0
        self._directory = Path(config.spool_dir) if config.spool_dir is not None else None
        self._interval = config.spool_interval
        self._max_bytes = config.max_spool_bytes
        self._max_age = config.max_spool_age if config.max_spool_age != math.inf else None
        self._half = (config.max_queue_items // 2, config.max_queue_bytes // 2)
        # What comes back leaves room, so that it does not go to and fro.
        self._quarter = (
            max(1, min(_CROWD, config.max_queue_items // 4)),
            config.max_queue_bytes // 4,
        )
        agent_id = config.agent.agent_id if config.agent is not None else None
        self._http = http
        self._agent_id = agent_id or ""
        self._welcome: set[str] = set()
        self._lanes = lanes
        self._identity = lanes.identity
        self._ledger = ledger
        self._clock = clock
        self._herald = herald
        self._dead = DeadLetters(self._directory)
        self._own: SpoolFile | None = None
        self._adopted: dict[int, _Adopted] = {}
        self._files = 0
        self._ignored: set[Path] = set()
        # In lanes, and not known to be on disk or settled.
        self._fresh: list[Event] = []
        # Behind what is on disk only, and waiting to go there too.
        self._tail: deque[Event] = deque()
        self._tail_bytes = 0
        # Rows of our own file that are on disk only: behind the cursor.
        self._cursor = 0
        self._behind = 0
        self._gone: dict[int, list[int]] = {}
        self._stale: list[Event] = []
        self._opened: dict[str, Mark] = {}
        self._saved_open: set[str] = set()
        self._closed: list[str] = []
        self._assigned: list[tuple[str, str, str]] = []
        self._saved_assigned = 0
        self._most_assigned = _MOST_ASSIGNED
        self._letters: list[Buried] = []
        self._due: float | None = None
        self._scan_at = 0.0
        self._size = 0
        self._others = 0
        self._weigh_at = 0.0
        self._full = False
        self._failures = 0
        self._retry_at = 0.0

    # -- figures -----------------------------------------------------------------------------

    @property
    def failing(self) -> bool:
        """Whether the disk refused the latest attempt to use it."""
        return self._failures > 0

    @property
    def tail_items(self) -> int:
        """Events in memory that wait behind those on disk."""
        return len(self._tail)

    @property
    def tail_bytes(self) -> int:
        """About how many bytes those take."""
        return self._tail_bytes

    @property
    def size(self) -> int:
        """Bytes on disk, as of the last commit."""
        return self._size

    @property
    def empty(self) -> bool:
        """Whether nothing waits outside the lanes."""
        return not (self._tail or self._behind or any(f.unread for f in self._adopted.values()))

    @property
    def due(self) -> float | None:
        """When the next :meth:`tick` has something to do, in monotonic seconds."""
        if self._directory is None:
            return None
        turn = self._scan_at if self._due is None else min(self._scan_at, self._due)
        return max(turn, self._retry_at)

    def commits_at(self, now: float) -> bool:
        """Return whether what is recorded by *now* (monotonic seconds) has to be written down."""
        return self._due is not None and now >= self._due

    def patience(self, room: int) -> int:
        """Return how many events may wait in the queue, which has so much *room*, to be taken."""
        if self._directory is None:
            return sys.maxsize
        # The first sets the time of the next commit; later ones wait for it, or for half the room.
        return max(0, room // 2) if self._due is not None else 0

    # -- what happens to events --------------------------------------------------------------

    def must_queue(self, items: int, size: int) -> bool:
        """Return whether new events have to go behind what is on disk.

        Args:
            items: Events in lanes and in flight.
            size: Bytes of them.
        """
        if self._tail or self._behind:
            return True
        too_many = items > self._half[0] or size > self._half[1]
        return too_many and self._directory is not None and not self._failures

    def queue(self, events: Sequence[Event]) -> None:
        """Put *events* behind what is on disk."""
        self._tail.extend(events)
        self._tail_bytes += sum(event.size for event in events)
        self._plan()

    def entered(self, events: Iterable[Event]) -> None:
        """Note that *events* wait in lanes, unless they were merged into others or given up."""
        if self._directory is not None:
            self._fresh += [event for event in events if not event.row]
            self._plan()

    def assigned(self, instance: str, local: str, assigned: str) -> None:
        """Note the id that the API made for *local*."""
        if self._own is not None:
            self._assigned.append((instance, local, assigned))
            self._plan()

    def delivered(self, events: Iterable[Event]) -> None:
        """Note that the API has *events*."""
        if self._directory is None:
            return
        for event in events:
            kind = event.kind
            begins = (kind == START and not event.merged_seq) or kind == START_INSTANCE
            # What ends an adopted one is in its file already.
            if begins and not (event.row > 0 and event.row // _FILE_ROWS in self._adopted):
                self._opened[event.id] = Mark(event.id, kind, event.instance, event.at)
            self._over(event)
        self._plan()

    def buried(self, entries: Iterable[Buried]) -> None:
        """Note that events left undelivered; those the API refused are kept as dead letters."""
        if self._directory is None:
            return
        for entry in entries:
            self._over(entry.event)
            if entry.dead:
                self._letters.append(entry)
        self._plan()

    def _over(self, event: Event) -> None:
        if event.kind == FINISH:
            self._close(event.id)
        elif event.kind == FINISH_INSTANCE:
            for mark in [mark for mark in self._opened.values() if mark.instance == event.id]:
                self._close(mark.id)
        for row in (event.row, event.merged_row):
            if row > 0:
                self._gone.setdefault(row // _FILE_ROWS, []).append(row)
        event.row = NO_ROW

    def _close(self, begun: str) -> None:
        self._opened.pop(begun, None)
        if begun in self._saved_open:
            self._saved_open.discard(begun)
            self._closed.append(begun)

    def _plan(self) -> None:
        if self._due is None:
            self._due = self._clock.monotonic() + self._interval

    # -- commits -----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: write, and look for files to adopt."""
        if self._directory is None or now < self._retry_at:
            return
        if now >= self._scan_at:
            self._scan_at = now + _SCAN_EVERY
            self._attempt(self._scan)
        if self._lanes.changed:
            self._plan()
        crowded = not self._full and (
            len(self._tail) >= self._quarter[0] or self._tail_bytes >= self._quarter[1]
        )
        if crowded or self.commits_at(now):
            self._attempt(self._commit)

    def before_send(self, events: Iterable[Event]) -> None:
        """Make sure that what is on disk is what will be sent."""
        if self._directory is None:
            return
        stale = [event for event in events if event.stale and event.row > 0]
        if stale:
            self._stale += stale
            self._attempt(self._commit)

    def _commit(self) -> None:
        """Write everything down; a part that was written before an error is written once more."""
        if self._letters:
            self._dead.add(self._letters, self._clock.time_ns())
            self._letters.clear()
        stale = self._gather_stale()
        self._commit_own(stale)
        for number, adopted in list(self._adopted.items()):
            self._commit_adopted(number, adopted, stale.get(number, {}))
        for pending in (self._stale, self._gone, self._closed, self._assigned):
            pending.clear()
        self._due = None
        if self._fresh or self._tail:
            self._plan()  # there was no room; delivery makes some
        self._size = sum(file.size for file in self._held())
        if self._failures:
            self._failures = 0
            self._herald.notice("spool_recovered")

    def _gather_stale(self) -> dict[int, dict[int, Event]]:
        """Return what must be written anew, by file and row; note what merging freed."""
        self._stale += self._lanes.changed
        self._lanes.changed.clear()
        self._fresh = [event for event in self._fresh if not event.row]
        stale: dict[int, dict[int, Event]] = {}
        for event in self._stale:
            if event.row > 0:
                stale.setdefault(event.row // _FILE_ROWS, {})[event.row] = event
        for event in (*self._fresh, *self._stale):
            if event.merged_row > 0:
                number = event.merged_row // _FILE_ROWS
                self._gone.setdefault(number, []).append(event.merged_row)
        return stale

    def _commit_own(self, stale: dict[int, dict[int, Event]]) -> None:
        self._full = not self._has_room()
        new = [] if self._full else [*self._fresh, *self._tail]
        opened = [mark for id_, mark in self._opened.items() if id_ not in self._saved_open]
        if not (new or opened) and self._own is None:
            return
        own = self._own_file()
        number = own.base // _FILE_ROWS
        forgotten = self._saved_assigned + len(self._assigned) > self._most_assigned
        if forgotten:
            self._assigned = self._identity.assignments()
            self._saved_assigned = 0
            self._most_assigned = max(_MOST_ASSIGNED, 2 * len(self._assigned))
        change = Change(
            new=new,
            changed=list(stale.get(number, {}).values()),
            gone=self._gone.get(number, ()),
            opened=opened,
            closed=self._closed,
            assigned=self._assigned,
            forgotten=forgotten,
        )
        if any(change):
            own.commit(change, self._notes())
        self._saved_open.update(mark.id for mark in opened)
        self._saved_assigned += len(self._assigned)
        if new:
            self._fresh.clear()
            self._let_go_of_tail()

    def _commit_adopted(self, number: int, adopted: "_Adopted", stale: dict[int, Event]) -> None:
        file = adopted.file
        gone = self._gone.get(number, ())
        if gone or stale:
            file.commit(Change(changed=list(stale.values()), gone=gone), {})
        if not file.rows and not adopted.unread:
            del self._adopted[number]
            file.close(remove=True)
            self._scan_at = 0.0  # there may be more than could be adopted at once

    def _let_go_of_tail(self) -> None:
        """Forget the events that are on disk now."""
        if not self._tail:
            return
        if not self._behind:
            self._cursor = self._tail[0].row - 1
        self._behind += len(self._tail)
        self._ledger.spool(self._tail)
        self._tail.clear()
        self._tail_bytes = 0

    def _notes(self) -> dict[str, str]:
        return {
            "seen": str(self._clock.time_ns()),
            "server_made": str(int(self._identity.server_made)),
            "token": self._token_mark(),
        }

    def _about(self) -> dict[str, str]:
        return {
            "api_url": self._http.api_url,
            "agent_id": self._agent_id,
            "pid": str(os.getpid()),
            "token": self._token_mark(),
        }

    def _token_mark(self) -> str:
        """Return what says whose events these are; empty if the agent's id does."""
        return "" if self._agent_id else token_mark(self._http.api_token)

    def welcome(self, mark: str) -> None:
        """Adopt what was recorded with the token of that *mark* too."""
        self._welcome.add(mark)

    def _own_file(self) -> SpoolFile:
        if self._own is None:
            if self._directory is None:
                raise RuntimeError("there is no directory to spool to")
            self._own = SpoolFile.create(
                self._directory, self._about(), self._clock.time_ns(), base=self._next_base()
            )
            self._assigned = self._identity.assignments()
        return self._own

    def _next_base(self) -> int:
        self._files += 1
        return (self._files - 1) * _FILE_ROWS

    def _has_room(self) -> bool:
        """Return whether the directory may grow."""
        now = self._clock.monotonic()
        if now >= self._weigh_at and self._directory is not None:
            self._weigh_at = now + _WEIGH_EVERY
            held = {file.path.name for file in self._held()}
            self._others = sum(
                path.stat().st_size
                for path in self._directory.glob("*" + SUFFIX)
                if path.name not in held
            )
        return self._size + self._others < self._max_bytes

    def _held(self) -> list[SpoolFile]:
        own = [self._own] if self._own is not None else []
        return own + [adopted.file for adopted in self._adopted.values()]

    # -- back into memory --------------------------------------------------------------------

    def pull(self, items: int, size: int) -> tuple[list[Event], list[Buried]]:
        """Return what comes next while the lanes have room, oldest first, and what has expired.

        Args:
            items: Events in lanes and in flight.
            size: Bytes of them.
        """
        most, room = self._quarter[0] - items, self._quarter[1] - size
        if self.empty or most <= 0 or room <= 0:
            return [], []
        events: list[Event] = []
        if self._behind or any(adopted.unread for adopted in self._adopted.values()):
            self._attempt(lambda: self._read(events, most, room))
        if not self._behind:
            while self._tail and len(events) < most:
                event = self._tail.popleft()
                self._tail_bytes -= event.size
                events.append(event)
        return self._without_expired(events)

    def _read(self, events: list[Event], most: int, room: int) -> None:
        """Read a few rows at a time, because each may be large."""
        for adopted in self._adopted.values():
            while adopted.unread and len(events) < most and room > 0:
                room -= self._read_some(adopted, events)
        while self._behind and len(events) < most and room > 0:
            room -= self._read_own(events)

    def _read_some(self, adopted: "_Adopted", events: list[Event]) -> int:
        rows = adopted.file.read(adopted.cursor, _ROWS_AT_ONCE)
        if not rows:
            self._ledger.lose(adopted.unread, _UNREADABLE, first=adopted.position)
            adopted.unread = 0
        for row in rows:
            adopted.cursor = row.row
            adopted.unread -= row.parts
            event = self._decode(row.row, row.body, row.parts, first=adopted.position)
            if event is None:
                continue
            # The process that wrote it may have sent it in its last moment, in this very form.
            event.doubtful = True
            event.attempts = max(1, event.attempts)
            event.seq = adopted.position
            event.merged_seq = adopted.position + 1 if row.parts > 1 else 0
            adopted.position += row.parts
            self._ledger.unspool([event])
            events.append(event)
        return sum(len(row.body) for row in rows)

    def _read_own(self, events: list[Event]) -> int:
        rows = self._own_file().read(self._cursor, min(self._behind, _ROWS_AT_ONCE))
        if not rows:
            self._ledger.lose(self._behind, _UNREADABLE)
            self._behind = 0
        for row in rows:
            self._cursor = row.row
            self._behind -= 1
            event = self._decode(row.row, row.body, row.parts)
            if event is not None:
                self._ledger.unspool([event])
                events.append(event)
        return sum(len(row.body) for row in rows)

    def _decode(
        self, row: int, body: bytes, parts: int, *, first: int | None = None
    ) -> Event | None:
        try:
            event = unpack(body)
        except UNREADABLE as error:
            self.errors += 1
            self._herald.notice("spool_row_unreadable", row=row, error=str(error))
            self._dead.add_unreadable(body, str(error), self._clock.time_ns())
            self._gone.setdefault(row // _FILE_ROWS, []).append(row)
            self._ledger.lose(parts, _UNREADABLE, first=first)
            return None
        event.row = row
        return event

    def _without_expired(self, events: list[Event]) -> tuple[list[Event], list[Buried]]:
        if self._max_age is None:
            return events, []
        oldest = self._clock.time_ns() - int(self._max_age * 1e9)
        expired = [
            Buried(event, dead=True, reason="expired", message="it waited on disk for too long")
            for event in events
            if event.at < oldest
        ]
        return [event for event in events if event.at >= oldest], expired

    # -- inheritance -------------------------------------------------------------------------

    def _scan(self) -> None:
        """Adopt the files of processes that are gone, oldest first."""
        if self._directory is None or not self._directory.is_dir():
            return
        held = {file.path for file in self._held()}
        for path in sorted(self._directory.glob("*" + SUFFIX)):
            if len(self._adopted) >= _ADOPTED_AT_ONCE:
                return
            if path in held or path in self._ignored:
                continue
            try:
                file = SpoolFile.adopt(path, base=self._next_base())
            except (DamagedError, VersionError) as error:
                self._ignored.add(path)
                self.errors += 1
                self._herald.notice("spool_file_unreadable", file=str(path), error=str(error))
                continue
            if file is not None:
                self._take_over(file)

    def _take_over(self, file: SpoolFile) -> None:
        about = file.about
        mine = (
            about.get("api_url") == self._http.api_url
            and about.get("agent_id") == self._agent_id
            and about.get("token") in {self._token_mark(), *self._welcome}
        )
        if not mine:
            self._ignored.add(file.path)
            file.close(remove=False)
            return
        if file.about.get("ended") != "orderly":
            seen = int(file.about.get("seen", "0"))
            file.close_unfinished([_finish(mark, seen) for mark in file.unfinished()])
        if file.about.get("server_made") == "1":
            self._lanes.use_server_ids()
        for instance, local, assigned in file.assignments():
            self._identity.assign(instance, local, assigned)
        parts = file.count()
        position = self._ledger.adopt(parts)
        self.adopted += parts
        self._adopted[file.base // _FILE_ROWS] = _Adopted(file, parts, position)
        if not parts:
            self._plan()  # the next commit removes it
        else:
            self._herald.notice("spool_adopted", events=parts, file=file.path.name)

    # -- the end -----------------------------------------------------------------------------

    def close(self, left: list[Event]) -> list[Event]:
        """Save what is *left* undelivered; return what could not be saved."""
        if self._directory is None:
            return left
        left = [*left, *self._tail]
        self._tail.clear()
        self._tail_bytes = 0
        self._fresh = [event for event in left if not event.row]
        self._stale += [event for event in left if event.row > 0 and event.stale]
        self._retry_at = 0.0
        self._attempt(self._commit)
        saved = [event for event in left if event.row > 0]
        self._ledger.spool(saved)
        self._attempt(self._close_files)
        return [event for event in left if event.row <= 0]

    def _close_files(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            if own.rows:
                own.commit(Change(), {"ended": "orderly"})
            own.close(remove=not own.rows)
        for adopted in self._adopted.values():
            adopted.file.close(remove=not adopted.file.rows)
        self._adopted.clear()

    def disown(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        for file in self._held():
            file.disown()

    # -- trouble -----------------------------------------------------------------------------

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do *work* on the disk; after an error memory carries on, and the disk rests a while."""
        if self._clock.monotonic() < self._retry_at:
            return
        try:
            with no_fork:
                work()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = str(error)
        if not self._failures:
            self._herald.notice("spool_failed", error=str(error), advice=_ADVICE)
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._failures)
        self._failures += 1
        self._retry_at = self._clock.monotonic() + pause
        if isinstance(error, DamagedError):
            for file in self._held():
                if file.path == error.path:
                    self._set_aside(file)

    def _set_aside(self, file: SpoolFile) -> None:
        """Do without a damaged file; what is in memory goes to a new one."""
        number = file.base // _FILE_ROWS
        self._ignored.add(file.path)
        if file is self._own:
            self._own = None
            self._ledger.lose(self._behind, _UNREADABLE)
            self._behind = 0
            self._saved_open.clear()
        else:
            adopted = self._adopted.pop(number)
            self._ledger.lose(adopted.unread, _UNREADABLE, first=adopted.position)
        self._gone.pop(number, None)
        for event in self._lanes.waiting():
            if event.row // _FILE_ROWS == number and event.row > 0:
                event.row = 0
                self._fresh.append(event)
        with contextlib.suppress(OSError):
            file.set_aside()


class _Adopted:
    """A file of a process that is gone.

    Attributes:
        file: The file.
        unread: Recorded events in it that were not read yet.
        position: Position in the books of the next of them.
        cursor: The last row read.
    """

    def __init__(self, file: SpoolFile, unread: int, position: int) -> None:
        self.file = file
        self.unread = unread
        self.position = position
        self.cursor = file.base


_ADVICE: Final = "events wait in memory only; check the space and the rights of the directory"


def _finish(mark: Mark, seen: int) -> Event:
    """Return what closes *mark*, which nobody will close any more.

    Under a key of its own: a finish that is not on disk may have been delivered all the same.
    """
    kind, status = (FINISH, "cancelled") if mark.kind == START else (FINISH_INSTANCE, "failed")
    return Event(kind, mark.instance, mark.id, max(seen, mark.at), status=status, revision=1)
