"""Promises about hostile content: whatever is recorded stays text."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import listed

pytestmark = pytest.mark.slow

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</script><script>alert(1)</script>",
    "</textarea><iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    '"><a href=javascript:alert(1)>x</a>',
    "javascript:alert(1)",
    "' onmouseover='alert(1)",
    "<style>*{display:none}</style>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202e\u2028\u0000<b>\ufeff",
    "__proto__",
]
ALL = " ".join(HOSTILE)
FOREIGN = "script:not([src^='/assets/']), iframe, img, base, math, object, embed, body style, b"


def unharmed(page):
    """Check that nothing recorded has become an element or an attribute that runs."""
    assert page.locator(FOREIGN).count() == 0
    assert page.evaluate(
        """() => [...document.querySelectorAll("*")].every((node) =>
            [...node.attributes].every(({ name, value }) =>
                !name.startsWith("on") && !/^\\s*javascript:/i.test(value) || name === "title"))"""
    )
    assert page.evaluate("({}).polluted === undefined")


def test_hostile_content_stays_text(page, server, recording):
    """In names, versions, reasons, payloads, results, messages, summaries, quality and searches."""
    run = recording.run(name=ALL, version=ALL)
    corpus = {text: text for text in HOSTILE} | {"__proto__": {"polluted": True}}
    messages = [{"role": text, "name": text, "content": text} for text in HOSTILE]
    call = {"id": ALL, "function": {"name": ALL, "arguments": ALL}}
    chat = recording.span(
        run,
        "agent:llm",
        payload=corpus | {"model": ALL, "messages": messages},
        result_payload={"content": ALL, "tool_calls": [call]},
    )
    odd = recording.span(run, ALL, payload=corpus, result_payload=corpus)
    recording.quality(run, value=ALL, **corpus)
    server.terminate(run, ALL)

    page.goto(server.url)
    expect(listed(page)).to_contain_text("<script>alert(1)</script>")
    page.get_by_label("Search runs").fill("<script>")
    expect(listed(page)).to_have_count(1)
    unharmed(page)
    for span in (chat, odd):
        page.goto(f"{server.url}/runs/{run}/{span}")
        detail = page.locator(".detail")
        expect(detail.locator("[data-section=payload]")).to_be_attached()
        expect(page.locator(".run-head")).to_contain_text("</textarea><iframe")
        folded = detail.locator(".section:not([open]) > summary")
        while folded.count():
            folded.first.click()
        for text in HOSTILE[:6]:
            expect(detail.get_by_text(text, exact=True).first).to_be_attached()
        unharmed(page)
    page.get_by_label("Search this run").fill("<img src=x onerror=alert(1)>")
    expect(page.get_by_text("2 found")).to_be_visible()
    page.get_by_role("tab", name="Quality").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("<svg/onload=alert(1)>")
    unharmed(page)


def test_a_hostile_address_stays_text(page, server, complaints):
    """The id of a run that does not exist is shown."""
    complaints.expected = "404"
    page.goto(f"{server.url}/runs/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")

    expect(page.get_by_text("<img src=x onerror=alert(1)>").last).to_be_visible()
    unharmed(page)


def test_the_policy_stops_what_would_slip_through(page, server, complaints):
    """An inline script does not run, and HTML cannot be made from text at all."""
    page.goto(server.url)
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    assert complaints == []
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            try { script.textContent = "window.slipped = true"; } catch { return; }
            document.body.append(script);
        }"""
    )
    refused = page.evaluate(
        """() => {
            try { document.body.innerHTML = "<p>"; return "parsed"; }
            catch (error) { return error.name; }
        }"""
    )

    assert page.evaluate("window.slipped === undefined")
    assert refused == "TypeError"
    assert any("TrustedHTML" in complaint for complaint in complaints)
    complaints.clear()


def test_under_a_foreign_name_every_request_needs_the_header(page, server, complaints):
    """A browser does not send it by itself; what adds it opens the page, and keeps it live."""
    complaints.expected = "Failed to load resource"
    foreign = server.url.replace("127.0.0.1", "dev.localhost")
    page.goto(foreign)
    expect(page.get_by_text("the token is missing or unknown")).to_be_visible()

    page.set_extra_http_headers({"Authorization": f"Bearer {server.token}"})
    page.goto(foreign)
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.get_by_text(f"export PREFACTOR_API_URL={foreign}")).to_be_visible()


def test_another_site_cannot_press_the_button(page, server, recording, complaints):
    """Neither by a form nor by a script, and it cannot read or frame the page."""
    complaints.expected = " "
    run = recording.run()
    foreign = server.url.replace("127.0.0.1", "localhost")
    page.route(
        "http://evil.test/**", lambda route: route.fulfill(body="<p>evil", content_type="text/html")
    )
    page.goto("http://evil.test/")
    for url in (server.url, foreign):
        outcome = page.evaluate(
            """async (url) => {
                const body = '{"reason": "x"}';
                const json = { "Content-Type": "application/json" };
                const answers = [];
                for (const options of [
                    { method: "POST", headers: json, body },
                    { method: "POST", mode: "no-cors", body },
                    { method: "POST", mode: "no-cors", headers: json, body },
                    { method: "GET" },
                ]) {
                    try { answers.push((await fetch(url, options)).type); }
                    catch { answers.push("refused"); }
                }
                return answers;
            }""",
            f"{url}/page/runs/{run}/terminate",
        )
        assert set(outcome) <= {"refused", "opaque"}

    assert server.instances()[0]["status"] == "active"
