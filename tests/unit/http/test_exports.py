"""Every public name is where the documentation says, and importing is cheap."""

import importlib
import inspect
import logging
import subprocess
import sys

import pytest

import prefactor_http
from prefactor_http import models
from prefactor_http._log import get_logger

MODELS = {
    "AgentInstance": "type id account_id agent_id agent_version_id environment_id status"
    " inserted_at updated_at started_at finished_at span_counts model_config",
    "AgentInstanceSpanCounts": "total pending active complete failed cancelled finished"
    " model_config",
    "AgentSchemaVersionForRegister": "external_identifier span_schemas span_result_schemas"
    " span_type_schemas model_config",
    "AgentSpan": "type id account_id agent_id agent_instance_id parent_span_id schema_name"
    " schema_title status payload result_payload summary started_at inserted_at updated_at"
    " finished_at model_config",
    "AgentVersionForRegister": "name external_identifier description model_config",
    "ApiResponse": "status details model_config",
    "BulkItem": "idempotency_key model_config type",
    "BulkOutput": "model_config status validate_status",
    "BulkRequest": "items model_config validate_unique_idempotency_keys",
    "BulkResponse": "model_config outputs status",
    "FinishInstanceRequest": "status timestamp idempotency_key model_config",
    "SpanTypeSchemaForCreate": "name params_schema result_schema title description template"
    " data_risk model_config",
}
PYDANTIC = "model_dump model_dump_json model_validate model_validate_json model_copy model_fields"
CONFIG = (
    "api_url api_token request_timeout connect_timeout max_retries initial_retry_delay"
    " max_retry_delay retry_multiplier retry_on_status_codes default_idempotency_key"
)
INSTANCE_MEMBERS = {
    "PrefactorApiError": ("message code status_code", ("m", "c", 500)),
    "PrefactorRetryExhaustedError": ("last_error", ("m",)),
    "PrefactorValidationError": ("errors", ("m", "c", 422, {})),
    "HttpClientConfig": (CONFIG, ("https://api.test", "token")),
}
CURRENT = (
    "AgentInstanceRecordQuality QualitySchemaDetails QualitySchemaForCreate RuntimeEnvironment"
    " InstancePurpose"
)
SUBMODULES = {
    "prefactor_http.client": "PrefactorHttpClient DEFAULT_SDK_HEADER",
    "prefactor_http.config": "HttpClientConfig",
    "prefactor_http.exceptions": "PrefactorHttpError PrefactorApiError PrefactorAuthError"
    " PrefactorNotFoundError PrefactorValidationError PrefactorRetryExhaustedError"
    " PrefactorClientError PrefactorResponseContractError is_transient_http_error"
    " is_permanent_http_error",
    "prefactor_http.retry": "RetryHandler",
    "prefactor_http.endpoints": "AgentInstanceClient AgentSpanClient BulkClient AgentClient"
    " PfidClient",
    "prefactor_http.endpoints.agent": "AgentClient",
    "prefactor_http.endpoints.agent_instance": "AgentInstanceClient",
    "prefactor_http.endpoints.agent_span": "AgentSpanClient",
    "prefactor_http.endpoints.bulk": "BulkClient",
    "prefactor_http.models": "ActionProfile DataCategories DataRisk AgentStatus FinishStatus Agent"
    " AgentAvailableActions AgentForCreate AgentForUpdate AgentInstanceCounts AgentSummary"
    f" {' '.join(MODELS)} {CURRENT}",
    "prefactor_http.models.agent": "Agent",
    "prefactor_http.models.agent_instance": "AgentInstance RegisterAgentInstanceRequest"
    " TimestampRequest",
    "prefactor_http.models.agent_span": "AgentSpan CreateAgentSpanRequest FinishSpanRequest",
    "prefactor_http.models.base": "ApiResponse ApiError DetailedApiError PaginationOutput Sorting"
    " ListResponse",
    "prefactor_http.models.bulk": "BulkItem BulkRequest BulkResponse BulkOutput",
    "prefactor_http.models.types": "AgentStatus FinishStatus InstancePurpose",
    "prefactor_http._version": "PACKAGE_NAME PACKAGE_VERSION __version__",
}


