"""The documents as a browser shows them: every table fits into its page, on a narrow screen too."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
WIDTHS = """
() => [...document.querySelectorAll("article table")].flatMap((table) => {
  const cells = [...table.querySelectorAll("td, th")];
  const room = table.parentElement.clientWidth;
  return [
    ...(table.scrollWidth > room ? [`${table.scrollWidth} in ${room}: ${table.innerText}`] : []),
    ...cells.filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((c) => c.innerText),
  ];
})
"""
NARROWEST = """
() => Math.min(
  ...[...document.querySelectorAll("article table tbody tr")].map(
    (row) => row.querySelector("td:last-child").clientWidth
  )
)
"""


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """The documents, built without those from docstrings, which take longest.

    Warnings are the business of scripts/docs.
    """
    pytest.importorskip("sphinx")
    built = tmp_path_factory.mktemp("documents")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-d", built / "doctrees"]
    command += ["-D", "exclude_patterns=_build,api/*", DOCS, built / "html"]
    subprocess.run(command, check=True, capture_output=True, timeout=50)
    return built / "html"


@pytest.mark.slow
def test_no_table_is_wider_than_its_column(page, documents):
    sources = [*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")]
    assert len(sources) > 20
    too_wide = {}
    for source in sources:
        document = documents / source.relative_to(DOCS).with_suffix(".html")
        page.goto(document.as_uri(), wait_until="domcontentloaded")
        for width in (1300, 800):
            page.set_viewport_size({"width": width, "height": 900})
            if found := page.evaluate(WIDTHS):
                too_wide[document.name, width] = found

    assert too_wide == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["configuration", "failure-behaviour"])
def test_what_is_explained_has_room(page, documents, name):
    """The last column, which holds sentences or the names of tests, is no narrow strip."""
    page.set_viewport_size({"width": 1300, "height": 900})
    page.goto((documents / f"{name}.html").as_uri())

    assert page.evaluate(NARROWEST) > 350
