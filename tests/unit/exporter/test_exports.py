"""What the package offers is what it says, and importing it costs little."""

import os
import subprocess
import sys

import pytest

import prefactor_exporter

SILENT = (0, b"", b"")


def run(code):
    """Run *code* in a process that nobody measures: coverage imports modules of its own."""
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_all_is_sorted_and_true():
    offered = prefactor_exporter.__all__

    names = [name for name in offered if name.islower()]
    assert len(set(offered)) == len(offered)
    assert all(hasattr(prefactor_exporter, name) for name in offered)
    assert list(offered) == sorted(offered, key=lambda name: (not name.isupper(), name))
    assert names == ["__version__"]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["aiohttp", "rich", "typer", "sqlite3"])
def test_importing_the_package_does_not_import(module):
    """A program that records nothing does not pay for the network."""
    assert run(f"import sys, prefactor_exporter; sys.exit({module!r} in sys.modules)") == SILENT


@pytest.mark.slow
def test_neither_construction_nor_a_disabled_exporter_loads_the_network():
    assert (
        run("""
import sys, threading
from prefactor_exporter import Exporter, ExporterConfig, HttpClientConfig
Exporter(ExporterConfig(http=HttpClientConfig("http://127.0.0.1:1", "t")))
with Exporter.from_env({}) as disabled:
    disabled.record_span("a")
sys.exit("aiohttp" in sys.modules or threading.active_count() > 1)
""")
        == SILENT
    )
