"""Span types, declared once, as the API wants them."""

import dataclasses
import json
from typing import TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter.schemas import SchemaRegistry

ANY_OBJECT = {"type": "object", "additionalProperties": True}


class Message(msgspec.Struct):
    role: str


class Struct(msgspec.Struct):
    messages: list[Message]


class Tree(msgspec.Struct):
    children: list["Tree"]


@dataclasses.dataclass
class Data:
    message: Message


@attrs.define
class Attributes:
    message: Message


class Typed(TypedDict):
    message: Message


class Inner(pydantic.BaseModel):
    role: str


class Model(pydantic.BaseModel):
    messages: list[Inner]


def references(value):
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for member in value.values() for found in references(member)]
    if isinstance(value, list):
        return [found for member in value for found in references(member)]
    return []


def test_what_is_left_out_allows_any_object():
    """A missing schema would mean "an empty object only" to the API, so it is never missing."""
    wire = SchemaRegistry("v1").add("agent:llm").to_dict()

    assert wire == {
        "external_identifier": "v1",
        "span_type_schemas": [
            {"name": "agent:llm", "params_schema": ANY_OBJECT, "result_schema": ANY_OBJECT}
        ],
    }


def test_everything_given_travels():
    """All fields of the full form arrive under the names of the wire."""
    risk = {"action_profile": {"read_data": "allowed"}}
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    registry = SchemaRegistry().add(
        "tool:search",
        schema,
        schema,
        title="Search",
        description="Looks things up",
        template="{{ q }}",
        data_risk=risk,
    )
    registry.quality("score", schema, title="Score")
    wire = registry.to_dict()

    assert wire["span_type_schemas"] == [
        {
            "name": "tool:search",
            "params_schema": schema,
            "result_schema": schema,
            "title": "Search",
            "description": "Looks things up",
            "template": "{{ q }}",
            "data_risk": risk,
        }
    ]
    assert wire["quality_schemas"] == [{"name": "score", "schema": schema, "title": "Score"}]
    assert registry.names == ("tool:search",)
    assert "tool:search" in registry
    assert len(registry) == 1


@pytest.mark.parametrize("source", [Struct, Tree, Data, Attributes, Typed, Model])
def test_schemas_of_types_stand_for_themselves(source):
    """Whatever a schema refers to is within it, and it describes an object at the top."""
    (span,) = SchemaRegistry().add("x", source).to_dict()["span_type_schemas"]
    schema = span["params_schema"]
    referred = references(schema)

    assert schema["type"] == "object"
    assert schema["properties"]
    assert referred
    assert {reference.removeprefix("#/$defs/") for reference in referred} == schema["$defs"].keys()
    assert json.loads(json.dumps(schema)) == schema


def test_the_same_declaration_twice_is_one():
    """Modules may declare what they use, each for itself."""
    registry = SchemaRegistry().add("x", Struct).add("x", Struct)

    assert registry.names == ("x",)


@pytest.mark.parametrize("other", [{"params": Data}, {"params": Struct, "title": "X"}])
def test_another_declaration_of_a_name_is_an_error(other):
    """The error says which name and what differs."""
    registry = SchemaRegistry().add("x", Struct)

    with pytest.raises(ValueError, match="'x' is declared already and differs in"):
        registry.add("x", **other)
    assert registry.to_dict() == SchemaRegistry().add("x", Struct).to_dict()


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": " "},
        {"name": 7},
        {"name": "x", "params": int},
        {"name": "x", "params": "object"},
        {"name": "x", "params": Struct([])},
        {"name": "x", "result": {"type": "string"}},
        {"name": "x", "result": {"type": object()}},
        {"name": "x", "title": 7},
        {"name": "x", "data_risk": "high"},
        {"name": "x", "data_risk": {"a": object()}},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_an_error(arguments):
    """A declaration that would be refused later is refused at once."""
    with pytest.raises(ValueError, match=r"name must be|of 'x' (must|is not)"):
        SchemaRegistry().add(**arguments)


def test_an_empty_label_is_an_error():
    """Empty is neither a label nor "derive it"."""
    with pytest.raises(ValueError, match="external_identifier"):
        SchemaRegistry("")


@given(names=st.lists(st.text(min_size=1).filter(str.strip), unique=True, min_size=1))
def test_the_label_follows_the_content(names):
    """The derived label is the same in any order, and another one with anything more."""
    one, two = SchemaRegistry(), SchemaRegistry()
    for name in names:
        one.add(name)
    for name in reversed(names):
        two.add(name)
    before = one.external_identifier
    one.quality("more", None)

    assert two.external_identifier == before
    assert one.external_identifier != before


def test_nobody_changes_it_from_outside():
    """Neither the dict that was given nor the one that was returned is the registry's own."""
    schema = {"type": "object", "properties": {}}
    registry = SchemaRegistry().add("x", schema)
    before = registry.external_identifier
    schema["properties"]["later"] = {}
    registry.to_dict()["span_type_schemas"].clear()

    assert registry.external_identifier == before
    assert registry.names == ("x",)
