"""Own the hearing of stop signals: in the answers to what is sent, and by asking now and then."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from prefactor_exporter._core.events import FINISH_INSTANCE, START_INSTANCE, Event
from prefactor_exporter._core.identity import Identity
from prefactor_http.exceptions import PrefactorAuthError

if TYPE_CHECKING:
    from prefactor_http.client import PrefactorHttpClient
    from prefactor_http.models.bulk import BulkOutcome

__all__ = ["TerminationWatch"]

_POLL_EVERY = 30.0
_CONVINCED = 2
"""Refusals in a row after which a token that is good is taken for one that may not read."""


class TerminationWatch:
    """Tells of runs that an operator asked to stop. Used by the worker's thread alone.

    Args:
        identity: Translates ids.
        terminated: Called with the run and the reason.

    Attributes:
        running: Runs of this process that the API knows as active.
    """

    def __init__(self, identity: Identity, terminated: Callable[[str, str | None], None]) -> None:
        self.running: set[str] = set()
        self._identity = identity
        self._terminated = terminated
        self._refusals = 0

    def note(self, delivered: Iterable[Event]) -> None:
        """Note which runs are active now."""
        for event in delivered:
            if event.kind == START_INSTANCE:
                self.running.add(event.instance)
            elif event.kind == FINISH_INSTANCE:
                self.running.discard(event.instance)

    def over(self, event: Event) -> None:
        """Note that the finish of a run will never arrive."""
        if event.kind == FINISH_INSTANCE:
            self.running.discard(event.instance)

    def heed(self, events: Sequence[Event], outcomes: "Mapping[str, BulkOutcome]") -> None:
        """Read the signals in the answers to *events*."""
        if all(outcome.control is None for outcome in outcomes.values()):
            return
        for event in events:
            outcome = outcomes.get(event.key)
            control = outcome.control if outcome is not None else None
            if isinstance(control, dict) and control.get("terminate") is True:
                reason = control.get("reason")
                self._terminated(event.instance, reason if isinstance(reason, str) else None)

    async def poll(self, client: "PrefactorHttpClient", failing: Callable[[], bool]) -> None:
        """Ask about runs that have sent nothing lately, for as long as the token may read.

        One that may not is not tried again; the next one is. With a token that is not good at all
        the question waits for better times.

        Args:
            client: Whom to ask.
            failing: Returns whether the API is in trouble, and is left alone.
        """
        token = ""
        while True:
            await asyncio.sleep(_POLL_EVERY)
            if token != client.config.api_token:
                token = client.config.api_token
                self._refusals = 0
            if self._refusals < _CONVINCED:
                await self._ask(client, failing)

    async def _ask(self, client: "PrefactorHttpClient", failing: Callable[[], bool]) -> None:
        """Ask about each run once, until the API refuses to tell."""
        for instance in list(self.running):
            wire_id = self._identity.translate(instance, instance)
            if wire_id is None or failing():
                continue
            try:
                answer = await client.agent_instances.get(wire_id)
            except PrefactorAuthError:
                with contextlib.suppress(Exception):  # the token is not good either
                    await client.validate_token()
                    self._refusals += 1
                return
            except Exception:  # noqa: BLE001, S112  # the next round asks again
                continue
            self._refusals = 0
            if answer.status == "terminated":
                self.running.discard(instance)
                self._terminated(instance, answer.termination_reason)
