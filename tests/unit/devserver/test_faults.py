"""Promises of the fault script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_http.devserver.faults import (
    Facts,
    FaultRule,
    FaultScript,
    ItemFacts,
    parse_rule,
    written_rule,
)

POST = Facts("POST", "/api/v1/agent_spans", 100)


def bulk(*names, size=1000):
    items = [ItemFacts("agent_spans/create", name) for name in names]
    return Facts("POST", "/api/v1/bulk", size, items)


def struck(script, facts, times):
    return [script.plan(facts).rule is not None for _ in range(times)]


def test_every_counts_matching_requests():
    """Every third is hit, and the count says so."""
    script = FaultScript("every=3 status=503")

    assert struck(script, POST, 7) == [False, False, True, False, False, True, False]
    assert script.counts == {"every=3 status=503": 2}
    assert script.hits == 2


def test_times_ends_a_rule():
    """After its last hit a rule is silent."""
    assert struck(FaultScript("times=2 status=503"), POST, 4) == [True, True, False, False]


def test_after_spares_the_first():
    """And counts from there."""
    script = FaultScript("after=1 every=2 status=503")

    assert struck(script, POST, 5) == [False, False, True, False, True]


def test_chance_is_repeatable():
    """The same seed strikes the same requests, another seed others."""
    first = struck(FaultScript("p=0.5 seed=1 status=503"), POST, 50)

    assert struck(FaultScript("p=0.5 seed=1 status=503"), POST, 50) == first
    assert struck(FaultScript("p=0.5 seed=2 status=503"), POST, 50) != first
    assert 10 < sum(first) < 40


@pytest.mark.parametrize(
    ("rule", "facts", "hit"),
    [
        ("path=/bulk status=503", POST, False),
        ("path=/bulk status=503", bulk("a"), True),
        ("method=get status=503", POST, False),
        ("method=post status=503", POST, True),
        ("over_items=2 status=413", bulk("a", "b"), False),
        ("over_items=2 status=413", bulk("a", "b", "c"), True),
        ("over_items=2 status=413", POST, False),
        ("over_bytes=1000 status=413", bulk("a", size=1000), False),
        ("over_bytes=1000 status=413", bulk("a", size=1001), True),
        ("item_error=boom nth=2", bulk("a"), False),
        ("item_error=boom nth=2", bulk("a", "b"), True),
        ("item_error=boom schema_name=b", bulk("a"), False),
        ("item_error=boom schema_name=b", bulk("a", "b"), True),
        ("item_error=boom schema_name=b nth=1", bulk("a", "b"), False),
        ("item_error=boom type=agent_spans/finish", bulk("a"), False),
        ("item_error=boom", bulk("a"), True),
        ("item_error=boom", POST, False),
        ("drop_output", POST, False),
        ("alien_output", bulk("a"), True),
        ("reset=after nth=2", bulk("a"), False),
        ("reset=after nth=2", bulk("a", "b"), True),
    ],
)
def test_a_rule_concerns_what_its_conditions_say(rule, facts, hit):
    """A request that does not match is not counted as seen."""
    assert struck(FaultScript(rule), facts, 1) == [hit]


def test_waits_add_up_and_the_first_decisive_rule_wins():
    """A later rule is not even asked."""
    script = FaultScript("latency=1", "latency=2 late=3", "status=503", "status=429")
    plan = script.plan(POST)

    assert (plan.latency, plan.late) == (3.0, 3.0)
    assert plan.rule is not None and plan.rule.status == 503
    assert script.counts["status=429"] == 0


def test_a_cleared_script_does_nothing():
    """The total of hits stays."""
    script = FaultScript("status=503")
    script.plan(POST)
    script.clear()

    assert script.empty and script.plan(POST).rule is None
    assert script.counts == {} and script.hits == 1


def test_the_same_rule_may_stand_twice():
    """Their hits are added."""
    script = FaultScript("times=1 status=503", "times=1 status=503")

    assert struck(script, POST, 3) == [True, True, False]
    assert script.counts == {"times=1 status=503": 2}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sttus=503", r"unknown word 'sttus'.*allowed: every, p, .*status"),
        ("status=abc", r"'status=abc'.*status takes a whole number"),
        ("p=often status=503", r"p takes a number"),
        ("html=maybe", r"html takes no value"),
        ("reset=during", r"reset takes before or after"),
        ("every=0 status=503", r"every must be between 1 and"),
        ("p=2 status=503", r"p must be between"),
        ("status=99", r"status must be between 200 and 599"),
        ("status=503 retry_after_date=1e9", r"retry_after_date must be between"),
        ("status=503 retry_after=1 retry_after_date=1", r"one header; give one of them"),
        ("every=2", r"no effect; add one of: .*status"),
        ("", r"no effect"),
    ],
)
def test_a_bad_rule_names_the_bad_part(text, problem):
    """And the words that are allowed."""
    with pytest.raises(ValueError, match=problem):
        FaultScript(text)


@given(
    rule=st.builds(
        FaultRule,
        every=st.none() | st.integers(1, 100),
        times=st.none() | st.integers(0, 9),
        after=st.integers(0, 5),
        status=st.integers(200, 599),
        code=st.none() | st.just("boom"),
        retry_after_ms=st.none() | st.integers(0, 10),
        html=st.booleans(),
        reset=st.sampled_from([None, "before", "after"]),
    )
)
def test_a_written_rule_reads_as_itself(rule):
    """Values and texts are two forms of one thing."""
    assert parse_rule(written_rule(rule)) == rule


def test_a_rule_given_as_a_value_is_counted_by_its_text():
    """So that both forms can be looked up."""
    script = FaultScript(FaultRule(status=503, html=True))
    script.plan(POST)

    assert script.counts == {"status=503 html": 1}
