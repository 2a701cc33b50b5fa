"""Say where a JSON value breaks a JSON schema, for the keywords people use most.

Knows type, required, properties, additionalProperties, items, enum, const and anyOf. Other keywords
constrain nothing, and neither does a keyword whose own value makes no sense.
"""

from collections.abc import Callable
from typing import Any

Check = Callable[[Any, str], str | None]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
}


def compile_for_objects(schema: Any) -> Callable[[Any], str | None] | None:
    """Return a check for values known to be objects, None if every object conforms."""
    if isinstance(schema, dict) and schema.get("type") == "object":
        schema = {keyword: value for keyword, value in schema.items() if keyword != "type"}
    checks = _checks(schema)
    if not checks:
        return None
    return lambda value: _first(checks, value, "$")


def _first(checks: list[Check], value: Any, path: str) -> str | None:
    """Return the first problem any of *checks* finds."""
    for check in checks:
        if (problem := check(value, path)) is not None:
            return problem
    return None


def _checks(schema: Any) -> list[Check]:
    """Turn *schema* into checks; an empty list lets everything pass."""
    if schema is False:
        return [lambda _value, path: f"{path} is not allowed"]
    if not isinstance(schema, dict):
        return []
    makers = (_type, _enumeration, _constant, _required, _properties, _items, _any_of)
    return [check for maker in makers if (check := maker(schema)) is not None]


def _type(schema: dict[str, Any]) -> Check | None:
    named = schema.get("type")
    names = named if isinstance(named, list) else [named]
    tests = [_TYPES[name] for name in names if isinstance(name, str) and name in _TYPES]
    if not tests:
        return None
    wanted = " or ".join(str(name) for name in names)

    def check(value: Any, path: str) -> str | None:
        return None if any(test(value) for test in tests) else f"{path} is not of type {wanted}"

    return check


def _enumeration(schema: dict[str, Any]) -> Check | None:
    choices = schema.get("enum")
    if not isinstance(choices, list):
        return None

    def check(value: Any, path: str) -> str | None:
        if any(_same(value, choice) for choice in choices):
            return None
        return f"{path} is not one of the allowed values"

    return check


def _constant(schema: dict[str, Any]) -> Check | None:
    if "const" not in schema:
        return None
    constant = schema["const"]
    return lambda value, path: (
        None if _same(value, constant) else f"{path} is not the required value"
    )


def _required(schema: dict[str, Any]) -> Check | None:
    names = schema.get("required")
    if not isinstance(names, list) or not names:
        return None

    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, dict):
            return None
        for name in names:
            if isinstance(name, str) and name not in value:
                return f"{path}.{name} is required"
        return None

    return check


def _properties(schema: dict[str, Any]) -> Check | None:
    declared = schema.get("properties")
    known = {
        name: _checks(part)
        for name, part in (declared if isinstance(declared, dict) else {}).items()
    }
    others = _checks(schema.get("additionalProperties", True))
    if not others and not any(known.values()):
        return None

    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, dict):
            return None
        for name, part in value.items():
            if (problem := _first(known.get(name, others), part, f"{path}.{name}")) is not None:
                return problem
        return None

    return check


def _items(schema: dict[str, Any]) -> Check | None:
    checks = _checks(schema.get("items", True))
    if not checks:
        return None

    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, list):
            return None
        for index, part in enumerate(value):
            if (problem := _first(checks, part, f"{path}[{index}]")) is not None:
                return problem
        return None

    return check


def _any_of(schema: dict[str, Any]) -> Check | None:
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or not choices:
        return None
    branches = [_checks(choice) for choice in choices]
    if not all(branches):
        return None

    def check(value: Any, path: str) -> str | None:
        if any(_first(branch, value, path) is None for branch in branches):
            return None
        return f"{path} matches none of the alternatives"

    return check


def _same(left: Any, right: Any) -> bool:
    """Compare as JSON does: ``true`` is not 1, but 1.0 is."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
