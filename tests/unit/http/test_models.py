"""Models check what they are built from, dump what the API wants, and read what it says."""

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from prefactor_http import HttpClientConfig
from prefactor_http.models import (
    AgentForCreate,
    AgentForUpdate,
    AgentInstance,
    AgentInstanceSpanCounts,
    AgentSchemaVersionForRegister,
    AgentSpan,
    AgentSpanSummary,
    AgentVersionForRegister,
    ApiResponse,
    BulkItem,
    BulkOutput,
    DataRisk,
    FinishInstanceRequest,
    ListResponse,
    QualitySchemaForCreate,
    RuntimeEnvironment,
    SpanTypeSchemaForCreate,
)
from prefactor_http.models.base import ApiError, DetailedApiError

SPAN = {"type": "agent_span", "id": "s", "agent_instance_id": "i", "schema_name": "n"}
MOMENT = datetime(2026, 7, 20, 9, 14, 11, 480000, tzinfo=UTC)


def span(**fields: Any) -> AgentSpan:
    return AgentSpan.model_validate({**SPAN, "status": "active", **fields})


def risk(**extra: Any) -> DataRisk:
    return DataRisk.model_validate(
        {
            "action_profile": {"read_data": "allowed"},
            "params_data_categories": {},
            "result_data_categories": {"classification": "internal"},
            **extra,
        }
    )


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: FinishInstanceRequest(status="paused"), "status"),
        (lambda: FinishInstanceRequest(timestamp=3), "timestamp"),
        (lambda: SpanTypeSchemaForCreate(params_schema={}), "name"),
        (lambda: SpanTypeSchemaForCreate(name="n", params_schema=[]), "params_schema"),
        (lambda: span(status="asleep"), r"\$.status"),
        (lambda: span(type="agent_instance"), r"\$.type"),
        (lambda: span(id=7), "id"),
        (lambda: AgentSpan.model_validate([]), "object"),
        (lambda: AgentSpan.model_validate_json(b"{}"), "type"),
        (lambda: AgentSpan.model_validate_json("no json"), "malformed"),
        (lambda: ApiResponse[AgentSpan](status="success", details={}), "details"),
    ],
)
def test_wrong_input_is_a_value_error_that_names_the_field(
    build: Callable[[], Any], named: str
) -> None:
    """A model in hand is valid, however it was built."""
    with pytest.raises(ValueError, match=named):
        build()


def test_constructors_take_keywords_only() -> None:
    """The order of the fields is no promise."""
    with pytest.raises(TypeError, match="keyword"):
        FinishInstanceRequest("complete")


def test_dictionaries_become_nested_models() -> None:
    """Wherever a model belongs, a dictionary will do, and a model is taken as it is."""
    environment = RuntimeEnvironment(os="linux")
    converted = AgentVersionForRegister(runtime_environment={"os": "linux"})
    taken = AgentVersionForRegister(runtime_environment=environment)

    assert converted.runtime_environment == environment
    assert taken.runtime_environment is environment


def test_unknown_keys_of_an_answer_are_ignored(wire: Any) -> None:
    """Next year's fields break nothing, and the newer ones of today are read."""
    instance = AgentInstance.model_validate(wire("agent_instances", "get", "response", "details"))

    assert instance.status == "terminated"
    assert instance.termination_reason == "over budget"
    assert instance.updated_at == MOMENT
    assert instance.span_schema_counts is not None
    assert instance.span_schema_counts.by_name == {"agent:llm": 3}
    assert not hasattr(instance, "a_field_of_next_year")
    assert instance.model_extra is None


def test_missing_span_counts_are_zero() -> None:
    """The API dropped one of them once."""
    counts = AgentInstanceSpanCounts.model_validate({"total": 3})

    assert (counts.total, counts.pending, counts.finished) == (3, 0, 0)


def test_defaults_are_not_shared() -> None:
    """Filling the payload of one span leaves the next one empty."""
    first = span()
    first.payload["a"] = 1

    assert span().payload == {}


def test_equality_is_by_value_and_models_are_not_hashable() -> None:
    """Mutable values have no place in sets."""
    assert span() == span()
    assert span() != span(id="other")
    assert risk(a=1) == risk(a=1)
    assert not risk(a=1) != risk(a=1)  # noqa: SIM202  # the operator under test
    assert risk(a=1) != risk(a=2)
    assert risk() != 1
    for model in (span(), risk()):
        with pytest.raises(TypeError, match="unhashable"):
            hash(model)


