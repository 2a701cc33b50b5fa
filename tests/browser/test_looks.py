"""Promises about windows and colours."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.slow


def ground(page):
    """Return how bright the background is, from 0 to 765."""
    colour = page.evaluate(
        """() => {
            const context = new OffscreenCanvas(1, 1).getContext("2d");
            context.fillStyle = getComputedStyle(document.body).backgroundColor;
            context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data];
        }"""
    )
    return sum(colour[:3])


def test_a_narrow_window_shows_one_thing_at_a_time(page, server, recording):
    """Nothing sticks out; a span opens over its run and Escape closes it."""
    run = recording.run(name="An agent with a rather long name", status="complete")
    recording.span(run, "agent:llm", payload={"model": "m", "messages": [], "text": "w" * 400})
    page.set_viewport_size({"width": 380, "height": 700})
    page.goto(server.url)
    expect(page.get_by_role("row")).to_be_visible()

    def fits():
        return page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    assert fits()
    page.get_by_role("row").click()
    expect(page.get_by_role("treeitem")).to_be_visible()
    expect(page.locator(".detail")).to_be_hidden()
    assert fits()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".detail")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator(".detail")).to_be_visible()
    expect(page.locator(".detail")).to_contain_text("asked m")
    assert page.locator(".detail").bounding_box()["width"] == 380
    assert fits()
    page.keyboard.press("Escape")
    expect(page.locator(".detail")).to_be_hidden()
    page.get_by_role("treeitem").click()
    page.get_by_role("button", name="Close the span").click()
    expect(page.locator(".detail")).to_be_hidden()


def test_colours_follow_the_system_until_chosen(page, server):
    """What was chosen is kept."""
    page.emulate_media(color_scheme="light")
    page.goto(server.url)
    assert ground(page) > 600
    page.emulate_media(color_scheme="dark")
    assert ground(page) < 150

    button = page.get_by_role("button", name="Colours")
    button.click()
    expect(button).to_have_attribute("aria-label", "Colours: light")
    assert ground(page) > 600
    page.reload()
    expect(button).to_have_attribute("aria-label", "Colours: light")
    assert ground(page) > 600
    button.click()
    assert ground(page) < 150


def test_the_keys_are_listed(page, server):
    """Behind the question mark."""
    page.goto(server.url)
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    page.keyboard.press("?")

    expect(page.get_by_role("dialog")).to_contain_text("zoom to the selected span")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_still_for_those_who_want_it_still(page, server):
    """Nothing is animated."""
    page.emulate_media(reduced_motion="reduce")
    page.goto(server.url)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()

    assert page.evaluate("document.getAnimations().length") == 0
