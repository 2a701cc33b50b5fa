"""One recording process of the soak: agents in threads, some forks, and a note of every span.

Each span is noted in a file after its record call returned: id, parent, run, who recorded it as
which one in turn, hash of what was recorded, how it ended, and when.
"""

import hashlib
import json
import os
import random
import sys
import threading
import time
from pathlib import Path

import msgspec

from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig

_WORDS = ["plan", "search", "answer", "naïve", "tool", "日本", 'quote "', "line\n"]


class Task(msgspec.Struct):
    """What one process has to do; travels as JSON in its command line."""

    url: str
    token: str
    agent_id: str
    spool_dir: str
    notes: str
    seed: int
    spans: int
    threads: int = 3
    forks: int = 1
    pause: float = 0.0
    spool_interval: float = 0.1
    shutdown_timeout: float = 5.0


class Notes:
    """The file of notes of one process; a line is written in one piece."""

    def __init__(self, folder: str, name: str) -> None:
        path = Path(folder) / f"{name}.notes"
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def add(self, *values: object) -> None:
        os.write(self._file, json.dumps([*values, time.time_ns()]).encode() + b"\n")


def fingerprint(*parts: object) -> str:
    """Return a hash of JSON values that does not depend on the order of keys."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Agent:
    """Records a share of the spans from one thread, in runs of nested spans."""

    def __init__(
        self, exporter: Exporter, notes: Notes, name: str, seed: int, pause: float
    ) -> None:
        self._exporter = exporter
        self._notes = notes
        self._name = name
        self._random = random.Random(seed)
        self._pause = pause
        self._waiting = threading.Event()
        self._left = 0
        self._turn = 0

    def work(self, spans: int) -> None:
        self._left = spans
        while self._left > 0:
            with self._exporter.instance() as run:
                for _ in range(self._random.randint(1, 40)):
                    if self._left > 0:
                        self._span(run.id, None, depth=0)

    def _payload(self) -> dict[str, object]:
        text = " ".join(self._random.choices(_WORDS, k=self._random.randint(1, 120)))
        return {"by": self._name, "turn": self._turn, "text": text, "f": self._random.random()}

    def _span(self, run: str, parent: str | None, depth: int) -> None:
        self._left -= 1
        self._turn += 1
        if self._pause:
            self._waiting.wait(self._random.uniform(0, 2 * self._pause))
        turn, payload, result = self._turn, self._payload(), {"out": self._random.randint(0, 9**9)}
        status = self._random.choice(["complete", "complete", "failed"])
        exporter, noted = self._exporter, fingerprint(payload, result)
        if self._random.random() < 0.5:
            span = exporter.record_span(
                "soak:step",
                payload,
                result_payload=result,
                status=status,
                instance_id=run,
                parent_span_id=parent,
            )
            self._notes.add("span", span, parent, run, self._name, turn, noted, status)
            return
        span = exporter.start_span("soak:task", payload, instance_id=run, parent_span_id=parent)
        self._notes.add("start", span, parent, run, self._name, turn, fingerprint(payload, None))
        for _ in range(self._random.randint(0, 3)):
            if depth < 3 and self._left > 0:
                self._span(run, span, depth + 1)
        exporter.finish_span(span, status=status, result_payload=result)
        self._notes.add("finish", span, noted, status)


def main(task: Task) -> None:
    """Do *task*."""
    exporter = Exporter(
        ExporterConfig(
            http=HttpClientConfig(task.url, task.token, request_timeout=2.0),
            agent=AgentInfo(agent_id=task.agent_id, version="soak"),
            spool_dir=task.spool_dir,
            spool_interval=task.spool_interval,
            shutdown_timeout=task.shutdown_timeout,
            linger=0.05,
            max_attempts=1000,
            max_queue_items=20_000,
            # Backpressure: what is faster than the machine would drop spans on purpose.
            overflow="block",
            block_timeout=120.0,
        )
    )
    name = f"{task.seed}-{os.getpid()}"
    notes = Notes(task.notes, name)
    share = task.spans // (task.threads + task.forks)
    threads = [
        threading.Thread(
            target=Agent(exporter, notes, f"{name}.{n}", task.seed * 100 + n, task.pause).work,
            args=(share,),
        )
        for n in range(task.threads)
    ]
    for thread in threads:
        thread.start()
    children = []
    for n in range(task.forks):
        child = os.fork()
        if not child:
            name = f"{task.seed}-{os.getpid()}"
            notes, seed = Notes(task.notes, name), task.seed * 100 + 50 + n
            Agent(exporter, notes, f"{name}.f", seed, task.pause).work(share)
            exporter.shutdown()
            os._exit(0)
        children.append(child)
    for thread in threads:
        thread.join()
    for child in children:
        os.waitpid(child, 0)
    exporter.shutdown()
    sys.stdout.write(json.dumps(msgspec.to_builtins(exporter.stats())) + "\n")


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Task))
