"""A run for every Celery task, without touching the tasks."""

from celery import Celery, Task
from celery.signals import worker_process_shutdown

from prefactor_exporter import Exporter

exporter = Exporter.from_env()


class Recorded(Task):
    """A task in a run of its own."""

    def __call__(self, *args, **kwargs):
        """Do the task."""
        with exporter.instance():
            return super().__call__(*args, **kwargs)


app = Celery("celery_recorded", broker="redis://localhost", task_cls=Recorded)


@app.task
def answer(question):
    """Record into the run of the task."""
    with exporter.span("agent:answer", {"question": question}) as span:
        span.set_result({"answer": 42})


@worker_process_shutdown.connect
def deliver(**_):
    """Deliver before Celery ends this process."""
    exporter.shutdown()
