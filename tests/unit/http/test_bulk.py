"""Bulk: checked items, one request, one outcome for each item that was reached."""

import json
from typing import Any

import msgspec
import pytest

from prefactor_http.exceptions import PrefactorAuthError, PrefactorResponseContractError
from prefactor_http.models import (
    BulkItem,
    BulkOutcome,
    BulkOutcomeWithIds,
    BulkOutput,
    BulkRequest,
    BulkResponse,
    OutcomeIds,
)

PATH = "/api/v1/bulk"


def item(key: str = "abcdefgh", **fields: Any) -> BulkItem:
    return BulkItem(_type="agent_spans/create", idempotency_key=key, **fields)


def test_an_item_keeps_every_further_keyword() -> None:
    """They are attributes, and part of every dump, after the two fields."""
    built = item(details={"a": None}, note=None)

    assert (built.type, built.details) == ("agent_spans/create", {"a": None})
    assert list(built.model_dump()) == ["type", "idempotency_key", "details", "note"]
    assert built.model_dump(by_alias=True, exclude_none=True) == {
        "_type": "agent_spans/create",
        "idempotency_key": "abcdefgh",
        "details": {"a": None},
    }


def test_an_item_may_hold_models() -> None:
    """They are dumped with it."""
    assert item(inner=item("12345678")).model_dump()["inner"]["idempotency_key"] == "12345678"


def test_only_the_name_on_the_wire_names_the_type() -> None:
    """``type`` would be a field of the action."""
    with pytest.raises(ValueError, match="_type"):
        BulkItem(type="agent_spans/create", idempotency_key="abcdefgh")


@pytest.mark.parametrize("key", ["k" * 8, "k" * 64])
def test_a_key_of_8_to_64_characters_is_accepted(key: str) -> None:
    """Both bounds are inclusive."""
    assert item(key).idempotency_key == key


@pytest.mark.parametrize("key", ["k" * 7, "k" * 65, 12345678, None])
def test_any_other_key_is_refused(key: Any) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match="idempotency_key"):
        item(key)


def test_a_request_needs_items_with_keys_that_differ() -> None:
    """An empty list and a repeated key are refused, dictionaries are converted."""
    converted = BulkRequest(items=[{"_type": "x", "idempotency_key": "abcdefgh", "q": 1}])

    assert converted.items == [BulkItem(_type="x", idempotency_key="abcdefgh", q=1)]
    with pytest.raises(ValueError, match="items"):
        BulkRequest(items=[])
    with pytest.raises(ValueError, match="unique"):
        BulkRequest(items=[item(), item()])


def test_the_validators_can_be_called_directly() -> None:
    """They return what they were given."""
    items = [item(), item("12345678")]

    assert BulkRequest.validate_unique_idempotency_keys(items) is items
    assert BulkOutput.validate_status("error") == "error"
    with pytest.raises(ValueError, match="unique"):
        BulkRequest.validate_unique_idempotency_keys([item(), item()])
    with pytest.raises(ValueError, match="'success' or 'error'"):
        BulkOutput.validate_status("done")


def test_outputs_and_responses_check_what_they_hold() -> None:
    """A status of its own, and outputs, are required."""
    with pytest.raises(ValueError, match="status"):
        BulkOutput(status="done")
    with pytest.raises(ValueError, match="outputs"):
        BulkResponse.model_validate({})

    assert BulkResponse(outputs={}).status == "success"
    assert BulkOutput(status="error", code="x").model_extra == {"code": "x"}


async def test_execute_sends_items_and_returns_everything(api: Any, client: Any, wire: Any) -> None:
    """Nulls and extras travel both ways; items not reached are absent."""
    request = wire("bulk", "execute", "request")
    answer = wire("bulk", "execute", "response")
    api.answer("POST", PATH, payload=answer)

    response = await client.bulk.execute(BulkRequest.model_validate(request))

    assert api.only_call.body == request
    assert "Idempotency-Key" not in api.only_call.headers
    assert response.model_dump() == answer
    assert response.outputs["key-of-create"].control == {"terminate": True, "reason": None}
    assert response.outputs["key-of-finish"].code == "invalid_action"
    assert "key-of-show" not in response.outputs


