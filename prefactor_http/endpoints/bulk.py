"""Own the bulk call: many actions in one request."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import msgspec

from prefactor_http.endpoints._transport import Transport, encode
from prefactor_http.models.bulk import (
    BulkOutcome,
    BulkOutcomeWithIds,
    BulkRequest,
    BulkResponse,
    OutcomeIds,
)

__all__ = ["BulkClient"]

_PATH = "/api/v1/bulk"
_OPERATION = "bulk.execute"


class _Outcomes(msgspec.Struct, gc=False):
    outputs: dict[str, BulkOutcome]


class _OutcomesWithIds(msgspec.Struct, gc=False):
    outputs: dict[str, BulkOutcomeWithIds]


class _LooseOutcome(BulkOutcome, gc=False):
    details: Any = None


class _LooseOutcomes(msgspec.Struct, gc=False):
    outputs: dict[str, _LooseOutcome]


_decode_outcomes = msgspec.json.Decoder(_Outcomes).decode
_decode_with_ids = msgspec.json.Decoder(_OutcomesWithIds).decode
_decode_loosely = msgspec.json.Decoder(_LooseOutcomes).decode


class BulkClient:
    """Carry out many actions in one request.

    The API takes the items in order, each on its own, and stops at the first that fails: that one
    is reported, the ones after it are absent from the outcome and were not carried out.

    The methods raise what `PrefactorHttpClient.request` raises, and a
    `PrefactorResponseContractError` without status if the answer has the wrong shape.
    """

    def __init__(self, http_client: Transport) -> None:
        self._http = http_client

    async def execute(self, request: BulkRequest) -> BulkResponse:
        """Carry out the actions of *request*.

        Returns:
            The outcome of each action that was reached, by its idempotency key, with everything the
            API said about it.
        """
        return await self._http.exchange(
            "POST",
            _PATH,
            operation=_OPERATION,
            decode=BulkResponse.model_validate_json,
            body=encode(request.model_dump(mode="json", by_alias=True)),
        )

    @overload
    async def execute_encoded(
        self,
        items: Sequence[bytes],
        *,
        with_ids: Literal[False] = False,
        answered: Callable[[], object] | None = None,
    ) -> dict[str, BulkOutcome]: ...

    @overload
    async def execute_encoded(
        self,
        items: Sequence[bytes],
        *,
        with_ids: Literal[True],
        answered: Callable[[], object] | None = None,
    ) -> dict[str, BulkOutcomeWithIds]: ...

    @overload
    async def execute_encoded(
        self,
        items: Sequence[bytes],
        *,
        with_ids: bool,
        answered: Callable[[], object] | None = None,
    ) -> dict[str, BulkOutcome] | dict[str, BulkOutcomeWithIds]: ...

    async def execute_encoded(
        self,
        items: Sequence[bytes],
        *,
        with_ids: bool = False,
        answered: Callable[[], object] | None = None,
    ) -> dict[str, BulkOutcome] | dict[str, BulkOutcomeWithIds]:
        """Carry out actions that are encoded already, and skip the objects in the answer.

        Args:
            items: One JSON object each, with ``_type`` and an ``idempotency_key`` of its own; not
                looked at, so the caller vouches for them.
            with_ids: Whether the ids of the objects are wanted too.
            answered: Called once the answer was read and before it is decoded, which holds the
                interpreter for about a microsecond an item; None for nothing.

        Returns:
            The outcome of each action that was reached, by its idempotency key.

        Raises:
            ValueError: If there are no items.
        """
        if not items:
            raise ValueError("items must hold at least one encoded item, got none")
        body = b'{"items":[' + b",".join(items) + b"]}"

        def decode(content: bytes) -> dict[str, BulkOutcome] | dict[str, BulkOutcomeWithIds]:
            if answered is not None:
                answered()
            return _outcomes_with_ids(content) if with_ids else _decode_outcomes(content).outputs

        return await self._http.exchange(
            "POST", _PATH, operation=_OPERATION, decode=decode, body=body
        )


def _outcomes_with_ids(content: bytes) -> dict[str, BulkOutcomeWithIds]:
    """Return the outcomes in *content*; an object without usable ids does not spoil the others."""
    try:
        return _decode_with_ids(content).outputs
    except msgspec.ValidationError:
        loose = _decode_loosely(content).outputs
    return {
        key: BulkOutcomeWithIds(
            outcome.status,
            outcome.code,
            outcome.message,
            outcome.errors,
            outcome.control,
            _usable_ids(outcome.details),
        )
        for key, outcome in loose.items()
    }


def _usable_ids(details: Any) -> OutcomeIds | None:
    if not isinstance(details, dict):
        return None
    found = (details.get("id"), details.get("account_id"))
    return OutcomeIds(*(value if isinstance(value, str) else None for value in found))
