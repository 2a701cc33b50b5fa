"""The tables of settings are whole, and their variables do what they say."""

import dataclasses
import importlib.util
from pathlib import Path

import msgspec
import pytest

from prefactor_exporter import AgentInfo, ExporterConfig, HttpClientConfig, Redaction

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")


def extension():
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("settings", DOCS / "_ext" / "settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SETTINGS = extension()


def names(cls):
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    return [field.name for field in msgspec.structs.fields(cls)]


@pytest.mark.parametrize("cls", [ExporterConfig, HttpClientConfig, AgentInfo, Redaction])
def test_every_field_has_a_row(cls):
    """With its default and what it means; the page has the table."""
    rows = list(SETTINGS.lines(cls))[2:]

    assert [row.split("`")[1] for row in rows] == names(cls)
    assert all(len(row.split(" | ")[-1]) > len("Meaning |") for row in rows)
    assert f"```{{settings}} {cls.__name__}\n" in PAGE


@pytest.mark.parametrize(("cls", "field"), SETTINGS.VARIABLES)
def test_variables_set_the_fields_they_stand_with(cls, field):
    value = "https://api.example" if field == "api_url" else "given"
    environ = {"PREFACTOR_API_TOKEN": "t", SETTINGS.VARIABLES[cls, field]: value}
    config = ExporterConfig.from_env(environ)
    part = config.http if cls is HttpClientConfig else config.agent

    assert getattr(part, field) == value


def test_no_variable_is_missing():
    """Those that the code reads beside the settings of the exporter itself."""
    source = (DOCS.parent / "prefactor_exporter" / "config.py").read_text(encoding="utf-8")
    read = {part.partition('"')[0] for part in source.split('environ.get("')[1:]}

    assert read == set(SETTINGS.VARIABLES.values())


def test_timeouts_have_no_variable_and_the_page_says_so():
    assert not any("timeout" in field for _, field in SETTINGS.VARIABLES)
    assert "The timeouts have no variable" in PAGE
