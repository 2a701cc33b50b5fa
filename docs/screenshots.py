"""Make the pictures of the page: record an example, open it in Chromium, photograph it.

    python docs/screenshots.py [FOLDER]

The example is made up here, and its moments are fixed, so that the pictures change only when the
page does. Needs Playwright and a Chromium on the PATH.
"""

import http.client
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from prefactor_http.devserver import DevServer
from prefactor_http.devserver.ids import Mint

IMAGES = Path(__file__).parent / "images"
NOW = datetime(2026, 3, 12, 14, 20, tzinfo=UTC)
WIDE, NARROW = (920, 480), (400, 600)
"""Little wider than the column of the documents, so that what is written in them can be read."""
SHARP = 1.4
"""Pixels for each one of the page."""
POLICY = """# Booking desk

You help travellers to book, change and cancel train journeys.

- Look a booking up before you speak about it.
- Say what a change costs and wait for a clear yes before you make it.
- One tool call at a time. What no tool does, a colleague does: hand over."""
JOURNEY = {
    "booking": "R7K2PM",
    "traveller": {"name": "Noor Haddad", "card": "comfort"},
    "legs": [
        {"train": "IC 704", "from": "Hamburg", "to": "Berlin", "departs": "09:34", "seat": "46"},
        {"train": "EC 173", "from": "Berlin", "to": "Prague", "departs": "12:16", "seat": "12"},
    ],
    "flexible": True,
    "paid": 118.4,
}  # fmt: skip
OFFERS = [
    {"train": "ICE 507", "departs": "11:38", "arrives": "13:20", "surcharge": 12.5},
    {"train": "IC 708", "departs": "13:34", "arrives": "15:22", "surcharge": 0},
]
SPAN_TYPES = [
    ("desk:turn", "Turn", "{{ said }}"),
    ("agent:llm", "LLM call", "{{ content }} {{ tool_calls[0].name }}"),
    ("agent:tool", "Tool call", "{{ name }}"),
    ("agent:guard", "Guard", "{{ rule }}: {{ verdict }}"),
]
SCHEMA = {
    "span_type_schemas": [
        {
            "name": name,
            "title": title,
            "template": template,
            "params_schema": {"type": "object"},
            "result_schema": {"type": "object"},
        }
        for name, title, template in SPAN_TYPES
    ],
    "quality_schemas": [{"name": "review", "schema": {"type": "object"}}],
}


class Example:
    """Records the example, item by item, with moments that move forward."""

    def __init__(self, server: DevServer) -> None:
        self.server = server
        self.mint = Mint(server.partition)
        self.items: list[dict[str, Any]] = []
        self.run = ""
        self.clock = NOW

    def begin(self, name: str, version: str, started: datetime) -> str:
        """Register and start a run of an agent of its own."""
        agent = f"{self.mint()}"
        self._add(
            "agents/create", details={"id": agent, "name": name, "external_identifier": agent}
        )
        self.run, self.clock = self.mint(), started
        self._add(
            "agent_instances/register",
            id=self.run,
            agent_id=agent,
            agent_version={"name": name, "external_identifier": version},
            agent_schema_version=SCHEMA,
        )
        self._add("agent_instances/start", agent_instance_id=self.run, timestamp=self._now())
        return self.run

    def end(self, status: str) -> None:
        """End the run."""
        kind = "terminate" if status == "terminated" else "finish"
        how = {"reason": "spends more than it earns"} if kind == "terminate" else {"status": status}
        self._add(
            f"agent_instances/{kind}", agent_instance_id=self.run, timestamp=self._now(), **how
        )

    def span(
        self, name: str, seconds: float | None, payload: dict[str, Any], *,
        parent: str | None = None, result: dict[str, Any] | None = None,
        status: str = "complete", after: float = 0.02, sensitive: bool = False,
    ) -> str:  # fmt: skip
        """Record a span that begins a moment *after* now and lasts, without *seconds* for ever."""
        self.clock += timedelta(seconds=after)
        started = self._now()
        if seconds is not None:
            self.clock += timedelta(seconds=seconds)
        span = self.mint()
        details = {
            "id": span,
            "agent_instance_id": self.run,
            "schema_name": name,
            "status": status,
            "parent_span_id": parent,
            "payload": payload,
            "result_payload": result,
            "started_at": started,
            "finished_at": None if seconds is None else self._now(),
            "sensitive_encoding": sensitive,
        }
        self._add("agent_spans/create", details=details)
        return span

    def turn(self, said: str, seconds: float | None) -> str:
        """Record a turn that lasts *seconds*; what is recorded next happens during it."""
        began = self.clock
        status = "active" if seconds is None else "complete"
        span = self.span("desk:turn", seconds, {"said": said}, status=status)
        self.clock = began
        return span

    def send(self) -> None:
        """Send what was recorded."""
        for start in range(0, len(self.items), 200):
            body = json.dumps({"items": self.items[start : start + 200]})
            connection = http.client.HTTPConnection(self.server.host, self.server.port)
            headers = {"Authorization": f"Bearer {self.server.token}"}
            connection.request("POST", "/api/v1/bulk", body, headers)
            outputs = json.load(connection.getresponse())["outputs"].values()
            connection.close()
            refused = [output for output in outputs if output["status"] != "success"]
            if refused:
                raise RuntimeError(f"the server refused the example: {refused}")
        self.items.clear()

    def _add(self, kind: str, **fields: Any) -> None:
        key = f"example-{len(self.items):06}-{self.mint()}"
        self.items.append({"_type": kind, "idempotency_key": key} | fields)

    def _now(self) -> str:
        return self.clock.isoformat()


