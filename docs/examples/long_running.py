"""An agent that works until an operator, or a signal, asks it to stop."""

import logging
import signal
import threading

from prefactor_exporter import Exporter

log = logging.getLogger("agent")
exporter = Exporter.from_env()
stop = threading.Event()


def watch():
    """Write down now and then how delivery is doing."""
    lost = 0
    while not stop.wait(30):
        health = exporter.health()
        if not health:
            log.warning("telemetry: %s", "; ".join(health.problems))
        if health.lost > lost:
            log.error("telemetry lost %d events", health.lost - lost)
            lost = health.lost


def main():
    """Work in one run."""
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    exporter.on_terminate(lambda instance_id, reason: stop.set())
    threading.Thread(target=watch, daemon=True).start()
    with exporter, exporter.instance() as run:
        while not stop.is_set():
            with run.span("agent:step"):
                stop.wait(0.2)
        if run.should_stop:
            log.warning("an operator asked to stop: %s", run.termination.reason)
            run.cancel()


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    main()
