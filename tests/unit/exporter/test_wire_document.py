"""The page about the wire has what the code sends, and what it makes of answers."""

import re
from pathlib import Path

import pytest

from prefactor_exporter._core import settlement, wire

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)


def test_every_section_that_code_cites_exists():
    cited = []
    for module in (ROOT / "prefactor_exporter").rglob("*.py"):
        cited += re.findall(r"docs/wire\.md, ([^);]+)", module.read_text(encoding="utf-8"))

    assert len(cited) > 5
    assert set(cited) <= set(HEADINGS)


def test_nothing_cites_a_document_that_is_not_there():
    """Whoever reads a comment can look up what it leans on."""
    modules = (ROOT / "prefactor_exporter").rglob("*.py")

    assert not any("contract section" in module.read_text(encoding="utf-8") for module in modules)


def test_every_kind_of_item_is_there():
    source = Path(wire.__file__).read_text(encoding="utf-8")
    kinds = set(re.findall(r'"(agent_\w+/\w+)"', source))

    assert len(kinds) == 6
    assert kinds == set(re.findall(r"^\| `(agent_\w+/\w+)` ", PAGE, re.MULTILINE))


@pytest.mark.parametrize("code", sorted(settlement._PERMANENT | settlement._AUTH))
def test_every_code_that_settlement_knows_is_there(code):
    section = PAGE[PAGE.index("## What an answer means") : PAGE.index("### Cancelling")]

    assert f"`{code}`" in section
