"""Promises of the list of runs, seen in a browser."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from prefactor_http.devserver import DevServer
from tests.browser.conftest import listed as rows
from tests.browser.conftest import until

pytestmark = pytest.mark.slow


def test_without_runs_it_says_how_to_begin(page, server):
    """What it says is pasted into a shell as it is, and the run appears."""
    page.goto(server.url)
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    lines = page.locator("pre").all_text_contents()
    leftover = {"PREFACTOR_AGENT_ID": "of-another-server", "PREFACTOR_API_TOKEN": "of another"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e"], input="\n".join(lines), env=os.environ | leftover | {"PATH": path},
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    expect(rows(page)).to_contain_text("complete")


def test_a_chosen_token_is_not_shown(page):
    """The page says where it was printed."""
    with DevServer(token="mine", deployment_token="chosen") as server:
        page.goto(server.url)
        expect(page.get_by_text("tokens of its own")).to_be_visible()
        expect(page.get_by_text("prints lines to paste")).to_be_visible()
        assert "chosen" not in page.content()
        page.goto("about:blank")


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
    page.go_forward()
    expect(page.get_by_role("heading", name="Travel agent a")).to_be_visible()


def record_many(recording, count, label="booking"):
    """Record runs that wait, each with its number."""
    items = []
    for number in range(count):
        items += recording.run_items(
            recording.mint(), "Travel agent", "1", "pending", label=f"{label} {number}"
        )
    recording.send(items)


def scroll(page):
    return page.evaluate("document.getElementById('runs').scrollTop")


@pytest.mark.parametrize("back", ["Escape", "the browser"])
def test_a_run_is_left_for_the_list_as_it_was(page, server, recording, back):
    """Its filter, its selection and its place, also when runs have come meanwhile."""
    recording.run(name="Another agent")
    record_many(recording, 250)
    page.goto(f"{server.url}/?q=travel")
    expect(page.get_by_text("250 runs")).to_be_visible()
    for _ in range(120):
        page.keyboard.press("ArrowDown")
    expect(rows(page).filter(has_text="booking 130")).to_have_attribute("aria-selected", "true")
    place = scroll(page)
    assert place > 2000
    page.keyboard.press("Enter")
    expect(page.get_by_text("No spans yet.")).to_be_visible()
    record_many(recording, 130, "meanwhile")

    if back == "Escape":
        page.keyboard.press("Escape")
    else:
        page.go_back()
    expect(page).to_have_url(f"{server.url}/?q=travel")
    expect(page.get_by_text("380 runs")).to_be_visible()
    chosen = rows(page).filter(has_text="booking 130")
    expect(chosen).to_have_attribute("aria-selected", "true")
    expect(chosen).to_be_in_viewport()
    until(lambda: scroll(page) == place + 130 * 40)
    page.keyboard.press("ArrowDown")
    expect(rows(page).filter(has_text="booking 129")).to_have_attribute("aria-selected", "true")


def test_a_run_that_was_opened_by_a_link_is_left_for_all_runs(page, server, recording):
    """There is no list to go back to; the address stays that of the list."""
    run = recording.run()
    span = recording.span(run)
    page.clock.install()
    page.goto(f"{server.url}/runs/{run}/{span}")
    expect(page.locator(".detail .section").first).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")

    expect(rows(page)).to_have_count(1)
    page.clock.run_for(1000)
    expect(page).to_have_url(f"{server.url}/")


def test_a_run_keeps_the_name_of_its_agent(page, server, recording):
    """When a later run of the same agent registers under another one."""
    recording.run(name="Early bird", version="1")
    recording.run(name="Night owl", version="2")
    page.goto(server.url)

    expect(rows(page).nth(0)).to_contain_text("Night owl")
    expect(rows(page).nth(1)).to_contain_text("Early bird")
    page.get_by_label("Agent", exact=True).select_option("Early bird")
    expect(rows(page)).to_have_count(1)
    rows(page).click()
    expect(page.get_by_role("heading", name="Early bird 1")).to_be_visible()


def test_the_list_is_a_grid_with_a_header(page, server, recording):
    """Assistive technology hears its columns, how many rows there are, and which one is meant."""
    record_many(recording, 150)
    page.goto(server.url)
    grid = page.get_by_role("grid")

    expect(grid.get_by_role("columnheader")).to_have_text(
        ["Status", "Agent", "Version", "Run", "Spans", "Started", "Duration"]
    )
    expect(grid).to_have_attribute("aria-rowcount", "151")
    expect(grid.get_by_role("row").first).to_have_attribute("aria-rowindex", "1")
    expect(rows(page).first).to_have_attribute("aria-rowindex", "2")
    page.keyboard.press("PageDown")
    page.keyboard.press("End")
    expect(page.locator("#" + grid.get_attribute("aria-activedescendant"))).to_have_attribute(
        "aria-rowindex", re.compile(r"^\d{3}$")
    )


def test_five_thousand_runs_are_loaded_as_they_are_scrolled_to(page, server, recording):
    """Few rows exist at any time, and the oldest can be reached."""
    record_many(recording, 5000)
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
