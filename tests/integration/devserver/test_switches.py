"""Promises of the switches that no other file is about."""

import pytest

START, END = "2026-05-01T10:00:00Z", "2026-05-01T09:00:00Z"


async def test_client_ids_can_be_refused(api):
    """For instance, span and agent; the error names ``id``, and without one all is well."""
    run = await api.instance()
    api.switch(refuse_client_ids=True)
    for path, body in (
        ("/agent_instance/register", api.registration(id=api.mint())),
        ("/agent_spans", {"details": api.span(run, id=api.mint())}),
        ("/agent", {"details": {"name": "x", "id": api.mint()}}),
    ):
        status, answer = await api.post(path, body)

        assert (status, answer["code"]) == (422, "validation_errors")
        assert "id" in answer["errors"]
    _, bulk = await api.bulk(
        {"_type": "agent_spans/create", "details": api.span(run, id=api.mint())}
    )
    assert "id" in bulk["outputs"]["key-00000"]["errors"]
    await api.create(run)


async def test_cancelling_can_be_strict(api):
    """From ``pending`` only, for instances and spans."""
    run, waiting = await api.instance(), await api.instance("pending")
    active, pending = await api.create(run), await api.create(run, status="pending")
    api.switch(strict_cancelled=True)
    answers = [
        await api.post(path, {"status": "cancelled"})
        for path in (
            f"/agent_instance/{run}/finish",
            f"/agent_spans/{active}/finish",
            f"/agent_instance/{waiting}/finish",
            f"/agent_spans/{pending}/finish",
        )
    ]

    assert [status for status, _ in answers] == [409, 409, 200, 200]
    assert answers[0][1]["code"] == answers[1][1]["code"] == "invalid_action"


REFUSED_SPANS = [
    # switch, details, accepted without it, accepted with it
    ({"unknown_parents_accepted": True}, {"parent_span_id": "0" * 32}, 422, 200),
    ({"unknown_schema_refused": True}, {"schema_name": "unheard"}, 200, 422),
    ({"pending_spans_accepted": False}, {"status": "pending"}, 200, 422),
    (
        {"refuse_finish_before_start": True},
        {"status": "complete", "started_at": START, "finished_at": END},
        200,
        422,
    ),
    ({"validation_status": 400}, {"payload": 3}, 422, 400),
    ({"create_status": 201}, {}, 200, 201),
]


@pytest.mark.parametrize(("switch", "details", "without", "with_it"), REFUSED_SPANS)
async def test_what_a_span_may_look_like(api, switch, details, without, with_it):
    """The same create before and after the switch."""
    body = {"details": api.span(await api.instance()) | details}
    before, _ = await api.post("/agent_spans", body)
    api.switch(**switch)
    after, _ = await api.post("/agent_spans", body)

    assert (before, after) == (without, with_it)


@pytest.mark.parametrize(
    ("state", "switch", "expected"),
    [("pending", {"spans_on_pending": False}, 409), ("complete", {"spans_on_finished": True}, 200)],
)
async def test_which_instances_take_spans_can_be_chosen(api, state, switch, expected):
    """Before the start and after the end."""
    run = await api.instance(state)
    api.switch(**switch)
    status, _ = await api.post("/agent_spans", {"details": api.span(run)})

    assert status == expected


async def test_a_parent_may_have_to_be_open(api):
    """A finished one takes no children then."""
    run = await api.instance()
    parent = await api.create(run, status="complete")
    api.switch(parent_must_be_open=True)
    status, body = await api.post("/agent_spans", {"details": api.span(run, parent_span_id=parent)})

    assert status == 422 and "parent_span_id" in body["errors"]


async def test_a_finish_before_the_start_can_be_refused(api):
    """On finish as well as on create."""
    span = await api.create(await api.instance(), started_at=START)
    api.switch(refuse_finish_before_start=True)
    status, body = await api.post(f"/agent_spans/{span}/finish", {"timestamp": END})

    assert status == 422 and "timestamp" in body["errors"]


