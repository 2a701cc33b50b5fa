"""Promises of the page's server side: who may ask, what is answered, and how much at once."""

import asyncio
import json
import re

import aiohttp
import pytest

from prefactor_http.devserver import DevServer
from prefactor_http.devserver.page import counts, live, runs, search, spans
from prefactor_http.devserver.page.assets import assets
from prefactor_http.devserver.page.counts import Budget, Counts

OPTIONS = {"Content-Type": "application/json"}


async def ask(api, path, status=200, **options):
    """Return the decoded answer of the page's own routes; no token is needed on this machine."""
    method = options.pop("method", "GET")
    async with api.session.request(method, api.server.url + path, **options) as response:
        assert response.status == status, await response.text()
        assert (
            "default-src 'none'" in response.headers.get("Content-Security-Policy", "")
            or status != 200
        )
        return (
            await response.json()
            if response.content_type == "application/json"
            else await response.text()
        )


async def press(api, run, status=200, body='{"reason": "enough"}', **headers):
    """Press the button that terminates a run."""
    headers = OPTIONS | {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"/page/runs/{run}/terminate"
    return await ask(api, path, status, method="POST", data=body, headers=headers)


@pytest.mark.parametrize(
    "path", ["/", "/assets/main.js", "/assets/base.css", "/assets/icon.svg", "/page/runs"]
)
async def test_nothing_inline_may_run_and_nobody_may_frame_it(api, path):
    """On the page, its files and its answers."""
    async with api.session.get(api.server.url + path) as response:
        assert response.status == 200
        policy = response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cache-Control"] == "no-store"

    assert "unsafe" not in policy
    for directive in (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ):  # fmt: skip
        assert directive in policy


async def test_the_page_has_no_inline_script_or_style_and_all_its_files(api):
    """What it names is there, and nothing is loaded from elsewhere."""
    page = await ask(api, "/")
    named = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page)
    assert "//" not in page.replace("<!DOCTYPE", "")
    for path in named:
        await ask(api, path)
    modules = [name for name in assets() if name.endswith(".js")]
    assert {f"/assets/{name}" for name in modules} <= set(named)
    for name in modules:
        text = assets()[name].body.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        for imported in re.findall(r'from "([^"]+)"', text):
            assert imported in named, f"{name} imports {imported}"


@pytest.mark.parametrize("name", ["nothing.js", "..%2fguard.py", "%2e%2e%2fguard.py", "index.htm"])
async def test_only_the_files_of_the_page_can_be_loaded(api, name):
    """Nothing else on the disk."""
    assert (await ask(api, f"/assets/{name}", 404))["code"] == "not_found"


async def test_a_run_has_an_address(api):
    """Of its own, and one for each span; 404 tells programs what the page tells people."""
    run = await api.instance()

    for path, status in ((f"/runs/{run}", 200), (f"/runs/{run}/span", 200), ("/runs/x", 404)):
        assert "<main" in await ask(api, path, status)


READABLE = [
    "/",
    "/runs/x",
    "/assets/main.js",
    "/page/runs",
    "/page/runs/x",
    "/page/spans/x",
    "/page/events",
]


@pytest.mark.parametrize("path", READABLE)
async def test_a_foreign_host_name_is_refused_without_a_token(api, path):
    """A web page elsewhere can point its own name at this machine."""
    refused = await ask(api, path, 401, headers={"Host": "evil.example:8787"})
    assert refused["code"] == "bad_authtoken"


async def test_a_foreign_host_name_is_let_in_with_a_token(api):
    """For example through a tunnel."""
    headers = {"Host": "dev.example", "Authorization": f"Bearer {api.server.token}"}
    assert (await ask(api, "/page/runs", headers=headers))["runs"] == []


