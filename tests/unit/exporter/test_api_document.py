"""Every public name is on the pages about the API, and nothing else is."""

import importlib
import inspect
import re
import typing
from pathlib import Path

import pytest

from prefactor_exporter import Exporter, Run, Span
from prefactor_http import models

PAGES = sorted((Path(__file__).parents[3] / "docs" / "api").glob("*.md"))
PUBLIC = [
    "prefactor_exporter",
    "prefactor_exporter.testing",
    "prefactor_http",
    "prefactor_http.client",
    "prefactor_http.config",
    "prefactor_http.devserver",
    "prefactor_http.endpoints",
    "prefactor_http.exceptions",
    "prefactor_http.models",
    "prefactor_http.retry",
]
DIRECTIVE = re.compile(r"^( *)\.\. (py:module|py:currentmodule|auto\w+|py:data):: (\S+?)(?:\(\))?$")
INTERNAL = {
    "current_instance",
    "end_of_grace",
    "end_of_process",
    "is_recording",
    "restart_in_child",
    "scope",
}
"""What the worker and the hooks of the process call; nobody else does."""


def directives():
    """Yield indentation, kind, module and name of everything the pages describe."""
    for page in PAGES:
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            found = DIRECTIVE.match(line)
            if found is None:
                continue
            if found[2] in {"py:module", "py:currentmodule"}:
                module = found[3]
            else:
                yield len(found[1]), found[2], module, found[3]


DESCRIBED = [(module, name) for indent, _, module, name in directives() if not indent]


def value(module, name):
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_described(module):
    """Here, or where it comes from: a class that two packages offer is described once."""
    known = {id(value(*entry)) for entry in DESCRIBED if inspect.isclass(value(*entry))}
    known |= {id(value(*entry)) for entry in DESCRIBED if inspect.isroutine(value(*entry))}
    words = {name for _, name in DESCRIBED}

    missing = [
        name
        for name in importlib.import_module(module).__all__
        if id(value(module, name)) not in known and name not in words
    ]
    assert missing == []


@pytest.mark.parametrize(("module", "name"), DESCRIBED)
def test_what_is_described_is_public(module, name):
    assert module in PUBLIC
    assert name in importlib.import_module(module).__all__


def test_nothing_is_described_twice():
    twice = [entry for entry in DESCRIBED if DESCRIBED.count(entry) > 1]

    assert set(twice) <= {("prefactor_http", "__version__")}


def test_every_call_of_the_exporter_is_described():
    """They are listed one by one, in an order for readers, so that one may be forgotten."""
    described = [name for indent, kind, _, name in directives() if indent and kind == "automethod"]
    calls = {name for name in dir(Exporter) if not name.startswith("_")} - INTERNAL

    assert sorted(described) == sorted(calls)


@pytest.mark.parametrize("block", [Run, Span])
def test_every_member_of_a_block_is_described(block):
    (page,) = [page for page in PAGES if page.name == "exporter.md"]
    members = re.search(
        rf"autoclass:: {block.__name__}\(\)\n   :members: (.*)", page.read_text(encoding="utf-8")
    )
    public = {name for name in dir(block) if not name.startswith("_")}

    assert members is not None
    assert set(members[1].split(", ")) == public


@pytest.mark.parametrize(
    "name", ["AgentStatus", "FinishStatus", "InstancePurpose", "AgentLifecycle"]
)
def test_words_are_those_of_the_code(name):
    """What autodoc cannot describe is written by hand, and must not go stale."""
    (page,) = [page for page in PAGES if page.name == "models.md"]
    described = re.search(rf"py:data:: {name}\n\n   (.*)", page.read_text(encoding="utf-8"))
    words = set(typing.get_args(getattr(models, name)))

    assert described is not None
    assert set(re.findall(r"``(\w+)``", described[1])) == words


def test_the_index_leads_to_every_page():
    index = (PAGES[0].parents[1] / "api.md").read_text(encoding="utf-8")

    assert [page.stem for page in PAGES if f"\napi/{page.stem}\n" not in index] == []
