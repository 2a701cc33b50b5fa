"""Promises of the page of one run: its spans as a waterfall, live, by mouse and by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import listed, until

pytestmark = pytest.mark.slow


def rows(page):
    return page.get_by_role("treeitem")


def chosen(page):
    return page.locator(".span-row[aria-selected=true]")


@pytest.fixture
def family(recording):
    """A run with a parent, two children and a stranger; returns the ids of run and spans."""
    run = recording.run(status="complete", seconds=10)
    parent = recording.span(
        run, "agent:llm", start=0, end=8, payload={"model": "large-2", "messages": []}
    )
    late = recording.span(run, parent_span_id=parent, start=4, end=8, status="failed")
    early = recording.span(run, parent_span_id=parent, start=1, end=3, payload={"deep": "needle"})
    other = recording.span(run, "planning", start=8, end=10, status="cancelled")
    return run, parent, early, late, other


def test_a_run_is_a_waterfall(page, server, family):
    """Head with times and counts; spans nested, in order, with bars where their time is."""
    page.goto(server.url)
    listed(page).click()

    expect(page).to_have_url(f"{server.url}/runs/{family[0]}")
    head = page.locator(".run-head")
    for text in ("Travel agent", "1.4.0", "complete", "10.00 s", "4 spans", "1 failed"):
        expect(head).to_contain_text(text)
    expect(rows(page)).to_have_count(4)
    assert [row.get_attribute("aria-level") for row in rows(page).all()] == ["1", "2", "2", "1"]
    expect(rows(page).nth(0)).to_contain_text("Model call")
    expect(rows(page).nth(0)).to_contain_text("asked large-2")
    expect(rows(page).nth(2).locator(".bar")).to_have_attribute("data-status", "failed")
    boxes = [row.locator(".bar").bounding_box() for row in rows(page).all()]
    whole = boxes[3]["x"] + boxes[3]["width"] - boxes[0]["x"]
    for box, start, length in zip(boxes, (0, 1, 4, 8), (8, 2, 4, 2), strict=True):
        assert (box["x"] - boxes[0]["x"]) / whole == pytest.approx(start / 10, abs=0.01)
        assert box["width"] / whole == pytest.approx(length / 10, abs=0.01)


def test_keys_walk_the_tree(page, server, family):
    """Up and down by rows, left and right by levels; the panel follows, and so does the address."""
    run, parent, early, *_ = family
    page.goto(f"{server.url}/runs/{run}")
    expect(rows(page)).to_have_count(4)

    page.keyboard.press("ArrowDown")
    expect(rows(page).nth(0)).to_have_attribute("aria-selected", "true")
    expect(page.locator(".detail")).to_contain_text("Model call")
    page.keyboard.press("ArrowRight")
    expect(rows(page).nth(1)).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(f"{server.url}/runs/{run}/{early}")
    expect(page.locator(".detail")).to_contain_text("needle")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(f"{server.url}/runs/{run}/{parent}")
    page.keyboard.press("ArrowLeft")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(0)).to_have_attribute("aria-expanded", "false")
    expect(rows(page).nth(0)).to_contain_text("+2")
    page.keyboard.press("ArrowRight")
    expect(rows(page)).to_have_count(4)
    page.keyboard.press("End")
    expect(rows(page).nth(3)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    expect(rows(page).nth(2)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tree")).to_have_attribute("aria-activedescendant", re.compile("span-"))
    page.keyboard.press("Escape")
    expect(chosen(page)).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("grid")).to_be_visible()


def test_a_link_leads_to_a_span(page, server, family):
    """Also when a reload starts from nothing, and when the span is not there."""
    run, _, _, late, _ = family
    page.goto(f"{server.url}/runs/{run}/{late}")
    expect(chosen(page)).to_contain_text("Tool call")
    expect(page.locator(".detail")).to_contain_text("failed")

    page.goto(f"{server.url}/runs/{run}/nothing")
    expect(page.get_by_role("alert")).to_contain_text("no such span")


def test_an_unknown_run_is_said_to_be_unknown(page, server, complaints):
    """And leads back to the list."""
    complaints.expected = "404"
    page.goto(f"{server.url}/runs/nothing")

    expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
    page.get_by_role("link", name="All runs").click()
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()


def test_a_search_looks_into_payloads(page, server, family):
    """What is found stands below its ancestors; Escape ends it; chips look for a status."""
    page.goto(f"{server.url}/runs/{family[0]}")
    expect(rows(page)).to_have_count(4)

    page.keyboard.press("/")
    page.keyboard.type("NEEDLE")
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_text("1 found")).to_be_visible()
    page.keyboard.press("Enter")
    expect(chosen(page)).to_have_attribute("aria-level", "2")
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(4)
    page.get_by_label("Search this run").fill("plann")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Search this run").fill("")
    page.get_by_role("button", name="1 failed").click()
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Search this run").fill("nowhere")
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_a_search_finds_what_the_rows_show(page, server, family):
    """The title of a type, its name, the line beside it, whatever the case."""
    page.goto(f"{server.url}/runs/{family[0]}")
    expect(rows(page).first).to_contain_text("asked large-2")

    for text, found in (
        ("model CALL", 1), ("Tool call", 2), ("agent:", 3), ("asked large", 1), ("needle", 1),
        (family[2], 1),
    ):  # fmt: skip
        page.get_by_label("Search this run").fill(text)
        expect(page.get_by_text(f"{found} found", exact=True)).to_be_visible()


def test_a_span_of_an_undeclared_type_says_what_it_was_about(page, server, recording):
    """What went in and what came out stand beside the name."""
    run = recording.run(status="complete")
    asked, found = {"question": "Which invoices are open?"}, {"found": ["no 7", "no 9"]}
    recording.span(run, "agent:task", payload=asked, result_payload=found)
    recording.span(run, "constructor", start=2)
    page.goto(f"{server.url}/runs/{run}")

    expect(rows(page).first.locator(".summary")).to_have_text(
        'Which invoices are open? → ["no 7","no 9"]'
    )
    expect(rows(page).last.locator(".name")).to_have_text("constructor")
    expect(rows(page).last.locator(".summary")).to_have_text("")


def test_the_page_recovers_when_the_server_is_back(page, server, family, complaints):
    """The panel and the search ask again; so does a run that could not be opened at all."""
    complaints.expected = "net::ERR"
    run = family[0]
    page.goto(f"{server.url}/runs/{run}")
    expect(rows(page)).to_have_count(4)
    server.pause()
    rows(page).nth(0).click()
    expect(page.locator(".detail")).to_contain_text("the server does not answer")
    page.get_by_label("Search this run").fill("needle")
    expect(page.get_by_text("Cannot search")).to_be_visible()
    server.resume()
    expect(page.locator(".detail")).to_contain_text("asked large-2")
    expect(page.locator(".detail .problem")).to_have_count(0)
    expect(page.get_by_text("1 found")).to_be_visible()

    page.get_by_role("link", name="Runs").click()
    expect(listed(page)).to_have_count(1)
    server.pause()
    listed(page).click()
    expect(page.get_by_text("Cannot show this run")).to_be_visible()
    server.resume()
    expect(rows(page)).to_have_count(4)


def test_assistive_technology_hears_where_a_span_stands(page, server, family):
    """Its level, its place among its siblings and how many they are."""
    page.goto(f"{server.url}/runs/{family[0]}")
    expect(rows(page)).to_have_count(4)

    names = ("aria-level", "aria-posinset", "aria-setsize")
    stands = [[row.get_attribute(name) for name in names] for row in rows(page).all()]
    assert stands == [["1", "1", "2"], ["2", "1", "2"], ["2", "2", "2"], ["1", "2", "2"]]


def test_the_time_is_zoomed_and_fitted(page, server, family):
    """By keys, and by dragging on the axis."""
    page.goto(f"{server.url}/runs/{family[0]}")
    bar = rows(page).nth(1).locator(".bar")
    expect(bar).to_be_visible()
    fitted = bar.bounding_box()["width"]

    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Fit")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("0")
    expect(page.get_by_role("button", name="Fit")).to_have_attribute("aria-pressed", "true")
    axis = page.locator(".axis").bounding_box()
    page.mouse.move(axis["x"] + 2, axis["y"] + 10)
    page.mouse.down()
    page.mouse.move(axis["x"] + axis["width"] / 2, axis["y"] + 10, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Fit")).to_have_attribute("aria-pressed", "false")
    assert bar.bounding_box()["width"] == pytest.approx(2 * fitted, rel=0.1)


def test_spans_appear_and_end_without_reload(page, server, exporter):
    """As the exporter delivers them, from the first to the end of the run."""
    with exporter.instance() as run:
        assert exporter.flush()
        page.goto(f"{server.url}/runs/{run.id}")
        expect(page.get_by_text("No spans yet.")).to_be_visible()
        with run.span("agent:outer", {"n": 1}) as outer:
            assert exporter.flush()
            expect(rows(page)).to_have_count(1)
            expect(rows(page).locator(".bar")).to_have_attribute("data-status", "active")
            rows(page).click()
            expect(page.locator(".detail")).to_contain_text("No result yet.")
            with run.span("agent:inner"):
                pass
            assert exporter.flush()
            expect(rows(page)).to_have_count(2)
            outer.set_result({"answer": "forty-two"})
        assert exporter.flush()
        expect(rows(page).first.locator(".bar")).to_have_attribute("data-status", "complete")
        expect(page.locator(".detail")).to_contain_text("forty-two")
    assert exporter.flush()
    expect(page.locator(".run-head .pill")).to_have_text("complete")


def test_the_button_reaches_a_recording_agent(page, server, exporter):
    """With the reason; afterwards there is no button, because a run is terminated once."""
    told = []
    exporter.on_terminate(lambda instance, reason: told.append((instance, reason)))
    with exporter.instance() as run:
        assert exporter.flush()
        page.goto(f"{server.url}/runs/{run.id}")
        page.get_by_role("button", name="Terminate…").click()
        page.get_by_label("Reason").fill("it talks <b>too much</b>")
        page.get_by_role("button", name="Terminate", exact=True).click()
        expect(page.locator(".run-head .pill")).to_have_text("terminated")
        expect(page.locator(".run-head")).to_contain_text("it talks <b>too much</b>")
        expect(page.get_by_role("button", name="Terminate…")).to_have_count(0)
        with run.span("agent:next"):
            pass
        assert exporter.flush()
        until(lambda: run.should_stop)

    assert told == [(run.id, "it talks <b>too much</b>")]


def test_a_refused_termination_says_why(page, server, recording, complaints):
    """The run has ended while somebody was writing the reason."""
    complaints.expected = "409"
    run = recording.run()
    page.goto(f"{server.url}/runs/{run}")
    page.get_by_role("button", name="Terminate…").click()
    page.get_by_label("Reason").fill("too late")
    server.terminate(run, "first")
    page.get_by_role("button", name="Terminate", exact=True).click()

    expect(page.get_by_role("alert")).to_contain_text("must be active to terminate")


def test_quality_has_a_tab_where_there_is_some(page, server, recording):
    """It appears when the first record comes, and shows payload and summary."""
    run = recording.run()
    page.goto(f"{server.url}/runs/{run}")
    expect(page.get_by_text("No spans yet.")).to_be_visible()
    expect(page.get_by_role("tab")).to_have_count(0)

    recording.quality(run, value=7, by="a reviewer")
    page.get_by_role("tab", name="Quality 1").click()
    for text in ("score", "7 of 10", "a reviewer"):
        expect(page.get_by_role("tabpanel")).to_contain_text(text)


def test_quality_has_an_address_and_keys(page, server, recording):
    """Arrows turn from tab to tab, a search turns to the spans, Escape is one step back."""
    run = recording.run()
    span = recording.span(run)
    recording.quality(run, value=7)
    page.goto(f"{server.url}/runs/{run}/{span}?tab=quality")
    quality, spans = page.get_by_role("tab", name="Quality"), page.get_by_role("tab", name="Spans")
    expect(quality).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel")).to_contain_text("7 of 10")

    page.keyboard.press("/")
    expect(page.get_by_label("Search this run")).to_be_focused()
    expect(page).to_have_url(f"{server.url}/runs/{run}/{span}")
    spans.focus()
    for key, there in (("ArrowRight", quality), ("ArrowRight", spans), ("ArrowLeft", quality),
                       ("Home", spans), ("End", quality)):  # fmt: skip
        page.keyboard.press(key)
        expect(there).to_be_focused()
        expect(there).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(f"{server.url}/runs/{run}/{span}?tab=quality")
    recording.quality(run, value=8)
    expect(page.get_by_role("tabpanel")).to_contain_text("8 of 10")
    expect(quality).to_be_focused()
    page.keyboard.press("Escape")
    expect(spans).to_have_attribute("aria-selected", "true")
    expect(chosen(page)).to_have_count(1)


def test_ten_thousand_spans(page, server, recording, record_property):
    """Only what is in sight exists; the first rows do not wait for the last ones."""
    run = recording.run(status="complete", seconds=10_000)
    steps = [recording.mint() for _ in range(100)]
    items = []
    for number, step in enumerate(steps):
        start = number * 100
        items.append(recording.span_item(run, "step", id=step, start=start, end=start + 100))
        items += [
            recording.span_item(
                run, parent_span_id=step, start=start + n, end=start + n + 1, payload={"n": n}
            )
            for n in range(99)
        ]
    recording.send(items)
    page.goto(f"{server.url}/runs/{run}")

    expect(rows(page).first).to_contain_text("step")
    record_property(
        "first_rows_ms", page.evaluate("performance.getEntriesByName('rows')[0].startTime")
    )
    expect(page.get_by_text("10,000 spans")).to_be_visible()
    expect(page.get_by_text("loaded…")).to_have_count(0)
    page.keyboard.press("End")
    expect(chosen(page)).to_contain_text("Tool call")
    expect(chosen(page)).to_be_in_viewport()
    assert page.locator(".span-row").count() < 120
    page.get_by_role("button", name="Collapse all").click()
    page.keyboard.press("End")
    expect(chosen(page)).to_contain_text("+99")
    page.get_by_role("button", name="Expand all").click()
    page.get_by_label("Search this run").fill('"n": 98')
    expect(page.get_by_text("100 found", exact=True)).to_be_visible()