@pytest.mark.parametrize("path", ["/page/runs", "/page/runs/x", "/page/spans/x", "/page/events"])
async def test_other_sites_are_told_nothing(api, path):
    """A browser says which page asks."""
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ):
        assert (await ask(api, path, 403, headers=headers))["code"] == "forbidden"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Host": "evil.example"}, 401),
    ],
)
async def test_only_the_page_presses_the_button(api, headers, status):
    """A form or a script of another site changes nothing."""
    run = await api.instance()

    await press(api, run, status, **headers)

    assert api.server.instances()[0]["status"] == "active"


async def test_the_button_terminates_a_run_with_a_reason(api):
    """Pressed by the page or by a program on this machine; a run is terminated once."""
    run = await api.instance()
    origin = {"Origin": api.server.url, "Sec_Fetch_Site": "same-origin"}

    assert "reason" in (await press(api, run, 422, body="{}", **origin))["message"]
    assert "reason" in (await press(api, run, 422, body='{"reason": ""}', **origin))["message"]
    assert (await press(api, run, 400, body="nonsense", **origin))["code"] == "bad_request"
    assert (await press(api, run, **origin))["details"]["termination_reason"] == "enough"
    assert (await press(api, run, 409))["code"] == "invalid_action"
    assert (await press(api, "nothing", 404))["code"] == "not_found"
    _, created = await api.post("/agent_spans", {"details": api.span(run)})
    assert created["control"] == {"terminate": True, "reason": "enough"}


async def test_the_list_is_paged_newest_first(api):
    """With everything a row shows, and the agents to choose from on the first page."""
    made = [await api.instance() for _ in range(5)]
    await api.create(made[4], status="failed")
    await api.create(made[4])
    first = await ask(api, "/page/runs?limit=2")
    second = await ask(api, f"/page/runs?limit=2&before={first['next']}")
    third = await ask(api, f"/page/runs?limit=2&before={second['next']}")

    listed = [run["id"] for page in (first, second, third) for run in page["runs"]]
    assert listed == made[::-1]
    assert third["next"] is None
    assert first["total"] == 5 and first["more_than_total"] is False
    assert first["agents"] == ["Development agent"]
    assert "total" not in second
    newest = first["runs"][0]
    assert newest["spans"] == {"active": 1, "failed": 1} and newest["counted"] is True
    assert newest["agent_name"] == "Development agent" and newest["version"] == "v1"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=complete", 1),
        ("status=nothing", 0),
        ("q=DEVELOPMENT+v1", 2),
        ("q=v1-2", 0),  # no id has a dash in it
        ("q=%25", 0),
        ("q=_", 0),
        ("q=%5C", 0),
        ("agent=nobody", 0),
    ],
)
async def test_the_list_is_filtered(api, query, found):
    """Words must all be there; a wildcard is a sign like any other."""
    await api.instance("complete")
    await api.instance()
    answer = await ask(api, f"/page/runs?{query}")

    assert len(answer["runs"]) == answer["total"] == found


@pytest.mark.parametrize(
    "path",
    [
        "/page/runs?limit=0",
        "/page/runs?limit=201",
        "/page/runs?before=x",
        "/page/runs?q=" + "x" * 201,
        "/page/runs/x/spans?limit=2001",
        "/page/runs/x/spans?after=-1",
        "/page/runs/x/spans?after=9999999999999999999999",
        "/page/runs/x/search",
        "/page/runs/x/summaries",
    ],
)
async def test_questions_beyond_their_bounds_are_refused(api, path):
    """In the envelope of the API."""
    assert (await ask(api, path, 422))["code"] == "validation_errors"