def test_repr_shows_class_fields_and_extras() -> None:
    """What is seen in a log can be read."""
    assert repr(RuntimeEnvironment(os="linux")) == (
        "RuntimeEnvironment(agent_sdk=None, os='linux', prefactor_sdk=None, runtime=None)"
    )
    assert repr(risk(note="x")).startswith("DataRisk(action_profile=ActionProfile(")
    assert repr(risk(note="x")).endswith("note='x')")


def test_a_dump_keeps_order_defaults_and_timestamps() -> None:
    """Python mode keeps moments, JSON mode writes them as the API does."""
    model = span(started_at="2026-07-20T09:14:11.480Z")

    dumped = model.model_dump()

    assert list(dumped) == list(AgentSpan.model_fields)
    assert dumped["started_at"] == MOMENT
    assert dumped["payload"] == {}
    assert model.model_dump(mode="json")["started_at"] == "2026-07-20T09:14:11.480000Z"
    assert json.loads(model.model_dump_json())["started_at"] == "2026-07-20T09:14:11.480000Z"


def test_a_dump_without_none_leaves_free_form_objects_alone() -> None:
    """A null inside a payload means something to its owner."""
    model = span(payload={"seed": None, "list": [None]}, result_payload=None)
    nested = AgentVersionForRegister(name="n", runtime_environment=RuntimeEnvironment(os="linux"))

    dumped = model.model_dump(exclude_none=True)

    assert dumped["payload"] == {"seed": None, "list": [None]}
    assert "result_payload" not in dumped
    assert nested.model_dump(exclude_none=True) == {
        "name": "n",
        "runtime_environment": {"os": "linux"},
    }


def test_a_dump_can_be_narrowed() -> None:
    """Fields and extras can be picked or left out by name."""
    model = risk(note="x", other=None)

    assert model.model_dump(include={"note"}) == {"note": "x"}
    assert "action_profile" not in model.model_dump(exclude={"action_profile"})
    assert "other" not in model.model_dump(exclude_none=True)


def test_a_dump_can_be_narrowed_inside() -> None:
    """A mapping says what of a field is wanted; lists go by index, or all at once."""
    model = span(payload={"a": 1, "b": {"c": 2, "d": 3}, "list": [{"x": 1, "y": 2}, 7]})

    def payload(**selection: Any) -> Any:
        return model.model_dump(**selection).get("payload")

    assert payload(include={"payload": {"a"}}) == {"a": 1}
    assert payload(include={"payload": {"b": {"c": True}}}) == {"b": {"c": 2}}
    assert payload(include={"payload": ...}) == model.payload
    assert payload(include={"payload": {"list": {-1}}}) == {"list": [7]}
    assert payload(include={"payload": {"list": {"__all__": {"y"}}}, "id": True})["list"] == [
        {"y": 2},
        7,
    ]
    assert payload(exclude={"payload": {"b": {"c"}, "list": True}}) == {"a": 1, "b": {"d": 3}}
    assert payload(exclude={"payload": {"list": {0}}})["list"] == [7]
    assert payload(exclude={"payload": False}) == model.payload
    assert payload(exclude={"payload": True}) is None
    assert json.loads(model.model_dump_json(include={"payload": {"a"}})) == {"payload": {"a": 1}}


def test_a_dump_can_leave_out_defaults() -> None:
    """In nested models too; what has no default and what is an extra stays."""
    assert span().model_dump(exclude_defaults=True) == {**SPAN, "status": "active"}
    assert span(payload={"a": None}).model_dump(exclude_defaults=True)["payload"] == {"a": None}
    assert risk(note=None).model_dump(exclude_defaults=True) == {
        "action_profile": {"read_data": "allowed"},
        "params_data_categories": {},
        "result_data_categories": {"classification": "internal"},
        "note": None,
    }


def test_json_can_be_indented() -> None:
    """For people to read."""
    model = RuntimeEnvironment(os="lïnux", agent_sdk=[])

    assert model.model_dump_json(indent=2, exclude_none=True) == (
        '{\n  "agent_sdk": [],\n  "os": "lïnux"\n}'
    )


