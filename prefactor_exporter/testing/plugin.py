"""The plugin for pytest: fixtures, and a guard against real telemetry while tests run.

Switch it on with ``-p prefactor_exporter.testing.plugin`` in ``addopts``, or with
``pytest_plugins = ["prefactor_exporter.testing.plugin"]`` in the top ``conftest.py``.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from prefactor_exporter.config import ExporterConfig
from prefactor_exporter.exporter import Exporter
from prefactor_exporter.testing.clock import ManualClock
from prefactor_exporter.testing.diversion import end_with_block, record_in_memory
from prefactor_exporter.testing.guard import TelemetryGuard
from prefactor_exporter.testing.memory import IN_MEMORY_URL, InMemoryExporter
from prefactor_exporter.testing.recording import RecordedSpans
from prefactor_http.config import HttpClientConfig

if TYPE_CHECKING:
    from prefactor_http.devserver import DevServer

__all__ = [
    "manual_clock",
    "memory_exporter",
    "prefactor_server",
    "recorded_spans",
    "server_exporter",
]

_SETTING: Final = "prefactor_telemetry"
_MODES: Final = ("refuse", "real")
_LAST_CHANCE: Final = 1.0
"""Seconds that the exporter of a test may take to deliver the rest when the test is over."""

_guard: Final = pytest.StashKey[TelemetryGuard]()
_cleanup: Final = pytest.StashKey[ExitStack]()


# -- the guard -----------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting, for the command line and for the configuration file."""
    meaning = (
        "what becomes of telemetry that would leave this machine: 'refuse' (the default) raises at "
        "the record call and hides PREFACTOR_API_TOKEN, 'real' sends it"
    )
    parser.getgroup("prefactor").addoption(
        "--prefactor-telemetry", choices=_MODES, default=None, help=meaning
    )
    parser.addini(_SETTING, meaning, default=_MODES[0])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Be on guard before the first module of the application is imported, if that is possible."""
    _begin(early_config, early_config.known_args_namespace.prefactor_telemetry)


def pytest_configure(config: pytest.Config) -> None:
    """Be on guard."""
    config.addinivalue_line(
        "markers",
        f"{_SETTING}(mode): 'real' lets this test send telemetry beyond this machine, 'refuse' "
        "does not, whatever the setting of the same name says",
    )
    _begin(config, config.getoption("--prefactor-telemetry"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave everything as it was."""
    cleanup = config.stash.get(_cleanup, None)
    if cleanup is not None:
        del config.stash[_cleanup], config.stash[_guard]
        cleanup.close()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a marker that means nothing, before any test runs."""
    _marked(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Do what the marker of a test says, for its fixtures as well."""
    mode = _marked(item)
    if mode is None:
        return (yield)
    with item.config.stash[_guard].allow(allowed=mode == "real"):
        return (yield)


def _marked(item: pytest.Item) -> str | None:
    """Return the mode that the marker of a test asks for, None if it has none."""
    marker = item.get_closest_marker(_SETTING)
    if marker is None:
        return None
    return _checked(marker.args[0] if marker.args else None, f"{item.nodeid}: {_SETTING}")


def _begin(config: pytest.Config, option: str | None) -> None:
    if _guard in config.stash:
        return
    mode = option or _checked(config.getini(_SETTING), _SETTING)
    config.stash[_cleanup] = cleanup = ExitStack()
    config.stash[_guard] = guard = cleanup.enter_context(TelemetryGuard())
    cleanup.enter_context(guard.allow(allowed=mode == "real"))


def _checked(mode: object, where: str) -> str:
    if mode not in _MODES:
        raise pytest.UsageError(f"{where} must be 'refuse' or 'real', got {mode!r}")
    return str(mode)


# -- what a failure shows ------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what was recorded below a test that failed."""
    report = yield
    exporter = getattr(item, "funcargs", {}).get("memory_exporter")
    if report.when == "call" and report.failed and isinstance(exporter, InMemoryExporter):
        tree = "\n".join(run.tree(times=True) for run in exporter.runs)
        report.sections.append(("recorded spans", tree or "none"))
    return report


# -- fixtures ------------------------------------------------------------------------------------


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still; `memory_exporter` goes by it in a test that asks for both."""
    return ManualClock()


@pytest.fixture
def memory_exporter(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InMemoryExporter]:
    """An exporter in memory, which also keeps what other exporters made in the test record.

    Exporters that point at this machine go their own way.
    """
    clock = (
        request.getfixturevalue("manual_clock") if "manual_clock" in request.fixturenames else None
    )
    monkeypatch.setenv("PREFACTOR_API_URL", IN_MEMORY_URL)
    monkeypatch.setenv("PREFACTOR_API_TOKEN", "in-memory")
    with record_in_memory(InMemoryExporter(clock=clock)) as exporter:
        yield exporter


@pytest.fixture
def recorded_spans(memory_exporter: InMemoryExporter) -> RecordedSpans:
    """The spans of `memory_exporter`, always up to date."""
    return memory_exporter.spans


@pytest.fixture
def prefactor_server(monkeypatch: pytest.MonkeyPatch) -> "Iterator[DevServer]":
    """A development server on a free port; ``Exporter.from_env()`` talks to it.

    Exporters that the test makes for it are shut down before the server is.
    """
    # A suite that never asks for it does not pay for the network.
    from prefactor_http.devserver import DevServer  # noqa: PLC0415

    with DevServer() as server:
        monkeypatch.setenv("PREFACTOR_API_URL", server.url)
        monkeypatch.setenv("PREFACTOR_API_TOKEN", server.deployment_token)
        with end_with_block(server.url, timeout=_LAST_CHANCE):
            yield server


@pytest.fixture
def server_exporter(prefactor_server: "DevServer") -> Exporter:
    """An exporter that delivers to `prefactor_server` without lingering, and is strict."""
    return Exporter(
        ExporterConfig(
            http=HttpClientConfig(prefactor_server.url, prefactor_server.deployment_token),
            linger=0.0,
            strict=True,
            flush_at_exit=False,
        )
    )
