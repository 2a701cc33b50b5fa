"""Own Langfuse as a subject: its client, with current observations."""

from typing import Any

from langfuse import Langfuse
from workload import Recorded

from subjects.subject import Subject

__all__ = ["make"]


class LangfuseSubject(Subject):
    """Starts the parent as the current observation, and each child within it."""

    def __init__(self, url: str) -> None:
        self._client = Langfuse(public_key="pk-bench", secret_key="sk-bench", base_url=url)

    def begin(self, span: Recorded) -> Any:
        opened = self._client.start_as_current_observation(
            name=span.schema_name, as_type="span", input=span.payload
        )
        return opened, opened.__enter__()

    def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current observation
        with self._client.start_as_current_observation(
            name=span.schema_name, as_type="generation", input=span.payload
        ) as opened:
            opened.update(output=span.result)

    def end(self, span: Recorded, parent: Any) -> None:
        opened, observation = parent
        observation.update(output=span.result)
        opened.__exit__(None, None, None)

    def flush(self) -> None:
        self._client.flush()

    def close(self) -> None:
        self._client.shutdown()


def make(url: str, settings: dict[str, Any]) -> LangfuseSubject:
    """Return the client with its defaults."""
    del settings
    return LangfuseSubject(url)
