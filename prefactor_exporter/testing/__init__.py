"""What tests of an agent need: an exporter in memory, a clock, and a guard against real telemetry.

The fixtures for pytest are in ``prefactor_exporter.testing.plugin``; nothing else needs pytest.
"""

from prefactor_exporter.testing.clock import ManualClock as ManualClock
from prefactor_exporter.testing.diversion import record_in_memory as record_in_memory
from prefactor_exporter.testing.guard import TelemetryGuard as TelemetryGuard
from prefactor_exporter.testing.guard import TelemetryRefusedError as TelemetryRefusedError
from prefactor_exporter.testing.memory import InMemoryExporter as InMemoryExporter
from prefactor_exporter.testing.recorded import RecordedRun as RecordedRun
from prefactor_exporter.testing.recorded import RecordedSpan as RecordedSpan
from prefactor_exporter.testing.recording import RecordedSpans as RecordedSpans

__all__ = [
    "InMemoryExporter",
    "ManualClock",
    "RecordedRun",
    "RecordedSpan",
    "RecordedSpans",
    "TelemetryGuard",
    "TelemetryRefusedError",
    "record_in_memory",
]
