"""Own what a registration declares when nobody declared the span types in use. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["AUTO_DECLARE", "declare_used_types"]

AUTO_DECLARE: Final = "_auto_declare"
"""Marks registration details whose schema may be completed; never sent."""

_ANYTHING: Final = {"type": "object", "additionalProperties": True}


def declare_used_types(details: dict[str, Any] | None, used: Sequence[str]) -> None:
    """Add permissive schemas for span types that are *used* but not declared.

    The schema's label gets a hash of what was added: the API expects another label for another
    schema. Does nothing if the caller of ``register_instance`` gave a schema of their own, or a
    second time.

    Args:
        details: The registration's fields, changed in place.
        used: Names of span types, in order of first use.
    """
    if details is None or not details.pop(AUTO_DECLARE, False):
        return
    schema = details["agent_schema_version"]
    full = schema.get("span_type_schemas")
    flat = schema.get("span_schemas")
    known = {entry["name"] for entry in full} if full is not None else set(flat or ())
    added = [name for name in used if name not in known]
    if full is None and flat is not None:
        flat.update(dict.fromkeys(added, _ANYTHING))
        results = schema.setdefault("span_result_schemas", {})
        results.update(dict.fromkeys(added, _ANYTHING))
    else:
        schema["span_type_schemas"] = (full or []) + [
            {"name": name, "params_schema": _ANYTHING, "result_schema": _ANYTHING} for name in added
        ]
    if added or not schema.get("external_identifier"):
        digest = hashlib.sha256("\n".join(sorted(known | set(added))).encode()).hexdigest()[:12]
        label = schema.get("external_identifier")
        schema["external_identifier"] = f"{label}+{digest}" if label else f"observed-{digest}"
