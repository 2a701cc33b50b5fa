"""The demo's agent: it plans, looks things up, asks two tools, and answers.

Nothing in it is real but the recording. It is written as an application would be: runs and spans
as context managers, tools as decorated functions, everything else found by context.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from prefactor_exporter import Exporter, SchemaRegistry
from prefactor_exporter.tracing import Run

__all__ = ["SPANS_PER_RUN", "Agent", "Expected", "declared"]

SPANS_PER_RUN: Final = 8

_QUESTIONS = (
    ("Bergen", "Which day this week is best for a walk to the Ulriken summit?"),
    ("Lisbon", "Is tomorrow a good day for surfing at Costa da Caparica?"),
    ("Kyoto", "When should we see the maple leaves, and how do we get there?"),
    ("Quito", "Can we hike to the Pichincha crater without a guide?"),
    ("Nairobi", "What should I pack for a day in the national park?"),
)
_MODEL = "example-large-2"


class Expected(NamedTuple):
    """What must have arrived for one span; ``step`` is in its payload and tells it from others."""

    step: int
    schema_name: str
    parent: int | None
    status: str


@dataclass
class Journal:
    """What one run did, as the agent itself remembers it."""

    question: str
    spans: list[Expected] = field(default_factory=list)

    def step(self, schema_name: str, parent: int | None, status: str = "complete") -> int:
        """Note a span and return its step number."""
        number = len(self.spans) + 1
        self.spans.append(Expected(number, schema_name, parent, status))
        return number


class WeatherServiceError(Exception):
    """The weather service did not answer."""


class Agent:
    """Answers questions and remembers what it did.

    Args:
        exporter: Records it.
        pace: Seconds a call of the language model takes; tools are quicker.
        progressed: Called now and then.
    """

    def __init__(
        self,
        exporter: Exporter,
        *,
        pace: float,
        progressed: Callable[[], None] = lambda: None,
    ) -> None:
        self.journals: dict[str, Journal] = {}
        self._exporter = exporter
        self._pace = pace
        self._progressed = progressed
        self._retrieve = exporter.trace("agent:retrieval")(self._retrieval)
        self._forecast = exporter.trace("tool:weather")(self._ask_weather)
        self._routes = exporter.trace("tool:routes")(self._ask_routes)

    async def answer(self, number: int) -> None:
        """Answer the *number*-th question, in a run of its own."""
        place, question = _QUESTIONS[number % len(_QUESTIONS)]
        journal = Journal(question)
        async with self._exporter.instance() as run:
            self.journals[run.id] = journal
            top = journal.step("agent:task", None)
            async with run.span("agent:task", {"question": question, "step": top}) as task:
                plan = await self._think(
                    run, journal, top, f"Plan how to answer: {question}", "notes, weather, routes"
                )
                notes = await self._look_up(journal, top, plan)
                weather, routes = await asyncio.gather(
                    self._with_retry(journal, top, place),
                    self._routes(place, step=journal.step("tool:routes", top)),
                )
                answer = await self._think(
                    run,
                    journal,
                    top,
                    f"Answer from {len(notes)} notes, the weather and {len(routes)} routes",
                    f"Take the {routes[0]}; expect {weather['sky']} and {weather['celsius']} °C.",
                )
                task.set_result({"answer": answer})
        self._progressed()

    async def _think(self, run: Run, journal: Journal, parent: int, prompt: str, reply: str) -> str:
        """Call the language model."""
        payload = {
            "model": _MODEL,
            "messages": [{"role": "user", "content": prompt}],
            "step": journal.step("agent:llm", parent),
        }
        async with run.span("agent:llm", payload) as span:
            await asyncio.sleep(self._pace)
            usage = {"input_tokens": len(prompt) // 4, "output_tokens": len(reply) // 4}
            span.set_result({"content": reply, "usage": usage})
        self._progressed()
        return reply

    async def _look_up(self, journal: Journal, parent: int, query: str) -> list[str]:
        """Look into the notes, with the steps numbered in the order they happen."""
        step = journal.step("agent:retrieval", parent)
        return await self._retrieve(query, step=step, below=journal.step("agent:embedding", step))

    async def _retrieval(self, query: str, *, step: int, below: int) -> list[str]:  # noqa: ARG002  # for the span
        """Find notes; the span of this call has one of its own below it."""
        async with self._exporter.span("agent:embedding", {"text": query, "step": below}) as span:
            await asyncio.sleep(self._pace / 4)
            span.set_result({"dimensions": 768})
        return [f"note {number} about {query}" for number in range(1, 4)]

    async def _with_retry(self, journal: Journal, parent: int, place: str) -> dict[str, Any]:
        """Ask for the weather again if it fails."""
        first = journal.step("tool:weather", parent, "failed")
        try:
            return await self._forecast(place, attempt=1, step=first)
        except WeatherServiceError:
            again = journal.step("tool:weather", parent)
            return await self._forecast(place, attempt=2, step=again)

    async def _ask_weather(self, place: str, *, attempt: int, step: int) -> dict[str, Any]:  # noqa: ARG002  # for the span
        """Ask the weather service, which fails the first time."""
        await asyncio.sleep(self._pace / 2)
        if attempt == 1:
            raise WeatherServiceError(f"no answer for {place} within 0.1 s")
        return {"sky": "light clouds", "celsius": 14}

    async def _ask_routes(self, place: str, *, step: int) -> list[str]:  # noqa: ARG002  # for the span
        """Ask for routes."""
        await asyncio.sleep(self._pace / 3)
        return [f"morning bus from {place}", f"path from {place} station"]


async def in_parallel(works: Iterable[Callable[[], Awaitable[None]]], *, at_most: int) -> None:
    """Do all *works*, *at_most* of them at a time."""
    waiting = iter(works)

    async def worker() -> None:
        for work in waiting:
            await work()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_most):
            group.create_task(worker())


def declared() -> SchemaRegistry:
    """Return the types of the spans the agent records."""
    text = {"type": "string"}
    return (
        SchemaRegistry()
        .add("agent:task", _object(question=text), title="Task", template="{{ question }}")
        .add(
            "agent:llm",
            _object(model=text, messages={"type": "array"}),
            _object(content=text, usage={"type": "object"}),
            title="LLM call",
            template="{{ model }}: {{ content }}",
        )
        .add("agent:retrieval", _object(query=text), title="Retrieval", template="{{ query }}")
        .add("agent:embedding", _object(text=text), title="Embedding", template="{{ text }}")
        .add("tool:weather", _object(place=text), title="Weather", template="{{ place }}")
        .add("tool:routes", _object(place=text), title="Routes", template="{{ place }}")
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object that may have more than *properties*."""
    return {"type": "object", "properties": properties, "additionalProperties": True}
