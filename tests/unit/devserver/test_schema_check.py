"""Promises of the small JSON schema check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_http.devserver.schema_check import compile_for_objects

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
keywords = st.sampled_from(
    ["type", "required", "properties", "additionalProperties", "items", "enum", "const", "anyOf"]
)


def problem_with(value, schema):
    """Check *value* as a member of an object: the path begins at the member."""
    check = compile_for_objects({"properties": {"it": schema}})
    problem = None if check is None else check({"it": value})
    return None if problem is None else problem.replace("$.it", "$", 1)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, 1),
        (True, None),
        ({"type": "object"}, {}),
        ({"type": ["string", "null"]}, None),
        ({"type": "integer"}, 2.0),
        ({"type": "number"}, 1),
        ({"type": "sausage"}, 1),
        ({"required": ["a"]}, {"a": None}),
        ({"required": ["a"]}, "not an object"),
        ({"properties": {"a": {"type": "string"}}}, {"a": "x", "b": 1}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}),
        ({"items": {"type": "boolean"}}, [True, False]),
        ({"items": {"type": "boolean"}}, {"not": "a list"}),
        ({"properties": {"a": {"type": "string"}}}, "not an object"),
        ({"enum": [1, "a", {"b": [1]}]}, {"b": [1.0]}),
        ({"const": None}, None),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 3),
        ({"anyOf": [{"type": "string"}, {}]}, []),
    ],
)
def test_what_conforms_has_no_problem(schema, value):
    """Conforming values pass, and so does everything about unknown keywords."""
    assert problem_with(value, schema) is None


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        (False, 1, "$ is not allowed"),
        ({"type": "object"}, [], "$ is not of type object"),
        ({"type": "integer"}, True, "$ is not of type integer"),
        ({"type": "number"}, "1", "$ is not of type number"),
        ({"required": ["a", "b"]}, {"a": 1}, "$.b is required"),
        ({"properties": {"a": {"type": "string"}}}, {"a": 1}, "$.a is not of type string"),
        ({"additionalProperties": False}, {"x": 1}, "$.x is not allowed"),
        ({"additionalProperties": {"type": "null"}}, {"x": 1}, "$.x is not of type null"),
        ({"items": {"type": "array"}}, [[], 1], "$[1] is not of type array"),
        ({"enum": [1]}, True, "$ is not one of the allowed values"),
        ({"enum": [[1]]}, [1, 2], "$ is not one of the allowed values"),
        ({"const": 0}, False, "$ is not the required value"),
        ({"anyOf": [{"type": "string"}, {"const": 1}]}, 2, "$ matches none of the alternatives"),
    ],
)
def test_what_breaks_the_schema_is_named(schema, value, problem):
    """The first broken place is named with its path."""
    assert problem_with(value, schema) == problem


@given(schema=json_values | st.dictionaries(keywords, json_values), value=json_values)
def test_no_schema_however_odd_makes_the_check_fail(schema, value):
    """Any JSON can be given as a schema."""
    assert isinstance(problem_with(value, schema), str | None)


@pytest.mark.parametrize(
    "schema",
    [{"type": "object"}, {"type": "object", "additionalProperties": True, "title": "x"}, {}, True],
)
def test_a_permissive_schema_needs_no_check(schema):
    """What lets every object pass is recognised, so payloads need not be decoded."""
    assert compile_for_objects(schema) is None


def test_a_strict_schema_is_compiled_once():
    """The compiled check gives the same answers."""
    check = compile_for_objects({"type": "object", "required": ["a"]})

    assert check is not None
    assert check({"a": 1}) is None
    assert check({}) == "$.a is required"
