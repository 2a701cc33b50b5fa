"""Promises about spans: rows 4, 5 and 14 to 16 of the API."""

import pytest

START, END = "2026-05-01T10:00:00Z", "2026-05-01T10:00:01.250000Z"


async def test_create_answers_with_the_span(api):
    """All fields of the span, payload included, and no ``control``."""
    instance_id = await api.instance()
    details = api.span(instance_id, schema_name="agent:llm", payload={"model": "m", "n": None})
    status, body = await api.post("/agent_spans", {"details": details})

    assert status == 200 and list(body) == ["status", "details"]
    span = body["details"]
    assert span["type"] == "agent_span"
    assert span["schema_title"] == "Model call"
    assert span["payload"] == {"model": "m", "n": None}
    assert span["result_payload"] is span["finished_at"] is span["parent_span_id"] is None
    assert span["started_at"].endswith("Z")
    assert span["account_id"] == api.server.account_id


async def test_a_finished_span_in_one_call(api):
    """Status, both timestamps and the result are stored together."""
    instance_id = await api.instance()
    span_id = await api.create(
        instance_id, status="failed", started_at=START, finished_at=END, result_payload={"e": 1}
    )
    _, body = await api.get(f"/agent_spans/{span_id}")

    span = body["details"]
    assert (span["status"], span["finished_at"]) == ("failed", END)
    assert span["result_payload"] == {"e": 1}


async def test_finish_stores_result_and_moment(api):
    """Flat fields beside nothing else."""
    span_id = await api.create(await api.instance(), started_at=START)
    status, body = await api.post(
        f"/agent_spans/{span_id}/finish", {"result_payload": {"ok": True}, "timestamp": END}
    )

    assert status == 200
    assert body["details"]["status"] == "complete"
    assert body["details"]["finished_at"] == END
    assert body["details"]["result_payload"] == {"ok": True}


async def test_a_details_wrapper_on_finish_is_dropped_without_a_word(api):
    """The span finishes, its result is lost, the answer is a success."""
    span_id = await api.create(await api.instance())
    status, body = await api.post(
        f"/agent_spans/{span_id}/finish",
        {"details": {"status": "failed", "result_payload": {"a": 1}}},
    )

    assert (status, body["status"]) == (200, "success")
    assert body["details"]["status"] == "complete"
    assert body["details"]["result_payload"] is None


TABLE = [
    # created as, finish with, state afterwards (None: refused)
    ("active", None, "complete"),
    ("active", "failed", "failed"),
    ("active", "cancelled", "cancelled"),
    ("pending", "cancelled", "cancelled"),
    ("pending", "complete", None),
    ("pending", None, None),
    *(
        (state, status, None)
        for state in ("complete", "failed", "cancelled")
        for status in (None, "failed", "cancelled")
    ),
]


@pytest.mark.parametrize(("created", "status", "afterwards"), TABLE)
async def test_the_state_machine_of_spans(api, created, status, afterwards):
    """Each finish is allowed or answered with 409 ``invalid_action``."""
    span_id = await api.create(await api.instance(), status=created)
    body = {} if status is None else {"status": status}
    code, answer = await api.post(f"/agent_spans/{span_id}/finish", body)
    _, shown = await api.get(f"/agent_spans/{span_id}")

    if afterwards is None:
        assert (code, answer["code"]) == (409, "invalid_action")
    else:
        assert code == 200
    assert shown["details"]["status"] == (afterwards or created)


async def test_a_pending_span_has_not_started(api):
    """Cancelling gives it both timestamps."""
    span_id = await api.create(await api.instance(), status="pending")
    _, before = await api.get(f"/agent_spans/{span_id}")
    _, after = await api.post(f"/agent_spans/{span_id}/finish", {"status": "cancelled"})

    assert before["details"]["started_at"] is None
    assert after["details"]["started_at"] == after["details"]["finished_at"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("pending", 200), ("active", 200), ("terminated", 200), ("complete", 409), ("failed", 409)],
)
async def test_which_instances_take_spans(api, state, expected):
    """Finished ones do not, a terminated one does."""
    instance_id = await api.instance(state)
    status, _ = await api.post("/agent_spans", {"details": api.span(instance_id)})

    assert status == expected


