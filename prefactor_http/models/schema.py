"""Own the shapes that declare what an agent may record: span types, quality, and their risk."""

from typing import Any, ClassVar, Literal

import msgspec

from prefactor_http.models._model import Model, OpenModel
from prefactor_http.models.types import JsonObject

__all__ = [
    "ActionProfile",
    "AgentSchemaVersionForRegister",
    "DataCategories",
    "DataRisk",
    "QualitySchemaDetails",
    "QualitySchemaForCreate",
    "SpanTypeSchemaForCreate",
]

_Permission = Literal["unknown", "allowed", "disallowed"]
_Presence = Literal["unknown", "included", "excluded"]
_Classification = Literal["unknown", "public", "internal", "confidential", "restricted", "secret"]


class ActionProfile(Model, kw_only=True):
    """What a step of this type may do; ``unknown`` until somebody says."""

    create_data: _Permission = "unknown"
    read_data: _Permission = "unknown"
    update_data: _Permission = "unknown"
    destroy_data: _Permission = "unknown"
    financial_transactions: _Permission = "unknown"
    external_communication: _Permission = "unknown"


class DataCategories(Model, kw_only=True):
    """Which kinds of data a payload may hold; ``unknown`` until somebody says."""

    personal_identifiers: _Presence = "unknown"
    contact_information: _Presence = "unknown"
    financial_information: _Presence = "unknown"
    health_and_medical: _Presence = "unknown"
    criminal_justice: _Presence = "unknown"
    authentication_and_secrets: _Presence = "unknown"
    organisational_confidential: _Presence = "unknown"
    minors_data: _Presence = "unknown"
    location_and_tracking: _Presence = "unknown"
    behavioural_and_inferred: _Presence = "unknown"
    gdpr_racial_or_ethnic_origin: _Presence = "unknown"
    gdpr_political_opinions: _Presence = "unknown"
    gdpr_religious_or_philosophical_beliefs: _Presence = "unknown"
    gdpr_trade_union_membership: _Presence = "unknown"
    gdpr_genetic_data: _Presence = "unknown"
    gdpr_biometric_for_identification: _Presence = "unknown"
    gdpr_sex_life_or_sexual_orientation: _Presence = "unknown"
    classification: _Classification = "unknown"


class DataRisk(OpenModel, kw_only=True):
    """The risk of one span type; the API wants every value, so dumps hold the defaults too.

    Attributes:
        action_profile: What a step may do.
        params_data_categories: What ``payload`` may hold.
        result_data_categories: What ``result_payload`` may hold.
    """

    action_profile: ActionProfile
    params_data_categories: DataCategories
    result_data_categories: DataCategories


class SpanTypeSchemaForCreate(Model, kw_only=True):
    """Declare one span type.

    Attributes:
        name: The ``schema_name`` of its spans, such as ``agent:llm``.
        params_schema: JSON schema of ``payload``.
        result_schema: JSON schema of ``result_payload``. Left out, the API expects an empty
            object, so send a permissive schema instead.
        title: Name for people; the API takes ``name`` if there is none.
        description: Text for people.
        template: One Liquid line that sums a span up.
        data_risk: What the step may do and see.
    """

    open_fields: ClassVar[tuple[str, ...]] = ("data_risk",)

    name: str
    params_schema: JsonObject
    result_schema: JsonObject | None = None
    title: str | None = None
    description: str | None = None
    template: str | None = None
    data_risk: DataRisk | None = None


class QualitySchemaForCreate(Model, kw_only=True):
    """Declare one named measure of quality.

    Attributes:
        name: The name values are recorded under.
        schema_: JSON schema of the values; ``schema`` on the wire, and the constructor takes both.
        title: Name for people.
        description: Text for people.
        template: One Liquid line that sums a value up.
        data_risk: What the values may reveal.
    """

    model_config: ClassVar[dict[str, Any]] = {"populate_by_name": True}
    open_fields: ClassVar[tuple[str, ...]] = ("data_risk",)

    name: str
    schema_: JsonObject = msgspec.field(name="schema")
    title: str | None = None
    description: str | None = None
    template: str | None = None
    data_risk: DataRisk | None = None


class QualitySchemaDetails(Model, kw_only=True):
    """A measure of quality as the API knows it.

    Attributes:
        name: The name values are recorded under.
        title: Name for people.
        description: Text for people.
        template: One Liquid line that sums a value up.
        data_risk: What the values may reveal.
        schema_: JSON schema of the values; ``schema`` on the wire, and the constructor takes both.
        schema_validation: What the API found when it checked the schema.
    """

    model_config: ClassVar[dict[str, Any]] = {"populate_by_name": True}
    open_fields: ClassVar[tuple[str, ...]] = ("data_risk",)

    name: str
    title: str
    description: str | None = None
    template: str | None = None
    data_risk: DataRisk
    schema_: JsonObject = msgspec.field(name="schema")
    schema_validation: JsonObject


class AgentSchemaVersionForRegister(Model, kw_only=True):
    """Declare the span types of an agent, in the full form or as two flat maps.

    Attributes:
        external_identifier: Label of the schema version.
        span_schemas: Span type to JSON schema of ``payload``.
        span_result_schemas: Span type to JSON schema of ``result_payload``; only beside
            ``span_schemas``.
        span_type_schemas: The full form; if given, the API ignores the two maps.
        quality_schemas: Measures of quality.
    """

    open_fields: ClassVar[tuple[str, ...]] = ("span_type_schemas", "quality_schemas")

    external_identifier: str | None = None
    span_schemas: dict[str, JsonObject] | None = None
    span_result_schemas: dict[str, JsonObject] | None = None
    span_type_schemas: list[SpanTypeSchemaForCreate] | None = None
    quality_schemas: list[QualitySchemaForCreate] | None = None
