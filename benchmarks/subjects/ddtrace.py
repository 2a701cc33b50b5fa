"""Own ddtrace as a subject: its tracer, which writes to an agent, not its LLM Observability."""

import os
import threading
from collections.abc import Sequence
from typing import Any

from workload import Recorded

from subjects.subject import Subject, text

__all__ = ["make"]


class DatadogSubject(Subject):
    """Traces the parent as the current span, and each child within it."""

    def __init__(self, url: str) -> None:
        # It reads its settings when it is imported.
        os.environ["DD_TRACE_AGENT_URL"] = url
        os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
        os.environ["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
        from ddtrace.trace import tracer  # noqa: PLC0415

        self._tracer = tracer

    def begin(self, span: Recorded) -> Any:
        opened = self._tracer.trace(span.schema_name)
        opened.set_tag("input", text(span.payload))
        return opened

    def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current span
        with self._tracer.trace(span.schema_name) as opened:
            opened.set_tag("input", text(span.payload))
            opened.set_tag("output", text(span.result))

    def end(self, span: Recorded, parent: Any) -> None:
        parent.set_tag("output", text(span.result))
        parent.finish()

    def warm_up(self, work: Sequence[Recorded]) -> None:
        # Its flush does not wait, and what waits cannot be used again.
        self.run(work, None)
        self._tracer.flush()
        threading.Event().wait(1.0)

    def flush(self) -> None:
        self._tracer.flush()
        self._tracer.shutdown(timeout=60)

    def close(self) -> None:
        self._tracer.shutdown()


def make(url: str, settings: dict[str, Any]) -> DatadogSubject:
    """Return the tracer with its defaults; what it sends besides spans is switched off."""
    del settings
    return DatadogSubject(url)