async def test_after_terminate_spans_carry_the_signal(api):
    """Create and finish still succeed and say why to stop."""
    instance_id = await api.instance()
    span_id = await api.create(instance_id)
    api.server.terminate(instance_id, "operator said so")
    _, created = await api.post("/agent_spans", {"details": api.span(instance_id)})
    _, finished = await api.post(f"/agent_spans/{span_id}/finish", {})

    signal = {"terminate": True, "reason": "operator said so"}
    assert created["control"] == finished["control"] == signal
    assert finished["details"]["status"] == "complete"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"agent_instance_id": "0" * 32}, 404, None),
        ({"agent_instance_id": None}, 422, "agent_instance_id"),
        ({"schema_name": 3}, 422, "schema_name"),
        ({"schema_name": ""}, 422, "schema_name"),
        ({"status": "running"}, 422, "status"),
        ({"payload": []}, 422, "payload"),
        ({"payload": None}, 422, "payload"),
        ({"status": "complete", "result_payload": "text"}, 422, "result_payload"),
        ({"parent_span_id": "0" * 32}, 422, "parent_span_id"),
        ({"id": "x"}, 422, "id"),
        ({"started_at": "yesterday"}, 422, "started_at"),
        ({"started_at": "0001-01-01T00:00:00+10:00"}, 422, "started_at"),
    ],
)
async def test_a_bad_create_is_refused(api, change, status, field):
    """The error names the field, and nothing is stored."""
    details = api.span(await api.instance()) | change
    code, body = await api.post("/agent_spans", {"details": details})

    assert code == status
    assert field is None or field in body["errors"]
    assert api.server.spans() == []


async def test_a_parent_must_be_in_the_same_instance(api):
    """A span of another run is a stranger."""
    first, second = await api.instance(), await api.instance()
    parent = await api.create(first)
    child = await api.create(first, parent_span_id=parent)
    status, _ = await api.post("/agent_spans", {"details": api.span(second, parent_span_id=parent)})

    assert api.server.spans(first)[1]["parent_span_id"] == parent
    assert api.server.spans(first)[1]["id"] == child
    assert status == 422


async def test_a_duplicate_id_is_a_conflict(api):
    """Under another key; ids are kept as given."""
    instance_id, span_id = await api.instance(), api.mint()
    assert await api.create(instance_id, id=span_id) == span_id
    status, body = await api.post("/agent_spans", {"details": api.span(instance_id, id=span_id)})

    assert (status, body["code"]) == (409, "invalid_action")


async def test_a_mismatch_is_recorded_and_not_refused(api):
    """Schemas observe; the server remembers what did not match and why."""
    instance_id = await api.instance()
    await api.create(instance_id, schema_name="agent:llm", payload={"model": "m"})
    await api.create(instance_id, schema_name="agent:llm")
    await api.create(instance_id, status="complete", result_payload={"a": 1})
    await api.create(instance_id, schema_name="unheard")
    finished = await api.create(instance_id)
    await api.post(f"/agent_spans/{finished}/finish", {"result_payload": {"b": 1}})

    assert [span["mismatch"] for span in api.server.spans()] == [
        None,
        {"payload": "$.model is required"},
        {"result_payload": "$.a is not allowed"},
        {"schema_name": "is not declared in the schema version"},
        {"result_payload": "$.b is not allowed"},
    ]


async def test_summaries_are_rendered_when_asked_for(api):
    """Always for one span, in lists only with ``include_summaries``."""
    instance_id = await api.instance()
    span_id = await api.create(
        instance_id, schema_name="agent:llm", status="complete", payload={"model": "m"},
        result_payload={"text": "hi"},
    )  # fmt: skip
    path = f"/agent_spans?agent_instance_id={instance_id}"
    _, shown = await api.get(f"/agent_spans/{span_id}")
    _, bare = await api.get(path)
    _, summed = await api.get(f"{path}&include_summaries=true")

    assert shown["details"]["summary"] == "m said hi"
    assert bare["summaries"][0]["summary"] is None
    assert summed["summaries"][0]["summary"] == "m said hi"


async def test_the_list_of_spans_has_a_window(api):
    """In order of arrival, by ``started_at``; the instance is required."""
    instance_id = await api.instance()
    early = await api.create(instance_id, started_at="2026-01-01T00:00:00Z")
    late = await api.create(instance_id, started_at="2026-01-02T00:00:00Z")
    path = f"/agent_spans?agent_instance_id={instance_id}"
    _, everything = await api.get(path)
    _, window = await api.get(
        f"{path}&start_time=2026-01-01T12:00:00Z&end_time=2026-01-03T00:00:00Z"
    )
    missing = await api.get("/agent_spans")

    assert [span["id"] for span in everything["summaries"]] == [early, late]
    assert [span["id"] for span in window["summaries"]] == [late]
    assert missing[0] == 422 and "agent_instance_id" in missing[1]["errors"]


