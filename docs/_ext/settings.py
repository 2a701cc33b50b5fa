"""A directive that lists every exporter setting, read from the code so that it cannot go stale."""

import inspect
import re
from typing import Any

import msgspec
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from prefactor_exporter import ExporterConfig, config

_ATTRIBUTE = re.compile(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r":\w+:(?=`)")


def described(cls: type) -> dict[str, str]:
    """Return what the docstring of *cls* says about each attribute."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
    text = re.split(r"^\S", text, maxsplit=1, flags=re.MULTILINE)[0]
    return {name: " ".join(meaning.split()) for name, meaning in _ATTRIBUTE.findall(text)}


def default_of(field: Any) -> str:
    """Return the default of *field* as one would type it."""
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory.__name__}()`"
    value = field.default
    if isinstance(value, tuple):
        inside = ", ".join(getattr(item, "name", repr(item)) for item in value)
        return f"`({inside},)`" if len(value) == 1 else f"`({inside})`"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 10:
        for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value % size == 0:
                return f"{value // size} {unit}"
    return f"`{value!r}`"


def rows() -> list[tuple[str, str, str, str]]:
    """Return name, default, variable and meaning of every setting.

    Raises:
        LookupError: A setting is not described in the docstring.
    """
    meanings = described(ExporterConfig)
    found = []
    for field in msgspec.structs.fields(ExporterConfig):
        if field.name not in meanings:
            raise LookupError(f"ExporterConfig.{field.name} is not in its docstring")
        variable = f"`PREFACTOR_EXPORTER_{field.name.upper()}`"
        readable = field.name in config._READERS  # noqa: SLF001  # the one list of what is read
        meaning = _ROLE.sub("", meanings[field.name]).replace("|", r"\|")
        found.append((field.name, default_of(field), variable if readable else "", meaning))
    return found


class ExporterSettings(SphinxDirective):
    """``exporter-settings``: the table of settings."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        self.env.note_dependency(inspect.getfile(config))
        lines = ["| Field | Default | Environment variable | Meaning |", "|---|---|---|---|"]
        lines += [f"| `{name}` | {' | '.join(rest)} |" for name, *rest in rows()]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("exporter-settings", ExporterSettings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
