"""Own the shapes of agents: the lasting identities whose runs are instances."""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from prefactor_http.models._model import Model
from prefactor_http.models.types import AgentLifecycle, JsonObject

__all__ = [
    "Agent",
    "AgentAvailableActions",
    "AgentForCreate",
    "AgentForUpdate",
    "AgentInstanceCounts",
    "AgentSummary",
]


class AgentInstanceCounts(Model, kw_only=True):
    """How many instances an agent has, by state."""

    total: int = 0
    pending: int = 0
    active: int = 0
    complete: int = 0
    failed: int = 0
    cancelled: int = 0
    terminated: int = 0
    finished: int = 0


class AgentAvailableActions(Model, kw_only=True):
    """What the caller may do with an agent in its present state."""

    update: bool = False
    retire: bool = False
    reinstate: bool = False
    delete: bool = False


class AgentSummary(Model, kw_only=True):
    """An agent, as lists show it.

    Attributes:
        external_identifier: The caller's own id, unique within the account.
        available_actions: What the caller may do with it, ``None`` if the API did not say.
    """

    type: Literal["agent"]
    id: str
    name: str
    status: AgentLifecycle
    description: str | None = None
    external_identifier: str | None = None
    owner_person_id: str | None = None
    team_id: str | None = None
    available_actions: AgentAvailableActions | None = None
    inserted_at: datetime | None = None
    updated_at: datetime | None = None


class Agent(AgentSummary, kw_only=True):
    """The stable identity of one program.

    Attributes:
        risk_profile_id: The risk profile it is held to.
        instance_counts: How many instances it has, ``None`` unless asked for.
    """

    risk_profile_id: str | None = None
    instance_counts: AgentInstanceCounts | None = None


class AgentForCreate(Model, kw_only=True):
    """What describes a new agent; ``None`` is not sent.

    Attributes:
        name: Its name.
        description: Text for people.
        external_identifier: The caller's own id, unique within the account; cannot change later.
        id: An id of the caller's choice, a PFID in the partition of the account.
        owner_person_id: Who answers for it.
        risk_profile_id: The risk profile it is held to.
        team_id: The team it belongs to.
    """

    name: str
    description: str | None = None
    external_identifier: str | None = None
    id: str | None = None
    owner_person_id: str | None = None
    risk_profile_id: str | None = None
    team_id: str | None = None


class AgentForUpdate(Model, kw_only=True):
    """What changes about an agent; a field that is left out keeps its value.

    Attributes:
        name: Its new name; ``None`` keeps the old one.
        description: Its new text; ``None`` keeps the old one.
        owner_person_id: Who answers for it; ``None`` clears the field.
        risk_profile_id: The risk profile it is held to; ``None`` clears the field.
        team_id: The team it belongs to; ``None`` clears the field.
    """

    name: str | None = None
    description: str | None = None
    owner_person_id: str | UnsetType | None = UNSET
    risk_profile_id: str | UnsetType | None = UNSET
    team_id: str | UnsetType | None = UNSET

    def changes(self) -> JsonObject:
        """Return what to send: the fields that were given, ``null`` only where it clears one."""
        return {
            name: value
            for name, value in self.model_dump().items()
            if value is not None or name not in {"name", "description"}
        }
