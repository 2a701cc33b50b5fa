"""Values wrapped as ``{"$sensitive": type, "value": value}``: hide them or forget them."""

from typing import Any

import msgspec

from prefactor_http.devserver.decoding import decode_stored

HIDDEN = "[redacted]"
FORGOTTEN = "[discarded]"


def replaced(body: bytes, word: str) -> bytes:
    """Return the JSON *body* with every wrapped value replaced by *word*."""
    return msgspec.json.encode(without(decode_stored(body), word))


def without(value: Any, word: str) -> Any:
    """Copy *value*, replacing what is wrapped."""
    if isinstance(value, dict):
        if isinstance(value.get("$sensitive"), str) and "value" in value:
            return {"$sensitive": value["$sensitive"], "value": word}
        return {key: without(part, word) for key, part in value.items()}
    if isinstance(value, list):
        return [without(part, word) for part in value]
    return value
