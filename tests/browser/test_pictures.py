"""Promises of the pictures in the documents: they can be made again from nothing."""

import importlib.util
from pathlib import Path

import pytest

from prefactor_http.devserver import DevServer

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"


def test_every_picture_in_the_documents_is_made(browser, tmp_path):
    """By the script beside them, and small enough for a repository."""
    spec = importlib.util.spec_from_file_location("screenshots", DOCS / "screenshots.py")
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    with DevServer() as server:
        screenshots.photograph(browser, server, tmp_path)
    made = {picture.name for picture in tmp_path.iterdir()}
    kept = {picture.name: picture for picture in (DOCS / "images").glob("*.png")}
    shown = (DOCS / "page.md").read_text()

    assert made == set(kept)
    assert all(f"images/{name}" in shown for name in made)
    assert all(picture.stat().st_size < 150_000 for picture in kept.values())
