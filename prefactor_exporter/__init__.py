"""Record what an agent does and deliver it to Prefactor, without getting in its way."""

import logging

from prefactor_exporter.config import AgentInfo as AgentInfo
from prefactor_exporter.config import ExporterConfig as ExporterConfig
from prefactor_exporter.context import CURRENT as CURRENT
from prefactor_exporter.exceptions import ConfigError as ConfigError
from prefactor_exporter.exceptions import ExporterError as ExporterError
from prefactor_exporter.exceptions import InvalidEventError as InvalidEventError
from prefactor_exporter.exporter import Exporter as Exporter
from prefactor_exporter.invocation import Invocation as Invocation
from prefactor_exporter.redaction import Redaction as Redaction
from prefactor_exporter.schemas import SchemaRegistry as SchemaRegistry
from prefactor_exporter.sensitive import Sensitive as Sensitive
from prefactor_exporter.stats import ExporterHealth as ExporterHealth
from prefactor_exporter.stats import ExporterStats as ExporterStats
from prefactor_exporter.stats import FlushReport as FlushReport
from prefactor_exporter.stats import TerminationSignal as TerminationSignal
from prefactor_exporter.tracing import Run as Run
from prefactor_exporter.tracing import Span as Span
from prefactor_http._version import __version__ as __version__
from prefactor_http.config import HttpClientConfig as HttpClientConfig

__all__ = [
    "CURRENT",
    "AgentInfo",
    "ConfigError",
    "Exporter",
    "ExporterConfig",
    "ExporterError",
    "ExporterHealth",
    "ExporterStats",
    "FlushReport",
    "HttpClientConfig",
    "InvalidEventError",
    "Invocation",
    "Redaction",
    "Run",
    "SchemaRegistry",
    "Sensitive",
    "Span",
    "TerminationSignal",
    "__version__",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