@pytest.mark.parametrize("module", ["prefactor_http", *SUBMODULES])
def test_all_is_sorted_and_true(module: str) -> None:
    """What a module announces, it has."""
    loaded = importlib.import_module(module)
    announced = getattr(loaded, "__all__", [])

    assert list(announced) == sorted(announced)
    assert all(hasattr(loaded, name) for name in announced)
    assert set(announced) <= set(dir(loaded))


@pytest.mark.parametrize("module", SUBMODULES)
def test_every_submodule_has_its_names(module: str) -> None:
    """Each name can be imported from its documented place."""
    loaded = importlib.import_module(module)

    assert [name for name in SUBMODULES[module].split() if not hasattr(loaded, name)] == []


def test_the_package_announces_exactly_the_documented_names() -> None:
    """No more, and no less."""
    documented = {
        "PrefactorHttpClient",
        "HttpClientConfig",
        "PrefactorHttpError",
        "PrefactorApiError",
        "PrefactorAuthError",
        "PrefactorNotFoundError",
        "PrefactorValidationError",
        "PrefactorRetryExhaustedError",
        "PrefactorClientError",
        "PrefactorResponseContractError",
        "AgentStatus",
        "FinishStatus",
        "__version__",
        *MODELS,
        *CURRENT.split(),
    }

    assert set(prefactor_http.__all__) == documented
    assert not hasattr(prefactor_http, "RetryHandler")


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_its_members(model: str) -> None:
    """Fields, settings and validators, and the methods pydantic has taught people."""
    kind = getattr(models, model)

    assert [name for name in MODELS[model].split() if not hasattr(kind, name)] == []
    assert [name for name in PYDANTIC.split() if not hasattr(kind, name)] == []
    assert set(MODELS[model].split()) - set(kind.model_fields) <= {
        "model_config",
        "validate_status",
        "validate_unique_idempotency_keys",
    }


def test_model_config_tells_what_is_special() -> None:
    """Three models keep extras, two take both names of a field."""
    special = {
        name: getattr(models, name).model_config
        for name in models.__all__
        if getattr(getattr(models, name), "model_config", None)
    }

    assert special == {
        "BulkItem": {"extra": "allow"},
        "BulkOutput": {"extra": "allow"},
        "DataRisk": {"extra": "allow"},
        "QualitySchemaDetails": {"populate_by_name": True},
        "QualitySchemaForCreate": {"populate_by_name": True},
    }


@pytest.mark.parametrize("name", INSTANCE_MEMBERS)
def test_every_object_has_its_members(name: str) -> None:
    """Errors and settings carry what is documented."""
    members, arguments = INSTANCE_MEMBERS[name]
    built = getattr(prefactor_http, name)(*arguments)

    assert [member for member in members.split() if not hasattr(built, member)] == []


def test_the_client_has_its_members() -> None:
    """Those of the documentation, and the private ones people have come to use."""
    client = prefactor_http.PrefactorHttpClient
    members = "agent_instances agent_spans agents bulk pfids close request validate_token"

    assert [name for name in members.split() if not hasattr(client, name)] == []
    assert inspect.iscoroutinefunction(client._ensure_session)
    assert inspect.iscoroutinefunction(client._make_request)


@pytest.mark.parametrize(
    "module",
    [
        "prefactor_http",
        "prefactor_http.models",
        "prefactor_http.exceptions",
        "prefactor_http.config",
    ],
)
def test_importing_does_not_load_aiohttp(module: str) -> None:
    """That takes its time, and is not needed before the first request."""
    check = f"import sys, {module}; assert 'aiohttp' not in sys.modules"

    finished = subprocess.run([sys.executable, "-c", check], check=False, capture_output=True)

    assert finished.stderr == b""
    assert finished.returncode == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Loading on demand changes nothing about that."""
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = prefactor_http.no_such_name


def test_the_package_prints_nothing_unless_asked(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Events go to the standard library's logging, with their fields as ``extra``."""
    log = get_logger("prefactor_http.test")
    with caplog.at_level(logging.WARNING, logger="prefactor_http.test"):
        log.info("not_shown")
        log.warning("shown", attempt=2)

    assert [(record.getMessage(), record.__dict__["attempt"]) for record in caplog.records] == [
        ("shown (attempt: 2)", 2)
    ]
    assert capfd.readouterr() == ("", "")
    assert any(
        isinstance(handler, logging.NullHandler)
        for handler in logging.getLogger("prefactor_http").handlers
    )
