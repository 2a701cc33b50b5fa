"""Promises about instances: rows 1 to 3 and 8 to 13 of the API."""

import pytest

LATER = "2026-05-01T10:00:00+02:00"


async def test_register_makes_a_pending_instance(api):
    """The answer is an instance in full, with the schema version beside it."""
    status, body = await api.post("/agent_instance/register", api.registration(purpose="eval"))

    assert status == 200
    details = body["details"]
    assert details["type"] == "agent_instance"
    assert details["status"] == "pending"
    assert details["started_at"] is details["finished_at"] is None
    assert details["purpose"] == "eval"
    assert details["account_id"] == api.server.account_id
    assert details["environment_id"] == api.server.environment_id
    assert details["span_counts"] == {
        "total": 0, "active": 0, "complete": 0, "failed": 0, "cancelled": 0, "finished": 0,
    }  # fmt: skip
    schema = body["agent_schema_version"]
    assert schema["external_identifier"] == "schema-1"
    assert schema["span_type_schemas"]["agent:tool"]["title"] == "agent:tool"


async def test_versions_are_made_once(api):
    """The same version and schema are found again; a changed one under the same name repeats."""
    _, first = await api.post("/agent_instance/register", api.registration())
    _, again = await api.post("/agent_instance/register", api.registration())
    changed = {"external_identifier": "schema-1", "span_schemas": {"x": {}}}
    _, other = await api.post(
        "/agent_instance/register", api.registration(agent_schema_version=changed)
    )

    assert first["details"]["agent_version_id"] == again["details"]["agent_version_id"]
    assert first["agent_schema_version"] == again["agent_schema_version"]
    assert other["agent_schema_version"]["id"] != first["agent_schema_version"]["id"]
    assert other["agent_schema_version"]["external_identifier_repeats"] == 1


async def test_the_full_form_of_span_types_wins(api):
    """The two maps are ignored beside it."""
    schema = {
        "span_type_schemas": [{"name": "full", "params_schema": {}}],
        "span_schemas": {"flat": {}},
    }
    _, body = await api.post(
        "/agent_instance/register", api.registration(agent_schema_version=schema)
    )

    assert list(body["agent_schema_version"]["span_type_schemas"]) == ["full"]


async def test_register_renames_the_agent(api):
    """Name and description of the version become the agent's, and the agent becomes active."""
    version = {"name": "Scout", "description": "Looks ahead"}
    await api.post("/agent_instance/register", api.registration(agent_version=version))
    _, agent = await api.get(f"/agent/{api.server.agent_id}")

    assert agent["details"]["name"] == "Scout"
    assert agent["details"]["description"] == "Looks ahead"
    assert agent["details"]["status"] == "active"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"agent_id": None}, 422, "agent_id"),
        ({"agent_version": None}, 422, "agent_version"),
        ({"purpose": "fun"}, 422, "purpose"),
        ({"id": "not-a-pfid"}, 422, "id"),
        ({"agent_id": "0" * 32}, 404, None),
        ({"environment_id": "0" * 32}, 404, None),
        ({"agent_schema_version": {"span_type_schemas": [{"name": "x"}]}}, 422, "params_schema"),
    ],
)
async def test_a_bad_register_is_refused(api, change, status, field):
    """The error names the field."""
    answered, body = await api.post("/agent_instance/register", api.registration(**change))

    assert answered == status
    assert body["status"] == "error"
    assert field is None or field in body["errors"]


async def test_an_id_is_taken_only_in_the_partition_and_once(api):
    """A client id is kept; one of another partition is 422, a duplicate 409."""
    wanted = api.mint()
    path = "/agent_instance/register"
    _, first = await api.post(path, api.registration(id=wanted))
    duplicate = await api.post(path, api.registration(id=wanted))
    foreign = await api.post(path, api.registration(id="0" * 32))

    assert first["details"]["id"] == wanted
    assert duplicate[0] == 409 and duplicate[1]["code"] == "invalid_action"
    assert foreign[0] == 422 and "id" in foreign[1]["errors"]


async def test_an_external_identifier_is_unique_for_the_agent(api):
    """And the instance can be shown by it."""
    body = api.registration(external_identifier="run-7")
    _, first = await api.post("/agent_instance/register", body)
    second = await api.post("/agent_instance/register", body)
    _, shown = await api.get("/agent_instance/show?external_identifier=run-7")

    assert second[0] == 422 and "external_identifier" in second[1]["errors"]
    assert shown["details"]["id"] == first["details"]["id"]


