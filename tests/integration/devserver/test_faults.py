"""Promises about scripted misbehaviour, as a client sees it."""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from prefactor_http.devserver import DevServer, FaultRule


def create(api, run, **fields):
    return {"_type": "agent_spans/create", "details": api.span(run, **fields)}


async def test_a_status_comes_with_the_hints_asked_for(api):
    """429 with both hints, 503 with none; nothing is applied, then all is well."""
    run = await api.instance()
    api.server.faults.add("times=1 status=429 retry_after=2 retry_after_ms=2500")
    api.server.faults.add("times=1 status=503 code=custom message=Later")
    body = {"details": api.span(run)}
    url, headers = (
        f"{api.server.url}/api/v1/agent_spans",
        {"Authorization": f"Bearer {api.server.token}"},
    )
    answers = []
    for _ in range(3):
        async with api.session.post(url, json=body, headers=headers) as response:
            answers.append(
                (response.status, response.headers.get("Retry-After"), await response.json())
            )

    assert answers[0][:2] == (429, "2")
    assert answers[0][2]["retry_after_ms"] == 2500 and answers[0][2]["code"] == "rate_limited"
    assert answers[1][:2] == (503, None)
    assert answers[1][2] == {"status": "error", "code": "custom", "message": "Later"}
    assert answers[2][0] == 200
    assert len(api.server.spans()) == 1


async def test_a_hint_can_be_a_date(api):
    """Ahead or in the past, never sooner than asked for."""
    for seconds in (90, -90):
        api.server.faults.add(f"times=1 status=503 retry_after_date={seconds}")
        before = datetime.now(UTC)
        async with api.session.get(f"{api.server.url}/api/v1/ping") as response:
            date = response.headers["Retry-After"]

        assert date.endswith(" GMT")
        wait = (parsedate_to_datetime(date) - before).total_seconds()
        assert seconds <= wait < seconds + 60


@pytest.mark.parametrize(("moment", "applied"), [("before", 0), ("after", 1)])
async def test_a_connection_is_cut_before_or_after_applying(api, moment, applied):
    """The client cannot tell; the same key settles it."""
    run = await api.instance()
    api.server.faults.add(f"times=1 path=/bulk reset={moment}")
    with pytest.raises(aiohttp.ClientError):
        await api.bulk(create(api, run))
    assert len(api.server.spans()) == applied
    status, body = await api.bulk(create(api, run))

    assert status == 200 and body["outputs"]["key-00000"]["status"] == "success"
    assert len(api.server.spans()) == 1
    assert [entry.status for entry in api.server.requests.recent[-2:]] == [0, 200]


async def test_a_connection_is_cut_in_the_middle_of_a_bulk(api):
    """The first two items are applied, the third is not."""
    run = await api.instance()
    api.server.faults.add("times=1 reset=after nth=2")
    with pytest.raises(aiohttp.ClientError):
        await api.bulk(*[create(api, run)] * 3)

    assert len(api.server.spans()) == 2


async def test_html_comes_where_json_was_expected(api):
    """As from a proxy."""
    api.server.faults.add(FaultRule(html=True, status=503, times=1))
    api.server.faults.add(FaultRule(html=True, times=1))
    statuses = []
    for _ in range(2):
        async with api.session.get(f"{api.server.url}/api/v1/ping") as response:
            statuses.append(response.status)
            assert response.content_type == "text/html"

    assert statuses == [503, 502]


async def test_an_answer_is_cut_in_half(api):
    """It was applied all the same."""
    run = await api.instance()
    api.server.faults.add("times=1 cut_json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        await api.bulk(create(api, run))

    assert len(api.server.spans()) == 1


@pytest.mark.parametrize(
    ("rule", "position", "code"),
    [
        ("item_error=boom", 0, "boom"),
        ("item_error=validation_errors nth=2", 1, "validation_errors"),
        ("item_error=boom schema_name=odd", 2, "boom"),
        ("item_error=boom type=agent_spans/finish", 3, "boom"),
    ],
)
async def test_an_item_is_chosen_to_fail(api, rule, position, code):
    """Items before it are applied, those after it are absent."""
    run = await api.instance()
    api.server.faults.add(rule + " times=1")
    items = [create(api, run), create(api, run), create(api, run, schema_name="odd"),
             {"_type": "agent_spans/finish", "agent_span_id": "x"}]  # fmt: skip
    _, body = await api.bulk(*items)

    outputs = list(body["outputs"].values())
    assert len(outputs) == position + 1
    assert outputs[-1]["code"] == code
    assert ("errors" in outputs[-1]) == (code == "validation_errors")
    assert len(api.server.spans()) == position


async def test_a_bulk_beyond_a_size_is_too_large(api):
    """So that clients learn to halve."""
    api.server.faults.add("status=413 over_items=2")
    api.server.faults.add("status=413 over_bytes=500")
    items = [{"_type": "agents/list"}] * 3

    assert (await api.bulk(*items))[0] == 413
    assert (await api.bulk(*items[:2]))[0] == 200
    assert (await api.bulk({"_type": "agents/list", "padding": "x" * 500}))[0] == 413


async def test_outputs_can_be_missing_or_alien(api):
    """Both break the contract; a client has to cope."""
    run = await api.instance()
    api.server.faults.add("times=1 drop_output nth=1")
    api.server.faults.add("times=1 alien_output")
    _, dropped = await api.bulk(create(api, run), create(api, run))
    _, alien = await api.bulk(create(api, run), create(api, run))

    assert list(dropped["outputs"]) == ["key-00001"]
    assert len(alien["outputs"]) == 3
    assert len(api.server.spans()) == 2


async def test_a_black_hole_never_answers(api):
    """The client's own limit ends it, and stopping the server does not wait for it."""
    api.server.faults.add("black_hole")
    with pytest.raises(asyncio.TimeoutError):
        await api.get("/ping", timeout=aiohttp.ClientTimeout(total=0.05))
    pending = asyncio.ensure_future(api.get("/ping"))
    while api.server.faults.hits < 2:  # noqa: ASYNC110 - the server's thread has no event for it
        await asyncio.sleep(0)
    await asyncio.to_thread(api.server.pause)

    with pytest.raises(aiohttp.ClientError):
        await pending


async def test_waits_come_before_or_after_applying(api):
    """A late answer was applied although the client gave up."""
    run = await api.instance()
    impatient = aiohttp.ClientTimeout(total=0.1)
    api.server.faults.add("times=1 latency=60")
    with pytest.raises(asyncio.TimeoutError):
        await api.bulk(create(api, run), timeout=impatient)
    assert api.server.spans() == []
    api.server.faults.add("times=1 late=60")
    with pytest.raises(asyncio.TimeoutError):
        await api.bulk(create(api, run), timeout=impatient)

    assert len(api.server.spans()) == 1


def test_rules_can_be_given_at_the_start():
    """As texts; a bad one stops the start."""
    with DevServer(faults=["every=2 status=503"]) as server:
        assert server.faults.counts == {"every=2 status=503": 0}
    with pytest.raises(ValueError, match="unknown word"):
        DevServer(faults=["sometimes"])


async def test_items_of_any_shape_can_be_asked_about(api):
    """A rule about schema names does not mind items whose details are odd."""
    api.server.faults.add("item_error=boom schema_name=x")
    status, body = await api.bulk({"_type": "agent_spans/create", "details": 3})

    assert status == 200 and body["outputs"]["key-00000"]["code"] == "validation_errors"
