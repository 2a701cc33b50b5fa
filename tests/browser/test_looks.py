"""Promises about windows and colours."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import listed

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
    expect(listed(page)).to_be_visible()

    def fits():
        return page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    assert fits()
    listed(page).click()
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


@pytest.mark.parametrize("width", [861, 920, 1280])
def test_no_column_of_the_list_is_cut_off(page, server, recording, width):
    """However wide the window."""
    recording.run(status="terminated", name="An agent with a rather long name", seconds=75)
    page.set_viewport_size({"width": width, "height": 600})
    page.goto(server.url)
    expect(listed(page)).to_be_visible()

    duration = listed(page).get_by_text("1 min 15 s").bounding_box()
    assert duration["x"] + duration["width"] <= width
    assert page.evaluate(
        "[...document.querySelectorAll('.started, .took')].every((cell) =>"
        " cell.scrollWidth <= cell.clientWidth)"
    )


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


CONTRAST = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const paint = (layers) => {
        context.fillStyle = "white";
        context.fillRect(0, 0, 1, 1);
        for (const [colour, opacity] of layers) {
            context.globalAlpha = opacity;
            context.fillStyle = colour;
            context.fillRect(0, 0, 1, 1);
        }
        context.globalAlpha = 1;
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (colour) => {
        const [red, green, blue] = colour.map((part) =>
            part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
        if (node.matches(".veil, option, button:disabled")) continue;
        const layers = [];
        let opacity = 1;
        for (let above = node; above; above = above.parentElement) {
            const style = getComputedStyle(above);
            opacity *= style.opacity;
            layers.unshift([style.backgroundColor, 1]);
        }
        const ground = light(paint(layers));
        const text = light(paint([...layers, [getComputedStyle(node).color, opacity]]));
        const contrast = (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
        const where = `${contrast.toFixed(2)} ${node.className}: ${texts.currentNode.data}`;
        if (contrast < 4.5) faint.push(where);
    }
    return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(page, server, recording, scheme):
    """4.5 to 1 at least: in every status, selected or not, beside what was searched for."""
    page.emulate_media(color_scheme=scheme)
    run = recording.run(status="complete")
    secret = {"$sensitive": "string", "value": "x"}
    payload = {"list": [1, {"deep": True, "none": None}], "secret": secret, "text": '{"a": [1]}'}
    for status in ("complete", "failed", "cancelled", "terminated", "pending", "active"):
        recording.run(status=status)
        if status != "terminated":
            parent = recording.span(run, status=status, end=None, payload=payload)
    recording.span(run, "agent:llm", parent_span_id=parent, payload={
        "messages": [{"role": role, "content": role} for role in ("system", "user", "assistant")],
        "wanted": "needle",
    })  # fmt: skip
    page.goto(server.url)
    for row in listed(page).all():
        page.keyboard.press("ArrowDown")
        expect(row).to_have_attribute("aria-selected", "true")
        assert page.evaluate(CONTRAST) == []
    page.goto(f"{server.url}/runs/{run}")
    for row in page.get_by_role("treeitem").all():
        row.click()
        expect(page.locator(".detail .section").first).to_be_visible()
        page.locator("[data-section=payload]").evaluate("section => { section.open = true; }")
        page.get_by_role("button", name="Expand", exact=True).first.click()
        assert page.evaluate(CONTRAST) == []
    page.get_by_label("Search this run").fill("needle")
    expect(page.locator(".aside")).to_have_count(1)
    assert page.evaluate(CONTRAST) == []


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
