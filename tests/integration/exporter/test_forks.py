"""Processes that fork, in every way that servers and daemons do, deliver on both sides, once."""

import os
import signal

import pytest

from tests.integration.exporter.conftest import ROOT, names, parents, until

pytestmark = pytest.mark.slow

SILENT = ("", "")


def test_children_and_a_busy_parent_deliver_everything_once(server, child):
    """Eight threads record while four children are forked; no event is lost or sent by both."""
    status, *said = child(
        """
        exporter = Exporter(config())
        go_on = threading.Event()
        def record(name):
            n = 0
            while n < 100 or not go_on.is_set():
                exporter.record_span("a", {"n": f"{name}.{n}"})
                n += 1
                go_on.wait(0.001)
            counts[name] = n
        counts = {}
        threads = [threading.Thread(target=record, args=(f"thread{t}",)) for t in range(8)]
        for thread in threads:
            thread.start()
        children = []
        for c in range(4):
            pid = os.fork()
            if pid == 0:
                for n in range(100):
                    exporter.record_span("a", {"n": f"child{c}.{n}"})
                os._exit(0 if exporter.shutdown() else 9)
            children.append(pid)
        ends = {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children}
        go_on.set()
        for thread in threads:
            thread.join()
        assert ends == {0}, ends
        assert exporter.flush(20)
        print(sum(counts.values()))
        """
    ).end()

    assert status == 0, said
    found = names(server)
    assert len(found) == len(set(found)) == 400 + int(said[0])
    expected = {f"child{c}.{n}" for c in range(4) for n in range(100)}
    expected |= {f"thread{t}.{n}" for t in range(8) for n in range(100)}
    assert expected <= set(found)


def test_many_forks_under_load_leave_no_child_hanging(server, child):
    """The fork strikes threads and worker at any place; each child records, delivers and ends."""
    status, *said = child(
        """
        exporter = Exporter(config(linger=0.001))
        stop = threading.Event()
        def record():
            while not stop.wait(0.0005):
                exporter.finish_span(exporter.start_span("busy", {"n": "busy"}))
        threads = [threading.Thread(target=record) for _ in range(2)]
        for thread in threads:
            thread.start()
        running = set()
        ends = []
        for c in range(200):
            pid = os.fork()
            if pid == 0:
                if c % 10:
                    exporter.record_span("a", {"n": c})
                    os._exit(0)  # what such a child records is lost, but it never hangs
                exporter.record_span("a", {"n": c})
                os._exit(0 if exporter.shutdown(20) else 9)
            running.add(pid)
            if len(running) >= 4:
                pid, end = os.wait()
                running.discard(pid)
                ends.append(os.waitstatus_to_exitcode(end))
        ends += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in running]
        stop.set()
        for thread in threads:
            thread.join()
        assert ends == [0] * 200, ends
        assert exporter.flush(20)
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert sorted(n for n in names(server) if n != "busy") == list(range(0, 200, 10))


def test_a_daemon_that_closes_every_file_delivers(server, child, tmp_path):
    """Its loop's and its parent's sockets are gone; neither side may trip over the other's."""
    done = tmp_path / "done"
    status, *said = child(
        f"""
        exporter = Exporter(config(linger=0.001))
        exporter.record_span("a", {{"n": "before"}})
        assert exporter.flush(20)
        if os.fork() == 0:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            os.closerange(0, 256)
            for n in range(100):
                exporter.record_span("a", {{"n": n}})
            delivered = exporter.shutdown(20)
            with open({str(done)!r}, "w") as file:
                file.write(str(delivered.pending + delivered.dropped))
            os._exit(0)
        exporter.record_span("a", {{"n": "after"}})
        """
    ).end()
    until(lambda: done.exists() and done.read_text(), "the end of the daemon")

    assert (status, *said) == (0, *SILENT)
    assert done.read_text() == "0"
    assert sorted(names(server), key=str) == sorted(["before", "after", *range(100)], key=str)


def test_workers_of_a_preforking_server_deliver_at_their_graceful_end(server, child):
    """Like gunicorn with preload: made in the master, handlers of its own, workers end by exit."""
    running = child(
        """
        exporter = Exporter(config())
        exporter.record_span("a", {"n": "master"})
        ready, tell = os.pipe()
        workers = []
        for w in range(3):
            pid = os.fork()
            if pid == 0:
                alive = True
                def leave(number, frame):
                    global alive
                    alive = False
                signal.signal(signal.SIGTERM, leave)
                for n in range(50):
                    exporter.record_span("a", {"n": f"{w}.{n}"})
                os.write(tell, b".")
                while alive:
                    threading.Event().wait(0.01)
                exporter.record_span("a", {"n": f"{w}.last"})
                sys.exit(0)
            workers.append(pid)
        heard = b""
        while len(heard) < 3:
            heard += os.read(ready, 3)
        print("ready", flush=True)
        sys.stdin.readline()
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers] == [0] * 3
        """
    )
    running.hear("ready")
    until(lambda: len(names(server)) == 151, "delivery by the workers")
    status, *said = running.end()

    assert (status, *said) == (0, *SILENT)
    found = names(server)
    assert len(found) == len(set(found)) == 154
    assert {f"{w}.last" for w in range(3)} <= set(found)
    assert {instance["status"] for instance in server.instances()} == {"complete"}


WORKERS = """
import multiprocessing, os, signal, sys, threading
from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig

def make():
    return Exporter(ExporterConfig(
        http=HttpClientConfig(os.environ["PREFACTOR_API_URL"], os.environ["PREFACTOR_API_TOKEN"]),
        agent=AgentInfo(agent_id=os.environ["PREFACTOR_AGENT_ID"], version="v1"),
        shutdown_timeout=20, linger=60,
    ))

exporter = make()

def work(name):
    for n in range(100):
        exporter.record_span("a", {"n": f"{name}.{n}"})

def work_with_its_own(name):
    own = make()
    for n in range(100):
        own.record_span("a", {"n": f"{name}.{n}"})

def one(n):
    exporter.record_span("a", {"n": f"pool.{n}"})

if __name__ == "__main__":
    method, how = sys.argv[1:]
    context = multiprocessing.get_context(method)
    exporter.record_span("a", {"n": "parent"})
    if how == "pool":
        with context.Pool(2) as pool:
            pool.map(one, range(40))
            pool.close()
            pool.join()
    else:
        target = {"inherited": work, "own": work_with_its_own}[how]
        workers = [context.Process(target=target, args=(f"w{n}",)) for n in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
"""


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("fork", "inherited"),
        ("spawn", "inherited"),
        ("forkserver", "inherited"),
        ("fork", "own"),
        ("forkserver", "own"),
        ("fork", "pool"),
    ],
)
def test_a_child_of_multiprocessing_that_just_returns_delivers(
    server, child, tmp_path, method, how
):
    """Such a child ends without the interpreter's exit hooks, and nobody flushes."""
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    status, *said = child(
        f"os.execv(sys.executable, [sys.executable, {str(script)!r}, {method!r}, {how!r}])",
        PYTHONPATH=str(ROOT),
    ).end()

    assert (status, *said) == (0, *SILENT)
    expected = {
        "pool": [f"pool.{n}" for n in range(40)],
        "own": [f"w{w}.{n}" for w in range(2) for n in range(100)],
    }
    assert sorted(names(server)) == sorted(["parent", *expected.get(how, expected["own"])])
    assert {instance["status"] for instance in server.instances()} == {"complete"}


