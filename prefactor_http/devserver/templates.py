"""Render the one-line summary templates of span types: ``{{ a.b }}`` and nothing more."""

import re
from typing import Any

import msgspec

_PLACE = re.compile(r"\{\{(?P<inside>.*?)\}\}", re.DOTALL)
_STEP = re.compile(r"""\.?(?P<name>[\w-]+)|\[(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(\d+))\]""")
_INDEX_GROUP = 4


def render(template: str, variables: dict[str, Any]) -> str | None:
    """Fill *template* with *variables*; None if the template is broken.

    Missing values render empty; filters after ``|`` are ignored.
    """
    rest = _PLACE.sub("", template)
    if "{{" in rest or "}}" in rest or "{%" in rest:
        return None
    values = _values(template, variables)
    if values is None:
        return None
    filling = iter(values)
    return " ".join(_PLACE.sub(lambda _: next(filling), template).split())


def filled(template: str | None, variables: dict[str, Any]) -> str | None:
    """Fill *template* for people: None also without one, or with nothing to fill any place with."""
    if template is None:
        return None
    values = _values(template, variables)
    return None if values and not any(values) else render(template, variables)


def _values(template: str, variables: dict[str, Any]) -> list[str] | None:
    """Return what fills the places of *template* in turn; None if one cannot be read."""
    values: list[str] = []
    for place in _PLACE.finditer(template):
        steps = _steps(place["inside"].partition("|")[0].strip())
        if steps is None:
            return None
        values.append(_shown(_follow(variables, steps)))
    return values


def _steps(expression: str) -> list[str | int] | None:
    """Split ``a.b["c.d"][0]`` into its steps; None if it is not such an expression."""
    steps: list[str | int] = []
    position = 0
    while position < len(expression):
        match = _STEP.match(expression, position)
        if match is None:
            return None
        if match[_INDEX_GROUP] is not None:
            steps.append(int(match[_INDEX_GROUP]))
        else:
            named = (match["name"], match["double"], match["single"])
            steps.append(next(name for name in named if name is not None))
        position = match.end()
    return steps or None


def _follow(value: Any, steps: list[str | int]) -> Any:
    """Walk from *value* along *steps*; None where the way ends."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and str(step).isascii() and str(step).isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def _shown(value: Any) -> str:
    """Write *value* into a line of text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
