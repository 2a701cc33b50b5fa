"""Contract section 3.5 as a table, and what holds for any answer at all."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter._core.events import (
    FINISH,
    FINISH_INSTANCE,
    QUALITY,
    RECORD,
    REGISTER,
    START,
    START_INSTANCE,
    Event,
)
from prefactor_exporter._core.settlement import (
    AGAIN,
    AUTH,
    DEAD,
    DELIVERED,
    RESTATE,
    UNANSWERED,
    UNTRIED,
    WRONG_ID,
    judge,
)

KINDS = [RECORD, START, FINISH, REGISTER, START_INSTANCE, FINISH_INSTANCE, QUALITY]
CREATES = [RECORD, START, REGISTER]
PERMANENT = ["validation_errors", "bad_request", "not_found", "invalid_action"]
REFUSED_TOKEN = ["bad_authtoken", "unauthorized", "forbidden"]
PASSING = ["internal_server_error", "rate_limited", "conflict", "", None, "moon_in_the_wrong_house"]


class Outcome(NamedTuple):
    status: str = "success"
    code: str | None = None
    message: str | None = None
    errors: object = None


def event(kind, key="key", *, doubtful=False, status="complete"):
    return Event(kind, "run", "span", 0, status=status, key=key, doubtful=doubtful)


def fate_of(kind, code, *, errors=None, **more):
    [verdict] = judge([event(kind, **more)], {"key": Outcome("error", code, "why", errors)})
    return verdict.fate


@pytest.mark.parametrize("kind", KINDS)
def test_success_is_delivered(kind):
    assert judge([event(kind)], {"key": Outcome()}) is None


@pytest.mark.parametrize("kind", [FINISH, FINISH_INSTANCE])
@pytest.mark.parametrize("doubtful", [True, False])
def test_a_finish_of_what_is_over_is_done(kind, doubtful):
    assert fate_of(kind, "invalid_action", doubtful=doubtful) == DELIVERED


@pytest.mark.parametrize("kind", [*CREATES, START_INSTANCE])
def test_a_create_of_what_exists_is_done_only_if_it_may_be_ours(kind):
    assert fate_of(kind, "invalid_action", doubtful=True) == DELIVERED
    assert fate_of(kind, "invalid_action", doubtful=False) == DEAD


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", REFUSED_TOKEN)
def test_a_refused_token_is_not_the_item_s_fault(kind, code):
    assert fate_of(kind, code) == AUTH


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", PASSING)
def test_what_is_not_known_to_last_may_pass(kind, code):
    assert fate_of(kind, code) == AGAIN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", PERMANENT[:3])
def test_what_is_known_to_last_is_dead_with_its_code_and_text(kind, code):
    [verdict] = judge([event(kind)], {"key": Outcome("error", code, "why")})
    assert (verdict.fate, verdict.code, verdict.message) == (DEAD, code, "why")


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_is_wrong_only_where_one_is_made(kind):
    found = fate_of(kind, "validation_errors", errors={"id": ["is not ours"]})
    assert found == (WRONG_ID if kind in CREATES else DEAD)


@pytest.mark.parametrize("errors", [None, [], ["id"], "id", 7, {"payload": []}])
def test_errors_of_any_shape_that_do_not_name_the_id_are_about_something_else(errors):
    assert fate_of(RECORD, "validation_errors", errors=errors) == DEAD


@pytest.mark.parametrize("code", ["validation_errors", "bad_request", "invalid_action"])
@pytest.mark.parametrize("kind", [RECORD, START, FINISH, FINISH_INSTANCE])
def test_what_may_not_be_cancelled_is_stated_anew(kind, code):
    assert fate_of(kind, code, status="cancelled") == RESTATE


def test_what_does_not_exist_cannot_be_stated_anew():
    assert fate_of(FINISH, "not_found", status="cancelled") == DEAD


def test_a_breach_of_contract_is_repeated_and_has_a_name():
    """Nothing failed, and yet an item is not mentioned."""
    verdicts = judge([event(RECORD, "one"), event(RECORD, "two")], {"one": Outcome()})
    assert [verdict.fate for verdict in verdicts] == [DELIVERED, AGAIN]
    assert verdicts[1].code == UNANSWERED


codes = st.sampled_from([*PERMANENT, *REFUSED_TOKEN, *PASSING])
outcomes = st.one_of(
    st.none(),
    st.just(Outcome()),
    st.builds(Outcome, st.just("error"), codes, st.none() | st.text(), st.none() | st.just({})),
)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.booleans(), outcomes), min_size=1, max_size=8),
    outcomes,
)
def test_laws_of_any_answer(answered, alien):
    """One verdict each, in order; silence beside an error is no attempt; strangers are ignored."""
    events = [event(kind, str(n), doubtful=doubt) for n, (kind, doubt, _) in enumerate(answered)]
    answers = {str(n): outcome for n, (*_, outcome) in enumerate(answered) if outcome is not None}
    failed = any(outcome.status == "error" for outcome in answers.values())
    if alien is not None:
        answers["nobody's"] = alien
    verdicts = judge(events, answers)

    if verdicts is None:
        assert not failed
        assert answers.keys() >= {event.key for event in events}
        return
    assert len(verdicts) == len(events)
    for event_, verdict in zip(events, verdicts, strict=True):
        outcome = answers.get(event_.key)
        if outcome is None:
            assert verdict.fate == (UNTRIED if failed else AGAIN)
        elif outcome.status == "success":
            assert verdict.fate == DELIVERED
        elif verdict.fate == DELIVERED:
            assert outcome.code == "invalid_action"
        elif verdict.fate == DEAD:
            assert outcome.code in PERMANENT
