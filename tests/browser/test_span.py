"""Promises of the selected span: payloads, conversation, what is flagged and what is hidden."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.slow


@pytest.fixture
def show(page, server, recording):
    """Return what records a span and opens the page on it."""

    def show(name="agent:tool", **fields):
        run = recording.run(status="complete")
        span = recording.span(run, name, **fields)
        page.goto(f"{server.url}/runs/{run}/{span}")
        expect(page.locator(".detail .section").first).to_be_visible()
        return page.locator(".detail")

    return show


def section(detail, name):
    return detail.locator(f"[data-section={name}]")


def test_payload_and_result_are_trees_that_fold(show, page):
    """Every kind of value is readable, and a number is the one that was sent."""
    detail = show(
        payload={
            "query": "flights",
            "limits": {"most": 3, "strict": True, "none": None},
            "big": 12345678901234567890,
            "empty": {},
            "deep": {"a": {"b": {"c": {"d": "bottom"}}}},
            "text": json.dumps({"inside": ["of", "a text"]}),
        },
        result_payload={"rows": list(range(250)), "long": "x" * 5000},
    )
    payload, result = section(detail, "payload"), section(detail, "result")

    for text in ("query: flights", "most: 3", "strict: true", "none: null", "12345678901234567890"):
        expect(payload).to_contain_text(text)
    expect(payload).to_contain_text("empty: { } empty")
    expect(payload.get_by_text("bottom")).to_have_count(0)
    payload.get_by_role("button", name="Expand").click()
    expect(payload.get_by_text("bottom")).to_be_visible()
    expect(payload.get_by_text("inside", exact=True)).to_be_visible()
    payload.get_by_role("button", name="Collapse").click()
    expect(payload.get_by_text("most", exact=True)).to_be_hidden()
    result.locator("summary", has_text="rows").click()
    result.get_by_role("button", name="150 more").click()
    result.get_by_role("button", name="50 more", exact=True).click()
    expect(result.get_by_text("249").first).to_be_visible()
    result.get_by_role("button", name="Show 3800 more characters").click()
    expect(result.get_by_text("x" * 5000)).to_be_visible()


def test_messages_are_a_conversation(show):
    """Roles, texts, tool calls with their arguments, the answer at the end."""
    detail = show(
        "agent:llm",
        payload={
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Book it."},
                {"role": "tool", "name": "find", "content": '{"seats": ["12A"]}'},
            ]
        },
        result_payload={
            "content": None,
            "tool_calls": [{"id": "c1", "name": "book", "arguments": {"seat": "12A"}}],
        },
    )
    messages = section(detail, "conversation").locator(".message")

    expect(messages).to_have_count(4)
    for index, texts in enumerate(
        (["system", "Be kind."], ["user", "Book it."], ["tool", "find", "seats"],
         ["assistant", "book", "seat: 12A"])
    ):  # fmt: skip
        for text in texts:
            expect(messages.nth(index)).to_contain_text(text)
    expect(section(detail, "payload").locator(".json")).to_be_hidden()


def test_the_form_of_openai_is_a_conversation_too(show):
    """Content in parts, functions with arguments as text, choices in the result."""
    call = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"sum": 9}'}}
    detail = show(
        "agent:llm",
        payload={
            "model": "large-2",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Pay it."}]}],
        },
        result_payload={
            "choices": [
                {"message": {"role": "assistant", "content": "Soon.", "tool_calls": [call]}}
            ]
        },
    )
    conversation = section(detail, "conversation")

    for text in ("Pay it.", "Soon.", "pay", "sum: 9"):
        expect(conversation).to_contain_text(text)


def test_what_only_resembles_messages_is_shown_as_it_is(show):
    """A list of texts under the same name is no conversation."""
    detail = show(payload={"messages": ["one", {"role": 7}]})

    expect(section(detail, "payload")).to_contain_text("role: 7")
    expect(section(detail, "conversation")).to_have_count(0)


def test_the_summary_is_rendered_and_a_mismatch_flagged(show, page):
    """In the row and in the panel."""
    detail = show("agent:llm", payload={"model": "large-2"})

    expect(detail.locator(".lead")).to_have_text("asked large-2")
    note = detail.get_by_role("note")
    expect(note).to_contain_text("Differs from what was declared")
    expect(note).to_contain_text("$.messages is required")
    expect(page.get_by_role("treeitem")).to_contain_text("⚠")


def test_sensitive_values_are_hidden_until_asked_for(show, page):
    """They do not even travel to the browser, and are hidden again for the next span."""
    secret = {"$sensitive": "string", "value": "hunter2"}
    bodies = []
    page.on(
        "response", lambda answer: "/page/spans/" in answer.url and bodies.append(answer.text())
    )
    detail = show(
        payload={"login": {"password": secret}, "user": "ada"},
        result_payload={"echo": [secret]},
        sensitive_encoding=True,
    )

    expect(detail).to_contain_text("ada")
    expect(detail).to_contain_text("hidden")
    assert "hunter2" not in page.content()
    assert bodies and "hunter2" not in "".join(bodies)
    detail.get_by_role("button", name="Show sensitive values").click()
    expect(detail.get_by_text("hunter2")).to_have_count(2)
    detail.get_by_role("button", name="Hide sensitive values").click()
    expect(detail.get_by_text("hunter2")).to_have_count(0)


def test_wrapped_values_without_the_flag_are_hidden_too(show):
    """One at a time."""
    detail = show(payload={"a": {"$sensitive": "string", "value": "hunter2"}})

    expect(detail.get_by_text("hunter2")).to_have_count(0)
    detail.get_by_role("button", name="Show", exact=True).click()
    expect(detail.get_by_text("hunter2")).to_be_visible()