async def test_a_run_keeps_the_name_it_registered_with(api):
    """It is shown, searched and filtered by, whatever the agent is called later."""
    for version in ({"name": "Early bird"}, {"external_identifier": "v1"}, {"name": "Night owl"}):
        await api.post("/agent_instance/register", api.registration(agent_version=version))
    everything = await ask(api, "/page/runs")
    by_name = await ask(api, "/page/runs?agent=Early+bird")
    by_text = await ask(api, "/page/runs?q=owl")
    oldest = everything["runs"][2]["id"]

    assert [run["agent_name"] for run in everything["runs"]] == [
        "Night owl", "Early bird", "Early bird",
    ]  # fmt: skip
    assert everything["agents"] == ["Early bird", "Night owl"]
    assert by_name["total"] == 2
    assert [run["agent_name"] for run in by_text["runs"]] == ["Night owl"]
    assert (await ask(api, f"/page/runs/{oldest}"))["run"]["agent_name"] == "Early bird"


async def test_the_deployment_token_is_told_if_everybody_knows_it_and_it_works(api):
    """One that was chosen is nobody's business."""
    assert (await ask(api, "/page/runs"))["token"] == api.server.deployment_token
    api.server.set_token_state(api.server.deployment_token, "suspended")
    assert (await ask(api, "/page/runs"))["token"] is None
    api.server.add_token("chosen", agent_id=api.server.agent_id)
    assert "chosen" not in json.dumps(await ask(api, "/page/runs"))


async def test_a_filter_that_finds_little_goes_on_in_the_next_question(api, monkeypatch):
    """One question looks through a window; an empty page is not the end."""
    monkeypatch.setattr(runs, "_WINDOW", 2)
    wanted = await api.instance("complete")
    for _ in range(4):
        await api.instance()
    first = await ask(api, "/page/runs?status=complete")
    found, following = list(first["runs"]), first["next"]
    while following is not None:
        answer = await ask(api, f"/page/runs?status=complete&before={following}")
        found += answer["runs"]
        following = answer["next"]

    assert first["runs"] == [] and first["more_than_total"] is True
    assert [run["id"] for run in found] == [wanted]


async def test_counts_follow_what_happens(api):
    """Spans that end, that come late, and that are closed with their run."""
    run = await api.instance()
    counted = Counts(api.server._backend.storage)

    def count():
        return counted.of(run, Budget(100))

    assert count() == ({}, True)
    first, _ = await api.create(run), await api.create(run, status="pending")
    await api.create(run, status="failed")
    assert count() == ({"active": 1, "pending": 1, "failed": 1}, True)
    await api.post(f"/agent_spans/{first}/finish", {"status": "complete"})
    assert count() == ({"complete": 1, "pending": 1, "failed": 1}, True)
    api.switch(close_spans_on_terminate=True)
    api.server.terminate(run, "enough")
    assert count() == ({"complete": 1, "cancelled": 1, "failed": 1}, True)


async def test_counting_goes_on_where_the_budget_ended(api):
    """A question never counts more than it may, and what was counted stays counted."""
    run = await api.instance()
    for status in ("active", "complete", "active", "failed", "active"):
        await api.create(run, status=status)
    counted = Counts(api.server._backend.storage)
    steps = [counted.of(run, Budget(2)) for _ in range(8)]

    assert steps[0] == ({"active": 1, "complete": 1}, False)
    assert counted.of(run, Budget(50)) == ({"active": 3, "complete": 1, "failed": 1}, True)
    assert counted.of(run, Budget(0))[1] is False


async def test_counts_of_many_runs_do_not_pile_up(api, monkeypatch):
    """They are counted again when they are asked for again."""
    monkeypatch.setattr(counts, "_MOST_RUNS", 1)
    made = [await api.instance() for _ in range(2)]
    for run in made:
        await api.create(run)
    answer = await ask(api, "/page/runs")

    assert [run["spans"] for run in answer["runs"]] == [{"active": 1}, {"active": 1}]


