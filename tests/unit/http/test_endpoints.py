"""Endpoints: each method sends the documented request and returns a typed answer."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from prefactor_http import AgentInstance, AgentSpan, AgentVersionForRegister, FinishInstanceRequest
from prefactor_http.exceptions import PrefactorApiError, PrefactorResponseContractError
from prefactor_http.models import (
    Agent,
    AgentForCreate,
    AgentForUpdate,
    AgentInstanceSummary,
    AgentSpanSummary,
    AgentSummary,
    PfidBatch,
)

STARTED = datetime(2026, 7, 20, 9, 14, 11, 480000, tzinfo=UTC)
ENDED = datetime(2026, 7, 20, 9, 14, 12, tzinfo=UTC)
INSTANCES = "/api/v1/agent_instance"
SPANS = "/api/v1/agent_spans"
AGENTS = "/api/v1/agent"
KEY = "3f8a2c1e5d7b49608e1f2a3b4c5d6e7f"

WRITES: list[tuple[str, str, str, str, Callable[[Any, dict[str, Any]], Any]]] = [
    (
        "agent_instances",
        "register",
        "POST",
        f"{INSTANCES}/register",
        lambda client, body: client.agent_instances.register(**body),
    ),
    (
        "agent_instances",
        "start",
        "POST",
        f"{INSTANCES}/i/start",
        lambda client, body: client.agent_instances.start("i", STARTED, KEY),
    ),
    (
        "agent_instances",
        "finish",
        "POST",
        f"{INSTANCES}/i/finish",
        lambda client, body: client.agent_instances.finish("i", "failed", ENDED, KEY),
    ),
    (
        "agent_instances",
        "terminate",
        "POST",
        f"{INSTANCES}/i/terminate",
        lambda client, body: client.agent_instances.terminate(
            "i", "over budget", idempotency_key=KEY
        ),
    ),
    (
        "agent_instances",
        "record_quality",
        "POST",
        f"{INSTANCES}/i/record_quality",
        lambda client, body: client.agent_instances.record_quality(
            "i", "accuracy", {"score": 0.9}, KEY
        ),
    ),
    (
        "agent_spans",
        "create",
        "POST",
        SPANS,
        lambda client, body: client.agent_spans.create(
            **{**body["details"], "started_at": STARTED, "finished_at": ENDED}, idempotency_key=KEY
        ),
    ),
    (
        "agent_spans",
        "finish",
        "POST",
        f"{SPANS}/s/finish",
        lambda client, body: client.agent_spans.finish(
            "s", "complete", {"text": "hello"}, ENDED, KEY, sensitive_encoding=True
        ),
    ),
    (
        "agent_spans",
        "discard_sensitive",
        "POST",
        f"{SPANS}/s/discard_sensitive",
        lambda client, body: client.agent_spans.discard_sensitive("s", KEY),
    ),
    (
        "agents",
        "create",
        "POST",
        AGENTS,
        lambda client, body: client.agents.create(AgentForCreate(**body["details"]), KEY),
    ),
    (
        "agents",
        "update",
        "PUT",
        f"{AGENTS}/a",
        lambda client, body: client.agents.update("a", AgentForUpdate(**body["details"]), KEY),
    ),
    (
        "agents",
        "retire",
        "POST",
        f"{AGENTS}/a/retire",
        lambda client, body: client.agents.retire("a", KEY),
    ),
    (
        "account",
        "pfid_generate",
        "POST",
        "/api/v1/pfid/generate",
        lambda client, body: client.pfids.generate(2, idempotency_key=KEY),
    ),
]
TYPES = {
    "agent_instances": AgentInstance,
    "agent_spans": AgentSpan,
    "agents": Agent,
    "account": PfidBatch,
}


@pytest.mark.parametrize(
    ("family", "name", "method", "path", "call"),
    WRITES,
    ids=[f"{family}.{name}" for family, name, *_ in WRITES],
)
async def test_a_write_sends_the_documented_body(
    *,
    api: Any,
    client: Any,
    wire: Any,
    family: str,
    name: str,
    method: str,
    path: str,
    call: Callable[[Any, dict[str, Any]], Any],
) -> None:
    """Method, path and body are those of the sample, and the answer is typed."""
    sample = wire(family, name)
    api.answer(method, path, payload=sample["response"])

    result = await call(client, sample["request"])

    assert (api.only_call.method, api.only_call.path) == (method, path)
    assert api.only_call.body == sample["request"]
    assert "Idempotency-Key" not in api.only_call.headers
    assert type(result) is TYPES[family]


@pytest.mark.parametrize(
    ("path", "call", "family", "body"),
    [
        (
            f"{INSTANCES}/i/start",
            lambda c: c.agent_instances.start("i"),
            "agent_instances",
            {"timestamp": None},
        ),
        (f"{INSTANCES}/i/finish", lambda c: c.agent_instances.finish("i"), "agent_instances", {}),
        (
            f"{INSTANCES}/i/record_quality",
            lambda c: c.agent_instances.record_quality("i", "n"),
            "agent_instances",
            {"name": "n", "payload": None},
        ),
        (f"{SPANS}/s/finish", lambda c: c.agent_spans.finish("s"), "agent_spans", {}),
        (
            SPANS,
            lambda c: c.agent_spans.create("i", "n", "active"),
            "agent_spans",
            {
                "details": {
                    "agent_instance_id": "i",
                    "schema_name": "n",
                    "status": "active",
                    "payload": {},
                }
            },
        ),
        (f"{AGENTS}/a/reinstate", lambda c: c.agents.reinstate("a"), "agents", {}),
        (
            f"{INSTANCES}/register",
            lambda c: c.agent_instances.register(None, {"name": None}, {}),
            "agent_instances",
            {
                "agent_version": {"name": None},
                "agent_schema_version": {},
                "update_current_version": True,
            },
        ),
    ],
)
async def test_what_is_not_given_is_left_out_and_a_key_is_made(
    *, api: Any, client: Any, wire: Any, path: str, call: Any, family: str, body: dict[str, Any]
) -> None:
    """Every write carries a key, a UUID4 in hexadecimal unless the caller has one."""
    sample = {"agent_instances": "start", "agent_spans": "create", "agents": "create"}[family]
    api.answer("POST", path, payload=wire(family, sample, "response"))

    await call(client)

    sent = api.only_call.body
    key = sent.pop("idempotency_key")
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{19}", key)
    assert sent == body


async def test_deleting_an_agent_sends_its_key_in_the_body(
    api: Any, client: Any, wire: Any
) -> None:
    """Like the other actions on agents."""
    api.answer("DELETE", f"{AGENTS}/a", payload=wire("agents", "retire", "response"))

    agent = await client.agents.delete("a", KEY)

    assert agent.status == "retired"
    assert api.only_call.body == {"idempotency_key": KEY}


async def test_an_empty_key_is_sent(api: Any, client: Any, wire: Any) -> None:
    """Only ``None`` asks for a fresh one."""
    api.answer("POST", f"{INSTANCES}/i/start", payload=wire("agent_instances", "start", "response"))

    await client.agent_instances.start("i", idempotency_key="")

    assert api.only_call.body["idempotency_key"] == ""


@pytest.mark.parametrize(
    "call",
    [
        lambda c, k: c.agent_instances.register("a", {}, {}, idempotency_key=k),
        lambda c, k: c.agent_instances.start("i", idempotency_key=k),
        lambda c, k: c.agent_instances.finish("i", idempotency_key=k),
        lambda c, k: c.agent_spans.create("i", "n", "active", idempotency_key=k),
        lambda c, k: c.agent_spans.finish("s", idempotency_key=k),
        lambda c, k: c.agents.retire("a", k),
        lambda c, k: c.pfids.generate(idempotency_key=k),
    ],
    ids=["register", "start", "finish", "create span", "finish span", "retire", "generate"],
)
async def test_a_key_of_more_than_64_characters_is_refused_before_sending(
    api: Any, client: Any, call: Any
) -> None:
    """It could not be told from another after the API had cut it."""
    with pytest.raises(ValueError, match="64 characters"):
        await call(client, "k" * 65)

    assert api.calls == []


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.agent_instances.finish("i", "paused"),
        lambda c: c.agent_instances.register("a", {}, {}, purpose="fun"),
        lambda c: c.agent_instances.terminate("i", ""),
        lambda c: c.agent_instances.show(),
        lambda c: c.agent_instances.show(agent_instance_id="i", external_identifier="e"),
        lambda c: c.agent_instances.get(""),
        lambda c: c.agent_instances.start(".."),
        lambda c: c.agent_spans.create("i", "n", "asleep"),
        lambda c: c.agent_spans.create("i", 7, "active"),
        lambda c: c.agent_spans.finish("s", "active"),
        lambda c: c.agents.show(),
        lambda c: c.pfids.generate(0),
    ],
    ids=[
        "finish status",
        "purpose",
        "no reason",
        "no id to show",
        "two ids to show",
        "empty id",
        "dots for an id",
        "span status",
        "span type",
        "span finish status",
        "no agent to show",
        "no ids to make",
    ],
)
async def test_wrong_arguments_are_refused_before_sending(api: Any, client: Any, call: Any) -> None:
    """The error is a `ValueError`."""
    with pytest.raises(ValueError, match=r"."):
        await call(client)

    assert api.calls == []


async def test_an_id_stays_one_segment_of_the_path(api: Any, client: Any, wire: Any) -> None:
    """Whatever an id holds, it cannot reach another route."""
    api.answer(
        "GET",
        f"{INSTANCES}/a%2Fb%3Fc%20d%25e",
        payload=wire("agent_instances", "get", "response"),
    )

    await client.agent_instances.get("a/b?c d%e")

    assert api.only_call.path == f"{INSTANCES}/a%2Fb%3Fc%20d%25e"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 7, 20, 9), "2026-07-20T09:00:00+00:00"),  # noqa: DTZ001  # the case under test
        (
            datetime(2026, 7, 20, 9, tzinfo=timezone(timedelta(hours=2))),
            "2026-07-20T09:00:00+02:00",
        ),
    ],
)
async def test_a_time_always_carries_its_offset(
    api: Any, client: Any, wire: Any, moment: datetime, text: str
) -> None:
    """A naive time is taken to be UTC."""
    api.answer("POST", f"{INSTANCES}/i/start", payload=wire("agent_instances", "start", "response"))

    await client.agent_instances.start("i", moment)

    assert api.only_call.body["timestamp"] == text


async def test_register_takes_keywords_without_an_agent(api: Any, client: Any, wire: Any) -> None:
    """As callers of later releases write it; what they may not leave out is said at the call."""
    api.answer(
        "POST", f"{INSTANCES}/register", payload=wire("agent_instances", "register", "response")
    )

    await client.agent_instances.register(agent_version={"name": "n"}, agent_schema_version={})

    assert "agent_id" not in api.only_call.body
    assert api.only_call.body["agent_version"] == {"name": "n"}
    with pytest.raises(TypeError, match="needs agent_version and agent_schema_version"):
        await client.agent_instances.register(agent_version={})


async def test_models_may_stand_for_the_dictionaries_of_register(
    api: Any, client: Any, wire: Any
) -> None:
    """Their empty fields are not sent."""
    api.answer(
        "POST", f"{INSTANCES}/register", payload=wire("agent_instances", "register", "response")
    )

    await client.agent_instances.register("a", AgentVersionForRegister(name="n"), {})

    assert api.only_call.body["agent_version"] == {"name": "n"}
    assert FinishInstanceRequest().model_dump(exclude_none=True) == {}


@pytest.mark.parametrize(
    ("control", "reasons"),
    [
        ({"terminate": True, "reason": "over budget"}, ["over budget"]),
        ({"terminate": True, "reason": None}, [None]),
        ({"terminate": True, "reason": 7}, [None]),
        ({"terminate": False, "reason": "x"}, []),
        ({"terminate": "yes"}, []),
        ("terminate", []),
        ([], []),
        (None, []),
    ],
)
async def test_the_agent_hears_when_it_should_stop(
    api: Any, client: Any, wire: Any, control: Any, reasons: list[str | None]
) -> None:
    """Only a well-formed signal counts, and the call succeeds all the same."""
    body = {**wire("agent_spans", "create", "response"), "control": control}
    api.answer("POST", SPANS, payload=body)
    api.answer("POST", f"{SPANS}/s/finish", payload=body)
    heard: list[str | None] = []

    await client.agent_spans.create("i", "n", "active", control_signal_callback=heard.append)
    await client.agent_spans.finish("s", control_signal_callback=heard.append)

    assert heard == reasons * 2


async def test_the_signal_is_heard_before_the_answer_is_read(api: Any, client: Any) -> None:
    """Even an answer of the wrong shape may ask the agent to stop."""
    api.answer("POST", SPANS, payload={"control": {"terminate": True, "reason": "now"}})
    heard: list[str | None] = []

    with pytest.raises(PrefactorResponseContractError):
        await client.agent_spans.create("i", "n", "active", control_signal_callback=heard.append)

    assert heard == ["now"]


@pytest.mark.parametrize(
    ("method", "path", "call", "operation"),
    [
        (
            "POST",
            f"{INSTANCES}/i/start",
            lambda c: c.agent_instances.start("i"),
            "agent_instances.start",
        ),
        ("GET", f"{INSTANCES}/i", lambda c: c.agent_instances.get("i"), "agent_instances.get"),
        ("POST", f"{SPANS}/s/finish", lambda c: c.agent_spans.finish("s"), "agent_spans.finish"),
        ("GET", AGENTS, lambda c: c.agents.list_agents(), "agents.list_agents"),
        ("POST", "/api/v1/pfid/generate", lambda c: c.pfids.generate(), "pfids.generate"),
    ],
)
async def test_an_answer_of_the_wrong_shape_names_the_operation(
    *, api: Any, client: Any, method: str, path: str, call: Any, operation: str
) -> None:
    """There is no status, since the action was carried out."""
    api.answer(method, path, payload={"status": "success", "details": {"id": 7}})

    with pytest.raises(PrefactorResponseContractError, match=operation) as caught:
        await call(client)

    assert caught.value.status_code is None
    assert isinstance(caught.value.cause, ValueError)


async def test_a_conflict_is_raised_and_not_swallowed(api: Any, client: Any) -> None:
    """Whether a finished span counts as success is for the caller to say."""
    api.answer("POST", f"{SPANS}/s/finish", status=409, payload={"code": "invalid_action"})

    with pytest.raises(PrefactorApiError) as caught:
        await client.agent_spans.finish("s")

    assert (caught.value.status_code, caught.value.code) == (409, "invalid_action")


async def test_reading_an_instance(api: Any, client: Any, wire: Any) -> None:
    """By id, by the caller's own id, in lists, and as context."""
    one = wire("agent_instances", "get", "response")
    api.answer("GET", f"{INSTANCES}/i", payload=one)
    api.answer("GET", f"{INSTANCES}/show?external_identifier=e&include_counts=true", payload=one)
    api.answer(
        "GET",
        f"{INSTANCES}?agent_id=a&pagination[offset]=0&pagination[page_size]=100",
        payload=wire("agent_instances", "list", "response"),
    )
    api.answer(
        "GET",
        f"{INSTANCES}/i/agent_context",
        payload=wire("agent_instances", "agent_context", "response"),
    )

    got = await client.agent_instances.get("i")
    shown = await client.agent_instances.show(external_identifier="e", include_counts=True)
    listed = await client.agent_instances.list_instances(agent_id="a", offset=0, page_size=100)
    context = await client.agent_instances.agent_context("i")

    assert got == shown
    assert type(listed.summaries[0]) is AgentInstanceSummary
    assert listed.pagination.next_page_offset is None
    assert listed.sorting.direction == "asc"
    assert context["span_count"] == 3