async def test_encoded_items_are_sent_as_they_are(api: Any, client: Any, wire: Any) -> None:
    """The bytes are joined, not parsed."""
    api.answer("POST", PATH, payload=wire("bulk", "execute", "response"))

    await client.bulk.execute_encoded([b'{"a": 1}', b'{"b":2}'])

    assert api.only_call.raw == b'{"items":[{"a": 1},{"b":2}]}'


async def test_encoded_items_get_lean_outcomes(api: Any, client: Any, wire: Any) -> None:
    """Everything but the objects."""
    api.answer("POST", PATH, payload=wire("bulk", "execute", "response"))

    outcomes = await client.bulk.execute_encoded([b"{}"])

    assert outcomes == {
        "key-of-create": BulkOutcome("success", control={"terminate": True, "reason": None}),
        "key-of-finish": BulkOutcome("error", "invalid_action", "Span is already finished"),
    }


async def test_ids_come_on_demand(api: Any, client: Any, wire: Any) -> None:
    """A failed action has none."""
    body = wire("bulk", "execute", "response")
    details = body["outputs"]["key-of-create"]["details"]
    api.answer("POST", PATH, payload=body)

    outcomes = await client.bulk.execute_encoded([b"{}"], with_ids=True)

    assert outcomes["key-of-create"].details == OutcomeIds(details["id"], details["account_id"])
    assert outcomes["key-of-finish"].details is None


@pytest.mark.parametrize(
    ("details", "ids"),
    [
        ({"id": 7, "account_id": "a"}, OutcomeIds(None, "a")),
        ({}, OutcomeIds()),
        ([], None),
        ("text", None),
        (None, None),
    ],
)
async def test_unusable_ids_spoil_nothing(
    api: Any, client: Any, details: Any, ids: OutcomeIds | None
) -> None:
    """The outcome itself is still told."""
    outputs = {
        "odd": {"status": "success", "details": details},
        "even": {"status": "success", "details": {"id": "i"}},
    }
    api.answer("POST", PATH, payload={"status": "success", "outputs": outputs})

    outcomes = await client.bulk.execute_encoded([b"{}"], with_ids=True)

    assert outcomes == {
        "odd": BulkOutcomeWithIds("success", details=ids),
        "even": BulkOutcomeWithIds("success", details=OutcomeIds("i")),
    }


@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize(
    "body",
    [{}, {"outputs": []}, {"outputs": {"key": {"status": "done"}}}, {"outputs": {"key": 1}}],
    ids=json.dumps,
)
async def test_an_answer_of_another_shape_breaks_the_contract(
    api: Any, client: Any, body: Any, with_ids: bool
) -> None:
    """It has no status then, since the request was carried out."""
    api.answer("POST", PATH, payload=body)

    with pytest.raises(PrefactorResponseContractError, match=r"bulk\.execute") as caught:
        await client.bulk.execute_encoded([b"{}"], with_ids=with_ids)

    assert caught.value.status_code is None
    assert isinstance(caught.value.cause, msgspec.ValidationError)


async def test_a_wrong_shape_breaks_the_typed_call_too(api: Any, client: Any) -> None:
    """Both ways to call have the same errors."""
    api.answer("POST", PATH, payload={"outputs": {"key": {"status": "done"}}})

    with pytest.raises(PrefactorResponseContractError, match=r"bulk\.execute") as caught:
        await client.bulk.execute(BulkRequest(items=[item()]))

    assert caught.value.status_code is None


async def test_a_failed_request_is_an_ordinary_error(api: Any, client: Any, wire: Any) -> None:
    """The refusal of the whole request is no outcome of an item."""
    api.answer("POST", PATH, status=401, payload=wire("errors", "plain"))

    with pytest.raises(PrefactorAuthError):
        await client.bulk.execute_encoded([b"{}"])


async def test_no_items_are_refused_before_sending(api: Any, client: Any) -> None:
    """The API would refuse them."""
    with pytest.raises(ValueError, match="items"):
        await client.bulk.execute_encoded([])

    assert api.calls == []