def desk(example: Example) -> tuple[str, str]:
    """Record the conversation that is looked at; return its run and the span to select."""
    run = example.begin("Booking desk", "2026.3.1", NOW - timedelta(seconds=41))
    system = {"role": "system", "content": POLICY}
    turn = example.turn("I would rather leave Hamburg around noon on Saturday.", 15.2)
    asked = {"role": "user", "content": "I would rather leave Hamburg around noon on Saturday."}
    example.span("agent:guard", 0.31, {"rule": "on topic"}, parent=turn, result={"verdict": "pass"})
    call = {"id": "call_1", "name": "find_booking", "arguments": {"traveller": "Noor Haddad"}}
    llm = example.span(
        "agent:llm", 1.9, {"model": "large-2", "messages": [system, asked]}, parent=turn,
        result={"content": None, "tool_calls": [call]},
    )  # fmt: skip
    example.span(
        "agent:tool", 0.42, {"name": "find_booking", "arguments": call["arguments"]}, parent=llm,
        result={"content": JOURNEY},
    )  # fmt: skip
    found = {"role": "tool", "name": "find_booking", "content": json.dumps(JOURNEY)}
    search = {
        "name": "search_trains",
        "arguments": json.dumps({"from": "Hamburg", "around": "12:00"}),
    }
    llm = example.span(
        "agent:llm", 2.4, {"model": "large-2", "messages": [found]}, parent=turn,
        result={"content": None, "tool_calls": [{"id": "call_2", "function": search}]},
    )  # fmt: skip
    example.span(
        "agent:tool", 3.0, {"name": "search_trains", "arguments": {"from": "Hamburg"}}, parent=llm,
        status="failed", result={"error": "the timetable did not answer within 3 s"},
    )  # fmt: skip
    example.span(
        "agent:tool", 0.9, {"name": "search_trains", "arguments": {"from": "Hamburg", "try": 2}},
        parent=llm, result={"content": OFFERS},
    )  # fmt: skip
    offers = {"role": "tool", "name": "search_trains", "content": json.dumps(OFFERS)}
    answer = (
        "Two trains fit: the ICE 507 at 11:38 for 12.50 more, or the IC 708 at 13:34 at no extra "
        "cost. Your connection to Prague moves along with either. Which one shall I book?"
    )
    chosen = example.span(
        "agent:llm", 3.1, {"model": "large-2", "messages": [asked, offers]}, parent=turn,
        result={"content": answer, "tool_calls": []},
    )  # fmt: skip
    example.span(
        "agent:guard", 0.28, {"rule": "says the price"}, parent=turn, result={"verdict": "pass"}
    )
    example.clock += timedelta(seconds=6)
    turn = example.turn("The ICE, please. Same card as before.", None)
    example.span("agent:guard", 0.3, {"rule": "clear yes"}, parent=turn, result={"verdict": "pass"})
    agreed = {"role": "user", "content": "The ICE, please. Same card as before."}
    pay = {"id": "call_3", "name": "charge_card", "arguments": {"amount": 12.5}}
    llm = example.span(
        "agent:llm", 1.6, {"model": "large-2", "messages": [agreed]}, parent=turn,
        result={"content": None, "tool_calls": [pay]},
    )  # fmt: skip
    card = {"$sensitive": "string", "value": "4929 0000 0000 1881"}
    example.span(
        "agent:tool", 1.7, {"name": "charge_card", "arguments": {"amount": 12.5, "card": card}},
        parent=llm, result={"content": {"receipt": "T-88141"}}, sensitive=True,
    )  # fmt: skip
    example.span(
        "rebook", 2.6, {"booking": "R7K2PM", "train": "ICE 507"}, parent=llm, result={"ok": 1}
    )
    example.span(
        "agent:llm", None, {"model": "large-2", "messages": []}, parent=turn, status="active"
    )
    return run, chosen


