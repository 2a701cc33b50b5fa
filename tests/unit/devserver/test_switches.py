"""Promises of the switches."""

import math

import pytest

from prefactor_http.devserver.switches import Switches, parse_switches


def test_switches_are_read_from_text():
    """Every kind of value has a written form; a bare name switches on."""
    switches = parse_switches(
        [
            "refuse_client_ids",
            "control_in_bulk=false",
            "max_bulk_items=10",
            "idempotency_seconds=inf",
            "refused_bulk_types=agents/list,agents/show",
            "validation_status=400",
        ]
    )

    assert switches == Switches(
        refuse_client_ids=True,
        control_in_bulk=False,
        max_bulk_items=10,
        idempotency_seconds=math.inf,
        refused_bulk_types=("agents/list", "agents/show"),
        validation_status=400,
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("strict=1", "unknown switch 'strict'; the switches are: refuse_client_ids"),
        ("strict_cancelled=perhaps", "'perhaps' is not a value of switch 'strict_cancelled'"),
        ("idempotency_seconds=long", "'long' is not a value"),
        ("validation_status=500", "must be 400 or 422"),
        ("create_status=204", "must be 200 or 201"),
    ],
)
def test_a_bad_switch_is_named(text, problem):
    """The message says what would have been right."""
    with pytest.raises(ValueError, match=problem):
        parse_switches([text])


def test_every_switch_is_documented():
    """The docstring lists each name."""
    lines = [line.strip() for line in (Switches.__doc__ or "").splitlines()]

    for name in Switches.__struct_fields__:
        assert any(line.startswith(f"{name}: ") for line in lines)
