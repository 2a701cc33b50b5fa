"""Promises of the one-line summaries and of sensitive values."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_http.devserver import sensitive
from prefactor_http.devserver.templates import filled, render

VARIABLES = {"a": {"b": "deep", "c.d": 4, "list": ["zero", {"x": True}]}, "n": None}


@pytest.mark.parametrize(
    ("template", "summary"),
    [
        ("plain", "plain"),
        ("{{ a.b }}", "deep"),
        ("{{a['c.d']}} and {{ a[\"b\"] }}", "4 and deep"),
        ("{{ a.list[0] }}/{{ a.list[1].x }}", "zero/true"),
        ("[{{ nothing.here }}{{ n }}{{ a.list[9] }}]", "[]"),
        ("{{ a.b | upcase }}", "deep"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_template_is_filled(template, summary):
    """Missing values render empty, filters are ignored, the result is one line."""
    assert render(template, VARIABLES) == summary


@pytest.mark.parametrize("template", ["{{ a", "a }}", "{% if a %}", "{{ }}", "{{ a ~ b }}"])
def test_a_broken_template_has_no_summary(template):
    """It is no error either."""
    assert render(template, VARIABLES) is None


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{ nothing }} → {{ n }}", None),
        ("{{ nothing }} → {{ a.b }}", "→ deep"),
        ("plain", "plain"),
        ("{{ a ~ b }}", None),
        (None, None),
    ],
)
def test_people_are_not_shown_what_is_left_of_a_template_without_values(template, line):
    """One without places says what it says."""
    assert filled(template, VARIABLES) == line


@given(template=st.text(alphabet="{}[]ab.'\" |%0", max_size=20))
def test_no_template_makes_rendering_fail(template):
    """Whatever people write."""
    assert isinstance(render(template, VARIABLES), str | None)
    assert isinstance(filled(template, VARIABLES), str | None)


def test_wrapped_values_are_replaced_at_any_depth():
    """The wrapper stays, so that readers see that something was there."""
    body = {"a": [{"$sensitive": "string", "value": "x"}], "$sensitive": 1, "value": 2}

    assert json.loads(sensitive.replaced(json.dumps(body).encode(), sensitive.HIDDEN)) == {
        "a": [{"$sensitive": "string", "value": "[redacted]"}],
        "$sensitive": 1,
        "value": 2,
    }
