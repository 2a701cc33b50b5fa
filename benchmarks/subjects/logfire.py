"""Own Logfire as a subject: its spans, with the payload as attributes."""

from typing import Any

import logfire
from workload import Recorded

from subjects.subject import Subject

__all__ = ["make"]


class LogfireSubject(Subject):
    """Starts the parent as the current span, and each child within it."""

    def __init__(self, url: str) -> None:
        logfire.configure(
            token="bench",
            send_to_logfire=True,
            console=False,
            inspect_arguments=False,
            advanced=logfire.AdvancedOptions(base_url=url),
        )

    def begin(self, span: Recorded) -> Any:
        opened = logfire.span(span.schema_name, input=span.payload)
        opened.__enter__()
        return opened

    def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current span
        with logfire.span(span.schema_name, input=span.payload) as opened:
            opened.set_attribute("output", span.result)

    def end(self, span: Recorded, parent: Any) -> None:
        parent.set_attribute("output", span.result)
        parent.__exit__(None, None, None)

    def flush(self) -> None:
        logfire.force_flush()

    def close(self) -> None:
        logfire.shutdown()


def make(url: str, settings: dict[str, Any]) -> LogfireSubject:
    """Return the SDK with its defaults, without its output on the console."""
    del settings
    return LogfireSubject(url)
