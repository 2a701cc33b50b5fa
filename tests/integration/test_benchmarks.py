"""The benchmarks keep running: each in its smallest form, and what it says makes sense.

No time is asserted here; that the figures are there, and that everything was delivered, is.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
HANG = 150.0
AT_ONCE = 4
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
    "idle": "--rounds 2 --seconds 0.1",
    "worker_cost": "--rounds 1 --spans 220",
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
    median, first, third, rounds = figure
    return 0 < first <= median <= third < math.inf and rounds > 0


def evaluate(expression, imports):
    """Return what *expression* is among the benchmarks' modules."""
    done = run("-c", f"import json, {imports}; print(json.dumps({expression}))", cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", TINY)
def test_every_benchmark_has_a_table_and_names_its_question(reported, name):
    report = reported(name)
    assert report["question"] == name
    head, *body = report["table"]
    assert body
    assert all(len(row) == len(head) for row in body)
    assert report["basis"]


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
    for found in (*report["burst"].values(), *report["paced"].values(), report["sink_twice"]):
        assert found["delivered"] == 1
        assert positive(found["cpu_us"])
        assert positive(found["sink_busy"])


def test_the_lag_of_the_loop_is_told_beside_that_of_nothing_and_of_posting_alone(reported):
    report = reported("loop_lag")
    assert set(report["lag_ms"]) == {"nothing", "exporter", "raw post"}
    assert all(positive(found["p99"]) for found in report["lag_ms"].values())
    assert report["lag_ms"]["exporter"]["delivered"] == 1
    assert report["lag_ms"]["raw post"]["delivered"] == 1


def test_memory_is_told_for_what_waits_for_an_outage_and_after_delivery(reported):
    report = reported("memory")
    assert 1_000 < report["wire_bytes_a_span"] < 10_000
    assert len(report["waiting"]) == 4
    assert report["delivered"]["spans"] == 110
    for found in report["waiting"].values():
        assert found["in_memory"] + found["on_disk"] + found["dropped"] == pytest.approx(110)
        assert positive(found["ratio"])


def test_every_span_becomes_visible(reported):
    delays = [found["exporter"] for found in reported("visibility")["delay_ms"].values()]
    assert [delay["arrived"] for delay in delays] == [1, 1]


def test_there_is_no_p99_of_a_few_spans(reported):
    delays = reported("visibility")["delay_ms"]
    assert delays["lone spans"]["exporter"]["p99"] is None
    assert delays["full"]["exporter"]["p99"] > 0


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
    assert all(found["delivered"] == 1 for found in cases.values())


def test_growth_has_a_curve_for_spans_runs_and_threads(reported):
    curves = reported("growth")["curves"]
    assert set(curves) == {"spans", "runs", "threads"}
    points = [point for curve in curves.values() for point in curve.values()]
    assert all(positive(point["cpu_us"]) and positive(point["share"]) for point in points)


def test_the_worst_call_is_told_as_a_distribution_beside_that_of_the_floor(reported):
    for found in reported("worst_call")["call_us"].values():
        medians = [value[0] for value in found.values()]
        assert medians == sorted(medians)


def test_an_idle_exporter_is_watched(reported):
    report = reported("idle")
    assert report["seconds"] == 0.1
    assert list(report["idle"]) == ["nothing", "exporter, no run open", "exporter, one run open"]
    assert all(positive(found["cpu_ms"]) for found in report["idle"].values())


def test_the_cost_of_a_span_is_split_into_what_is_done_with_it(reported):
    report = reported("worker_cost")
    assert report["delivered"][0] == 1
    parts = report["parts_us"]
    assert {"record call", "search for secrets", "compose items", "settle"} <= set(parts)
    assert all(positive(found) for found in parts.values())
    assert math.isclose(sum(found[0] for found in parts.values()), report["all"][0])


def test_one_round_has_no_spread():
    shown = evaluate(
        "[str(figures.figure(values)) for values in ([5.0], [4.0, 5.0, 7.0])]", "figures"
    )
    assert shown == ["5.00", "5.00 (4.50 to 6.00)"]


def test_only_what_is_complete_is_all():
    assert evaluate("[figures.part(p) for p in (1, 0.99999, 0.5)]", "figures") == [
        "all",
        "99.9%",
        "50.0%",
    ]


def test_a_ratio_is_that_of_the_rounds_not_of_the_medians():
    rounds = (
        "[dict(call_us=dict(mean=m), cpu_us=m, rate=1, spans=1, sink=dict(spans=1)) for m in {}]"
    )
    spool, defaults = rounds.format((3, 1, 2)), rounds.format((1, 2, 3))
    summed = evaluate(f"extras_cost._summed({spool}, {defaults})", "extras_cost")
    assert summed["call_us"][0] == 2
    assert summed["call_share"][0] == pytest.approx(2 / 3)


def test_whom_a_target_names_is_measured_in_each_round():
    everybody = "list(process.PEERS)"
    last = evaluate(f"process.peers_in_round(4, {everybody}, 2)", "process")
    assert last == ["prefactor-core", "opentelemetry", "ddtrace"]
    assert len(evaluate(f"process.peers_in_round(1, {everybody}, 2)", "process")) == 8


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


@pytest.mark.parametrize("effort", [1, 2])
def test_the_sink_counts_spans_beside_requests_that_hold_none(effort):
    # A long run asks for the state of its instance every now and then.
    program = (
        "import json, urllib.request as web, sink, workload\n"
        "from subjects.raw_post import _item\n"
        "items = b','.join(_item(n, span) for n, span in enumerate(workload.spans(22)))\n"
        f"with sink.sink(effort={effort}) as url:\n"
        "    web.urlopen(url + '/api/v1/bulk', data=b'{\"items\":[' + items + b']}').close()\n"
        "    web.urlopen(url + '/api/v1/agent_instance/some').close()\n"
        "    print(json.dumps(sink.report(url)))\n"
    )
    found = json.loads(run("-c", program, cwd=BENCHMARKS).stdout)
    assert (found["spans"], found["requests"]) == (22, 2)


@pytest.fixture(scope="module")
def results(finished, tmp_path_factory):
    """Return a maker of folders with all results; each result may be changed or left out."""

    def results(change=lambda name, report: report):
        folder = tmp_path_factory.mktemp("results")
        for name in TINY:
            report = change(name, json.loads(finished[name].stdout))
            if report is not None:
                (folder / f"{name}.json").write_text(json.dumps(report))
        return folder

    return results


def write(results, docs):
    """Have the documents written into a copy; return the process and the page."""
    shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("_build", "images"))
    program = (
        "import pathlib, sys, document, run_all;"
        "document.write(pathlib.Path(sys.argv[1]), run_all._QUESTIONS, pathlib.Path(sys.argv[2]))"
    )
    done = run("-c", program, results, docs, cwd=BENCHMARKS)
    return done, (docs / "benchmarks.md").read_text()


