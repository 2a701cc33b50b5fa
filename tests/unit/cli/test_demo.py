"""The demo notices whatever did not arrive as it was recorded."""

import asyncio
import sys

import pytest
import typer

from prefactor_exporter.cli.agent import Journal, in_parallel
from prefactor_exporter.cli.demo import arrival, compare, demo, show
from prefactor_exporter.stats import ExporterStats

NOW = "2026-01-02T03:04:05.678Z"


def span(step, kind, *children, status="complete"):
    return {
        "type": kind,
        "status": status,
        "payload": {"step": step},
        "children": list(children),
    }


def arrived(*spans, name="a", status="complete"):
    return {"id": name, "status": status, "spans": list(spans)}


@pytest.fixture
def journals():
    """One run: a task with a model call and a tool that failed."""
    journal = Journal("why?")
    top = journal.step("task", None)
    journal.step("llm", top)
    journal.step("tool", top, "failed")
    return {"a": journal}


LLM = span(2, "llm")
TOOL = span(3, "tool", status="failed")


def test_what_arrived_in_its_place_is_no_problem(journals):
    """The order among siblings does not matter."""
    assert compare(journals, [arrived(span(1, "task", TOOL, LLM))]) == []


@pytest.mark.parametrize(
    ("runs", "problems"),
    [
        ([], ["run a is missing"]),
        (
            [arrived(span(1, "task", LLM, TOOL)), arrived(name="b")],
            ["run b was never recorded"],
        ),
        ([arrived(span(1, "task", LLM, TOOL), status="active")], ["run a is active, not complete"]),
        (
            [arrived(span(1, "task", LLM))],
            ["run a: missing step 3 tool failed below step 1"],
        ),
        ([arrived(span(1, "task", LLM, TOOL, TOOL))], ["run a has spans twice"]),
        (
            [arrived(span(1, "task", LLM), TOOL)],
            [
                "run a: missing step 3 tool failed below step 1",
                "run a: unexpected step 3 tool failed at the top",
            ],
        ),
        (
            [arrived(span(1, "task", LLM, span(3, "tool")))],
            [
                "run a: missing step 3 tool failed below step 1",
                "run a: unexpected step 3 tool complete below step 1",
            ],
        ),
    ],
    ids=["run", "alien run", "unfinished", "span", "twice", "wrong parent", "wrong status"],
)
def test_each_difference_is_named(journals, runs, problems):
    """Missing, doubled and misplaced spans are told apart, each in words."""
    assert compare(journals, runs) == problems


class FakeServer:
    """Holds one run that was never finished, with a span below another."""

    def instances(self):
        return [{"id": "a", "status": "active", "started_at": NOW, "finished_at": None}]

    def spans(self, instance_id):
        assert instance_id == "a"
        common = {"payload": {}, "result_payload": None, "started_at": NOW, "finished_at": None}
        return [
            common | {"id": "1", "schema_name": "task", "status": "active", "parent_span_id": None},
            common | {"id": "2", "schema_name": "llm", "status": "active", "parent_span_id": "1"},
        ]


def test_unfinished_spans_are_shown_without_a_duration(capsys):
    """What has not ended yet is in the tree, and has no duration."""
    show(arrival(FakeServer()), ExporterStats(state="retrying"))

    output, _ = capsys.readouterr()
    assert "task  active" in output
    assert "llm  active" in output
    assert " ms" not in output


def test_many_runs_are_summed_up(capsys):
    """Of a large demo the first runs are shown, and how many more there are."""
    show(arrival(FakeServer()) * 5, ExporterStats())

    output, _ = capsys.readouterr()
    assert output.count("run a") == 3
    assert "and 2 more runs" in output


def test_ctrl_c_has_its_own_status(monkeypatch):
    """Whoever interrupts the demo gets no traceback, and the status shells have for it."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[compare.__module__], "_record", interrupted)

    with pytest.raises(typer.Exit) as caught:
        demo(spans=1, as_json=True)
    assert caught.value.exit_code == 130


async def test_works_in_parallel_are_all_done_and_never_too_many_at_once():
    """Every work is done once, with no more than the given number under way."""
    running, most, done = 0, 0, []

    def work(number):
        async def do():
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            done.append(number)

        return do

    await in_parallel([work(number) for number in range(20)], at_most=3)

    assert sorted(done) == list(range(20))
    assert most == 3
