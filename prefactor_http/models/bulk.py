"""Own the shapes of the bulk endpoint: many actions in one request, one outcome for each."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec

from prefactor_http.models._model import Model, OpenModel

__all__ = [
    "BulkItem",
    "BulkOutcome",
    "BulkOutcomeWithIds",
    "BulkOutput",
    "BulkRequest",
    "BulkResponse",
    "OutcomeIds",
]

_ItemKey = Annotated[str, msgspec.Meta(min_length=8, max_length=64)]


class BulkItem(OpenModel, kw_only=True):
    """One action of a bulk request; every further keyword is sent as it is.

    Attributes:
        type: The action, such as ``agent_spans/create``; ``_type`` on the wire and as keyword.
        idempotency_key: Names the action and finds its outcome; 8 to 64 characters.
    """

    type: str = msgspec.field(name="_type")
    idempotency_key: _ItemKey

    if TYPE_CHECKING:

        def __init__(self, *, _type: str, idempotency_key: str, **fields: Any) -> None: ...


class BulkRequest(Model, kw_only=True):
    """Actions that the API carries out in order, up to the first that fails.

    Attributes:
        items: At least one, with keys that all differ; dictionaries are converted.
    """

    open_fields: ClassVar[tuple[str, ...]] = ("items",)

    items: Annotated[list[BulkItem], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        self.validate_unique_idempotency_keys(self.items)

    @classmethod
    def validate_unique_idempotency_keys(cls, items: list[BulkItem]) -> list[BulkItem]:
        """Return *items* as they are.

        Raises:
            ValueError: If two of them share a key.
        """
        seen: set[str] = set()
        for item in items:
            if item.idempotency_key in seen:
                raise ValueError(
                    "idempotency_key must be unique within a bulk request, "
                    f"got {item.idempotency_key!r} twice"
                )
            seen.add(item.idempotency_key)
        return items


class BulkOutput(OpenModel, kw_only=True):
    """What became of one action; whatever else the API says about it is an attribute.

    Attributes:
        status: ``success`` or ``error``.
    """

    status: str

    if TYPE_CHECKING:

        def __init__(self, *, status: str, **fields: Any) -> None: ...

    def __post_init__(self) -> None:
        self.validate_status(self.status)

    @classmethod
    def validate_status(cls, v: str) -> str:
        """Return *v* as it is.

        Raises:
            ValueError: If it is neither ``success`` nor ``error``.
        """
        if v not in {"success", "error"}:
            raise ValueError(f"status must be 'success' or 'error', got {v!r}")
        return v


class BulkResponse(Model, kw_only=True):
    """What became of a bulk request.

    Attributes:
        status: ``success``, even if an action failed; not checked.
        outputs: Idempotency key to outcome. Actions after the first failure were not carried out
            and are absent.
    """

    open_fields: ClassVar[tuple[str, ...]] = ("outputs",)

    status: str = "success"
    outputs: dict[str, BulkOutput]


class BulkOutcome(msgspec.Struct, gc=False):
    """What became of one action, without the object it made; decoded many times a second.

    Attributes:
        status: ``success`` or ``error``.
        code: The API's word for a failure, ``None`` after a success.
        message: The same for people.
        errors: What is wrong with each field, in no fixed shape.
        control: A signal from the API to the agent, in no checked shape.
    """

    status: Literal["success", "error"]
    code: str | None = None
    message: str | None = None
    errors: Any = None
    control: Any = None


class OutcomeIds(msgspec.Struct, gc=False):
    """The ids of the object an action made.

    Attributes:
        id: Of the object, ``None`` if the API did not say.
        account_id: Of its account, ``None`` if the API did not say.
    """

    id: str | None = None
    account_id: str | None = None


class BulkOutcomeWithIds(BulkOutcome, gc=False):
    """What became of one action, with the ids of the object it made.

    Attributes:
        details: The ids, ``None`` if the action answered without an object.
    """

    details: OutcomeIds | None = None
