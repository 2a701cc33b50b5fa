"""A directive that lists the fields of a class of settings, so that no page goes stale."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from prefactor_exporter import AgentInfo, ExporterConfig, HttpClientConfig, Redaction, config

CLASSES = {cls.__name__: cls for cls in (ExporterConfig, HttpClientConfig, AgentInfo, Redaction)}
VARIABLES = {
    (HttpClientConfig, "api_url"): "PREFACTOR_API_URL",
    (HttpClientConfig, "api_token"): "PREFACTOR_API_TOKEN",
    (AgentInfo, "agent_id"): "PREFACTOR_AGENT_ID",
    (AgentInfo, "environment_id"): "PREFACTOR_ENVIRONMENT_ID",
    (AgentInfo, "name"): "PREFACTOR_AGENT_NAME",
    (AgentInfo, "version"): "PREFACTOR_AGENT_IDENTIFIER",
}
"""What other classes than the exporter's own settings read; tests hold it against the code."""

_HEAD = re.compile(r"^(?:Attributes|Args):\n", re.MULTILINE)
_FIELD = re.compile(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r":(\w+):`~?(?:[\w.]+\.)?(\w+)`")
_DEFAULT = re.compile(r" Default [\d.]*\d\.")


def described(cls: type) -> dict[str, str]:
    """Return what the docstring of *cls* says about each field, as Markdown."""
    text = _HEAD.split(inspect.cleandoc(cls.__doc__ or ""))[1]
    text = re.split(r"^\S", text, maxsplit=1, flags=re.MULTILINE)[0]
    return {
        name: _ROLE.sub(r"{py:\1}`~prefactor_exporter.\2`", " ".join(meaning.split()))
        for name, meaning in _FIELD.findall(text)
    }


def fields(cls: Any) -> Iterator[tuple[str, str]]:
    """Yield name and default of each field of *cls*, the default as one would type it."""
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            required = field.default is dataclasses.MISSING
            yield field.name, "required" if required else _typed(field.default)
        return
    for field in msgspec.structs.fields(cls):
        if field.required:
            yield field.name, "required"
        elif field.default_factory is not msgspec.NODEFAULT:
            yield field.name, f"`{field.default_factory.__name__}()`"
        else:
            yield field.name, _typed(field.default)


def _typed(value: Any) -> str:
    if isinstance(value, tuple):
        inside = ", ".join(getattr(item, "name", repr(item)) for item in value)
        return f"`({inside},)`" if len(value) == 1 else f"`({inside})`"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 10:
        for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value % size == 0:
                return f"{value // size} {unit}"
        return f"`{value:_}`"
    return f"`{value!r}`"


def variable(cls: type, name: str) -> str:
    """Return the variable that sets the field *name* of *cls*, empty if none does."""
    if cls is ExporterConfig:
        readable = name in config._READERS  # noqa: SLF001  # the one list of what is read
        return f"PREFACTOR_EXPORTER_{name.upper()}" if readable else ""
    return VARIABLES.get((cls, name), "")


def lines(cls: type) -> Iterator[str]:
    """Yield the table of the fields of *cls* as Markdown.

    Raises:
        LookupError: A field is not described in the docstring.
    """
    meanings = described(cls)
    yield from ("| Field and variable | Default | Meaning |", "|---|---|---|")
    for name, default in fields(cls):
        if name not in meanings:
            raise LookupError(f"{cls.__name__}.{name} is not in its docstring")
        meaning = _DEFAULT.sub("", meanings[name]).replace("|", r"\|")
        below = variable(cls, name)
        yield f"| `{name}`{f'<br>`{below}`' if below else ''} | {default} | {meaning} |"


class Settings(SphinxDirective):
    """``settings``: the table of the fields of one class."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        cls = CLASSES[self.arguments[0]]
        self.env.note_dependency(inspect.getfile(cls))
        return self.parse_text_to_nodes("\n".join(lines(cls)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
