"""Celery tasks, each in a run of its own."""

from celery import Celery
from celery.signals import worker_process_shutdown

from prefactor_exporter import Exporter

app = Celery("celery_tasks", broker="redis://localhost")
exporter = Exporter.from_env()


@app.task
def answer(question):
    """Do one task."""
    with exporter.instance() as run, run.span("agent:answer", {"question": question}) as span:
        span.set_result({"answer": 42})


@worker_process_shutdown.connect
def deliver(**_):
    """Deliver before Celery ends this process."""
    exporter.shutdown()
