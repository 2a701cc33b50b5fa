"""A tree of spans is drawn in order, whatever its shape, and durations read as people say them."""

import sys

import pytest

from prefactor_exporter.cli.console import statuses
from prefactor_exporter.cli.outline import below, duration, outline, pretty, span_line, summary
from prefactor_exporter.cli.show import nested, sums
from prefactor_http.models.agent_span import AgentSpanSummary


def span(name, parent=None, *, started="2026-01-01T00:00:00Z", finished=None, status="complete"):
    return AgentSpanSummary.model_validate(
        {
            "type": "agent_span",
            "id": name,
            "agent_instance_id": "run",
            "parent_span_id": parent,
            "schema_name": name,
            "status": status,
            "started_at": started,
            "finished_at": finished,
        }
    )


def drawn(spans):
    return [guide + node.id for guide, node, _ in outline(*nested(spans))]


def test_children_stand_below_their_parents_in_order_of_time():
    """The order of arrival does not matter."""
    spans = [
        span("d", "a", started="2026-01-01T00:00:03Z"),
        span("c", "b", started="2026-01-01T00:00:02Z"),
        span("b", "a", started="2026-01-01T00:00:01Z"),
        span("a"),
        span("e", started=None),
    ]

    assert drawn(spans) == ["├── a", "│   ├── b", "│   │   └── c", "│   └── d", "└── e"]


def test_spans_without_a_parent_in_the_run_are_roots():
    """A parent that is elsewhere, and a circle of parents, hide nothing."""
    spans = [span("a", "elsewhere"), span("b", "c"), span("c", "b"), span("d", "d"), span("e", "b")]

    assert drawn(spans) == ["├── a", "├── b", "│   └── e", "├── c", "└── d"]


def test_depth_has_no_limit():
    """A chain longer than Python's stack is drawn."""
    names = [f"{number:05}" for number in range(3_000)]
    spans = [span(name, parent) for name, parent in zip(names, [None, *names], strict=False)]
    rows = list(outline(*nested(spans)))

    assert [depth for _, _, depth in rows] == list(range(3_000))


def test_further_lines_of_a_node_keep_the_guides():
    """What belongs to a node is indented below it."""
    assert below("│   ├── ") == "│   │   "
    assert below("│   └── ") == "│       "


def test_poor_terminals_get_plain_guides(monkeypatch):
    """Where boxes cannot be shown, none are."""
    console = sys.modules[outline.__module__].OUTPUT
    monkeypatch.setattr(type(console), "encoding", property(lambda _: "ascii"))

    assert drawn([span("a"), span("b", "a")]) == ["`-- a", "    `-- b"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0123, "12 ms"),
        (1.0, "1.00 s"),
        (59.5, "59.50 s"),
        (61, "1 min 01 s"),
        (3_600, "1 h 00 min"),
        (90_061, "25 h 01 min"),
    ],
)
def test_durations_read_well(seconds, text):
    """The unit follows the size."""
    assert duration(seconds) == text


def test_names_and_texts_are_neither_markup_nor_commands():
    """What comes from a server is printed as it is, control characters made visible."""
    line = span_line("[bold]\x1b[2J", "odd\nstatus", None, "a\x07b", guide="└── ")

    assert "\x1b" not in line.plain and "\x07" not in line.plain
    assert line.plain.startswith("└── [bold]\\x1b[2J  ")
    assert all("\x1b" not in part.plain for part in pretty("x", {"a": "\x1b\u202e"}, indent=""))


def test_summary_is_short_on_a_terminal(monkeypatch):
    """Long values are cut, conversations stand for their last message."""
    console = sys.modules[outline.__module__].OUTPUT
    monkeypatch.setattr(type(console), "is_terminal", property(lambda _: True))
    messages = [{"role": "user", "content": "first"}, {"role": "user", "content": "last  one"}]

    assert summary([messages, "x" * 100], [{"a": 1}]) == f'last one {"x" * 39}… → {{"a":1}}'
    assert summary([], []) == ""


def test_summary_is_whole_in_a_pipe():
    """Whoever searches the output finds what is there."""
    assert summary(["x" * 100], ["y" * 100]) == f"{'x' * 100} → {'y' * 100}"


def test_sums_name_what_did_not_end_well():
    """One span is one span, and failures are counted."""
    assert sums([span("a")]) == "1 span"
    assert sums([span("a"), span("b", status="failed")]) == "2 spans (1 failed)"


def test_statuses_are_said_in_one_way():
    """Every command ends its help alike."""
    assert statuses("done", "not done") == (
        "Exit status: **0** done, **1** not done, **2** wrong usage, **130** interrupted."
    )