async def test_a_run_is_told_with_its_types_and_its_quality(api):
    """Titles and rendered summaries."""
    run = await api.instance()
    for name in ("tone", "score"):
        body = {"name": name, "payload": {"value": 7}}
        await api.post(f"/agent_instance/{run}/record_quality", body)
    answer = await ask(api, f"/page/runs/{run}")

    assert answer["run"]["id"] == run
    assert answer["titles"] == {"agent:llm": "Model call", "agent:tool": "agent:tool"}
    shown = [(record["name"], record["summary"]) for record in answer["quality"]]
    assert shown == [("score", "Score 7"), ("tone", None)]
    assert (await ask(api, "/page/runs/nothing", 404))["code"] == "not_found"


async def test_spans_come_in_pages_with_what_became_of_the_open_ones(api):
    """By number of arrival; foreign numbers and nonsense among them are ignored."""
    run, other = await api.instance(), await api.instance()
    made = [await api.create(run) for _ in range(3)]
    foreign = await api.create(other, status="complete")
    first = await ask(api, f"/page/runs/{run}/spans?limit=2")
    seqs = [span[0] for span in first["spans"]]
    await api.post(f"/agent_spans/{made[0]}/finish", {"status": "failed"})
    stored = {span["id"]: span["seq"] for span in api.server.spans()}
    asked = f"{seqs[0]},{seqs[1]},{stored[foreign]},x,,-1"
    second = await ask(api, f"/page/runs/{run}/spans?after={seqs[-1]}&open={asked}")

    assert first["more"] is True and second["more"] is False
    assert [span[1] for span in first["spans"] + second["spans"]] == made
    assert [span[3:5] for span in second["spans"]] == [["agent:tool", "active"]]
    assert [(span[1], span[4]) for span in second["changed"]] == [(made[0], "failed")]


async def test_summaries_are_rendered_until_it_is_too_much_for_once(api, monkeypatch):
    """What is missing in the answer is asked for again; long ones are cut."""
    monkeypatch.setattr(spans, "_MOST_BYTES", 400)
    run = await api.instance()
    for model in ("a", "b" * 500, "c"):
        payload = {"model": model}
        await api.create(
            run, schema_name="agent:llm", status="complete", payload=payload,
            result_payload={"text": "hello"},
        )  # fmt: skip
    await api.create(run)
    seqs = ",".join(str(span["seq"]) for span in api.server.spans())
    answer = (await ask(api, f"/page/runs/{run}/summaries?seqs={seqs}"))["summaries"]
    last = api.server.spans()[-1]["seq"]
    plain = await ask(api, f"/page/runs/{run}/summaries?seqs={last}")

    assert list(answer.values()) == ["a said hello", "b" * 300]
    assert plain["summaries"] == {str(last): ""}
    assert (await ask(api, f"/page/runs/x/summaries?seqs={last}"))["summaries"] == {}


WRAPPED = {"$sensitive": "string", "value": "hunter2"}


@pytest.mark.parametrize(
    ("name", "payload", "result", "line"),
    [
        ("agent:llm", {"model": "m"}, {"text": "hi"}, "m said hi"),
        ("agent:llm", {"n": 1}, None, "1"),
        ("agent:llm", {"model": "m", "key": WRAPPED}, None, "m said"),
        ("odd", {"q": "Which are open?"}, {"a": ["no 7", 9]}, 'Which are open? → ["no 7",9]'),
        ("agent:tool", {"q": "two\nlines"}, None, "two lines"),
        ("odd", {}, {"ok": True}, "→ true"),
        ("odd", {}, {}, ""),
        ("odd", {"long": "x" * 99}, None, "x" * 39 + "…"),
        ("odd", {"messages": [{"role": "user", "content": "Book it."}]}, None, "Book it."),
        ("odd", {"messages": [{"role": "user"}]}, None, '[{"role":"user"}]'),
        ("odd", {"key": WRAPPED}, {"n": 1}, "[redacted] → 1"),
        ("odd", {"s": [WRAPPED]}, None, '[{"$sensitive":"string","value":"[redac…'),
    ],
)
async def test_every_span_has_a_line_that_says_what_it_was_about(api, name, payload, result, line):
    """Its template, else the beginnings of what went in and came out; nothing sensitive."""
    run = await api.instance()
    await api.create(
        run, schema_name=name, status="complete", payload=payload, result_payload=result
    )
    seq = api.server.spans()[0]["seq"]
    answer = await ask(api, f"/page/runs/{run}/summaries?seqs={seq}")

    assert answer["summaries"] == {str(seq): line}


