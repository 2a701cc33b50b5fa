"""Jobs in a pool of processes; run it with fork, spawn or forkserver."""

import multiprocessing
import sys

from prefactor_exporter import Exporter

exporter = Exporter.from_env()


def work(job):
    """Do one job, in a run of its own."""
    with exporter.instance() as run, run.span("agent:job", {"job": job}) as span:
        span.set_result({"done": job})


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        pool.map(work, range(4))
        pool.close()
        pool.join()
