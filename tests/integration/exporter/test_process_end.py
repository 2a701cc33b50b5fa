"""The process ends as the application wishes, in its time, and what was recorded is delivered."""

import signal
import socket
import subprocess
import threading

import pytest

from tests.integration.exporter.conftest import ROOT, names, parents, until

pytestmark = pytest.mark.slow

SILENT = ("", "")


def test_a_plain_end_delivers_what_was_recorded(server, child):
    status, *said = child(
        """
        exporter = Exporter(config(linger=0.5))
        for n in range(5000):
            exporter.record_span("a", {"n": n})
        """
    ).end()

    assert status == 0
    assert tuple(said) == SILENT
    assert names(server) == list(range(5000))
    assert server.instances()[0]["status"] == "complete"


def test_a_lone_span_right_before_the_end_is_delivered(server, child):
    """The end comes while the worker still loads what it needs, and the host has a name."""
    status, *said = child(
        """
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        """,
        PREFACTOR_API_URL=f"http://localhost:{server.port}",
    ).end()

    assert status == 0
    assert tuple(said) == SILENT
    assert names(server) == [1]


def test_the_exit_status_stays_the_application_s(server, child):
    status, *said = child(
        """
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        sys.exit(3)
        """
    ).end()

    assert status == 3
    assert tuple(said) == SILENT
    assert names(server) == [1]
    assert server.instances()[0]["status"] == "complete"


def test_an_uncaught_exception_fails_the_run_of_the_process(server, child):
    status, out, err = child(
        """
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        raise RuntimeError("the application's own")
        """
    ).end()

    assert status == 1
    assert out == ""
    assert err.strip().splitlines()[-1] == "RuntimeError: the application's own"
    assert err.count("Traceback") == 1
    assert names(server) == [1]
    assert server.instances()[0]["status"] == "failed"


def test_open_spans_are_cancelled_children_first(server, child):
    status, *said = child(
        """
        exporter = Exporter(config())
        outer = exporter.start_span("a", {"n": 1})
        inner = exporter.start_span("a", {"n": 2}, parent_span_id=outer)
        exporter.flush()
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert parents(server) == {1: None, 2: 1}
    assert {span["status"] for span in server.spans()} == {"cancelled"}
    outer, inner = server.spans()
    assert inner["finished_at"] <= outer["finished_at"]


def test_ctrl_c_delivers_and_ends_as_python_does(server, child):
    running = child(
        """
        exporter = Exporter(config())
        with exporter.instance() as run, run.span("a", {"n": 1}):
            assert exporter.flush()
            print("ready", flush=True)
            sys.stdin.read()
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGINT)
    status, out, err = running.end()

    assert status == -signal.SIGINT
    assert out == ""
    assert err.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert [span["status"] for span in server.spans()] == ["failed"]
    assert server.instances()[0]["status"] == "failed"