async def test_reading_a_span(api: Any, client: Any, wire: Any) -> None:
    """Alone, redacted or not, and in lists."""
    api.answer("GET", f"{SPANS}/s?redacted=false", payload=wire("agent_spans", "get", "response"))
    api.answer(
        "GET",
        f"{SPANS}?agent_instance_id=i&start_time=2026-07-20T09:14:11.480000%2B00:00"
        "&include_summaries=true",
        payload=wire("agent_spans", "list", "response"),
    )

    got = await client.agent_spans.get("s", redacted=False)
    listed = await client.agent_spans.list_spans("i", start_time=STARTED, include_summaries=True)

    assert got.started_at == STARTED
    assert type(listed.summaries[0]) is AgentSpanSummary
    assert listed.summaries[0].risk_level == "low"


async def test_reading_an_agent(api: Any, client: Any, wire: Any) -> None:
    """By id, by the caller's own id, and in lists."""
    one = wire("agents", "create", "response")
    api.answer("GET", f"{AGENTS}/a", payload=one)
    api.answer("GET", f"{AGENTS}/show?external_identifier=e&include_risk_rollup=true", payload=one)
    api.answer("GET", f"{AGENTS}?sorting=-id", payload=wire("agents", "list", "response"))

    got = await client.agents.get("a")
    shown = await client.agents.show(external_identifier="e", include_risk_rollup=True)
    listed = await client.agents.list_agents(sorting="-id")

    assert got == shown
    assert got.instance_counts.terminated == 1
    assert [type(agent) for agent in listed] == [AgentSummary]


async def test_a_read_without_choices_has_no_query(api: Any, client: Any, wire: Any) -> None:
    """What is ``None`` is not sent."""
    api.answer("GET", AGENTS, payload=wire("agents", "list", "response"))

    await client.agents.list_agents()

    assert api.only_call.query == {}
