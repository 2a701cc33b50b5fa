"""Own the OpenTelemetry SDK as a subject: a batch processor and OTLP over HTTP, all by default."""

from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from workload import Recorded

from subjects.subject import Subject, text

__all__ = ["make"]


class OpenTelemetrySubject(Subject):
    """Starts the parent as the current span, and each child within it."""

    def __init__(self, url: str) -> None:
        self._provider = TracerProvider()
        exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(self._provider)
        self._tracer = trace.get_tracer("bench")

    def begin(self, span: Recorded) -> Any:
        opened = self._tracer.start_as_current_span(span.schema_name)
        opened.__enter__().set_attribute("input", text(span.payload))
        return opened

    def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current span
        with self._tracer.start_as_current_span(span.schema_name) as opened:
            opened.set_attribute("input", text(span.payload))
            opened.set_attribute("output", text(span.result))

    def end(self, span: Recorded, parent: Any) -> None:
        trace.get_current_span().set_attribute("output", text(span.result))
        parent.__exit__(None, None, None)

    def flush(self) -> None:
        self._provider.force_flush()

    def close(self) -> None:
        self._provider.shutdown()


def make(url: str, settings: dict[str, Any]) -> OpenTelemetrySubject:
    """Return the SDK with its defaults."""
    del settings
    return OpenTelemetrySubject(url)