def others(example: Example) -> None:
    """Record runs for the list."""
    random = Random(7)  # noqa: S311 - an example
    agents = [
        ("Booking desk", "2026.3.1"), ("Invoice reader", "1.12.0"), ("Night watch", "0.9.4"),
        ("Release notes", "3.0.2"), ("Booking desk", "2026.2.8"),
    ]  # fmt: skip
    started = NOW - timedelta(hours=9)
    for number in range(21):
        name, version = agents[number % len(agents)]
        started += timedelta(minutes=random.randrange(9, 34))
        example.begin(name, version, started)
        for _ in range(random.randrange(4, 40)):
            status = random.choices(["complete", "failed", "cancelled"], [40, 2, 1])[0]
            example.span("agent:tool", random.random() * 5, {"name": "step"}, status=status)
        ends = ["complete"] * 5 + ["failed", "complete", "terminated", "complete", "cancelled"]
        example.end(ends[number % len(ends)])


def pictures(
    browser: Browser, server: DevServer, run: str, span: str
) -> Iterator[tuple[str, Page]]:
    """Open the page in every way that is photographed; yield a name and the page, ready."""
    here = f"{server.url}/runs/{run}"
    for name, url, size, scheme in (
        ("list", server.url, WIDE, "light"),
        ("run", here, WIDE, "light"),
        ("conversation", f"{here}/{span}", WIDE, "light"),
        ("dark", here, WIDE, "dark"),
        ("narrow", here, NARROW, "light"),
    ):
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            device_scale_factor=SHARP,
            color_scheme="dark" if scheme == "dark" else "light",
            locale="en-GB",
            timezone_id="UTC",
        )
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.goto(url)
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        if name == "list":
            expect(page.locator(".run-row").first).to_contain_text("active")
            page.keyboard.press("ArrowDown")
        else:
            expect(page.get_by_role("treeitem").first).to_contain_text("I would rather")
        if name == "dark":
            page.keyboard.press("End")
        if name in {"run", "dark"}:
            charged = "charge_card" if name == "dark" else "find_booking"
            page.get_by_role("treeitem", name=charged).last.click()
            expect(page.locator("[data-section=payload]")).to_be_visible()
        if name == "conversation":
            conversation = page.locator("[data-section=conversation]")
            expect(conversation).to_be_visible()
        yield name, page
        context.close()


def photograph(browser: Browser, server: DevServer, folder: Path) -> None:
    """Record the example on *server* and put all pictures into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    example = Example(server)
    others(example)
    run, span = desk(example)
    example.send()
    for name, page in pictures(browser, server, run, span):
        page.screenshot(path=folder / f"{name}.png")


def main(folder: Path) -> None:
    """Make all pictures in *folder*."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("screenshots: there is no chromium on the PATH")
    with DevServer() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run"],
        )  # fmt: skip
        photograph(browser, server, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
