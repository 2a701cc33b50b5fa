"""What was dropped is remembered for as long as somebody may ask for it, and no longer."""

import pytest

from prefactor_exporter._core import gaps as module
from prefactor_exporter._core.events import RECORD, START, Event
from prefactor_exporter._core.gaps import Gaps


def drop(gaps, name, *, kind=RECORD, parent=None, most=3, run="run"):
    gaps.add(Event(kind, run, name, 0, parent=parent), most=most)


def test_only_the_latest_are_remembered():
    gaps = Gaps()
    for n in range(100):
        drop(gaps, str(n))

    assert list(gaps.parents) == ["97", "98", "99"]
    assert list(gaps._order) == ["97", "98", "99"]


def test_a_span_that_began_is_remembered_until_its_finish_has_passed():
    gaps = Gaps()
    drop(gaps, "begun", kind=START)
    for n in range(100):
        drop(gaps, str(n))
    assert "begun" in gaps.parents
    assert gaps.run_of("begun") == "run"

    gaps.close("begun")
    drop(gaps, "next")
    assert "begun" in gaps.parents, "its children may still wait behind others"
    for n in range(100, 110):
        drop(gaps, str(n))
    assert "begun" not in gaps.parents
    assert len(gaps.parents) <= 4
    assert not gaps._begun
    assert not gaps._spared


def test_what_had_no_finish_is_let_go_with_its_run():
    gaps = Gaps()
    for n in range(50):
        drop(gaps, f"over {n}", kind=START, run="over")
        drop(gaps, f"alive {n}", kind=START, run="alive")
    gaps.end("over")
    for n in range(200):
        drop(gaps, str(n))

    assert {name.split()[0] for name in gaps.parents if " " in name} == {"alive"}
    assert sum(name.startswith("alive") for name in gaps.parents) == 50


def test_even_spans_that_never_end_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MOST_BEGUN", 20)
    gaps = Gaps()
    for n in range(500):
        drop(gaps, str(n), kind=START)

    assert len(gaps.parents) <= 20 + 3
    assert "499" in gaps.parents


def test_children_belong_to_the_nearest_ancestor_that_exists():
    gaps = Gaps()
    drop(gaps, "b", parent="a")
    drop(gaps, "c", parent="b")
    assert gaps.surviving("c") == "a"
    drop(gaps, "a", parent="root")

    assert gaps.surviving("c") == "root"
    assert gaps.surviving("a stranger") == "a stranger"
    assert gaps.surviving(None) is None


@pytest.mark.parametrize("circle", ["x", "xy", "xyz"])
def test_spans_that_are_their_own_ancestors_end_nowhere_in_a_circle(circle):
    gaps = Gaps()
    for span, parent in zip(circle, circle[1:] + circle[0], strict=True):
        drop(gaps, span, parent=parent)

    assert gaps.surviving("x") is None


def test_refusals_are_told_apart_and_forgotten_too():
    gaps = Gaps()
    gaps.add(Event(START, "run", "refused", 0), most=3, refused=True)
    drop(gaps, "dropped")
    assert gaps.was_refused("refused")
    assert not gaps.was_refused("dropped")
    gaps.close("refused")
    for n in range(20):
        drop(gaps, str(n))

    assert not gaps.was_refused("refused")
    assert not gaps._refused
