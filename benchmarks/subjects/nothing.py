"""Own nothing as a subject: what the measurement itself costs."""

from typing import Any

from workload import Recorded

from subjects.subject import Subject

__all__ = ["make"]


class NothingSubject(Subject):
    """Records nothing."""

    def begin(self, span: Recorded) -> None:
        """Do nothing."""

    def record(self, span: Recorded, parent: Any) -> None:
        """Do nothing."""

    def end(self, span: Recorded, parent: Any) -> None:
        """Do nothing."""


def make(url: str, settings: dict[str, Any]) -> NothingSubject:
    """Return nothing; it needs neither."""
    del url, settings
    return NothingSubject()
