"""Own the words of the API that are more than a plain string, and the name for JSON objects."""

from typing import Any, Literal, TypeAlias

__all__ = [
    "AgentLifecycle",
    "AgentStatus",
    "FinishStatus",
    "InstancePurpose",
    "JsonObject",
]

AgentStatus: TypeAlias = Literal[
    "pending", "active", "complete", "failed", "cancelled", "terminated"
]
"""State of an agent instance or a span; a span is never ``terminated``."""

FinishStatus: TypeAlias = Literal["complete", "failed", "cancelled"]
"""State in which a caller may leave an instance or a span."""

InstancePurpose: TypeAlias = Literal["live", "smoke_test", "eval"]
"""Why an agent instance runs; the API takes ``live`` when nothing is said."""

AgentLifecycle: TypeAlias = Literal["pending", "active", "dormant", "retired"]
"""State of an agent, as opposed to one of its instances."""

JsonObject: TypeAlias = dict[str, Any]
"""A free-form JSON object: the API stores it and does not look inside."""
