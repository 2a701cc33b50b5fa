"""What the in-memory exporter shows is what a server stores."""

import pytest

from prefactor_exporter import AgentInfo, SchemaRegistry, Sensitive
from prefactor_exporter.testing import InMemoryExporter


def work(exporter):
    """Record some of everything."""
    schemas = SchemaRegistry("v1")
    for name in ("agent:llm", "tool:search", "left:open", "step"):
        schemas.add(name, {"type": "object"})
    schemas.quality("score", {"type": "object"})
    with exporter.instance(
        agent_version={"external_identifier": "v1"}, agent_schema_version=schemas
    ) as run:
        with run.span("agent:llm", {"question": "?", "api_key": "k"}) as span:
            exporter.record_span("tool:search", {"q": Sensitive("a")}, result_payload={"n": 1})
            exporter.record_span("tool:search", {"q": "b"}, status="failed", started_at=1)
            span.set_result({"text": "x" * 5_000})
        exporter.start_span("left:open", parent_span_id=span.id)
        exporter.finish_span(exporter.start_span("step", {"odd": {3}}), status="cancelled")
        run.record_quality("score", {"value": 0.5})
        run.fail()
    exporter.record_span("own", {"n": 2**53}, started_at=5, finished_at=6_000_000)


def stored(server):
    """Return what the server stored, runs by their place instead of their id."""
    names = {span["id"]: span["schema_name"] for span in server.spans()}
    return [
        {
            span["schema_name"]: (
                span["status"],
                names.get(span["parent_span_id"]),
                span["payload"],
                span["result_payload"],
                span["sensitive_encoding"],
            )
            for span in server.spans(run["id"])
        }
        | {"run": (run["status"], run["quality"])}
        for run in server.instances()
    ]


def shown(exporter):
    """Return the same of what was recorded in memory."""
    names = {span.id: span.schema_name for span in exporter.spans}
    return [
        {
            span.schema_name: (
                span.status,
                names.get(span.parent_id),
                span.payload,
                span.result,
                span.sensitive,
            )
            for span in run.walk()
        }
        | {"run": (run.status, run.qualities)}
        for run in exporter.runs
    ]


@pytest.mark.parametrize("settings", [{}, {"close_open": False}, {"max_payload_bytes": 500}])
def test_a_server_stores_what_the_in_memory_exporter_shows(server, make, settings):
    real = make(agent=AgentInfo(agent_id=server.agent_id, name="agent"), **settings)
    memory = InMemoryExporter(real.config)
    for exporter in (real, memory):
        work(exporter)
        assert exporter.shutdown()

    assert shown(memory) == stored(server)
    assert memory.stats().recorded == real.stats().recorded
