"""The agent of the page about migrating, as it is afterwards."""

import asyncio

from prefactor_exporter import Exporter, SchemaRegistry

registry = SchemaRegistry()
registry.add(
    "agent:llm",
    {"type": "object", "properties": {"question": {"type": "string"}}},
    {"type": "object", "properties": {"answer": {"type": "integer"}}},
    title="LLM call",
)


async def main() -> None:
    """Record one run."""
    async with Exporter.from_env() as exporter:
        with exporter.instance(
            agent_version={"name": "Clerk", "external_identifier": "v1"},
            agent_schema_version=registry,
        ) as run:
            print("run", run.id)
            async with run.span("agent:task", {"task": "arithmetic"}) as task:
                async with run.span("agent:llm", {"question": "6 times 7?"}) as span:
                    span.set_result({"answer": 42})
                task.set_result({"steps": 1})


asyncio.run(main())
