"""What the page about failures and the README say of losses is what the code counts and tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "failure-behaviour.md"
README = ROOT / "README.md"
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


def reasons():
    """Return the reasons that the statistics document, those of dead and of dropped events.

    Codes of the API are its own.
    """
    stats = (ROOT / "prefactor_exporter" / "stats.py").read_text()
    text = stats[stats.index("dead_reasons: Reason") : stats.index("queued_bytes: Payload")]
    dead, _, dropped = text.partition("dropped_reasons:")
    return [set(re.findall(r"``(\w+)``", part)) for part in (dead, dropped)]


def test_every_reason_of_a_loss_is_in_the_page():
    dead, dropped = reasons()

    assert dead >= {"expired", "dependent"} and "queue_full" in dropped
    assert [reason for reason in dead | dropped if f'"{reason}"' not in PAGE.read_text()] == []


def test_the_readme_has_a_row_for_every_reason_and_no_other():
    table = [line for line in README.read_text().splitlines() if "_reasons[" in line]
    for kind, known in zip(("dead", "dropped"), reasons(), strict=True):
        told = re.findall(rf'`{kind}_reasons\["(\w+)"\]`', "\n".join(table))

        assert sorted(told) == sorted(known)


def test_the_readme_leads_to_the_whole_list():
    """A table of counters cannot have what nobody counts."""
    assert "docs/failure-behaviour.md#what-can-still-be-lost" in README.read_text()
    assert "\n## What can still be lost\n" in PAGE.read_text()