def test_what_was_measured_is_put_between_the_markers_and_the_rest_stays(results, tmp_path):
    before = (ROOT / "docs" / "benchmarks.md").read_text()
    done, page = write(results(), tmp_path / "docs")

    assert done.returncode == 0, done.stderr
    assert without_generated(page) == without_generated(before)
    assert page.count("A `--quick` run, too short to rely on.") == 1
    assert "| raw post |" in page
    for name in TINY:
        assert json.loads((results() / f"{name}.json").read_text())["basis"] in page
    assert (tmp_path / "docs" / "images" / "throughput.svg").read_text().startswith("<svg")
    assert (tmp_path / "docs" / "images" / "record_call.svg").read_text().startswith("<svg")


def without_generated(page):
    """Return the lines of *page* that people write."""
    return re.sub(
        r"(<!-- \w+: generated by .*? -->).*?(<!-- \w+: end -->)", "", page, flags=re.DOTALL
    )


def test_a_target_is_told_in_its_own_words_with_our_reading_of_them_beside(results, tmp_path):
    _, page = write(results(), tmp_path / "docs")
    lines = [line for line in page.splitlines() if "| everything delivered |" in line]
    assert [line.split(" | ", 2)[2] for line in lines] == [
        "spans that arrived ÷ spans recorded, in each round: 1 | all | 1 | met |"
    ]
    (worst,) = [line for line in page.splitlines() if line.startswith("| Worst record call")]
    assert "no I/O and no lock waits: bounded by the interpreter's switch interval" in worst
    assert "the floor's" in worst


