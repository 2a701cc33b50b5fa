"""Promises about agents and ids: rows 17 to 25 of the API."""

import pytest


async def new_agent(api, **fields):
    status, body = await api.post("/agent", {"details": {"name": "Scout"} | fields})
    assert status == 200, body
    return body["details"]


async def test_create_and_get(api):
    """A new agent is pending and shows what may be done with it."""
    created = await new_agent(api, description="Looks", external_identifier="scout", team_id="t")
    _, body = await api.get(f"/agent/{created['id']}")

    assert body["details"] == created
    assert created["type"] == "agent" and created["status"] == "pending"
    assert created["instance_counts"]["total"] == 0
    assert created["available_actions"] == {
        "update": True, "retire": True, "reinstate": False, "delete": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("details", "status", "field"),
    [
        ({}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": "x", "id": "nope"}, 422, "id"),
        ({"name": "x", "external_identifier": "taken"}, 422, "external_identifier"),
    ],
)
async def test_a_bad_agent_is_refused(api, details, status, field):
    """The error names the field."""
    await new_agent(api, external_identifier="taken")
    code, body = await api.post("/agent", {"details": details})

    assert code == status and field in body["errors"]


async def test_an_agent_id_is_taken_once(api):
    """A client id is kept; a duplicate conflicts."""
    agent = await new_agent(api, id=api.mint())
    status, body = await api.post("/agent", {"details": {"name": "x", "id": agent["id"]}})

    assert (status, body["code"]) == (409, "invalid_action")


async def test_update_keeps_what_is_absent_and_clears_what_is_null(api):
    """Three states for each field."""
    agent = await new_agent(api, team_id="t", owner_person_id="o", description="d")
    path = f"/agent/{agent['id']}"
    _, body = await api.send("PUT", path, {"details": {"name": "New", "team_id": None}})
    empty = await api.send("PUT", path, {"details": {"name": ""}})

    assert body["details"]["name"] == "New"
    assert body["details"]["team_id"] is None
    assert body["details"]["owner_person_id"] == "o"
    assert body["details"]["description"] == "d"
    assert empty[0] == 422


async def test_show_takes_exactly_one_name(api):
    """By id or by external identifier."""
    agent = await new_agent(api, external_identifier="scout")
    by_id = await api.get(f"/agent/show?agent_id={agent['id']}&include_counts=true")
    by_name = await api.get("/agent/show?external_identifier=scout")
    both = await api.get(f"/agent/show?external_identifier=scout&agent_id={agent['id']}")
    neither = await api.get("/agent/show")
    unknown = await api.get("/agent/show?external_identifier=x")

    assert by_id == by_name == (200, {"status": "success", "details": agent})
    assert (both[0], neither[0], unknown[0]) == (422, 422, 404)


async def test_the_list_is_sorted_and_narrowed(api):
    """By ``name``, ``-name`` and by team."""
    await new_agent(api, name="B", team_id="t")
    await new_agent(api, name="A")
    _, up = await api.get("/agent?sorting=name")
    _, down = await api.get("/agent?sorting=-name")
    _, team = await api.get("/agent?team_id=t")
    refused = await api.get("/agent?sorting=password")

    names = [agent["name"] for agent in up["summaries"]]
    assert names == ["A", "B", "Development agent"]
    assert [agent["name"] for agent in down["summaries"]] == names[::-1]
    assert [agent["name"] for agent in team["summaries"]] == ["B"]
    assert "instance_counts" not in up["summaries"][0]
    assert refused[0] == 422


TABLE = [
    # steps before, call, status afterwards (None: refused)
    ((), "retire", "retired"),
    ((), "reinstate", None),
    (("retire",), "retire", None),
    (("retire",), "reinstate", "pending"),
]


@pytest.mark.parametrize(("steps", "call", "afterwards"), TABLE)
async def test_the_state_machine_of_agents(api, steps, call, afterwards):
    """Each call is allowed or answered with 409; no body is needed."""
    path = f"/agent/{(await new_agent(api))['id']}"
    for step in steps:
        await api.post(f"{path}/{step}")
    status, body = await api.post(f"{path}/{call}")

    if afterwards is None:
        assert (status, body["code"]) == (409, "invalid_action")
    else:
        assert (status, body["details"]["status"]) == (200, afterwards)


async def test_a_used_agent_is_deleted_only_when_retired(api):
    """Afterwards it is not found; its name is free again; its runs stay."""
    await api.instance()
    path = f"/agent/{api.server.agent_id}"
    early = await api.send("DELETE", path)
    retired = await api.post(f"{path}/retire", {"idempotency_key": "retire-it"})
    register = await api.post("/agent_instance/register", api.registration())
    reinstated = await api.post(f"{path}/reinstate")
    await api.post(f"{path}/retire")
    deleted = await api.send("DELETE", path, {"idempotency_key": "delete-it"})
    gone = await api.get(path)

    assert early[0] == 409
    assert retired[1]["details"]["instance_counts"]["active"] == 1
    assert register[0] == 409
    assert reinstated[1]["details"]["status"] == "active"
    assert (deleted[0], gone[0]) == (200, 404)
    assert len(api.server.instances()) == 1


async def test_pfids_are_made_in_the_partition(api):
    """Flat answer; one by default."""
    _, one = await api.post("/pfid/generate")
    _, three = await api.post("/pfid/generate", {"count": 3, "account_id": api.server.account_id})

    assert list(one) == ["status", "account_id", "pfids"]
    assert len(one["pfids"]) == 1 and len(set(three["pfids"])) == 3
    assert all(api.mint.owns(pfid) for pfid in three["pfids"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"count": 0}, 422),
        ({"count": 1001}, 422),
        ({"count": "x"}, 422),
        ({"account_id": "x"}, 404),
    ],
)
async def test_a_bad_request_for_pfids_is_refused(api, body, status):
    """Too few, too many, of the wrong kind, for somebody else."""
    assert (await api.post("/pfid/generate", body))[0] == status
