"""The plugin for pytest, in suites of its own: fixtures, guard, and what a failure shows."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HANG = 40.0
PLUGIN = "prefactor_exporter.testing.plugin"

pytestmark = pytest.mark.slow

AGENT = """
from prefactor_exporter import Exporter, ExporterConfig, HttpClientConfig

exporter = Exporter(
    ExporterConfig(http=HttpClientConfig("https://app.prefactorai.com", "token"))
)

def work(exporter=None):
    exporter = exporter or Exporter.from_env()
    with exporter.instance() as run, run.span("agent:step", {"n": 1}) as span:
        span.set_result({"stopped": run.should_stop})
    return exporter
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Return what runs a suite in a process of its own, with a token in its environment."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PREFACTOR_API_TOKEN", "secret")
    # Nothing that is installed here by chance: that takes a second for each suite.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(agent=AGENT)

    def suite(tests, *options, plugin=("-p", PLUGIN), **files):
        files = {name: textwrap.dedent(text) for name, text in files.items()}
        pytester.makepyfile(test_it=textwrap.dedent(tests), **files)
        return pytester.runpytest_subprocess(
            *plugin,
            *("-W", "error", "--strict-markers", "-p", "no:cacheprovider"),
            *options,
            timeout=HANG,
        )

    return suite


def test_fixtures_record_where_they_say(suite):
    done = suite("""
        import os, socket, threading

        import agent

        def test_in_memory(memory_exporter, recorded_spans):
            agent.work(memory_exporter)
            assert recorded_spans.one("agent:step").result == {"stopped": False}
            assert recorded_spans == memory_exporter.spans

        def test_code_that_makes_its_exporter_itself(recorded_spans):
            threads = threading.active_count()
            agent.work()
            assert recorded_spans.tree(payloads=False) == "agent:step complete"
            assert threading.active_count() == threads

        def test_nothing_of_another_test(recorded_spans):
            assert recorded_spans == []

        def test_by_a_clock(manual_clock, memory_exporter):
            with memory_exporter.span("a"):
                manual_clock.advance(7)
            assert memory_exporter.spans.one("a").duration == 7.0

        def test_server_with_faults(prefactor_server, server_exporter):
            prefactor_server.faults.add("path=/bulk times=1 status=503 retry_after_ms=1")
            agent.work(server_exporter)
            assert server_exporter.flush(30)
            assert prefactor_server.faults.hits == 1
            assert [span["schema_name"] for span in prefactor_server.spans()] == ["agent:step"]

        made = []

        def test_server_of_the_environment(prefactor_server):
            made.append(agent.work())
            assert made[0].flush(30)
            assert len(prefactor_server.spans()) == 1

        def test_exporters_end_with_their_server():
            assert made[0].stats().state == "closed"
            assert "prefactor-exporter" not in {t.name for t in threading.enumerate()}

        def test_the_token_is_hidden():
            assert "PREFACTOR_API_TOKEN" not in os.environ
            assert agent.work().stats().state == "disabled"
    """)

    done.assert_outcomes(passed=8)


def test_a_failure_shows_what_was_recorded(suite):
    done = suite("""
        import agent

        def test_short(recorded_spans):
            agent.work()
            assert len(recorded_spans) == 2

        def test_one(recorded_spans):
            agent.work()
            recorded_spans.one("agent:step", status="failed")

        def test_nothing(recorded_spans):
            assert recorded_spans

        def test_without():
            assert not agent
    """)

    done.assert_outcomes(failed=4)
    text = done.stdout.str()
    assert text.count("- recorded spans -") == 3
    assert len(re.findall(r'^  agent:step complete \d+\.\d ms {"n":1}', text, re.MULTILINE)) == 2
    assert "expected one span with schema_name='agent:step', status='failed', found 0" in text
    assert "raise AssertionError" not in text


def test_real_telemetry_is_refused_at_the_call(suite):
    done = suite("""
        import os

        import pytest

        import agent

        def test_refused():
            agent.exporter.record_span("a")

        def test_refused_again():
            agent.exporter.record_span("a")

        @pytest.mark.prefactor_telemetry("real")
        def test_asked_for():
            assert os.environ["PREFACTOR_API_TOKEN"] == "secret"
    """)

    done.assert_outcomes(passed=1, failed=2)
    text = done.stdout.str()
    assert (
        text.count("TelemetryRefusedError: a test was about to send telemetry to https://app") >= 2
    )
    assert "'recorded_spans'" in text


@pytest.mark.parametrize("way", ["option", "ini"])
def test_the_real_thing_can_be_asked_for(suite, pytester, way):
    if way == "ini":
        pytester.makeini("[pytest]\nprefactor_telemetry = real")
    done = suite(
        """
        import os, threading

        import pytest

        from prefactor_exporter import Exporter, ExporterConfig, HttpClientConfig

        def exporter():
            http = HttpClientConfig("http://in-memory.invalid", "token")
            return Exporter(ExporterConfig(http=http, flush_at_exit=False))

        def test_it_starts():
            assert os.environ["PREFACTOR_API_TOKEN"] == "secret"
            started = exporter()
            started.record_span("a")
            assert "prefactor-exporter" in {t.name for t in threading.enumerate()}
            started.shutdown(0)

        @pytest.mark.prefactor_telemetry("refuse")
        def test_but_not_here():
            assert "PREFACTOR_API_TOKEN" not in os.environ
            with pytest.raises(RuntimeError):
                exporter().record_span("a")
        """,
        *(["--prefactor-telemetry=real"] if way == "option" else []),
    )

    done.assert_outcomes(passed=2)


@pytest.mark.parametrize("way", ["marker", "empty marker", "ini", "ini of a conftest"])
def test_a_mode_that_does_not_exist_is_named(suite, pytester, way):
    if way.startswith("ini"):
        pytester.makeini("[pytest]\nprefactor_telemetry = maybe")
    late = way == "ini of a conftest"
    args = {"marker": "('maybe')", "empty marker": ""}.get(way, "('real')")
    done = suite(
        f"""
        import pytest

        @pytest.mark.prefactor_telemetry{args}
        def test():
            pass
        """,
        plugin=() if late else ("-p", PLUGIN),
        conftest=f"pytest_plugins = [{PLUGIN!r}]" if late else "",
    )

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    got = "None" if way == "empty marker" else "'maybe'"
    done.stderr.fnmatch_lines([f"*prefactor_telemetry must be 'refuse' or 'real', got {got}*"])


def test_a_conftest_may_switch_it_on_and_import_the_application_before(suite):
    done = suite(
        """
        import os

        import pytest

        import agent

        def test_refused():
            assert "PREFACTOR_API_TOKEN" not in os.environ
            with pytest.raises(RuntimeError, match="prefactor_server"):
                agent.exporter.record_span("a")

        def test_memory(recorded_spans):
            agent.work()
            assert len(recorded_spans) == 1
        """,
        plugin=(),
        conftest=f"""
        import agent

        pytest_plugins = [{PLUGIN!r}]
        """,
    )

    done.assert_outcomes(passed=2)


def test_the_examples_in_the_documents_pass(suite, pytester):
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    files = {}
    for name, text in blocks:
        files[name] = files.get(name, "") + text + "\n\n"
    tests = files.pop("test_agent.py")
    for name, text in files.items():
        (pytester.path / name).write_text(text, encoding="utf-8")
    done = suite(tests)

    assert len(blocks) > 3
    done.assert_outcomes(passed=len(re.findall(r"^(?:async )?def test_", tests, re.MULTILINE)))
