"""What the page about sizes computes is what its formulas say, with the code's own numbers."""

import re
from pathlib import Path

import pytest

from prefactor_exporter import ExporterConfig, HttpClientConfig
from prefactor_exporter._core.events import ENVELOPE

PAGE = (Path(__file__).parents[3] / "docs" / "sizing.md").read_text(encoding="utf-8")
DEFAULTS = ExporterConfig(http=HttpClientConfig("https://api.example", "token"))
MIB = 1024 * 1024
SPAN = 2_100


def table(head):
    """Return the rows of the table that begins with *head*, as texts."""
    body = PAGE[PAGE.index(head) :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body]


def size(count):
    """Return *count* bytes with two digits, as a person would write them."""
    mib = count / MIB
    if mib < 10:
        return f"{mib:.1f} MiB"
    if mib < 1024:
        return f"{mib:.0f} MiB"
    return f"{mib / 1024:.1f} GiB" if mib < 10 * 1024 else f"{mib / 1024:.0f} GiB"


def number(text):
    return float(re.sub(r"[^\d.]", "", text))


def test_outages():
    rows = table("| Spans a second | 1 minute")

    assert rows == [
        [f"{rate:,}", *(size(rate * SPAN * 60 * minutes) for minutes in (1, 10, 60, 720))]
        for rate in (1, 10, 100, 1000)
    ]


def test_throughput():
    for items, took, one, four in table("| `B` | `T`"):
        rate = number(items) / (number(took) / 1000)
        assert int(number(items)) in {100, DEFAULTS.max_batch_items, 1_000}
        assert number(one) == rate
        assert number(four) == rate * DEFAULTS.max_in_flight


def test_the_end():
    for waiting, one, four in table("| Waiting |"):
        seconds = number(waiting) / DEFAULTS.max_batch_items * 0.1
        assert number(one) == seconds
        assert number(four) == pytest.approx(seconds / DEFAULTS.max_in_flight, rel=0.25)


def test_linger():
    rows = table("| `linger` | A lone span")

    assert [number(rate) for linger, _, rate in rows[1:]] == [
        1 / number(linger.split(" s")[0]) for linger, *_ in rows[1:]
    ]
    assert f"{DEFAULTS.linger} s (the default)" in PAGE


def test_the_numbers_of_the_code():
    assert f"and {ENVELOPE} for the rest" in PAGE
    assert DEFAULTS.max_queue_items == 100_000
    assert DEFAULTS.max_queue_bytes == 64 * MIB
    assert DEFAULTS.max_in_flight * DEFAULTS.max_batch_bytes == 4 * MIB
    assert DEFAULTS.max_payload_bytes == 256 * 1024
    assert DEFAULTS.max_retry_age == 15 * 60
    assert DEFAULTS.shutdown_timeout == 5


def test_what_the_plan_for_memory_comes_to():
    factor = 1.2 * 1.1

    assert f"which is {factor * 64 + 20:.0f} MiB with the defaults" in PAGE
    assert f"at most {factor * 16 + 20:.0f} MiB, and 8,000 spans" in PAGE
    assert pytest.approx(8_000, rel=0.01) == 16 * MIB // SPAN
