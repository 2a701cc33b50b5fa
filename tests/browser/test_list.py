"""Promises of the list of runs, seen in a browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import until

pytestmark = pytest.mark.slow


def rows(page):
    return page.get_by_role("row")


def test_without_runs_it_says_how_to_begin(page, server):
    """With the address of this server, ready to be pasted."""
    page.goto(server.url)

    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    expect(page.get_by_text(f"export PREFACTOR_API_URL={server.url}")).to_be_visible()


def test_runs_are_listed_newest_first(page, server, recording):
    """With status, agent, version, spans by status, and duration."""
    first = recording.run(status="complete", version="1.0", seconds=75)
    recording.span(first)
    recording.span(first, status="failed")
    recording.span(first, status="failed")
    recording.run(status="terminated", version="2.0", seconds=0.25)
    page.goto(server.url)

    expect(rows(page)).to_have_count(2)
    newest, oldest = rows(page).nth(0), rows(page).nth(1)
    for row, texts in (
        (newest, ["terminated", "Travel agent", "2.0", "none", "250 ms"]),
        (oldest, ["complete", "Travel agent", "1.0", "1 complete", "2 failed", "1 min 15 s"]),
    ):
        for text in texts:
            expect(row).to_contain_text(text)


def test_runs_are_filtered_by_status_agent_and_text(page, server, recording):
    """The address says how, so that a reload shows the same; Escape clears all filters."""
    other = recording.agent("Billing agent")
    recording.run(status="complete", version="1.0")
    recording.run(status="failed", version="1.1")
    recording.run(status="failed", version="9.9%", name="Billing agent", agent=other)
    page.goto(server.url)
    expect(rows(page)).to_have_count(3)

    page.get_by_role("button", name="failed").click()
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Agent", exact=True).select_option(label="Billing agent")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("9.9%")
    page.reload()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("button", name="failed")).to_have_attribute("aria-pressed", "true")

    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("travel 1.1")
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("q=travel"))
    page.keyboard.press("Escape")
    page.get_by_label("Search runs").fill("%")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Search runs").fill("nothing is called so")
    expect(page.get_by_text("No run fits these filters.")).to_be_visible()


def test_runs_appear_and_change_without_reload(page, server, recording):
    """New ones on top, their status and counts as they are now."""
    recording.run(status="complete", version="old")
    page.goto(server.url)
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_text("Live")).to_be_visible()

    run = recording.run(version="new")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("active")
    open_span = recording.span(run, status="active", end=None)
    expect(rows(page).first).to_contain_text("1 active")
    recording.finish(open_span)
    expect(rows(page).first).to_contain_text("1 complete")
    server.terminate(run, "enough")
    expect(rows(page).first).to_contain_text("terminated")


def test_a_filtered_run_goes_when_it_no_longer_fits(page, server, recording):
    """What is listed is true."""
    run = recording.run()
    page.goto(f"{server.url}/?status=active")
    expect(rows(page)).to_have_count(1)

    server.terminate(run, "enough")

    expect(rows(page)).to_have_count(0)


def test_keys_select_and_open_a_run(page, server, recording):
    """Down, up, Enter, and Escape back to the list."""
    oldest = recording.run(version="a")
    recording.run(version="b")
    page.goto(server.url)
    expect(rows(page)).to_have_count(2)

    page.keyboard.press("ArrowDown")
    expect(rows(page).first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    expect(rows(page).last).to_have_attribute("aria-selected", "true")
    chosen = page.get_by_role("grid").get_attribute("aria-activedescendant")
    assert page.locator(f"#{chosen}").text_content() == rows(page).last.text_content()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.url}/runs/{oldest}")
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(2)
    page.go_back()
    expect(page.get_by_role("heading", name="Travel agent a")).to_be_visible()


def test_five_thousand_runs_are_loaded_as_they_are_scrolled_to(page, server, recording):
    """Few rows exist at any time, and the oldest can be reached."""
    items = []
    for number in range(5000):
        items += recording.run_items(
            recording.mint(), "Travel agent", "1", "pending", label=f"booking {number}"
        )
    recording.send(items)
    page.goto(server.url)

    expect(page.get_by_text("5,000 runs")).to_be_visible()
    expect(rows(page).first).to_contain_text("booking 4999")
    until(
        lambda: page.evaluate(
            """() => {
                const list = document.getElementById("runs");
                list.scrollTop = list.scrollHeight;
                return list.scrollHeight >= 5000 * 40;
            }"""
        )
    )
    expect(page.get_by_text("booking 0", exact=True)).to_be_visible()
    assert page.locator(".run-row").count() < 100