def test_keywords_of_pydantic_that_change_nothing_are_taken() -> None:
    """What was written for the reference client runs."""
    model = span()

    assert (
        model.model_dump(
            by_alias=None,
            exclude_unset=False,
            round_trip=True,
            warnings="none",
            context={"a": 1},
            serialize_as_any=True,
        )
        == model.model_dump()
    )
    assert model.model_dump_json(warnings=False) == model.model_dump_json()


def test_keywords_of_pydantic_that_cannot_be_honoured_say_so() -> None:
    """A dump that quietly holds too much would be worse."""
    dumps: list[Any] = [span().model_dump, risk().model_dump_json]
    for dump in dumps:
        with pytest.raises(TypeError, match=r"exclude_unset.*exclude_defaults"):
            dump(exclude_unset=True)
        with pytest.raises(TypeError, match="fallback"):
            dump(fallback=str)


def test_a_dump_does_not_share_containers_with_the_model() -> None:
    """Editing a dump leaves the model as it was."""
    model = span(payload={"list": [1]})
    model.model_dump()["payload"]["list"].append(2)

    assert model.payload == {"list": [1]}


def test_validation_returns_an_instance_as_it_is() -> None:
    """What is a model already needs no copy."""
    model = span()
    summary = AgentSpanSummary.model_validate({**SPAN, "status": "active"})

    assert AgentSpan.model_validate(model) is model
    assert AgentSpan.model_validate(summary) is summary


def test_json_round_trip() -> None:
    """What a model dumps, it reads again."""
    model = span(started_at="2026-07-20T09:14:11.480Z", payload={"a": [1, None]})

    assert AgentSpan.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize("model", [span(), risk(note={"a": 1})], ids=["plain", "open"])
def test_models_can_be_copied_and_pickled(model: Any) -> None:
    """Copies are equal and independent."""
    replaced = model.model_copy(
        update={"id": "z"} if isinstance(model, AgentSpan) else {"note": "z"}
    )

    assert copy.copy(model) == model
    assert copy.deepcopy(model) == model
    assert pickle.loads(pickle.dumps(model)) == model
    assert model.model_copy() == model
    assert replaced != model
    assert type(replaced) is type(model)


@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_is_as_deep_as_asked_for(deep: bool) -> None:
    """What is given anew is taken as it is in both cases."""
    given: dict[str, Any] = {"b": [2]}
    plain, opened = span(payload={"a": [1]}), risk(note=[1])

    plain_copy = plain.model_copy(deep=deep, update={"result_payload": given})
    opened_copy = opened.model_copy(deep=deep, update={"more": given})

    assert plain_copy.payload == plain.payload
    assert (plain_copy.payload is plain.payload) is not deep
    assert plain_copy.result_payload is given
    assert opened_copy.note == opened.note
    assert (opened_copy.note is opened.note) is not deep
    assert (opened_copy.action_profile is opened.action_profile) is not deep
    assert opened_copy.more is given


def test_an_extra_may_have_any_name() -> None:
    """None of them is where the model keeps them."""
    item = BulkItem(_type="a/b", idempotency_key="abcdefgh", extras={"a": 1}, _extras=2)
    output = BulkOutput.model_validate_json('{"status": "success", "extras": [1]}')
    bare = BulkItem(_type="a/b", idempotency_key="abcdefgh")

    assert (item.extras, item._extras) == ({"a": 1}, 2)
    assert item.model_dump(by_alias=True) == {
        "_type": "a/b",
        "idempotency_key": "abcdefgh",
        "extras": {"a": 1},
        "_extras": 2,
    }
    assert output.extras == [1]
    assert pickle.loads(pickle.dumps(item)).extras == {"a": 1}
    with pytest.raises(AttributeError, match="extras"):
        _ = bare.extras


def test_extras_are_attributes() -> None:
    """They can be read and set; one that is absent is an `AttributeError`."""
    model = risk(note="x", model_dump="not a method")
    model.note = "y"
    model.params_data_categories = model.result_data_categories

    assert model.note == "y"
    assert model.model_extra == {"note": "y", "model_dump": "not a method"}
    assert callable(model.model_dump)
    with pytest.raises(AttributeError, match="absent"):
        _ = model.absent


