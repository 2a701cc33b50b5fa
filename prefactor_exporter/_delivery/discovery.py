"""Own how the account's partition is found out, and who makes the ids if it cannot be.

It is asked for first. An API that makes no ids for this token tells the partition with the first
thing it makes itself (docs/wire.md, Ids); one that tells it in no way, or refuses ids all the
same, makes them all (section 6.4).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from prefactor_exporter._core.events import CREATES, Event
from prefactor_exporter._core.identity import Identity, makes_no_ids
from prefactor_exporter._core.ids import extract_partition, is_pfid, partition_text
from prefactor_exporter._core.lanes import Lanes
from prefactor_exporter._delivery.herald import Herald
from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorAuthError,
    PrefactorResponseContractError,
    is_permanent_http_error,
)

if TYPE_CHECKING:
    from prefactor_http.client import PrefactorHttpClient
    from prefactor_http.models.bulk import BulkOutcome, OutcomeIds

__all__ = ["Discovery"]

_MAY_PASS = frozenset({408, 425})
_NO_WORD = "unknown"
"""The client's word for an error to which the API gave none."""


class Discovery:
    """Finds the partition out, and falls back where it cannot. Used by the worker's thread alone.

    Args:
        identity: What is told.
        lanes: What waits to be sent, and is composed anew when that changes.
        herald: Who tells people.
        learned: Called with the partition number.
    """

    def __init__(
        self, identity: Identity, lanes: Lanes, *, herald: Herald, learned: Callable[[int], None]
    ) -> None:
        self._identity = identity
        self._lanes = lanes
        self._herald = herald
        self._learned = learned
        self._strange = 0

    async def ask(self, client: "PrefactorHttpClient") -> None:
        """Ask for the partition, or find that there is nothing to ask; then events may leave.

        Raises:
            Exception: What is in the way. The question is to be asked again after a wait.
        """
        try:
            partition = await _partition_of_new_id(client)
        except PrefactorAuthError:
            await client.validate_token()
            self._learn_by_creating()  # the token is good, and just may not have ids made
        except (PrefactorApiError, PrefactorResponseContractError) as error:
            if not is_permanent_http_error(error) or error.status_code in _MAY_PASS:
                raise
            self._strange += 1
            code = error.code if isinstance(error, PrefactorApiError) else _NO_WORD
            known = None if code == _NO_WORD else code
            if not makes_no_ids(error.status_code, known, strange=self._strange):
                raise
            self._learn_by_creating()
        else:
            self._learn(partition)

    def note(
        self, events: Sequence[Event], outcomes: "Mapping[str, BulkOutcome]"
    ) -> list[tuple[str, str, str]]:
        """Take the ids that the API made for *events*, and learn from them.

        Returns:
            Run, our id and the API's id, for each that it assigned.
        """
        assigned: list[tuple[str, str, str]] = []
        for event in events:
            run, local = event.instance, event.id
            outcome = outcomes.get(event.key)
            if event.kind not in CREATES or not self._identity.expects(run, local):
                continue
            if outcome is None or outcome.status != "success":
                continue
            made: OutcomeIds | None = getattr(outcome, "details", None)
            if made is None or made.id is None:
                self._identity.abandon(run, local)  # nobody would be told it any more
            else:
                self._identity.assign(run, local, made.id)
                assigned.append((run, local, made.id))
            if self._identity.learning:
                self._learn_from(made)
        return assigned

    def delivered(self, events: Sequence[Event]) -> None:
        """Take note that the API has *events*: it may have accepted an id made here."""
        if self._identity.trying:
            self._identity.trying = all(
                event.kind not in CREATES or self._identity.expects(event.instance, event.id)
                for event in events
            )

    def refused(self) -> None:
        """Deal with an API that refuses an id made here."""
        if self._identity.server_made:
            return
        if self._identity.confirmed:
            self._use_server_ids("the API refuses ids made by clients")
        else:
            # The partition came from the configured agent id; the API's own word counts more, and
            # the next round asks for it.
            self._identity.doubt()

    def _learn_by_creating(self) -> None:
        """Send the first thing without an id: what the API makes of it tells the partition."""
        self._lanes.use_server_ids()
        self._identity.learning = True

    def _learn_from(self, made: "OutcomeIds | None") -> None:
        told = (made.account_id, made.id) if made is not None else ()
        known = next(filter(is_pfid, told), None)
        if known is None:
            self._use_server_ids("the API does not tell the number of the account")
        else:
            self._learn(extract_partition(known))

    def _learn(self, partition: int) -> None:
        self._strange = 0
        lesson = self._identity.learn(partition_text(partition))
        self._learned(partition)
        if lesson == "refused":
            self._use_server_ids("the API refuses ids made by clients")
        elif self._identity.server_made:
            self._lanes.use_own_ids()
        elif lesson == "another":
            self._lanes.restate()

    def _use_server_ids(self, reason: str) -> None:
        self._lanes.use_server_ids()
        self._herald.notice(
            "server_made_ids", advice=f"{reason}; nested spans take one request per level"
        )


async def _partition_of_new_id(client: "PrefactorHttpClient") -> int:
    answer = await client.pfids.generate(count=1)
    try:
        return extract_partition(answer.pfids[0])
    except (IndexError, ValueError) as error:
        raise PrefactorResponseContractError(
            "pfids.generate: the answer holds no id", cause=error
        ) from error
