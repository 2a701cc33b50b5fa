"""Promises of the bulk endpoint, row 6 of the API."""

import pytest


def create(api, instance_id, **fields):
    return {"_type": "agent_spans/create", "details": api.span(instance_id, **fields)}


async def test_a_whole_run_in_one_request(api):
    """Client ids let later items refer to earlier ones; outputs are what single calls answer."""
    run, parent, child = api.mint(), api.mint(), api.mint()
    status, body = await api.bulk(
        {"_type": "agent_instances/register", "id": run} | api.registration(),
        {"_type": "agent_instances/start", "agent_instance_id": run, "timestamp": None},
        create(api, run, id=parent),
        create(api, run, id=child, parent_span_id=parent),
        {"_type": "agent_spans/finish", "agent_span_id": child, "result_payload": {"r": 1}},
        {"_type": "agent_spans/finish", "agent_span_id": parent, "status": "failed"},
        {"_type": "agent_instances/record_quality", "agent_instance_id": run, "name": "tone",
         "payload": {}},
        {"_type": "agent_instances/finish", "agent_instance_id": run},
    )  # fmt: skip

    assert status == 200
    assert [output["status"] for output in body["outputs"].values()] == ["success"] * 8
    assert body["outputs"]["key-00000"]["agent_schema_version"]["external_identifier"] == "schema-1"
    assert body["outputs"]["key-00004"]["details"]["result_payload"] == {"r": 1}
    assert api.server.instances()[0]["status"] == "complete"
    assert [span["status"] for span in api.server.spans(run)] == ["failed", "complete"]
    assert [span["seq"] for span in api.server.spans(run)] == [1, 2]
    assert api.server.spans()[0]["create_key"] == "key-00002"
    assert api.server.spans()[0]["finish_key"] == "key-00005"


async def test_reads_and_agents_travel_in_bulk_too(api):
    """Every action that has a name can be an item."""
    run = await api.instance()
    span = await api.create(run)
    _, body = await api.bulk(
        {"_type": "agent_instances/show", "agent_instance_id": run},
        {"_type": "agent_instances/list", "pagination": {"offset": 0, "page_size": 5}},
        {"_type": "agent_spans/show", "agent_span_id": span},
        {"_type": "agent_spans/list", "agent_instance_id": run},
        {"_type": "agent_spans/discard_sensitive", "agent_span_id": span},
        {"_type": "agents/create", "details": {"name": "Second"}},
        {"_type": "agents/list"},
        {"_type": "agents/show", "agent_id": api.server.agent_id},
        {"_type": "agents/update", "agent_id": api.server.agent_id, "details": {"name": "First"}},
        {"_type": "agents/retire", "agent_id": api.server.agent_id},
        {"_type": "agents/reinstate", "agent_id": api.server.agent_id},
        {"_type": "agent_instances/terminate", "agent_instance_id": run, "reason": "x"},
        {"_type": "agents/retire", "agent_id": api.server.agent_id},
        {"_type": "agents/delete", "agent_id": api.server.agent_id},
    )

    outputs = body["outputs"].values()
    assert [output["status"] for output in outputs] == ["success"] * 14
    assert len(body["outputs"]["key-00006"]["summaries"]) == 2
    assert body["outputs"]["key-00001"]["pagination"]["page_size"] == 5


async def test_processing_stops_at_the_first_error(api):
    """What came before is kept, the failure is reported, what comes after is absent."""
    run = await api.instance()
    status, body = await api.bulk(
        create(api, run), create(api, run, status="nonsense"), create(api, run)
    )

    assert status == 200 and body["status"] == "success"
    assert list(body["outputs"]) == ["key-00000", "key-00001"]
    failed = body["outputs"]["key-00001"]
    assert (failed["status"], failed["code"]) == ("error", "validation_errors")
    assert "status" in failed["errors"]
    assert len(api.server.spans()) == 1


