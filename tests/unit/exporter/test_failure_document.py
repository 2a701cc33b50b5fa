"""Every test that the page about failures names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "failure-behaviour.md"
PLACES = [ROOT / "tests" / level / "exporter" for level in ("integration", "unit")]


def defined_in(module):
    for place in PLACES:
        file = place / f"{module}.py"
        if file.exists():
            return re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    return []


def test_every_proof_exists():
    named = re.findall(r"`(test_\w+)::(test_\w+)`", PAGE.read_text())

    assert len(named) > 60
    assert [f"{module}::{name}" for module, name in named if name not in defined_in(module)] == []


def test_every_row_has_a_proof():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    heads = ("| Happening", "| Promise", "| End ")

    assert [row for row in rows if "::test_" not in row and not row.startswith(heads)] == []


def test_every_reason_of_a_loss_is_in_the_page():
    """Those that the statistics document; codes of the API are its own."""
    stats = (ROOT / "prefactor_exporter" / "stats.py").read_text()
    reasons = set(re.findall(r"``(\w+)``", stats[stats.index("dead_reasons: Reason") :].partition(
        "queued_bytes:"
    )[0]))  # fmt: skip

    assert reasons >= {"queue_full", "expired", "dependent"}
    assert [reason for reason in sorted(reasons) if f'"{reason}"' not in PAGE.read_text()] == []