async def test_a_span_is_told_in_full(api):
    """Payloads as they came, numbers included; with title, summary and mismatch."""
    run = await api.instance()
    text = b'{"details":{"agent_instance_id":"%s","schema_name":"agent:llm","status":"active",'
    text += b'"payload":{"n":1e999,"big":123456789012345678901}}}'
    _, body = await api.post("/agent_spans", text % run.encode())
    url = f"{api.server.url}/page/spans/{body['details']['id']}"
    async with api.session.get(url) as response:
        raw = await response.text()
    answer = json.loads(raw)

    assert '"payload":{"n":1e999,"big":123456789012345678901}' in raw
    assert answer["title"] == "Model call" and answer["result_payload"] is None
    assert answer["mismatch"] == {"payload": "$.model is required"}
    assert answer["summary"] is None, "a template with nothing to fill it with says nothing"
    assert (await ask(api, "/page/spans/nothing", 404))["code"] == "not_found"


async def test_sensitive_values_travel_only_when_asked_for(api):
    """Neither in the span, nor in its summary, nor as an answer to a search."""
    run = await api.instance()
    secret = {"$sensitive": "string", "value": "hunter2"}
    span = await api.create(
        run, schema_name="agent:llm", status="complete", sensitive_encoding=True,
        payload={"model": secret}, result_payload={"text": secret},
    )  # fmt: skip
    hidden = await ask(api, f"/page/spans/{span}")
    shown = await ask(api, f"/page/spans/{span}?reveal=true")

    assert "hunter2" not in json.dumps(hidden) and hidden["hidden"] is True
    assert shown["payload"]["model"] == secret and shown["result_payload"]["text"] == secret
    assert "hunter2" not in shown["summary"]
    assert (await ask(api, f"/page/runs/{run}/search?q=hunter2"))["seqs"] == []
    assert len((await ask(api, f"/page/runs/{run}/search?q=redacted"))["seqs"]) == 1


async def test_a_search_finds_the_line_of_a_span(api):
    """Words of its template, and the arrow between what went in and what came out."""
    run = await api.instance()
    for name in ("agent:llm", "odd"):
        await api.create(
            run, schema_name=name, status="complete", payload={"model": "large"},
            result_payload={"text": "hi"},
        )  # fmt: skip
    templated, odd = (span["seq"] for span in api.server.spans())

    for text, seqs in (("LARGE SAID hi", [templated]), ("large → hi", [odd]), ("said it", [])):
        answer = await ask(api, f"/page/runs/{run}/search", params={"q": text})
        assert answer["seqs"] == seqs


async def test_a_search_finds_what_payloads_results_and_mismatches_hold(api):
    """In any case of letters, in text that JSON escapes, and in JSON as it stands."""
    run = await api.instance()
    texts = ["Grüße", 'say "hi"', "C:\\dir", "line\nbreak"]
    for text in texts:
        await api.create(run, status="complete", result_payload={"t": text}, payload={"n": 1})
        await api.create(run, status="complete", payload={"t": text}, schema_name="odd")

    async def find(text):
        query = {"q": text}
        answer = await ask(api, f"/page/runs/{run}/search", params=query)
        assert answer["next"] is None
        return len(answer["seqs"])

    assert [await find(text) for text in texts] == [2, 2, 2, 2]
    assert [await find(text) for text in ("GRüßE", "SAY", '"n": 1', "declared")] == [2, 2, 4, 4]
    assert await find("nowhere") == 0


