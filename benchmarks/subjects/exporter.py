"""Own the exporter as a subject: a run, parents with ``with run.span(...)``, children recorded."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sink import AGENT_ID
from workload import Recorded

from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig
from prefactor_exporter.tracing import Span
from subjects.subject import Subject

__all__ = ["ExporterSubject", "configured", "make"]


def configured(url: str, **settings: Any) -> ExporterConfig:
    """Return the defaults, changed by *settings*, for the sink at *url*."""
    if "spool_dir" in settings:
        settings["spool_dir"] = Path(settings["spool_dir"])
    return ExporterConfig(
        http=HttpClientConfig(url, "token"),
        agent=AgentInfo(agent_id=AGENT_ID, version="v1"),
        **settings,
    )


class ExporterSubject(Subject):
    """Records into one run, or families in turn into as many as wanted."""

    def __init__(self, config: ExporterConfig, instances: int = 1, *, ended: bool = False) -> None:
        self.exporter = Exporter(config)
        self._ended = ended
        self._runs = [self.exporter.instance() for _ in range(instances)]
        for run in self._runs:
            run.__enter__()
        self._next_run = itertools.cycle(self._runs).__next__

    def begin(self, span: Recorded) -> Span:
        opened = self._next_run().span(span.schema_name, span.payload)
        opened.__enter__()
        return opened

    def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current span
        self.exporter.record_span(span.schema_name, span.payload, result_payload=span.result)

    def end(self, span: Recorded, parent: Span) -> None:
        parent.set_result(span.result)
        parent.__exit__(None, None, None)

    def flush(self) -> None:
        self.exporter.flush(timeout=120)

    def warm_up(self, work: Sequence[Recorded]) -> None:
        super().warm_up(work)
        if self._ended:
            self._end_runs()
            self.flush()

    def close(self) -> None:
        self._end_runs()
        self.exporter.shutdown()

    def _end_runs(self) -> None:
        while self._runs:
            self._runs.pop().__exit__(None, None, None)

    @property
    def full(self) -> bool:
        return self.exporter.stats().dropped > 0

    def counts(self) -> dict[str, Any]:
        stats = self.exporter.stats()
        return {
            "requests": stats.requests,
            "merged": stats.merged,
            "undelivered": stats.recorded - stats.delivered,
            "in_memory": stats.queued + stats.in_flight,
            "on_disk": stats.spooled,
            "dropped": stats.dropped,
            "counted_bytes": stats.queued_bytes,
        }


def make(url: str, settings: dict[str, Any]) -> ExporterSubject:
    """Return the exporter with *settings* on top of its defaults.

    Two of them are ours: ``instances``, how many runs it has, and ``ended``, whether these are over
    after the warm-up.
    """
    instances, ended = settings.pop("instances", 1), settings.pop("ended", False)
    return ExporterSubject(configured(url, **settings), instances, ended=ended)
