"""Own LangSmith as a subject: its client, with runs traced in context."""

import os
from typing import Any

from langsmith import Client
from langsmith.run_helpers import trace
from workload import Recorded

from subjects.subject import Subject

__all__ = ["make"]


class LangSmithSubject(Subject):
    """Traces the parent as the current run, and each child within it."""

    def __init__(self, url: str) -> None:
        os.environ["LANGSMITH_TRACING"] = "true"
        self._client = Client(api_url=url, api_key="bench")

    def begin(self, span: Recorded) -> Any:
        opened = trace(span.schema_name, "chain", inputs=span.payload, client=self._client)
        return opened, opened.__enter__()

    def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current run
        with trace(span.schema_name, "llm", inputs=span.payload, client=self._client) as run:
            run.end(outputs=span.result)

    def end(self, span: Recorded, parent: Any) -> None:
        opened, run = parent
        run.end(outputs=span.result)
        opened.__exit__(None, None, None)

    def flush(self) -> None:
        self._client.flush()

    def close(self) -> None:
        self._client.cleanup()


def make(url: str, settings: dict[str, Any]) -> LangSmithSubject:
    """Return the client with its defaults."""
    del settings
    return LangSmithSubject(url)