TABLE = [
    # present state, call, body, state afterwards (None: refused)
    ("pending", "start", {}, "active"),
    ("pending", "finish", {"status": "cancelled"}, "cancelled"),
    ("pending", "finish", {}, None),
    ("pending", "finish", {"status": "failed"}, None),
    ("pending", "terminate", {"reason": "x"}, None),
    ("active", "start", {}, None),
    ("active", "finish", {}, "complete"),
    ("active", "finish", {"status": "failed"}, "failed"),
    ("active", "finish", {"status": "cancelled"}, "cancelled"),
    ("active", "terminate", {"reason": "x"}, "terminated"),
    *(
        (state, call, {"reason": "x"}, None)
        for state in ("complete", "failed", "cancelled", "terminated")
        for call in ("start", "finish", "terminate")
    ),
]


@pytest.mark.parametrize(("present", "call", "body", "afterwards"), TABLE)
async def test_the_state_machine_of_instances(api, present, call, body, afterwards):
    """Each transition is allowed or answered with 409 ``invalid_action``."""
    instance_id = await api.instance(present)
    status, answer = await api.post(f"/agent_instance/{instance_id}/{call}", body)
    _, shown = await api.get(f"/agent_instance/{instance_id}")

    if afterwards is None:
        assert (status, answer["code"]) == (409, "invalid_action")
    else:
        assert (status, answer["details"]) == (200, shown["details"])
    assert shown["details"]["status"] == (afterwards or present)


async def test_timestamps_are_kept_in_utc(api):
    """Given moments are converted, naive ones are taken as UTC, null means now."""
    instance_id = await api.instance("pending")
    path = f"/agent_instance/{instance_id}"
    _, started = await api.post(f"{path}/start", {"timestamp": LATER})
    _, finished = await api.post(f"{path}/finish", {"timestamp": "2026-05-01T09:00:00.5"})

    assert started["details"]["started_at"] == "2026-05-01T08:00:00.000000Z"
    assert finished["details"]["finished_at"] == "2026-05-01T09:00:00.500000Z"


async def test_a_cancelled_pending_instance_has_both_timestamps(api):
    """It never started, so both are the moment of cancelling."""
    instance_id = await api.instance("pending")
    _, body = await api.post(
        f"/agent_instance/{instance_id}/finish", {"status": "cancelled", "timestamp": LATER}
    )

    assert body["details"]["started_at"] == body["details"]["finished_at"]


async def test_terminate_keeps_the_reason(api):
    """And insists on one."""
    instance_id = await api.instance()
    path = f"/agent_instance/{instance_id}/terminate"
    missing = await api.post(path, {})
    empty = await api.post(path, {"reason": ""})
    _, body = await api.post(path, {"reason": "too expensive"})

    assert missing[0] == empty[0] == 422
    assert body["details"]["termination_reason"] == "too expensive"


async def test_quality_is_recorded_in_any_state_and_removed_by_null(api):
    """Other names stay as they are; undeclared ones are refused."""
    instance_id = await api.instance("complete")
    path = f"/agent_instance/{instance_id}/record_quality"
    await api.post(path, {"name": "tone", "payload": {"kind": True}})
    _, scored = await api.post(path, {"name": "score", "payload": {"value": 3}})
    _, removed = await api.post(path, {"name": "score", "payload": None})
    unknown = await api.post(path, {"name": "other", "payload": {}})

    assert scored["details"]["quality_payloads"] == {"tone": {"kind": True}, "score": {"value": 3}}
    assert scored["details"]["quality_summaries"] == {"score": "Score 3"}
    assert removed["details"]["quality_payloads"] == {"tone": {"kind": True}}
    assert unknown[0] == 422 and "name" in unknown[1]["errors"]


