"""Declare span types: what their payloads and results look like."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final, Self, is_typeddict

import msgspec

__all__ = ["SchemaRegistry"]

#: A schema that is left out means "an empty object only" to the API, so it never is.
_PERMISSIVE: Final[dict[str, Any]] = {"type": "object", "additionalProperties": True}


class SchemaRegistry:
    """Collects span types and quality types for `agent_schema_version`.

    Schemas observe and never block: a payload that does not match is stored and flagged.

    Args:
        external_identifier: The label of this version of the schemas. None derives it from their
            content, so it changes exactly when they do.

    Raises:
        ValueError: *external_identifier* is empty.
    """

    __slots__ = ("_external_identifier", "_qualities", "_spans")

    def __init__(self, external_identifier: str | None = None) -> None:
        if external_identifier == "":
            raise ValueError("external_identifier must not be empty; leave it out to derive it")
        self._external_identifier = external_identifier
        self._spans: dict[str, dict[str, Any]] = {}
        self._qualities: dict[str, dict[str, Any]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the span types, in the order they were added."""
        return tuple(self._spans)

    @property
    def external_identifier(self) -> str:
        """The label of this version; derived from the content unless it was given."""
        if self._external_identifier is not None:
            return self._external_identifier
        # Sorted, so that neither the order of adding nor that of keys makes another version.
        content = msgspec.json.encode((self._spans, self._qualities), order="deterministic")
        return "sha256:" + hashlib.sha256(content).hexdigest()[:16]

    def add(
        self,
        name: str,
        params: Any = None,
        result: Any = None,
        *,
        title: str | None = None,
        description: str | None = None,
        template: str | None = None,
        data_risk: Mapping[str, Any] | None = None,
    ) -> Self:
        """Declare the span type *name*.

        Args:
            name: The `schema_name` of the spans, such as ``agent:llm``.
            params: What `payload` looks like: a JSON schema, or a type (msgspec struct, dataclass,
                attrs class, TypedDict, pydantic model). None allows any object.
            result: The same for `result_payload`.
            title: Shown instead of the name.
            description: What spans of this type stand for.
            template: One line in Liquid over payload and result, shown as a span's summary.
            data_risk: The API's object of this name.

        Returns:
            The registry, so that calls can be chained.

        Raises:
            ValueError: The name is empty or taken by another schema, or a schema cannot be read.
        """
        declared = {
            "name": _checked_name(name),
            "params_schema": _schema(params, name, "params"),
            "result_schema": _schema(result, name, "result"),
            **_texts(name, title=title, description=description, template=template),
            **_risk(name, data_risk),
        }
        _declare(self._spans, "span type", declared)
        return self

    def quality(
        self,
        name: str,
        schema: Any,
        *,
        title: str | None = None,
        description: str | None = None,
        template: str | None = None,
        data_risk: Mapping[str, Any] | None = None,
    ) -> Self:
        """Declare the quality type *name*, for `record_quality`; arguments are those of `add`."""
        declared = {
            "name": _checked_name(name),
            "schema": _schema(schema, name, "schema"),
            **_texts(name, title=title, description=description, template=template),
            **_risk(name, data_risk),
        }
        _declare(self._qualities, "quality type", declared)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the API's object `agent_schema_version`; changing it changes nothing here."""
        wire: dict[str, Any] = {
            "external_identifier": self.external_identifier,
            "span_type_schemas": list(self._spans.values()),
        }
        if self._qualities:
            wire["quality_schemas"] = list(self._qualities.values())
        copied: dict[str, Any] = _copied(wire)
        return copied

    def __contains__(self, name: object) -> bool:
        return name in self._spans

    def __len__(self) -> int:
        return len(self._spans)

    def __repr__(self) -> str:
        return f"SchemaRegistry({self.external_identifier!r}, names={self.names!r})"


def _declare(known: dict[str, dict[str, Any]], what: str, declared: dict[str, Any]) -> None:
    name = declared["name"]
    earlier = known.setdefault(name, declared)
    if earlier != declared:
        different = sorted(
            field
            for field in earlier.keys() | declared.keys()
            if earlier.get(field) != declared.get(field)
        )
        raise ValueError(
            f"{what} {name!r} is declared already and differs in {', '.join(different)}; "
            "give one of them another name"
        )


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"name must be a text like 'agent:llm', got {name!r}")
    return name


def _texts(name: str, **texts: str | None) -> dict[str, str]:
    for field, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{field} of {name!r} must be text, got {text!r}")
    return {field: text for field, text in texts.items() if text is not None}


def _risk(name: str, risk: Any) -> dict[str, Any]:
    if risk is None:
        return {}
    try:
        plain = msgspec.to_builtins(risk.model_dump()) if _is_model(risk) else _copied(risk)
    except (TypeError, ValueError) as error:
        raise ValueError(f"data_risk of {name!r} is not JSON: {error}") from error
    if not isinstance(plain, dict):
        raise ValueError(  # noqa: TRY004 (a ValueError for every argument that makes no sense)
            f"data_risk of {name!r} must be an object, got {risk!r}"
        )
    return {"data_risk": plain}


def _schema(source: Any, name: str, field: str) -> dict[str, Any]:
    """Return the JSON schema that *source* is or describes; it stands for itself."""
    if source is None:
        return dict(_PERMISSIVE)
    try:
        if isinstance(source, Mapping):
            schema: dict[str, Any] = _copied(dict(source))
        elif _is_model(source):
            schema = _copied(source.model_json_schema())
        elif _is_described(source):
            schema = _self_contained(source)
        else:
            raise ValueError(  # noqa: TRY301 (completed with name and field below)
                "it is neither a JSON schema nor a type that describes an object"
            )
    except (TypeError, ValueError, RuntimeError, NameError) as error:
        raise ValueError(
            f"{field} of {name!r} must be a JSON schema, or a msgspec struct, dataclass, attrs "
            f"class, TypedDict or pydantic model; got {source!r}: {error}"
        ) from error
    if "type" in schema and schema["type"] != "object":
        raise ValueError(
            f"{field} of {name!r} must describe an object, got type {schema['type']!r}; "
            "payloads are objects"
        )
    return schema


def _is_model(source: Any) -> Any:
    return callable(getattr(source, "model_json_schema", None))


def _is_described(source: object) -> bool:
    return isinstance(source, type) and (
        issubclass(source, msgspec.Struct)
        or dataclasses.is_dataclass(source)
        or is_typeddict(source)
        or hasattr(source, "__attrs_attrs__")
    )


def _self_contained(source: Any) -> dict[str, Any]:
    """Return the schema of a type with its own `$defs`, and the type itself at the top."""
    (schema,), components = msgspec.json.schema_components((source,), ref_template="#/$defs/{name}")
    own = schema.get("$ref", "").removeprefix("#/$defs/")
    if own not in components:
        return {**schema, "$defs": components} if components else schema
    top = components[own]
    # A type that contains itself stays among the definitions too.
    rest = (
        components
        if _mentions(components, f"#/$defs/{own}")
        else {name: component for name, component in components.items() if name != own}
    )
    return {**top, "$defs": rest} if rest else top


def _mentions(value: Any, reference: str) -> bool:
    if isinstance(value, dict):
        return value.get("$ref") == reference or any(
            _mentions(member, reference) for member in value.values()
        )
    return isinstance(value, list) and any(_mentions(member, reference) for member in value)


def _copied(value: Any) -> Any:
    """Return a copy of *value* as JSON, so that nobody can change it from outside."""
    return msgspec.json.decode(msgspec.json.encode(value))