def test_a_target_that_names_somebody_is_judged_by_the_ratio(results, tmp_path):
    def change(name, report):
        if name == "throughput":
            peer = report["burst"]["exporter"] | {
                "cpu_us": [71.0, 70.0, 72.0, 5],
                "our_cpu_share": [0.2, 0.1, 0.3, 5],
            }
            report["burst"]["opentelemetry"] = peer
            report["burst"]["exporter"]["cpu_us"] = [100.0, 100.0, 100.0, 5]
        return report

    _, page = write(results(change), tmp_path / "docs")
    (line,) = [line for line in page.splitlines() if "where OpenTelemetry takes about 71" in line]
    assert line.endswith(
        "| 0.20 (0.10 to 0.30) x; 100 µs beside 71.0 | 5 | met, within the spread |"
    )


def test_whom_nobody_measured_leaves_a_target_open(results, tmp_path):
    _, page = write(results(), tmp_path / "docs")
    (line,) = [line for line in page.splitlines() if "at least 3 x ddtrace" in line]
    assert line.endswith("| - | - | not measured |")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, report: None if name == "idle" else report, "missing: idle"),
        (
            lambda name, report: report | {"quick": name != "idle"},
            "of several machines or lengths",
        ),
    ],
)
def test_the_documents_show_one_whole_run_or_stay_as_they_are(results, tmp_path, change, said):
    done, page = write(results(change), tmp_path / "docs")
    assert done.returncode != 0
    assert said in done.stderr
    assert page == (ROOT / "docs" / "benchmarks.md").read_text()


@pytest.fixture
def bench(tmp_path):
    """Return what runs ``scripts/bench`` of a copy that makes no environment, but notes it."""
    shutil.copytree(BENCHMARKS, tmp_path / "benchmarks")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bench", tmp_path / "scripts")
    setup = tmp_path / "scripts" / "setup"
    setup.write_text(
        "#!/bin/sh\n"
        'echo "$1" >>wanted\n'
        'mkdir -p "$VENV/bin"\n'
        'echo "#!/bin/sh" >"$VENV/bin/python"\n'
        'chmod +x "$VENV/bin/python"\n'
    )
    setup.chmod(0o755)

    def bench(*arguments):
        done = subprocess.run(
            [tmp_path / "scripts" / "bench", *arguments],
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        wanted = tmp_path / "wanted"
        return done, wanted.read_text().split() if wanted.exists() else []

    return bench


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--only", "nonsense"], 2),
        (["--peers", "nobody"], 2),
        (["--runs", "nowhere.json"], 2),
        (["--no-run"], 2),
        (["--only", "idle", "--write-docs"], 2),
    ],
)
def test_arguments_are_read_before_anything_is_installed(bench, arguments, status):
    done, wanted = bench(*arguments)
    assert done.returncode == status
    assert wanted == []


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--only", "idle"], ["run"]),
        (["--only", "throughput", "--peers", "none"], ["run"]),
        (["--only", "throughput", "--peers", "sentry"], ["run", "bench-sentry"]),
    ],
)
def test_only_what_the_questions_need_is_installed(bench, arguments, wanted):
    done, found = bench(*arguments)
    assert done.returncode == 0, done.stderr
    assert found == wanted
