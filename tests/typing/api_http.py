"""What type checkers make of the client's public face; read by them, never run."""

from typing import Any, assert_type

from prefactor_http import (
    AgentInstance,
    AgentSpan,
    AgentStatus,
    ApiResponse,
    BulkItem,
    BulkOutput,
    BulkRequest,
    BulkResponse,
    FinishInstanceRequest,
    FinishStatus,
    HttpClientConfig,
    PrefactorApiError,
    PrefactorHttpClient,
    PrefactorRetryExhaustedError,
    PrefactorValidationError,
)
from prefactor_http.models import (
    Agent,
    AgentForCreate,
    AgentInstanceSummary,
    AgentSpanSummary,
    AgentSummary,
    BulkOutcome,
    BulkOutcomeWithIds,
    ListResponse,
    PfidBatch,
)


async def calls(client: PrefactorHttpClient, items: list[bytes], status: FinishStatus) -> None:
    """Each call returns its own model."""
    async with client as entered:
        assert_type(entered, PrefactorHttpClient)
    instances, spans, agents = client.agent_instances, client.agent_spans, client.agents
    assert_type(await instances.register("a", {}, {}, environment_id="e"), AgentInstance)
    assert_type(await instances.register(None, {}, {}, purpose="eval"), AgentInstance)
    assert_type(await instances.register(agent_version={}, agent_schema_version={}), AgentInstance)
    assert_type(await instances.start("i"), AgentInstance)
    assert_type(await instances.finish("i", status), AgentInstance)
    assert_type(await instances.list_instances(), ListResponse[AgentInstanceSummary])
    assert_type(await spans.create("i", "n", "active"), AgentSpan)
    assert_type(await spans.finish("s", "complete"), AgentSpan)
    assert_type(await spans.list_spans("i"), ListResponse[AgentSpanSummary])
    assert_type(await agents.create(AgentForCreate(name="n")), Agent)
    assert_type(await agents.list_agents(), list[AgentSummary])
    assert_type(await client.pfids.generate(), PfidBatch)
    assert_type(await client.bulk.execute_encoded(items), dict[str, BulkOutcome])
    assert_type(
        await client.bulk.execute_encoded(items, with_ids=True), dict[str, BulkOutcomeWithIds]
    )
    assert_type(await client.request("GET", "/api/v1/ping"), dict[str, Any])


async def bulk(client: PrefactorHttpClient) -> None:
    """Items take any keyword, outputs have any attribute."""
    item = BulkItem(_type="agent_spans/create", idempotency_key="12345678", details={})
    response = await client.bulk.execute(BulkRequest(items=[item]))
    assert_type(response, BulkResponse)
    assert_type(response.outputs["12345678"], BulkOutput)
    assert_type(response.outputs["12345678"].status, str)
    assert_type(response.outputs["12345678"].details, Any)
    assert_type(BulkRequest.validate_unique_idempotency_keys([item]), list[BulkItem])
    assert_type(BulkOutput.validate_status("success"), str)


def models(raw: dict[str, Any], envelope: ApiResponse[AgentSpan]) -> None:
    """Methods return the class they are called on."""
    assert_type(AgentSpan.model_validate(raw), AgentSpan)
    assert_type(AgentSpan.model_validate_json(b"{}").model_copy(), AgentSpan)
    assert_type(envelope.details, AgentSpan)
    assert_type(envelope.details.status, AgentStatus)
    assert_type(FinishInstanceRequest(status="complete").model_dump(), dict[str, Any])
    assert_type(FinishInstanceRequest.model_config, dict[str, Any])


def errors(config: HttpClientConfig, error: Exception) -> None:
    """Attributes keep their types."""
    assert_type(config.retry_on_status_codes, tuple[int, ...])
    if isinstance(error, PrefactorValidationError):
        assert_type(error.errors, dict[str, Any])
    elif isinstance(error, PrefactorApiError):
        assert_type(error.retry_after, float | None)
    elif isinstance(error, PrefactorRetryExhaustedError):
        assert_type(error.last_error, Exception | None)
