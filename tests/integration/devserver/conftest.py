"""A development server and a bare HTTP client for it."""

import json
from typing import Any

import aiohttp
import msgspec
import pytest

from prefactor_http.devserver import DevServer, Switches
from prefactor_http.devserver.ids import Mint

SCHEMA = {
    "external_identifier": "schema-1",
    "span_type_schemas": [
        {
            "name": "agent:llm",
            "title": "Model call",
            "params_schema": {"type": "object", "required": ["model"]},
            "result_schema": {"type": "object", "additionalProperties": True},
            "template": "{{ model }} said {{ text }}",
        },
        {"name": "agent:tool", "params_schema": {"type": "object"}},
    ],
    "quality_schemas": [
        {"name": "score", "schema": {"type": "object"}, "template": "Score {{ value }}"},
        {"name": "tone", "schema": {"type": "object"}},
    ],
}


class Api:
    """Requests to one server, with the answers decoded."""

    def __init__(self, server: DevServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.mint = Mint(server.partition)

    async def send(self, method, path, body=None, *, token=None, **options) -> tuple[int, Any]:
        """Return status and decoded body; no body at all for None."""
        headers = {"Authorization": f"Bearer {token or self.server.token}"}
        headers |= options.pop("headers", {})
        if body is not None:
            options["data"] = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.server.url}/api/v1{path}"
        async with self.session.request(method, url, headers=headers, **options) as response:
            assert response.content_type == "application/json"
            return response.status, await response.json()

    async def get(self, path, **options):
        return await self.send("GET", path, **options)

    async def post(self, path, body=None, **options):
        return await self.send("POST", path, body, **options)

    def registration(self, **fields):
        """Return the body of a register."""
        return {
            "agent_id": self.server.agent_id,
            "agent_version": {"external_identifier": "v1"},
            "agent_schema_version": SCHEMA,
        } | fields

    async def instance(self, status="active") -> str:
        """Return the id of a new instance in *status*."""
        _, body = await self.post("/agent_instance/register", self.registration())
        instance_id = body["details"]["id"]
        path = f"/agent_instance/{instance_id}"
        if status != "pending":
            await self.post(f"{path}/start", {})
        if status == "terminated":
            await self.post(f"{path}/terminate", {"reason": "enough"})
        elif status not in {"pending", "active"}:
            await self.post(f"{path}/finish", {"status": status})
        return instance_id

    def span(self, instance_id, **fields):
        """Return the details of a span create."""
        return {
            "agent_instance_id": instance_id,
            "schema_name": "agent:tool",
            "status": "active",
            "payload": {},
        } | fields

    async def create(self, instance_id, **fields) -> str:
        """Return the id of a new span."""
        status, body = await self.post(
            "/agent_spans", {"details": self.span(instance_id, **fields)}
        )
        assert status == 200, body
        return body["details"]["id"]

    async def bulk(self, *items, **options):
        """Send a bulk request; items without a key get one."""
        keyed = [{"idempotency_key": f"key-{n:05}"} | item for n, item in enumerate(items)]
        return await self.post("/bulk", {"items": keyed}, **options)

    def switch(self, **values):
        """Change switches of the running server."""
        self.server.switches = msgspec.structs.replace(self.server.switches, **values)


@pytest.fixture
def server():
    with DevServer(switches=Switches()) as running:
        yield running


@pytest.fixture
async def api(server):
    async with aiohttp.ClientSession() as session:
        yield Api(server, session)