async def test_counts_follow_the_spans(api):
    """By status and by schema, with the time of the last span."""
    instance_id = await api.instance()
    await api.create(instance_id)
    await api.create(instance_id, status="failed")
    finished = await api.create(instance_id, schema_name="agent:llm", status="pending")
    await api.post(f"/agent_spans/{finished}/finish", {"status": "cancelled"})
    _, body = await api.get(f"/agent_instance/{instance_id}")

    assert body["details"]["span_counts"] == {
        "total": 3, "active": 1, "complete": 0, "failed": 1, "cancelled": 1, "finished": 2,
    }  # fmt: skip
    assert body["details"]["span_schema_counts"]["by_name"] == {"agent:tool": 2, "agent:llm": 1}
    assert body["details"]["last_activity_span_at"].endswith("Z")


async def test_lists_are_oldest_first_and_ignore_status(api):
    """Summaries leave out what lists do not show."""
    ids = [await api.instance("pending") for _ in range(3)]
    _, body = await api.get(f"/agent_instance?agent_id={api.server.agent_id}&status=failed")
    _, none = await api.get("/agent_instance?agent_version_id=x")

    assert [summary["id"] for summary in body["summaries"]] == ids
    assert "span_counts" not in body["summaries"][0]
    assert "agent_deployment_id" not in body["summaries"][0]
    assert none["summaries"] == []
    assert none["pagination"]["item_count"] == 0


async def test_sorting_of_instances_is_refused_unless_switched_on(api):
    """As the live API was seen to do."""
    first, second = [await api.instance("pending") for _ in range(2)]
    refused = await api.get("/agent_instance?sorting=id")
    api.switch(instance_sorting=True)
    _, sorted_ = await api.get("/agent_instance?sorting[field]=id&sorting[direction]=desc")

    assert refused[0] == 422 and "sorting" in refused[1]["errors"]
    expected = sorted([first, second], reverse=True)
    assert [summary["id"] for summary in sorted_["summaries"]] == expected
    assert sorted_["sorting"] == {"field": "id", "direction": "desc"}


async def test_pages_of_a_list(api):
    """Nine keys, and following ``next_page_offset`` visits every row once."""
    ids = [await api.instance("pending") for _ in range(5)]
    seen, offset, pages = [], 0, []
    while offset is not None:
        _, body = await api.get(
            f"/agent_instance?pagination[offset]={offset}&pagination[page_size]=2"
        )
        seen += [summary["id"] for summary in body["summaries"]]
        pages.append(body["pagination"])
        offset = body["pagination"]["next_page_offset"]

    assert seen == ids
    assert pages[1] == {
        "item_count": 5, "item_start": 3, "item_end": 4, "page_offset": 2, "page_size": 2,
        "page_count": 3, "page_index": 2, "next_page_offset": 4, "previous_page_offset": 0,
    }  # fmt: skip


@pytest.mark.parametrize("query", ["offset]=-1", "page_size]=0", "page_size]=101", "offset]=x"])
async def test_a_page_out_of_range_is_refused(api, query):
    """One to a hundred rows, from zero on."""
    status, body = await api.get(f"/agent_instance?pagination[{query}")

    assert (status, body["code"]) == (422, "validation_errors")


async def test_agent_context_has_its_own_envelope(api):
    """The one answer that does not say ``status``."""
    instance_id = await api.instance()
    await api.create(instance_id)
    status, body = await api.get(f"/agent_instance/{instance_id}/agent_context")

    assert status == 200 and list(body) == ["agent_context"]
    assert body["agent_context"]["span_count"] == 1
    assert body["agent_context"]["body"]["agent_instance"]["id"] == instance_id


async def test_show_needs_a_name(api):
    """Neither id nor external identifier is 422, an unknown one 404."""
    nothing = await api.get("/agent_instance/show")
    unknown = await api.get("/agent_instance/show?external_identifier=x")
    missing = await api.get("/agent_instance/nope")
    instance_id = await api.instance()
    by_id = await api.get(
        f"/agent_instance/show?agent_instance_id={instance_id}&include_counts=true"
    )

    assert [nothing[0], unknown[0], missing[0], by_id[0]] == [422, 404, 404, 200]


async def test_a_version_can_become_the_current_one(api):
    """``update_current_version`` is taken."""
    body = api.registration(update_current_version=True)
    status, _ = await api.post("/agent_instance/register", body)

    assert status == 200


async def test_a_parameter_cannot_be_text_and_object_at_once(api):
    """The first form wins."""
    api.switch(instance_sorting=True)
    status, body = await api.get("/agent_instance?sorting=-id&sorting[field]=status")

    assert (status, body["sorting"]) == (200, {"field": "id", "direction": "desc"})
