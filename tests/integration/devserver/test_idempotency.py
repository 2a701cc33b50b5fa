"""Promises about sending the same thing twice."""

import pytest


async def test_a_replay_answers_as_the_first_time(api):
    """Every single call with a key in its body runs once."""
    run = (
        await api.post("/agent_instance/register", api.registration(idempotency_key="register"))
    )[1]
    instance_id = run["details"]["id"]
    span = {"details": api.span(instance_id), "idempotency_key": "create-span"}
    created = await api.post("/agent_spans", span)
    calls = [
        ("/agent_instance/register", api.registration(idempotency_key="register"), (200, run)),
        ("/agent_spans", span, created),
    ]
    for path, body in (
        (f"/agent_instance/{instance_id}/start", {"idempotency_key": "start-it"}),
        (f"/agent_spans/{created[1]['details']['id']}/finish", {"idempotency_key": "finish-span"}),
        (f"/agent_instance/{instance_id}/finish", {"idempotency_key": "finish-it"}),
        ("/agent", {"details": {"name": "x"}, "idempotency_key": "new-agent"}),
    ):
        calls.append((path, body, await api.post(path, body)))

    for path, body, answer in calls:
        assert answer[0] == 200
        assert await api.post(path, body) == answer
    assert len(api.server.instances()) == len(api.server.spans()) == 1


async def test_a_replayed_create_does_not_show_a_later_result(api):
    """The answer is the one of the first time, although the span has finished since."""
    body = {"details": api.span(await api.instance(), payload={"a": 1}), "idempotency_key": "k" * 8}
    created = await api.post("/agent_spans", body)
    await api.post(
        f"/agent_spans/{created[1]['details']['id']}/finish", {"result_payload": {"late": 1}}
    )

    assert await api.post("/agent_spans", body) == created
    assert created[1]["details"]["result_payload"] is None


async def test_single_and_bulk_share_keys(api):
    """A key belongs to the account, wherever it stands."""
    details = api.span(await api.instance(), status="complete", result_payload={"r": 1})
    _, single = await api.post(
        "/agent_spans", {"details": details, "idempotency_key": "shared-key"}
    )
    _, bulk = await api.bulk(
        {"_type": "agent_spans/create", "idempotency_key": "shared-key", "details": details}
    )

    assert bulk["outputs"]["shared-key"] == single
    assert len(api.server.spans()) == 1


async def test_the_key_of_span_create_counts_inside_details_too(api):
    """The top level wins; the switch turns the inner place off."""
    instance_id = await api.instance()
    inner = api.span(instance_id, idempotency_key="inner-key")
    await api.post("/agent_spans", {"details": inner})
    await api.post("/agent_spans", {"details": inner})
    await api.post("/agent_spans", {"details": inner, "idempotency_key": "outer-key"})
    api.switch(span_key_in_details=False)
    await api.post("/agent_spans", {"details": inner})

    keys = [span["create_key"] for span in api.server.spans()]
    assert keys == ["inner-key", "outer-key", None]


async def test_an_empty_key_is_no_key(api):
    """Two creates, two spans."""
    body = {"details": api.span(await api.instance()), "idempotency_key": ""}
    await api.post("/agent_spans", body)
    await api.post("/agent_spans", body)

    assert len(api.server.spans()) == 2


async def test_errors_are_not_remembered(api):
    """The same key works once the reason is gone; with the switch it never does."""
    instance_id, span_id = await api.instance(), api.mint()
    path, body = f"/agent_spans/{span_id}/finish", {"idempotency_key": "finish-it"}
    early, _ = await api.post(path, body)
    await api.create(instance_id, id=span_id)
    later, _ = await api.post(path, body)
    api.switch(remember_errors=True)
    missing = f"/agent_spans/{api.mint()}/finish"
    first = await api.post(missing, {"idempotency_key": "remember"})

    assert (early, later) == (404, 200)
    assert first[0] == 404
    assert await api.post("/agent_spans/other/finish", {"idempotency_key": "remember"}) == first


async def test_answers_can_be_forgotten(api):
    """With a retention of zero a resend runs again, and a client id then conflicts."""
    api.switch(idempotency_seconds=0.0)
    details = api.span(await api.instance(), id=api.mint())
    body = {"details": details, "idempotency_key": "forgotten"}
    first, _ = await api.post("/agent_spans", body)
    second, _ = await api.post("/agent_spans", body)

    assert (first, second) == (200, 409)


async def test_a_changed_body_is_noticed(api):
    """It answers as the first time and is written down; the switch makes it a conflict."""
    instance_id = await api.instance()
    item = {"_type": "agent_spans/create", "idempotency_key": "same-key"}
    await api.bulk(item | {"details": api.span(instance_id, payload={"n": 1})})
    await api.bulk(item | {"details": api.span(instance_id, payload={"n": 1})})
    assert api.server.changed_bodies == []
    _, replayed = await api.bulk(item | {"details": api.span(instance_id, payload={"n": 2})})
    api.switch(refuse_changed_body=True)
    _, refused = await api.bulk(item | {"details": api.span(instance_id, payload={"n": 3})})

    assert replayed["outputs"]["same-key"]["details"]["payload"] == {"n": 1}
    assert refused["outputs"]["same-key"]["code"] == "idempotency_conflict"
    assert api.server.changed_bodies == ["same-key", "same-key"]


@pytest.mark.parametrize(("honoured", "spans"), [(False, 2), (True, 1)])
async def test_the_header_counts_only_if_switched_on(api, honoured, spans):
    """Whether the live API honours it is not documented."""
    api.switch(honour_idempotency_header=honoured)
    body = {"details": api.span(await api.instance())}
    for _ in range(2):
        await api.post("/agent_spans", body, headers={"Idempotency-Key": "from-header"})

    assert len(api.server.spans()) == spans