def test_a_terminated_child_of_multiprocessing_delivers_and_dies_of_the_signal(
    server, child, tmp_path
):
    script = tmp_path / "workers.py"
    script.write_text(
        WORKERS.partition("if __name__")[0]
        + """
def work_on(ready):
    work("w")
    ready.set()
    # Not signal.pause(): a signal that comes just before it would be noticed only after it.
    while True:
        threading.Event().wait(0.05)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    worker = context.Process(target=work_on, args=(ready,))
    worker.start()
    ready.wait()
    worker.terminate()
    worker.join()
    sys.exit(0 if worker.exitcode == -signal.SIGTERM else 9)
"""
    )
    status, *said = child(
        f"os.execv(sys.executable, [sys.executable, {str(script)!r}])", PYTHONPATH=str(ROOT)
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == [f"w.{n}" for n in range(100)]


def test_a_child_that_leaves_the_blocks_of_its_parent_ends_nothing(server, child):
    """A process that is copied inside a block leaves it as well; the block is the parent's."""
    status, *said = child(
        """
        exporter = Exporter(config())
        with exporter.instance() as run, run.span("a", {"n": "outer"}):
            assert exporter.flush(20)
            pid = os.fork()
            if pid == 0:
                exporter.record_span("a", {"n": "child"})
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            exporter.record_span("a", {"n": "parent"})
        assert exporter.flush(20)
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert parents(server) == {"outer": None, "child": "outer", "parent": "outer"}
    assert [instance["status"] for instance in server.instances()] == ["complete"]


def test_a_child_may_be_faster_than_the_parent_whose_run_it_goes_on_with(server, child):
    """The API does not know the run yet; the child's events wait for it a while."""
    running = child(
        """
        exporter = Exporter(config(linger=60))
        with exporter.instance() as run, run.span("a", {"n": "outer"}):
            pid = os.fork()
            if pid == 0:
                exporter.record_span("a", {"n": "child"})
                while not exporter.stats().retries:
                    exporter.flush(0.01)
                print("refused", flush=True)
                os._exit(0 if exporter.flush(25) else 9)
            sys.stdin.readline()
            assert exporter.flush(20)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        """
    )
    running.hear("refused")
    status, *said = running.end()

    assert (status, *said) == (0, *SILENT)
    assert parents(server) == {"outer": None, "child": "outer"}


def test_an_orphan_goes_on_after_its_parent_was_killed(server, child):
    running = child(
        """
        exporter = Exporter(config())
        exporter.record_span("a", {"n": "parent"})
        assert exporter.flush(20)
        if os.fork() == 0:
            os.setsid()
            sys.stdin.readline()
            exporter.record_span("a", {"n": "orphan"})
            sys.exit(0)
        print("ready", flush=True)
        threading.Event().wait()
        """
    )
    running.hear("ready")
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    running.end()
    until(lambda: "orphan" in names(server), "delivery by the orphan")

    assert names(server) == ["parent", "orphan"]
