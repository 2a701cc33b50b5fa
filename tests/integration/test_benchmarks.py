"""The benchmarks keep running: each in its smallest form, and what it says makes sense.

No time is asserted here; that the figures are there, and that everything was delivered, is.
"""

import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
HANG = 150.0
AT_ONCE = 4
PROFILES = sys.version_info < (3, 12)
"""Whether the interpreter has a profiler for each thread."""
TINY = {
    "record_call": "--rounds 1 --spans 22 --beside 110",
    "throughput": "--rounds 1 --spans 220",
    "loop_lag": "--rounds 1 --seconds 0.2 --rate 500",
    "memory": "--queued 110 --outage 110 --delivered 110",
    "visibility": "--lone 1 --seconds 0.1 --patience 1 --load full",
    "exit_time": "--spans 22 --deadline 0.2",
    "startup": "--rounds 1",
    "extras_cost": "--rounds 1 --spans 220",
    "growth": "--rounds 1 --spans 110 --steps 1",
    "worst_call": "--rounds 1 --calls 400 --threads 2",
    "idle": "--seconds 0.1",
    "worker_cost": "--rounds 1 --spans 220" + (" --profile" if PROFILES else ""),
}

# They run side by side when the first test asks, so that one waits for all.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def run(*arguments, cwd=ROOT):
    """Run Python to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


@pytest.fixture(scope="module")
def finished():
    """Return the finished process of each benchmark, by name."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(
            zip(
                TINY,
                pool.map(
                    lambda name: run(
                        BENCHMARKS / f"{name}.py", "--quick", "--json", *TINY[name].split()
                    ),
                    TINY,
                ),
                strict=True,
            )
        )


@pytest.fixture
def reported(finished):
    """Return a reader of what a benchmark reports."""

    def reported(name):
        done = finished[name]
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return reported


def positive(figure):
    """Return whether median and quartiles are numbers above zero, in their order."""
    median, first, third = figure
    return 0 < first <= median <= third < math.inf


@pytest.mark.parametrize("name", TINY)
def test_every_benchmark_has_a_table_and_names_its_question(reported, name):
    report = reported(name)
    assert report["question"] == name
    head, *body = report["table"]
    assert body
    assert all(len(row) == len(head) for row in body)


def test_no_benchmark_is_forgotten_here():
    scripts = {p.stem for p in BENCHMARKS.glob("*.py") if "options(__doc__)" in p.read_text()}
    assert scripts == set(TINY)


def test_the_record_call_is_compared_with_the_floor_alone_in_threads_and_beside_the_worker(
    reported,
):
    report = reported("record_call")
    cases = {case["case"]: case for case in report["cases"]}
    assert {"floor, typical", "record_span, typical", "start_span + finish_span"} <= set(cases)
    assert {"record_span, 16 threads", "record_span, worker busy"} <= set(cases)
    assert all(positive(case["mean_us"]) and positive(case["ratio"]) for case in cases.values())
    assert set(report["beside"]) == {"floor", "exporter"}


def test_throughput_counts_what_arrived_beside_the_raw_post_of_as_many_spans(reported):
    report = reported("throughput")
    assert set(report["burst"]) == {"exporter", "raw post"}
    for found in (*report["burst"].values(), *report["paced"].values()):
        assert found["delivered"] == [1, 1, 1]
        assert positive(found["cpu_us"])


def test_the_lag_of_the_loop_is_told_beside_that_of_a_loop_that_records_nothing(reported):
    report = reported("loop_lag")
    assert set(report["lag_ms"]) == {"nothing", "exporter"}
    assert all(positive(found["p99"]) for found in report["lag_ms"].values())


def test_memory_is_told_for_what_waits_for_an_outage_and_after_delivery(reported):
    report = reported("memory")
    assert 1_000 < report["wire_bytes_a_span"] < 10_000
    assert len(report["cases"]) == 5


def test_every_span_becomes_visible(reported):
    delays = [found["exporter"] for found in reported("visibility")["delay_ms"].values()]
    assert [delay["arrived"] for delay in delays] == ["100.0%"] * 2