async def test_sensitive_values_are_hidden_until_discarded(api):
    """Answers and reads hide them, ``redacted=false`` shows them, discarding is for good."""
    secret = {"token": {"$sensitive": "string", "value": "hunter2"}, "open": 1}
    hidden = {"token": {"$sensitive": "string", "value": "[redacted]"}, "open": 1}
    body = {
        "details": api.span(await api.instance(), payload=secret, sensitive_encoding=True),
        "idempotency_key": "sensitive-key",
    }
    _, created = await api.post("/agent_spans", body)
    path = f"/agent_spans/{created['details']['id']}"
    _, finished = await api.post(f"{path}/finish", {"result_payload": secret})
    _, plain = await api.get(f"{path}?redacted=false")
    _, replayed = await api.post("/agent_spans", body)
    _, discarded = await api.post(f"{path}/discard_sensitive", {})
    _, afterwards = await api.get(f"{path}?redacted=false")

    assert created["details"]["payload"] == replayed["details"]["payload"] == hidden
    assert finished["details"]["result_payload"] == hidden
    assert plain["details"]["payload"] == plain["details"]["result_payload"] == secret
    assert discarded["details"]["payload"] == hidden
    assert "hunter2" not in str(afterwards)
    assert "hunter2" not in str(api.server.spans())


async def test_discarding_nothing_is_fine(api):
    """A span without sensitive values stays as it is."""
    span_id = await api.create(await api.instance(), payload={"a": 1})
    status, body = await api.post(f"/agent_spans/{span_id}/discard_sensitive")

    assert status == 200 and body["details"]["payload"] == {"a": 1}


async def test_payloads_are_kept_byte_for_byte(api):
    """Numbers and escapes are not rewritten."""
    instance_id = await api.instance()
    payload = rb'{"n": 1.50e+3, "big": 123456789012345678901234567890, "u": "\u00e9"}'
    body = (
        b'{"details":{"agent_instance_id":"%s","schema_name":"x","status":"active","payload":%s}}'
    )
    url = f"{api.server.url}/api/v1/agent_spans"
    headers = {"Authorization": f"Bearer {api.server.token}"}
    async with api.session.post(
        url, data=body % (instance_id.encode(), payload), headers=headers
    ) as got:
        text = await got.read()

    assert payload in text


@pytest.mark.parametrize("path", ["/agent_spans/nope", "/agent_spans/nope/finish"])
async def test_an_unknown_span_is_not_found(api, path):
    """For reading and for finishing."""
    status, body = await api.send("POST" if path.endswith("finish") else "GET", path)

    assert (status, body["code"]) == (404, "not_found")


@pytest.mark.parametrize("schema_name", ["agent:llm", "agent:tool"])
async def test_what_only_lenient_decoders_take_is_kept(api, schema_name):
    """A number beyond every float is stored, shown, and readable in Python."""
    run = await api.instance()
    text = b'{"details":{"agent_instance_id":"%s","schema_name":"%s","status":"complete",'
    text += b'"payload":{"model":1e999},"result_payload":{}}}'
    status, body = await api.post("/agent_spans", text % (run.encode(), schema_name.encode()))
    listed, _ = await api.get(f"/agent_spans?agent_instance_id={run}")

    assert (status, listed) == (200, 200)
    assert api.server.spans()[0]["payload"] == body["details"]["payload"]


async def test_sensitive_results_are_hidden_in_lists(api):
    """And in the context of the run."""
    run = await api.instance()
    secret = {"t": {"$sensitive": "string", "value": "hunter2"}}
    for result in (None, secret):
        await api.create(
            run, status="complete", payload=secret, result_payload=result, sensitive_encoding=True
        )
    await api.create(run, schema_name="agent:llm", payload={"model": "m"})
    _, listed = await api.get(f"/agent_spans?agent_instance_id={run}&include_summaries=true")
    _, context = await api.get(f"/agent_instance/{run}/agent_context")
    span = api.server.spans()[0]["id"]
    _, discarded = await api.post(f"/agent_spans/{span}/discard_sensitive")

    assert "hunter2" not in str(listed) + str(context)
    assert listed["summaries"][2]["summary"] == "m said"
    assert discarded["details"]["result_payload"] is None