@pytest.mark.parametrize("bound", ["_MOST_SPANS", "_MOST_BYTES"])
async def test_a_search_goes_on_in_the_next_question(api, monkeypatch, bound):
    """One question reads a bounded number of spans, and of bytes."""
    monkeypatch.setattr(search, bound, 2)
    run = await api.instance()
    for number in range(5):
        await api.create(run, payload={"n": f"needle {number}"})
    found, following, questions = [], 0, 0
    while following is not None:
        answer = await ask(api, f"/page/runs/{run}/search?q=needle&after={following}")
        found += answer["seqs"]
        following = answer["next"]
        questions += 1

    assert found == [span["seq"] for span in api.server.spans()]
    assert questions >= 3


async def test_a_payload_too_deep_to_hide_values_in_spoils_nothing_else(api):
    """That span is refused; its run, its summaries and searches are not."""
    run = await api.instance()
    text = b'{"details":{"agent_instance_id":"%s","schema_name":"agent:llm","status":"active",'
    text += b'"sensitive_encoding":%s,"payload":{"a":%s%s}}}'
    deep = b"[" * 5000, b"]" * 5000
    api.server._backend.storage.run(
        "INSERT INTO spans (id, agent_instance_id, schema_name, status, inserted_at, updated_at,"
        " sensitive_encoding, payload) VALUES ('deep', ?, 'agent:llm', 'active', '', '', 1, ?)",
        (run, b'{"a":%s%s}' % deep),
    )
    await api.create(run, payload={"n": "needle"})
    seq = api.server._backend.storage.one("SELECT seq FROM spans WHERE id = 'deep'")[0]

    assert "too deeply" in (await ask(api, "/page/spans/deep", 400))["message"]
    assert len((await ask(api, f"/page/runs/{run}/spans"))["spans"]) == 2
    summaries = await ask(api, f"/page/runs/{run}/summaries?seqs={seq}")
    assert summaries["summaries"] == {str(seq): ""}
    assert len((await ask(api, f"/page/runs/{run}/search?q=needle"))["seqs"]) == 1


async def heard(response):
    """Return the number of the next event."""
    async for line in response.content:
        if line.startswith(b"data: "):
            return int(line[6:])
    pytest.fail("the stream has ended")


async def test_watchers_hear_of_changes(api):
    """At once where things stand, then after every change."""
    run = await api.instance()
    async with api.session.get(f"{api.server.url}/page/events") as response:
        assert response.content_type == "text/event-stream"
        first = await heard(response)
        await api.create(run)
        assert await heard(response) > first


async def test_a_quiet_stream_has_a_pulse(api, monkeypatch):
    """So that a connection that has gone is noticed."""
    monkeypatch.setattr(live, "_GLANCE", 0.001)
    async with api.session.get(f"{api.server.url}/page/events") as response:
        await heard(response)
        async for line in response.content:
            if line.startswith(b":"):
                break


async def test_there_are_only_so_many_watchers(api, monkeypatch):
    """One that goes makes room."""
    monkeypatch.setattr(live, "_MOST_WATCHERS", 1)
    url = f"{api.server.url}/page/events"
    async with api.session.get(url) as response:
        await heard(response)
        assert (await ask(api, "/page/events", 503))["code"] == "service_unavailable"
    status = 503
    while status == 503:
        async with api.session.get(url) as response:
            status = response.status
        await asyncio.sleep(0)
    assert status == 200


async def test_a_server_stops_while_somebody_watches():
    """The stream ends with it."""
    async with aiohttp.ClientSession() as session:
        async with DevServer() as server:
            response = await session.get(f"{server.url}/page/events")
            await heard(response)
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()
        response.close()


async def test_watching_does_not_lose_its_way_between_pauses(api):
    """A server that was away and came back tells new watchers."""
    await asyncio.to_thread(api.server.pause)
    await asyncio.to_thread(api.server.resume)
    async with api.session.get(f"{api.server.url}/page/events") as response:
        assert await heard(response) > 0