def test_sigterm_delivers_and_the_process_dies_of_it(server, child):
    running = child(
        """
        exporter = Exporter(config(linger=60))
        for n in range(500):
            exporter.record_span("a", {"n": n})
        exporter.start_span("a", {"n": 500})
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert status == -signal.SIGTERM
    assert tuple(said) == SILENT
    assert names(server) == list(range(501))
    assert server.spans()[-1]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("how", "status", "end"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, "cancelled"),
        ("sys.exit(0)", 0, "cancelled"),
        ("raise RuntimeError", 1, "failed"),
    ],
)
def test_runs_that_are_still_open_are_ended(server, child, how, status, end):
    """Nobody else will: one begun by hand, and one whose block another thread is in."""
    ended, *_ = child(
        f"""
        exporter = Exporter(config())
        exporter.start_instance(exporter.register_instance())
        inside = threading.Event()
        def agent():
            with exporter.instance() as run, run.span("a", {{"n": 1}}):
                inside.set()
                threading.Event().wait()
        threading.Thread(target=agent, daemon=True).start()
        inside.wait()
        {how}
        """
    ).end()

    assert ended == status
    assert [instance["status"] for instance in server.instances()] == [end, end]
    assert [span["status"] for span in server.spans()] == ["cancelled"]


def test_sigterm_while_recording_delivers_what_was_recorded(server, child):
    """The signal strikes anywhere in a record call, and nothing waits for itself."""
    running = child(
        """
        exporter = Exporter(config(linger=0.001))
        exporter.record_span("a", {"n": 0})
        print("ready", flush=True)
        while True:
            with exporter.span("a", {"n": 1}):
                exporter.record_span("a", {"n": 2})
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert status == -signal.SIGTERM
    assert tuple(said) == SILENT
    assert "active" not in {span["status"] for span in server.spans()}
    assert names(server)[0] == 0


def test_sigterm_inside_a_record_call_lets_it_return_first(server, child):
    running = child(
        """
        class Fatal:
            def __repr__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                return "fatal"

        exporter = Exporter(config())
        span = exporter.start_span("a", {"n": 0})
        assert exporter.flush(20)
        exporter.finish_span(span, result_payload={"last words": Fatal()})
        threading.Event().wait()
        """
    )
    status, *said = running.end()

    assert status == -signal.SIGTERM
    assert tuple(said) == SILENT
    [span] = server.spans()
    assert (span["status"], span["result_payload"]) == ("complete", {"last words": "fatal"})


def test_a_handler_of_the_application_is_not_replaced(server, child):
    running = child(
        """
        def leave(number, frame):
            os.write(1, b"mine\\n")  # print may be interrupted in the middle of itself
            sys.exit(7)
        signal.signal(signal.SIGTERM, leave)
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert status == 7
    assert tuple(said) == ("mine\n", "")
    assert names(server) == [1]


def test_an_ignored_sigterm_stays_ignored(server, child):
    running = child(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        print("ready", flush=True)
        sys.stdin.readline()
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]


@pytest.mark.parametrize("how", ["", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGTERM)"])
@pytest.mark.parametrize("away", ["refused", "black hole", "silent port", "retry-after"])
def test_the_process_ends_whatever_the_api_does(server, child, away, how):
    url = {"PREFACTOR_API_URL": server.url}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if away == "refused":
            server.pause()
        elif away == "black hole":
            server.faults.add("black_hole")
        elif away == "silent port":
            url = {"PREFACTOR_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        else:
            server.faults.add("status=429 retry_after=300")
        status, *said = child(
            f"""
            exporter = Exporter(config(shutdown_timeout=0.5))
            for n in range(300):
                exporter.record_span("a", {{"n": n}})
            exporter.flush(0.2)
            {how}
            """,
            **url,
        ).end()

    assert status == (-signal.SIGTERM if "SIGTERM" in how else 0)
    assert tuple(said) == SILENT
    assert names(server) == []


def test_a_record_inside_an_exit_hook_is_delivered(server, child):
    """Also if it is the first of all."""
    status, *said = child(
        """
        import atexit
        exporter = Exporter(config())
        atexit.register(exporter.record_span, "a", {"n": 1})
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]


def test_a_record_after_the_last_hook_is_counted_without_a_word(server, child):
    status, *said = child(
        """
        import atexit
        def late():
            exporter.record_span("a", {"n": 2})
            stats = exporter.stats()
            os._exit(0 if stats.dropped_reasons == {"shutdown": 1} else 9)
        atexit.register(late)
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]


def test_a_finalizer_at_the_very_end_may_record(server, child):
    status, *said = child(
        """
        class Thing:
            def __del__(self):
                exporter.record_span("a", {"n": 2})
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        sys.thing = Thing()
        sys.thing.itself = sys.thing
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]


def test_a_thread_that_outlives_the_main_one_is_heard(server, child):
    status, *said = child(
        """
        exporter = Exporter(config())
        main = threading.main_thread()
        def go_on():
            main.join()
            for n in range(100):
                exporter.record_span("a", {"n": n})
        threading.Thread(target=go_on).start()
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == list(range(100))


def test_a_forked_child_records_and_delivers_its_own(server, child):
    """Each event once: what the parent recorded stays the parent's."""
    status, *said = child(
        """
        exporter = Exporter(config(linger=60))
        exporter.record_span("a", {"n": "parent"})
        children = []
        for c in range(4):
            pid = os.fork()
            if pid == 0:
                for n in range(25):
                    exporter.record_span("a", {"n": f"{c}.{n}"})
                os._exit(0 if exporter.shutdown() else 9)
            children.append(pid)
        assert {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children} == {0}
        exporter.record_span("a", {"n": "parent again"})
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    expected = ["parent", "parent again", *(f"{c}.{n}" for c in range(4) for n in range(25))]
    assert sorted(names(server)) == sorted(expected)
    assert len(server.instances()) == 5
    assert {instance["status"] for instance in server.instances()} == {"complete"}


def test_a_fork_in_the_middle_of_things_leaves_both_sides_alive(server, child):
    """Threads record and requests are in flight, from the worker's very first moment on."""
    status, *said = child(
        """
        exporter = Exporter(config(linger=0.001))
        stop = threading.Event()
        def record(n):
            while not stop.wait(0.001):
                exporter.record_span("busy", {"n": "busy"})
        threads = [threading.Thread(target=record, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        statuses = set()
        for c in range(8):
            pid = os.fork()
            if pid == 0:
                exporter.record_span("a", {"n": c})
                os._exit(0 if exporter.flush(5) else 9)
            statuses.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        for thread in threads:
            thread.join()
        assert exporter.flush(20)
        assert statuses == {0}, statuses
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert sorted(n for n in names(server) if n != "busy") == list(range(8))


def test_a_fork_never_meets_the_worker_in_the_middle_of_an_import(server, child):
    """The child would wait for ever for the lock of that module, so forks wait for imports."""
    server.faults.add("path=/api/v1/bulk times=1 status=503")
    status, *said = child(
        """
        import logging
        from prefactor_exporter._delivery.barrier import no_fork
        unguarded = []
        class Watch:
            def find_spec(self, name, path=None, target=None):
                if threading.current_thread().name == "prefactor-exporter":
                    if not no_fork._is_owned():
                        unguarded.append(name)
        sys.meta_path.insert(0, Watch())
        logging.getLogger("prefactor_exporter").addHandler(logging.NullHandler())
        logging.getLogger("prefactor_exporter").propagate = False
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        assert exporter.flush(20)
        assert exporter.stats().retries == 1
        assert not unguarded, unguarded
        """,
        PREFACTOR_API_URL=f"http://localhost:{server.port}",
    ).end()

    assert (status, *said) == (0, *SILENT)


def test_a_forked_child_goes_on_with_the_run_of_its_parent(server, child):
    """Its spans hang below the span that was current, whether or not the partition was known."""
    status, *said = child(
        """
        exporter = Exporter(
            ExporterConfig(
                http=HttpClientConfig(os.environ["PREFACTOR_API_URL"], os.environ["DEPLOYMENT"]),
                agent=AgentInfo(version="v1"), shutdown_timeout=20, linger=0.01,
            )
        )
        with exporter.instance() as run, run.span("a", {"n": "parent"}) as span:
            assert exporter.flush()
            pid = os.fork()
            if pid == 0:
                exporter.record_span("a", {"n": "child"})
                os._exit(0 if exporter.flush() else 9)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        """,
        DEPLOYMENT=server.deployment_token,
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert parents(server) == {"parent": None, "child": "parent"}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_deliver(server, child, tmp_path, method):
    script = tmp_path / "workers.py"
    script.write_text(
        """
import multiprocessing, os, sys
from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig

exporter = Exporter(ExporterConfig(
    http=HttpClientConfig(os.environ["PREFACTOR_API_URL"], os.environ["PREFACTOR_API_TOKEN"]),
    agent=AgentInfo(agent_id=os.environ["PREFACTOR_AGENT_ID"], version="v1"),
    shutdown_timeout=20,
))

def work(n):
    exporter.record_span("a", {"n": n})
    if not exporter.flush(5):
        sys.exit(9)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    exporter.record_span("a", {"n": -1})
    workers = [context.Process(target=work, args=(n,)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
"""
    )
    status, *said = child(
        f"""
        os.execv(sys.executable, [sys.executable, {str(script)!r}, "{method}"])
        """,
        PYTHONPATH=str(ROOT),
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert sorted(names(server)) == [-1, 0, 1]


def test_several_event_loops_one_after_the_other(server, child):
    status, *said = child(
        """
        import asyncio
        exporter = Exporter(config())
        async def agent(n):
            async with exporter.span("a", {"n": n}):
                await asyncio.sleep(0)
            if n % 2:
                assert await exporter.flush_async()
        for n in range(6):
            asyncio.run(agent(n))
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == list(range(6))


def test_two_exporters_in_one_process_both_deliver_at_the_end(server, child):
    status, *said = child(
        """
        first, second = Exporter(config()), Exporter(config())
        first.record_span("a", {"n": 1})
        second.record_span("a", {"n": 2})
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert sorted(names(server)) == [1, 2]


def test_a_burst_right_before_a_plain_end_is_delivered_whole(server, child):
    status, *said = child(
        """
        exporter = Exporter(config())
        for n in range(20_000):
            exporter.record_span("a", {"n": n})
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == list(range(20_000))


@pytest.mark.parametrize("executor", ["first", "last", "never"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_first_record_of_all_may_be_in_an_exit_hook(server, child, executor, host):
    """Thread pools are closed before exit hooks run, whoever imported them and when."""
    status, *said = child(
        f"""
        import atexit
        if {executor == "last"}:
            import concurrent.futures.thread
        def work(): pass
        if {executor != "never"}:
            pool = concurrent.futures.ThreadPoolExecutor()
            pool.submit(work).result()
        exporter = Exporter(config())
        atexit.register(exporter.record_span, "a", {{"n": 1}})
        """,
        first="import concurrent.futures.thread" if executor == "first" else "",
        PREFACTOR_API_URL=f"http://{host}:{server.port}",
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]


def test_an_interpreter_that_starts_no_threads_at_its_end_delivers_all_the_same(server, child):
    """As Python from 3.12 on; what the hook finds is then delivered by the thread that ends."""
    status, *said = child(
        """
        import atexit
        def refuse(thread):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        exporter = Exporter(config())
        def first_of_all():
            threading.Thread.start = refuse
            for n in range(250):
                exporter.record_span("a", {"n": n})
        atexit.register(first_of_all)
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == list(range(250))
    assert server.instances()[0]["status"] == "complete"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_exit_hook_starts_no_thread(server, child, host):
    """Also when its first connection, which needs a name to be looked up, is made only then."""
    server.pause()
    running = child(
        """
        import atexit
        def watch():
            start = threading.Thread.start
            def tell(thread):
                os.write(2, f"started {thread.name}".encode())
                start(thread)
            threading.Thread.start = tell
        exporter = Exporter(config(linger=60))
        atexit.register(watch)
        for n in range(100):
            exporter.record_span("a", {"n": n})
        exporter.flush(0.05)
        print("ready", flush=True)
        sys.stdin.readline()
        """,
        PREFACTOR_API_URL=f"http://{host}:{server.port}",
    )
    running.hear("ready")
    server.resume()
    status, *said = running.end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == list(range(100))


@pytest.mark.parametrize("away", ["black_hole", "status=503"])
def test_a_second_ctrl_c_ends_the_wait_at_once(server, child, away):
    """The first one delivers; whoever presses it again means it."""
    server.faults.add(away)
    running = child(
        """
        exporters = [Exporter(config(shutdown_timeout=600)) for _ in range(2)]
        for exporter in exporters:
            exporter.record_span("a", {"n": 1})
        import atexit
        atexit.register(print, "at the end", flush=True)
        print("ready", flush=True)
        threading.Event().wait()
        """
    )
    running.hear("ready")
    until(lambda: server.faults.hits, "the first request")
    running.process.send_signal(signal.SIGINT)
    running.hear("at the end")
    threading.Event().wait(0.3)
    ended_by_itself = running.process.poll()
    running.process.send_signal(signal.SIGINT)
    status, out, err = running.end()

    assert ended_by_itself is None
    assert status == -signal.SIGINT
    assert out == ""
    assert err.count("KeyboardInterrupt") == err.count("Traceback") == 1


def test_ctrl_c_under_asyncio_delivers(server, child):
    running = child(
        """
        import asyncio
        exporter = Exporter(config(linger=60))
        async def agent():
            async with exporter.instance() as run, run.span("a", {"n": 1}):
                exporter.record_span("a", {"n": 2})
                print("ready", flush=True)
                await asyncio.Event().wait()
        asyncio.run(agent())
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGINT)
    status, _, err = running.end()

    assert status == -signal.SIGINT
    assert err.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert parents(server) == {1: None, 2: 1}
    assert server.spans()[0]["status"] == "cancelled"
    assert server.instances()[0]["status"] == "cancelled"


def test_a_shell_in_which_ctrl_c_ended_a_line_ends_as_ever(server, child):
    status, *said = child(
        """
        import code, contextlib, io
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        sys.ps1 = ">>> "
        with contextlib.redirect_stderr(io.StringIO()):
            code.InteractiveInterpreter().runsource("raise KeyboardInterrupt")
        assert isinstance(sys.last_value, KeyboardInterrupt)
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]


def test_a_line_that_failed_does_not_make_the_run_of_a_prompt_fail(server, child):
    """Nor does a cell of a notebook: the process goes on and ends as its user wishes."""
    status, *said = child(
        """
        import code, contextlib, io
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        sys.ps1 = ">>> "
        with contextlib.redirect_stderr(io.StringIO()):
            code.InteractiveInterpreter().runsource("1 / 0")
        assert isinstance(sys.last_value, ZeroDivisionError)
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert [instance["status"] for instance in server.instances()] == ["complete"]


def test_the_first_process_of_a_container_delivers_at_sigterm_and_goes_on(server, child):
    """No signal of the default kind ends it, so it records on, until it is killed."""
    contained = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*contained, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a process with the number 1")
    script = """
        if os.getpid() != 1:
            os.execvp("unshare", [*CONTAINED, sys.executable, "-c", sys.argv[1], sys.argv[1]])
        exporter = Exporter(config(linger=60))
        with exporter.instance() as run:
            exporter.record_span("a", {"n": "before"})
            os.kill(1, signal.SIGTERM)
            assert exporter.stats().delivered == 3, exporter.stats()
            exporter.record_span("a", {"n": "after"})
        """.replace("CONTAINED", repr(contained))
    status, *said = child(script, again=True).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == ["before", "after"]
    assert [instance["status"] for instance in server.instances()] == ["complete"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_sigterm_under_asyncio_delivers_and_kills(server, child, loop):
    running = child(
        f"""
        import asyncio, {loop}
        exporter = Exporter(config(linger=60))
        async def agent():
            exporter.start_span("a", {{"n": 1}})
            print("ready", flush=True)
            while True:
                await asyncio.sleep(0.01)
        {loop}.run(agent())
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert status == -signal.SIGTERM
    assert tuple(said) == SILENT
    assert [span["status"] for span in server.spans()] == ["cancelled"]


@pytest.mark.parametrize("how", ["of the loop", "set aside and raised again"])
def test_a_server_that_handles_sigterm_stops_first_and_then_delivers(server, child, how):
    """As uvicorn does: its handler ends the loop, what is recorded on the way out counts too."""
    running = child(
        f"""
        import asyncio
        exporter = Exporter(config(linger=60))
        caught = []
        async def serve():
            stop = asyncio.Event()
            def leave(number=signal.SIGTERM, frame=None):
                caught.append(number)
                loop.call_soon_threadsafe(stop.set)
            loop = asyncio.get_running_loop()
            if {how == "of the loop"}:
                loop.add_signal_handler(signal.SIGTERM, leave)
            else:
                before = signal.signal(signal.SIGTERM, leave)
            with exporter.span("a", {{"n": 1}}):
                print("ready", flush=True)
                while not stop.is_set():
                    await asyncio.sleep(0.01)
            exporter.record_span("a", {{"n": 2}})
            if not {how == "of the loop"}:
                signal.signal(signal.SIGTERM, before)
        asyncio.run(serve())
        exporter.record_span("a", {{"n": 3}})
        if not {how == "of the loop"}:
            signal.raise_signal(caught[0])
        """
    )
    running.hear("ready")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert status == (0 if how == "of the loop" else -signal.SIGTERM)
    assert tuple(said) == SILENT
    assert names(server) == [1, 2, 3]
    assert {span["status"] for span in server.spans()} == {"complete"}


def test_sigterm_while_a_flush_waits_ends_the_process(server, child):
    server.faults.add("black_hole")
    running = child(
        """
        exporter = Exporter(config(shutdown_timeout=0.2))
        exporter.record_span("a", {"n": 1})
        print("ready", flush=True)
        exporter.flush(600)
        """
    )
    running.hear("ready")
    until(lambda: server.faults.hits, "the first request")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert status == -signal.SIGTERM
    assert tuple(said) == SILENT


@pytest.mark.parametrize("lost", [True, False])
def test_the_last_line_of_the_log_tells_of_a_loss_and_only_then(server, child, lost):
    if lost:
        server.faults.add("after=1 status=503")
    status, out, err = child(
        f"""
        import logging
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        exporter = Exporter(config(shutdown_timeout={0.3 if lost else 20}))
        exporter.record_span("a", {{}})
        assert exporter.flush(20)
        for n in range(100):
            exporter.record_span("a", {{"n": n}})
        while {lost} and not exporter.stats().last_error:
            threading.Event().wait(0.01)
        """
    ).end()

    assert (status, out) == (0, "")
    told = [line for line in err.splitlines() if not line.startswith("delivery_degraded")]
    if lost:
        assert len(told) == 1, err
        assert "events_lost" in told[0]
        assert "{'shutdown': 101}" in told[0]
    else:
        assert told == []


WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None"


@pytest.mark.parametrize("when", ["in a hook", "right before"])
def test_a_name_can_be_looked_up_when_pools_of_threads_are_closed(server, child, when):
    """As the standard library's loop would do it; the process lives long enough for one record."""
    status, *said = child(
        f"""
        import atexit
        exporter = Exporter(config())
        if {when == "in a hook"}:
            atexit.register(exporter.record_span, "a", {{"n": 1}})
        else:
            exporter.record_span("a", {{"n": 1}})
        """,
        first=WITHOUT_UVLOOP,
        PREFACTOR_API_URL=f"http://localhost:{server.port}",
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]


def test_a_name_server_that_hangs_does_not_hold_the_process(server, child):
    status, *said = child(
        """
        import socket
        asked = threading.Event()
        def hang(*args, **hints):
            asked.set()
            threading.Event().wait(600)
        socket.getaddrinfo = hang
        exporter = Exporter(config(shutdown_timeout=0.3))
        exporter.record_span("a", {"n": 1})
        assert asked.wait(20)
        """,
        first=WITHOUT_UVLOOP,
        PREFACTOR_API_URL=f"http://localhost:{server.port}",
    ).end()

    assert (status, *said) == (0, *SILENT)


def test_a_name_that_does_not_exist_is_trouble_like_any_other(server, child):
    status, *said = child(
        """
        import socket
        def refuse(*args, **hints):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        look_up, socket.getaddrinfo = socket.getaddrinfo, refuse
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        while not exporter.stats().last_error:
            threading.Event().wait(0.01)
        assert exporter.stats().state == "retrying"
        socket.getaddrinfo = look_up
        assert exporter.flush(25)
        """,
        first=WITHOUT_UVLOOP,
        PREFACTOR_API_URL=f"http://localhost:{server.port}",
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [1]
