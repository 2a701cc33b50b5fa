"""Every example of the guides does what its page says.

Where a framework is not installed here, a stand-in calls the example the way the framework does.
"""

import signal

import pytest

from tests.integration.docs.conftest import runs, tree
from tests.integration.exporter.conftest import until

pytestmark = pytest.mark.slow

SILENT = ("", "")


def test_an_asyncio_service_has_a_run_for_each_request(server, example):
    """``main`` stands in for FastAPI and uvicorn: it enters the lifespan and calls the handler."""
    status, out, err = example("async_service.py").end()

    assert (status, out, err) == (0, "delivered: True\n", "")
    assert runs(server) == ["complete", "complete"]
    one_request = [("agent:llm", "complete", ""), *[("tool:search", "complete", "agent:llm")] * 2]
    assert tree(server) == sorted(one_request * 2)


@pytest.mark.parametrize("ended_by", ["the lifespan", "nobody"])
def test_only_the_lifespan_delivers_where_uvicorn_sends_itself_the_signal_again(
    server, example, ended_by
):
    """As uvicorn does: the application is imported while uvicorn's own handler is in place.

    After the lifespan it puts the default back and dies of the signal, without exit hooks.
    """
    lifespan = "async_service.lifespan(None)"
    if ended_by == "nobody":
        lifespan = "contextlib.nullcontext()"
    status, *said = example(
        code=f"""
        import asyncio, contextlib, signal
        async def serve():
            caught = []
            before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
            import async_service
            async with {lifespan}:
                await async_service.answer("What is open?")
                signal.raise_signal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)
            signal.raise_signal(caught[0])
        asyncio.run(serve())
        """,
        PREFACTOR_EXPORTER_LINGER="60",
    ).end()

    assert (status, *said) == (-signal.SIGTERM, *SILENT)
    assert runs(server) == (["complete"] if ended_by == "the lifespan" else [])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_delivers_every_job(server, example, method):
    status, *said = example("processes.py", method).end()

    assert (status, *said) == (0, *SILENT)
    assert sorted(span["payload"]["job"] for span in server.spans()) == [0, 1, 2, 3]
    assert runs(server) == ["complete"] * 4


@pytest.mark.parametrize("preload", [True, False])
def test_workers_of_gunicorn_deliver_when_they_stop(server, example, preload):
    """The stand-in forks workers, which set handlers of their own and end by ``sys.exit``."""
    status, *said = example(
        code=f"""
        import os, signal, sys
        if {preload}:
            import prefork_app
        def worker():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, lambda number, frame: None)
            from prefork_app import app
            for path in ("/a", "/b"):
                app({{"PATH_INFO": path}}, lambda status, headers: None)
            signal.raise_signal(signal.SIGTERM)
            sys.exit(0)
        workers = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                worker()
            workers.append(pid)
        for pid in workers:
            assert os.waitpid(pid, 0)[1] == 0
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert sorted(span["payload"]["path"] for span in server.spans()) == ["/a", "/a", "/b", "/b"]
    assert runs(server) == ["complete"] * 4


CELERY = """
class Task:
    def __call__(self, *args, **kwargs): return self.run(*args, **kwargs)
class Celery:
    def __init__(self, name, broker, task_cls=Task): self.task_cls = task_cls
    def task(self, function):
        return type("task", (self.task_cls,), {"run": staticmethod(function)})()
"""
SIGNALS = """
class Signal:
    def __init__(self): self.handlers = []
    def connect(self, handler): self.handlers.append(handler)
    def send(self, **about):
        for handler in self.handlers:
            handler(sender=None, **about)
worker_process_shutdown = Signal()
"""


@pytest.mark.parametrize(
    ("tasks", "hook"),
    [("celery_tasks", True), ("celery_recorded", True), ("celery_tasks", False)],
)
def test_processes_of_celery_deliver_in_the_hook_and_only_there(
    server, example, tmp_path, tasks, hook
):
    """The stand-in is the prefork pool: a fork that sends the signal and ends by ``os._exit``."""
    (tmp_path / "celery").mkdir()
    (tmp_path / "celery" / "__init__.py").write_text(CELERY)
    (tmp_path / "celery" / "signals.py").write_text(SIGNALS)
    status, *said = example(
        code=f"""
        import os, signal
        import {tasks}
        from celery.signals import worker_process_shutdown
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for n in range(3):
                {tasks}.answer(f"question {{n}}")
            if {hook}:
                worker_process_shutdown.send(pid=os.getpid(), exitcode=0)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        """,
        PYTHONPATH=str(tmp_path),
        PREFACTOR_EXPORTER_LINGER="60",
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert runs(server) == (["complete"] * 3 if hook else [])
    assert tree(server) == ([("agent:answer", "complete", "")] * 3 if hook else [])


def test_a_serverless_handler_has_delivered_when_it_returns(server, example):
    """The stand-in is a platform: it stops the process between two calls."""
    running = example(
        code="""
        import sys
        from lambda_function import handler
        class Context:
            def get_remaining_time_in_millis(self):
                return 30_000
        for n in range(2):
            print(handler({"question": f"{n}"}, Context()), flush=True)
            sys.stdin.readline()
        """,
        PREFACTOR_EXPORTER_LINGER="60",
    )
    arrived = []
    for _ in range(2):
        running.hear("{'answer': 42, 'recorded': True}")
        running.process.send_signal(signal.SIGSTOP)
        arrived.append([span["payload"]["question"] for span in server.spans()])
        running.process.send_signal(signal.SIGCONT)
        running.process.stdin.write("\n")
        running.process.stdin.flush()
    status, *said = running.end()

    assert (status, *said) == (0, *SILENT)
    assert arrived == [["0"], ["0", "1"]]
    assert runs(server) == ["complete", "complete"]


def test_a_serverless_handler_returns_in_time_when_the_api_does_not_answer(server, example):
    server.faults.add("black_hole")
    status, out, err = example(
        code="""
        from lambda_function import handler
        class Context:
            def get_remaining_time_in_millis(self):
                return 600
        print(handler({"question": "0"}, Context()))
        """,
        PREFACTOR_EXPORTER_SHUTDOWN_TIMEOUT="0",
    ).end()

    assert (status, out, err) == (0, "{'answer': 42, 'recorded': False}\n", "")


def test_a_script_delivers_and_has_nothing_to_complain_of(server, example):
    status, *said = example("script.py").end()

    assert (status, *said) == (0, *SILENT)
    assert tree(server) == [("agent:llm", "complete", "")]
    assert runs(server) == ["complete"]


def test_a_script_says_so_if_not_everything_was_recorded(server, example):
    server.pause()
    status, out, err = example("script.py", PREFACTOR_EXPORTER_SHUTDOWN_TIMEOUT="0.1").end()

    assert (status, out) == (0, "")
    assert err.startswith("not everything was recorded: FlushReport(")


def test_a_long_running_agent_stops_when_an_operator_says_so(server, example):
    running = example("long_running.py")
    until(server.spans, "the first step")
    server.terminate(server.instances()[0]["id"], "too expensive")
    status, out, err = running.end()

    assert (status, out) == (0, "")
    assert err == "an operator asked to stop: too expensive\n"
    assert runs(server) == ["terminated"]


def test_a_long_running_agent_stops_at_sigterm(server, example):
    running = example("long_running.py")
    until(server.spans, "the first step")
    running.process.send_signal(signal.SIGTERM)
    status, *said = running.end()

    assert (status, *said) == (0, *SILENT)
    assert runs(server) == ["complete"]
    assert {span["status"] for span in server.spans()} == {"complete"}
