"""Own the second try: dead letters sent again, and what dead processes left delivered by a command.

A letter the API refused was never applied, and the API may answer its key with the same refusal for
ever: it goes again under a new key. A letter that was given up without a clear word may have been
applied: it goes again under its old key, which applies it once at most.

A letter stays where it is until the API has confirmed it. Whoever is interrupted repeats the same
keys the next time.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from prefactor_exporter._core.events import Event, describe
from prefactor_exporter._core.stored import UNREADABLE, unpack
from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter._delivery.dead_letters import DeadLetter, DeadLetters, LetterHead
from prefactor_exporter._delivery.inspection import WaitingFile
from prefactor_exporter._delivery.pipeline import Pipeline
from prefactor_exporter.config import AgentInfo, ExporterConfig

__all__ = ["Progress", "Resender", "Resent"]

_LOOK_EVERY: Final = 0.2
_LAST_TRIES: Final = 2.0
"""Seconds a pipeline that still gets something done may need to end."""
_AT_ONCE: Final = (500, 8 * 1024 * 1024)
"""Letters, and bytes of them, that are in memory at a time."""
_UNDECIDED: Final = frozenset({"expired", "unanswered"})
"""Codes of letters that may have been applied all the same."""
_NO_LIMIT: Final = 2**53

Progress = Callable[[int, str], None]
"""Called now and then with the number of events settled so far, and what is in the way."""


class Resent(msgspec.Struct, kw_only=True):
    """What became of events that were sent again.

    Attributes:
        delivered: The API has them now.
        refused: Refused once more; they are dead letters.
        left: Undecided: they are where they were.
        reasons: How often each reason was given for what was refused.
        last_error: The latest problem in words, None if there was none.
        interrupted: Whether Ctrl-C ended it early.
    """

    delivered: int = 0
    refused: int = 0
    left: int = 0
    reasons: dict[str, int] = {}
    last_error: str | None = None
    interrupted: bool = False

    def add(self, other: "Resent") -> None:
        """Add the sums of *other* to these."""
        self.delivered += other.delivered
        self.refused += other.refused
        self.left += other.left
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        self.last_error = other.last_error or self.last_error
        self.interrupted = self.interrupted or other.interrupted


class Resender:
    """Sends again what is in a spool directory.

    Args:
        config: The settings; ``spool_dir`` says where, the rest how.
        partition: The account's partition. Without it the forms of all events change once it is
            learned, and their keys with them.
        sdk_header: Value of ``X-Prefactor-SDK``.
        clock: Where the time comes from.
        patience: Seconds without a delivery after which the rest stays where it is.

    Attributes:
        resent: What became of what was sent so far.
    """

    def __init__(
        self,
        config: ExporterConfig,
        *,
        partition: int | None,
        sdk_header: str,
        clock: Clock,
        patience: float,
    ) -> None:
        if config.spool_dir is None:
            raise ValueError("spool_dir must say where the events are")
        self.resent = Resent()
        self._config = config
        self._partition = partition
        self._sdk_header = sdk_header
        self._clock = clock
        self._patience = patience
        self._letters = DeadLetters(Path(config.spool_dir))
        self._stopped = False

    def adopt(self, files: Sequence[WaitingFile], progress: Progress) -> None:
        """Deliver what waits in *files* of dead processes, all of them of one agent or token.

        What was recorded with another token is delivered as what this token's agent did.

        Args:
            files: What to deliver; other files of the agent may be delivered with them.
            progress: Called now and then.
        """
        if self._stopped:
            self.resent.left += sum(file.events for file in files)
            return
        agent = AgentInfo(agent_id=files[0].agent_id or None)
        pipeline = self._pipeline(agent=agent, linger=0.0, on_drop=None)
        pipeline.worker.spool.welcome(files[0].token_mark)
        pipeline.wake()
        wait = self._wait(pipeline, progress)
        wait.until(lambda: not any(file.path.exists() for file in files))
        figures = self._end(wait)
        resent = Resent(
            delivered=figures["delivered"],
            refused=figures["dead"],
            left=_pending(figures) + figures["dropped"],
            reasons=figures["dead_reasons"],
            last_error=figures["last_error"],
            interrupted=wait.interrupted,
        )
        self.resent.add(resent)

    def resend(self, heads: Sequence[LetterHead], progress: Progress) -> None:
        """Send dead letters again, and remove those that are delivered.

        One that is refused again keeps its number, with the new reason.

        Args:
            heads: Which of them.
            progress: Called now and then.
        """
        done = 0
        for numbers in _portions(heads):
            if self._stopped:
                self.resent.left += len(numbers)
                continue

            def so_far(count: int, trouble: str, before: int = done) -> None:
                progress(before + count, trouble)

            self._send(_Portion(self._letters.read(numbers)), so_far)
            done += len(numbers)

    def _send(self, portion: "_Portion", progress: Progress) -> None:
        # What is on disk was redacted and trimmed; the same key must mean the same bytes.
        pipeline = self._pipeline(
            spool_dir=None,
            redact=None,
            max_payload_bytes=_NO_LIMIT,
            max_retry_age=_NO_LIMIT,
            linger=0.0,
            on_drop=portion.lost,
        )
        for _, event in portion.events:
            # There is room: a portion is small, and nobody else records.
            pipeline.queue.offer(event)
        wait = self._wait(pipeline, progress)
        wait.until(lambda: not _pending(pipeline.figures()))
        figures = self._end(wait)
        resent = Resent(
            left=portion.unsendable,
            last_error=figures["last_error"],
            interrupted=wait.interrupted,
        )
        if _pending(figures):  # the worker hangs: nothing is known for sure
            resent.left += len(portion.events)
        else:
            self._enter(portion, resent, figures["dead_reasons"])
        self.resent.add(resent)

    def _enter(self, portion: "_Portion", resent: Resent, dead: Mapping[str, int]) -> None:
        """Enter what became of the letters of *portion*."""
        delivered: list[int] = []
        for number, event in portion.events:
            reason, message = portion.loss_of(event)
            if not reason:
                delivered.append(number)
            elif reason in dead:
                now = self._clock.time_ns()
                self._letters.refused_again(number, event, reason, message, now)
                resent.add(Resent(refused=1, reasons={reason: 1}))
            else:
                resent.left += 1
        self._letters.remove(delivered)
        resent.delivered = len(delivered)

    def _pipeline(self, **changes: Any) -> Pipeline:
        config = msgspec.structs.replace(self._config, **changes)
        return Pipeline(
            config,
            dataclasses.replace(config.http, max_retries=0),
            sdk_header=self._sdk_header,
            partition=self._partition,
            clock=self._clock,
            partition_learned=lambda _partition: None,
            terminated=lambda _instance, _reason: None,
            forget=lambda _span: None,
        )

    def _wait(self, pipeline: Pipeline, progress: Progress) -> "_Wait":
        return _Wait(pipeline, self._clock, patience=self._patience, progress=progress)

    def _end(self, wait: "_Wait") -> dict[str, Any]:
        figures = wait.end()
        self._stopped = wait.in_vain
        return figures


class _Portion:
    """Dead letters that are sent together.

    Attributes:
        events: Number and event of each.
        unsendable: How many cannot be read.
    """

    def __init__(self, letters: Sequence[DeadLetter]) -> None:
        self.events: list[tuple[int, Event]] = []
        self.unsendable = 0
        self._losses: dict[tuple[str, str], tuple[str, str]] = {}
        for letter in letters:
            try:
                event = _restated(letter)
                describe(event)
            except (*UNREADABLE, LookupError):  # damage, or a kind of a later release
                self.unsendable += 1
            else:
                self.events.append((letter.number, event))

    def lost(self, description: Mapping[str, Any], reason: str) -> None:
        """Note that an event was not delivered."""
        self._losses[_name(description)] = (reason, description["message"])

    def loss_of(self, event: Event) -> tuple[str, str]:
        """Return why *event* was not delivered, in a word and in more; empty if it was."""
        return self._losses.get(_name(describe(event)), ("", ""))


def _portions(heads: Sequence[LetterHead]) -> Iterator[list[int]]:
    """Yield the numbers of letters that are sent together."""
    numbers: list[int] = []
    size = 0
    for head in heads:
        if numbers and (len(numbers) >= _AT_ONCE[0] or size + head.size > _AT_ONCE[1]):
            yield numbers
            numbers, size = [], 0
        numbers.append(head.number)
        size += head.size
    if numbers:
        yield numbers


def _name(description: Mapping[str, Any]) -> tuple[str, str]:
    return description["kind"], description["id"]


def _restated(letter: DeadLetter) -> Event:
    """Return the event of *letter*, ready to be sent again.

    Raises:
        msgspec.MsgspecError: It cannot be read; see also ``UNREADABLE``.
    """
    event = unpack(letter.body)
    if letter.code in _UNDECIDED:
        event.doubtful = event.attempts > 0
    else:
        event.restate()
    event.judged = 0
    # It counts as one event, and nothing is merged into it: its key stands for these bytes.
    event.merged_seq = 0
    event.attempts = max(1, event.attempts)
    return event


def _pending(figures: Mapping[str, Any]) -> int:
    pending: int = figures["queued"] + figures["in_flight"] + figures["spooled"]
    return pending


class _Wait:
    """Waits for a pipeline as long as it gets something done.

    Args:
        pipeline: Whom to wait for.
        clock: Where the time comes from.
        patience: How long nothing may be settled before the rest is given up, in seconds.
        progress: Called now and then.

    Attributes:
        in_vain: Whether it ended without what was waited for.
        interrupted: Whether Ctrl-C ended it.
    """

    def __init__(
        self, pipeline: Pipeline, clock: Clock, *, patience: float, progress: Progress
    ) -> None:
        self.interrupted = False
        self.in_vain = True
        self._pipeline = pipeline
        self._clock = clock
        self._patience = patience
        self._progress = progress

    def until(self, done: Callable[[], bool]) -> None:
        """Wait until *done*, or nothing gets done, or the API refuses the token, or Ctrl-C."""
        settled, since = -1, -math.inf
        try:
            while not done():
                figures = self._pipeline.figures()
                now = self._clock.monotonic()
                count = figures["delivered"] + figures["dead"] + figures["dropped"]
                if count != settled:
                    settled, since = count, now
                trouble = figures["state"] in {"retrying", "suspended"}
                self._progress(count, (figures["last_error"] or "") if trouble else "")
                if figures["state"] == "suspended" or now - since > self._patience:
                    return
                if not self._pipeline.flush(_LOOK_EVERY).pending:
                    self._clock.pause(_LOOK_EVERY / 4)  # files are removed a moment later
            self.in_vain = False
        except KeyboardInterrupt:
            self.interrupted = True

    def end(self) -> dict[str, Any]:
        """Stop the pipeline; return its last figures."""
        self._pipeline.stop(0.0 if self.in_vain else _LAST_TRIES)
        figures = self._pipeline.figures()
        self._progress(figures["delivered"] + figures["dead"] + figures["dropped"], "")
        return figures
