"""Own Sentry as a subject: a transaction for each parent, with its children as spans."""

from typing import Any

import sentry_sdk
from workload import Recorded

from subjects.subject import Subject

__all__ = ["make"]


class SentrySubject(Subject):
    """Starts the parent as a transaction, and each child as a span within it."""

    def __init__(self, url: str) -> None:
        sentry_sdk.init(dsn=url.replace("//", "//bench@") + "/1", traces_sample_rate=1.0)

    def begin(self, span: Recorded) -> Any:
        opened = sentry_sdk.start_transaction(op="agent", name=span.schema_name)
        opened.__enter__()
        opened.set_data("input", span.payload)
        return opened

    def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current transaction
        with sentry_sdk.start_span(op="agent", name=span.schema_name) as opened:
            opened.set_data("input", span.payload)
            opened.set_data("output", span.result)

    def end(self, span: Recorded, parent: Any) -> None:
        parent.set_data("output", span.result)
        parent.__exit__(None, None, None)

    def flush(self) -> None:
        sentry_sdk.flush(timeout=60)

    def close(self) -> None:
        sentry_sdk.get_client().close()


def make(url: str, settings: dict[str, Any]) -> SentrySubject:
    """Return the SDK with its defaults, every transaction sampled."""
    del settings
    return SentrySubject(url)