def test_extras_survive_inside_other_models() -> None:
    """However deep an open model sits, it keeps what it was given."""
    raw = {
        "span_type_schemas": [
            {"name": "n", "params_schema": {}, "data_risk": risk(note="x").model_dump()}
        ]
    }

    built = AgentSchemaVersionForRegister(**raw)
    read = AgentSchemaVersionForRegister.model_validate_json(json.dumps(raw))

    assert built == read
    assert built.span_type_schemas is not None
    assert built.span_type_schemas[0].data_risk is not None
    assert built.span_type_schemas[0].data_risk.note == "x"


def test_data_risk_dumps_all_its_values() -> None:
    """The API wants the unknown ones too."""
    dumped = risk().model_dump(exclude_none=True)

    assert len(dumped["action_profile"]) == 6
    assert len(dumped["params_data_categories"]) == 18
    assert dumped["result_data_categories"]["classification"] == "internal"


def test_a_quality_schema_takes_both_names_of_its_schema() -> None:
    """``schema`` on the wire, ``schema_`` in Python."""
    by_attribute = QualitySchemaForCreate(name="n", schema_={"type": "object"})
    by_wire_name = QualitySchemaForCreate(name="n", schema={"type": "object"})

    assert by_attribute == by_wire_name
    assert "schema" in by_attribute.model_dump(by_alias=True)
    assert "schema_" in by_attribute.model_dump()


def test_envelopes_check_the_type_they_are_given(wire: Any) -> None:
    """The same parameter gives the same class, and a bare envelope takes anything."""
    answer = wire("agent_spans", "get", "response")

    typed = ApiResponse[AgentSpan].model_validate(answer)
    bare = ApiResponse(**answer)

    assert isinstance(typed, ApiResponse)
    assert isinstance(typed.details, AgentSpan)
    assert bare.details == answer["details"]
    assert ApiResponse[AgentSpan] is ApiResponse[AgentSpan]
    assert msgspec.json.decode(json.dumps(answer), type=ApiResponse[AgentSpan]) == typed


def test_a_list_may_come_without_page_and_order() -> None:
    """Both are read when they are there."""
    bare = ListResponse[AgentSpan](status="success", summaries=[])

    assert (bare.pagination, bare.sorting) == (None, None)


def test_an_update_tells_absent_from_null() -> None:
    """Only what was given is sent; ``None`` clears what can be cleared."""
    update = AgentForUpdate(name="n", team_id=None)

    assert update.changes() == {"name": "n", "team_id": None}
    assert AgentForUpdate().changes() == {}
    assert AgentForCreate(name="n").model_dump(exclude_none=True) == {"name": "n"}


def test_error_bodies_are_models_too(wire: Any) -> None:
    """For callers that look at raw answers."""
    assert ApiError.model_validate(wire("errors", "plain")).code == "bad_authtoken"
    assert DetailedApiError.model_validate(wire("errors", "detailed")).errors["name"]


def test_config_hides_the_token_and_compares_by_value() -> None:
    """Nothing that prints settings prints secrets."""
    config = HttpClientConfig("https://api.test", "a-secret")

    assert "a-secret" not in repr(config)
    assert "api_url='https://api.test'" in repr(config)
    assert config == HttpClientConfig("https://api.test", "a-secret")
    assert config != HttpClientConfig("https://api.test", "another")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"api_url": ""}, "api_url is required"),
        ({"api_token": ""}, "api_token is required"),
        ({"request_timeout": 0}, "request_timeout must be positive"),
        ({"connect_timeout": 0}, "connect_timeout must be positive"),
        ({"max_retries": -1}, "max_retries must be non-negative"),
        ({"initial_retry_delay": 0}, "initial_retry_delay must be positive"),
        ({"max_retry_delay": 0}, "max_retry_delay must be positive"),
        ({"max_retry_delay": 0.5}, "initial_retry_delay must be <= max_retry_delay"),
        ({"retry_multiplier": 0.9}, "retry_multiplier must be >= 1"),
    ],
)
def test_config_refuses_what_makes_no_sense(settings: dict[str, Any], message: str) -> None:
    """The text says which setting is wrong and what it must be."""
    with pytest.raises(ValueError, match=message):
        HttpClientConfig(**{"api_url": "https://api.test", "api_token": "t", **settings})