async def test_the_rest_can_be_sent_again_with_the_same_keys(api):
    """Done items answer as before, the failed and the unmentioned ones are run."""
    run, span_id = await api.instance(), api.mint()
    finish = {"_type": "agent_spans/finish", "agent_span_id": span_id}
    _, first = await api.bulk(create(api, run), finish, create(api, run, id=span_id))
    _, second = await api.bulk(
        create(api, run),
        {"idempotency_key": "key-00002"} | create(api, run, id=span_id),
        {"idempotency_key": "key-00001"} | finish,
    )

    assert first["outputs"]["key-00001"]["code"] == "not_found"
    assert second["outputs"]["key-00000"] == first["outputs"]["key-00000"]
    assert [output["status"] for output in second["outputs"].values()] == ["success"] * 3
    assert len(api.server.spans()) == 2


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([], "items"),
        ("text", "items"),
        (None, "items"),
        ([3], "items"),
        ([{"idempotency_key": "long-enough"}], "_type"),
        ([{"_type": "agents/list"}], "idempotency_key"),
        ([{"_type": "agents/list", "idempotency_key": 12345678}], "idempotency_key"),
        ([{"_type": "agents/list", "idempotency_key": "short12"}], "idempotency_key"),
        ([{"_type": "agents/list", "idempotency_key": "x" * 129}], "idempotency_key"),
        ([{"_type": "agents/list", "idempotency_key": "same-key"}] * 2, "idempotency_key"),
    ],
)
async def test_a_malformed_request_is_refused_as_a_whole(api, items, field):
    """422 ``validation_errors``, and nothing was run."""
    status, body = await api.post("/bulk", {"items": items})

    assert (status, body["code"]) == (422, "validation_errors")
    assert field in body["errors"] or items == [3]


async def test_an_unknown_type_fails_its_item_only(api):
    """Items before it are done."""
    run = await api.instance()
    _, body = await api.bulk(create(api, run), {"_type": "agents/paint"}, create(api, run))

    assert body["outputs"]["key-00001"]["code"] == "bad_request"
    assert len(body["outputs"]) == 2


async def test_a_missing_target_is_named(api):
    """Each kind of item says which id it lacks."""
    for kind, field in (
        ("agent_spans/finish", "agent_span_id"),
        ("agent_instances/start", "agent_instance_id"),
        ("agents/retire", "agent_id"),
    ):
        _, body = await api.bulk({"_type": kind, "idempotency_key": f"key-{kind}"})
        (output,) = body["outputs"].values()

        assert field in output["errors"]


async def test_method_and_path_are_ignored(api):
    """An older client demanded them."""
    item = {"_type": "agents/list", "method": "GET", "path": "/nowhere"}
    _, body = await api.bulk(item)

    assert body["outputs"]["key-00000"]["status"] == "success"


async def test_outputs_carry_the_signal_to_stop(api):
    """On create and finish of spans, unless switched off."""
    run = await api.instance()
    span = await api.create(run)
    api.server.terminate(run, "stop")
    _, with_signal = await api.bulk(
        create(api, run), {"_type": "agent_spans/finish", "agent_span_id": span}
    )
    api.switch(control_in_bulk=False)
    _, without = await api.bulk({"idempotency_key": "another-key"} | create(api, run))

    for output in with_signal["outputs"].values():
        assert output["control"] == {"terminate": True, "reason": "stop"}
    assert "control" not in without["outputs"]["another-key"]


async def test_the_journal_counts_items(api):
    """Requests by path, and how many items each bulk request had."""
    await api.bulk({"_type": "agents/list"}, {"_type": "agents/show"})

    assert api.server.requests.count("/api/v1/bulk") == 1
    assert api.server.requests.recent[-1] == ("POST", "/api/v1/bulk", 2, 200)
    assert api.server.requests.by_path == {"/api/v1/bulk": 1}
    api.server.requests.clear()
    assert api.server.requests.count() == 0
