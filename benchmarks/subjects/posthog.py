"""Own PostHog as a subject: its client, with one event for each span, as its own LLM events are."""

from typing import Any
from uuid import uuid4

from posthog import Posthog
from workload import Recorded

from subjects.subject import Subject

__all__ = ["make"]


class PostHogSubject(Subject):
    """Captures a span when it is over; children name their parent."""

    def __init__(self, url: str) -> None:
        self._client = Posthog("bench", host=url)

    def begin(self, span: Recorded) -> str:
        del span  # events are captured when they are over
        return str(uuid4())

    def record(self, span: Recorded, parent: Any) -> None:
        self._capture(span, str(uuid4()), parent)

    def end(self, span: Recorded, parent: str) -> None:
        self._capture(span, parent, None)

    def _capture(self, span: Recorded, own: str, parent: str | None) -> None:
        self._client.capture(
            "$ai_generation",
            distinct_id="bench",
            properties={
                "$ai_span_id": own,
                "$ai_parent_id": parent,
                "$ai_span_name": span.schema_name,
                "$ai_input": span.payload,
                "$ai_output_choices": span.result,
            },
        )

    def flush(self) -> None:
        self._client.flush()

    def close(self) -> None:
        self._client.shutdown()


def make(url: str, settings: dict[str, Any]) -> PostHogSubject:
    """Return the client with its defaults."""
    del settings
    return PostHogSubject(url)
