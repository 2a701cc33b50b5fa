"""Types in use are declared once, permissively, under a label that changes with them."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter._core.declaration import AUTO_DECLARE, declare_used_types

ANYTHING = {"type": "object", "additionalProperties": True}
names = st.lists(st.text(min_size=1), unique=True, max_size=6)


def details(schema=None):
    return {"agent_schema_version": schema if schema is not None else {}, AUTO_DECLARE: True}


def declared(details):
    schema = details["agent_schema_version"]
    return {entry["name"]: entry for entry in schema.get("span_type_schemas") or []}


@given(names)
def test_every_type_in_use_is_declared_in_order(used):
    fields = details()
    declare_used_types(fields, used)

    assert list(declared(fields)) == used
    assert all(entry["params_schema"] == ANYTHING for entry in declared(fields).values())
    assert AUTO_DECLARE not in fields


@given(names, names)
def test_what_is_declared_already_stays_as_it_is(given_, used):
    strict = {"type": "object", "properties": {"a": {}}}
    own = [{"name": name, "params_schema": strict} for name in given_]
    fields = details({"external_identifier": "v1", "span_type_schemas": copy.deepcopy(own)})
    declare_used_types(fields, used)

    assert fields["agent_schema_version"]["span_type_schemas"][: len(own)] == own
    assert set(declared(fields)) == {*given_, *used}


@given(names, names)
def test_the_label_tells_two_sets_of_types_apart_and_only_those(first, second):
    labels = []
    for used in (first, second, list(reversed(first))):
        fields = details()
        declare_used_types(fields, used)
        labels.append(fields["agent_schema_version"]["external_identifier"])

    assert (labels[0] == labels[1]) == (set(first) == set(second))
    assert labels[0] == labels[2]


def test_a_label_of_the_application_is_kept_while_nothing_is_added():
    fields = details({"external_identifier": "v1", "span_type_schemas": [{"name": "a"}]})
    declare_used_types(fields, ["a"])
    assert fields["agent_schema_version"]["external_identifier"] == "v1"

    fields = details({"external_identifier": "v1", "span_type_schemas": [{"name": "a"}]})
    declare_used_types(fields, ["b"])
    assert fields["agent_schema_version"]["external_identifier"].startswith("v1+")


def test_the_older_form_is_completed_in_its_own_words():
    fields = details({"external_identifier": "v1", "span_schemas": {"a": {"type": "object"}}})
    declare_used_types(fields, ["a", "b"])
    schema = fields["agent_schema_version"]

    assert schema["span_schemas"] == {"a": {"type": "object"}, "b": ANYTHING}
    assert schema["span_result_schemas"] == {"b": ANYTHING}
    assert "span_type_schemas" not in schema


@pytest.mark.parametrize("fields", [None, {"agent_schema_version": {"span_type_schemas": []}}])
def test_a_schema_that_the_caller_means_is_left_alone(fields):
    before = copy.deepcopy(fields)
    declare_used_types(fields, ["a"])
    assert fields == before


def test_a_second_time_changes_nothing():
    fields = details()
    declare_used_types(fields, ["a"])
    before = copy.deepcopy(fields)
    declare_used_types(fields, ["a", "b"])
    assert fields == before