def test_exit_times_are_told_whatever_the_api_does(reported):
    seconds = reported("exit_time")["seconds"]["exporter"]
    assert list(seconds) == ["works", "port closed", "black hole"]
    assert all(isinstance(found, float) for found in seconds.values())


def test_importing_the_exporter_does_not_import_aiohttp(reported):
    found = reported("startup")["subjects"]["exporter"]
    assert found["aiohttp"] is False
    assert positive(found["import_ms"])


def test_redaction_and_the_spool_are_compared_with_the_defaults(reported):
    cases = reported("extras_cost")["cases"]
    assert set(cases) == {"defaults", "redaction off", "spool on"}
    assert all(found["delivered"] == [1, 1, 1] for found in cases.values())


def test_growth_has_a_curve_for_spans_runs_and_threads(reported):
    curves = reported("growth")["cpu_us"]
    assert set(curves) == {"spans", "runs", "threads"}
    assert all(positive(value) for curve in curves.values() for value in curve.values())


def test_the_worst_call_is_told_as_a_distribution_beside_that_of_the_floor(reported):
    for found in reported("worst_call")["call_us"].values():
        medians = [value[0] for value in found.values()]
        assert medians == sorted(medians)


def test_an_idle_exporter_is_watched(reported):
    assert reported("idle")["idle"]["exporter"]["seconds"] == 0.1


@pytest.mark.skipif(not PROFILES, reason="this Python has one profiler for all threads")
def test_the_cost_of_a_span_is_split_by_thread_and_by_function(reported):
    report = reported("worker_cost")
    assert report["delivered"] == [1, 1, 1]
    assert any(entry["function"] == "record_span" for entry in report["profile"])


def test_a_peer_without_an_environment_is_left_out_with_the_reason(tmp_path):
    # Where a checkout has the environments, a copy of the scripts has none.
    for source in BENCHMARKS.glob("**/*.py"):
        copied = tmp_path / "benchmarks" / source.relative_to(BENCHMARKS)
        copied.parent.mkdir(exist_ok=True, parents=True)
        copied.write_bytes(source.read_bytes())
    program = (
        "import pathlib, process; rounds = process.Rounds();"
        "rounds.measure('sentry', process.drive, 'sentry', 'burst', pathlib.Path('none'), 11);"
        "rounds.tell()"
    )
    told = run("-c", program, cwd=tmp_path / "benchmarks").stdout
    assert told.startswith("left out: sentry: has no environment; ./scripts/bench makes it")


def test_the_sink_counts_spans_beside_requests_that_hold_none():
    # A long run asks for the state of its instance every now and then.
    program = (
        "import json, urllib.request as web, sink, workload\n"
        "from subjects.raw_post import _item\n"
        "items = b','.join(_item(n, span) for n, span in enumerate(workload.spans(22)))\n"
        "with sink.sink() as url:\n"
        "    web.urlopen(url + '/api/v1/bulk', data=b'{\"items\":[' + items + b']}').close()\n"
        "    web.urlopen(url + '/api/v1/agent_instance/some').close()\n"
        "    print(json.dumps(sink.report(url)))\n"
    )
    found = json.loads(run("-c", program, cwd=BENCHMARKS).stdout)
    assert (found["spans"], found["requests"]) == (22, 2)


def test_what_was_measured_is_put_between_the_markers_and_the_rest_stays(finished, tmp_path):
    docs = tmp_path / "docs"
    results = tmp_path / "results"
    docs.mkdir()
    results.mkdir()
    (docs / "benchmarks.md").write_text(
        "before\n<!-- throughput: generated by scripts/bench -->\nold\n<!-- throughput: end -->\n"
        "<!-- targets: generated by scripts/bench -->\n<!-- targets: end -->\nafter\n"
    )
    for name in ("throughput", "record_call"):
        (results / f"{name}.json").write_text(finished[name].stdout)
    program = (
        "import pathlib, sys, document;"
        "document.write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    run("-c", program, results, docs, cwd=BENCHMARKS)
    page = (docs / "benchmarks.md").read_text()
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert "| raw post |" in page
    assert "| delivered in a burst | at least 1 of each | 1.00 of each | met |" in page
    assert (docs / "images" / "throughput.svg").read_text().startswith("<svg")
    assert (docs / "images" / "record_call.svg").read_text().startswith("<svg")