async def test_a_finished_span_may_get_an_end(api):
    """Without ``finished_at`` the end stays open unless switched on."""
    run = await api.instance()
    await api.create(run, status="complete")
    api.switch(default_finished_at=True)
    await api.create(run, status="complete")

    first, second = api.server.spans()
    assert first["finished_at"] is None
    assert second["finished_at"] is not None


@pytest.mark.parametrize(
    ("switch", "call", "body"),
    [
        ("close_spans_on_finish", "finish", {}),
        ("close_spans_on_terminate", "terminate", {"reason": "x"}),
    ],
)
async def test_open_spans_can_be_closed_with_their_instance(api, switch, call, body):
    """They become cancelled; without the switch they stay open."""
    statuses = []
    for value in (False, True):
        api.switch(**{switch: value})
        run = await api.instance()
        await api.create(run)
        await api.create(run, status="pending")
        await api.create(run, status="failed")
        await api.post(f"/agent_instance/{run}/{call}", body)
        statuses.append([span["status"] for span in api.server.spans(run)])

    assert statuses == [["active", "pending", "failed"], ["cancelled", "cancelled", "failed"]]


async def test_a_pending_instance_may_be_finished(api):
    """As complete, with the switch."""
    run = await api.instance("pending")
    api.switch(finish_pending_instance=True)
    status, body = await api.post(f"/agent_instance/{run}/finish", {})

    assert (status, body["details"]["status"]) == (200, "complete")


async def test_bulk_requests_have_limits_if_wanted(api):
    """413 for too many items and for too many bytes."""
    items = [{"_type": "agents/list"}] * 3
    api.switch(max_bulk_items=2)
    many = await api.bulk(*items)
    few = await api.bulk(*items[:2])
    api.switch(max_bulk_items=0, max_bulk_bytes=100)
    heavy = await api.bulk(*items)

    assert (many[0], few[0], heavy[0]) == (413, 200, 413)
    assert many[1]["code"] == heavy[1]["code"] == "payload_too_large"


async def test_types_can_be_refused_in_bulk(api):
    """As a server that lacks them would."""
    api.switch(refused_bulk_types=("agent_instances/start",))
    _, body = await api.bulk({"_type": "agent_instances/start", "agent_instance_id": "x"})

    assert body["outputs"]["key-00000"]["code"] == "bad_request"


async def test_the_signal_to_stop_can_be_malformed(api):
    """So that clients learn to ignore it."""
    run = await api.instance("terminated")
    api.switch(malformed_control=True)
    _, body = await api.post("/agent_spans", {"details": api.span(run)})

    assert body["control"] == "terminate"


async def test_pending_is_counted_if_wanted(api):
    """Newer answers lack the field."""
    run = await api.instance()
    await api.create(run, status="pending")
    api.switch(span_counts_pending=True)
    _, body = await api.get(f"/agent_instance/{run}")

    assert body["details"]["span_counts"]["pending"] == 1
    assert body["details"]["span_counts"]["total"] == 1


async def test_keys_of_single_calls_can_be_measured(api):
    """Eight characters at least, as in bulk."""
    body = {"details": api.span(await api.instance()), "idempotency_key": "short"}
    free, _ = await api.post("/agent_spans", body)
    api.switch(check_single_keys=True)
    measured, answer = await api.post("/agent_spans", body)

    assert (free, measured) == (200, 422)
    assert "idempotency_key" in answer["errors"]


async def test_ids_can_be_kept_from_deployment_tokens(api):
    """They get 401 from ``pfid/generate``; the token is good all the same."""
    api.switch(pfid_needs_account_token=True)
    deployed = {"token": api.server.deployment_token}
    refused, _ = await api.post("/pfid/generate", **deployed)
    ping, _ = await api.get("/ping", **deployed)
    given, _ = await api.post("/pfid/generate")

    assert (refused, ping, given) == (401, 200, 200)
