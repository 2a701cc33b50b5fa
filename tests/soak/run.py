"""The soak itself: a server that misbehaves, processes that record, kills, and the count."""

import contextlib
import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig
from prefactor_http.devserver import DevServer
from tests.soak.recorder import Task, fingerprint

_FAULTS = [
    "p=0.2 seed={seed} status=503",
    "p=0.2 seed={seed} status=500",
    "p=0.1 seed={seed} status=429 retry_after=0.2",
    "p=0.2 seed={seed} reset=before",
    "p=0.2 seed={seed} reset=after",
    "p=0.2 seed={seed} cut_json",
    "p=0.2 seed={seed} html",
    "p=0.3 seed={seed} latency=0.1",
    "p=0.3 seed={seed} over_items=20 status=413",
    "p=0.2 seed={seed} item_error=internal_server_error",
    "p=0.2 seed={seed} item_error=service_unavailable nth=3",
    "times=2 black_hole",
]
_WEATHER = 0.7
"""Seconds that one kind of fault lasts, at most."""
_DRAIN = 120.0
_NOTE_BYTES = 250
"""About how many bytes of notes a span makes."""
_KILL_WINDOW = 1.0
"""Seconds before a kill in which spans may be recorded and not on disk yet, on a busy machine."""


@dataclasses.dataclass
class Findings:
    """What a soak found out.

    Attributes:
        recorded: Spans whose record call returned.
        arrived: Spans the server holds.
        lost: Of the recorded ones, those that are missing without excuse.
        excused: Those missing that were recorded in the last moment before a kill, and those whose
            finish was.
        window: How many seconds before its kill the oldest of those was recorded.
        strange: Spans the server holds that nobody noted, without excuse.
        doubled: Keys that came again with another body.
        changed: Spans whose content, parent or end differs.
        disordered: Spans that arrived before their parent, or an earlier one of their thread.
        stderr: What processes wrote about defects.
        rss: Largest resident memory of a recording process in MiB, sampled evenly.
        left: Files that could not be drained.
        kills: Processes that were killed.
        processes: Processes in all.
        requests: Requests the server answered or refused.
        seconds: How long it took.
        drained: How much of that was the final delivery of what was left on disk.
        examples: A few of the faults found, in words.
    """

    recorded: int = 0
    arrived: int = 0
    lost: int = 0
    excused: int = 0
    window: float = 0.0
    strange: int = 0
    doubled: int = 0
    changed: int = 0
    disordered: int = 0
    left: int = 0
    kills: int = 0
    processes: int = 0
    requests: int = 0
    seconds: float = 0.0
    drained: float = 0.0
    stderr: list[str] = dataclasses.field(default_factory=list)
    rss: list[float] = dataclasses.field(default_factory=list)
    examples: list[str] = dataclasses.field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        bad = self.lost + self.strange + self.doubled + self.changed + self.disordered + self.left
        return not bad and not self.stderr and self.recorded > 0

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON values."""
        return dataclasses.asdict(self) | {"clean": self.clean}

    def as_text(self) -> str:
        """Return everything to be read by a person."""
        return f"""\
{self.recorded:,} spans recorded by {self.processes} processes, {self.kills} of them killed; \
{self.arrived:,} arrived
{self.requests:,} requests in {self.seconds:.0f} s, {self.drained:.0f} s of it to drain
lost {self.lost}, doubled {self.doubled}, out of order {self.disordered}, \
changed {self.changed}, unknown {self.strange}, still on disk {self.left}
recorded in the last {self.window:.2f} s before a kill and not on disk: {self.excused}
largest process in MiB: {" ".join(f"{value:.0f}" for value in self.rss)}
{"clean" if self.clean else "NOT CLEAN"}
""" + "\n".join([*self.examples[:10], *self.stderr[:10]])


class _Recording:
    """A running process of the soak; it is killed once its notes have *doom* bytes."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.doom = math.inf
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "tests.soak.recorder",
                msgspec.json.encode(task),
            ],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def rss(self) -> float:
        """Return the resident memory in MiB, 0.0 if it has ended."""
        with contextlib.suppress(OSError, IndexError):
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
            return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
        return 0.0

    def noted(self) -> int:
        """Return how many bytes of notes it has written."""
        notes = Path(self.task.notes).glob(f"{self.task.seed}-*.notes")
        return sum(path.stat().st_size for path in notes)

    def kill(self) -> None:
        """End it and what it forked, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Soak:
    """One run of the soak in a scratch *folder*."""

    def __init__(
        self,
        folder: Path,
        *,
        spans: int,
        processes: int,
        kills: int,
        seed: int,
        pause: float = 0.0,
        calm: bool = False,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        self._folder = folder
        self._notes = folder / "notes"
        self._notes.mkdir()
        self._spool = folder / "spool"
        self._spans = spans
        self._width = processes
        self._kills = kills
        self._random = random.Random(seed)
        self._pause = pause
        self._calm = calm
        self._tell = tell if tell is not None else lambda _line: None
        self._found = Findings()
        self._killed: list[int] = []

    def run(self) -> Findings:
        """Record, misbehave, kill, drain, and compare."""
        begun = time.monotonic()
        with DevServer(db=self._folder / "server.db") as server:
            self._record(server)
            server.faults.clear()
            draining = time.monotonic()
            self._tell("draining what is left on disk")
            self._drain(server)
            self._found.drained = time.monotonic() - draining
            self._found.requests = server.requests.count()
            for key in server.changed_bodies:
                self._blame("doubled", f"{key} came again with another body")
            self._compare(server)
        self._found.seconds = time.monotonic() - begun
        return self._found

    def _record(self, server: DevServer) -> None:
        total = self._width + self._kills
        share = self._spans // total
        kills = sorted(self._random.sample(range(total), self._kills))
        running: list[_Recording] = []
        started = 0
        weather_until = 0.0
        pause = threading.Event()
        while started < total or running:
            while len(running) < self._width and started < total:
                recording = _Recording(self._task(server, started, share))
                if started in kills:
                    recording.doom = self._random.uniform(0.1, 0.9) * share * _NOTE_BYTES
                running.append(recording)
                started += 1
                self._found.processes += 1
            now = time.monotonic()
            if now >= weather_until and not self._calm:
                weather_until = now + self._random.uniform(0.1, _WEATHER)
                self._change_weather(server)
            self._found.rss.append(max(recording.rss() for recording in running))
            for recording in list(running):
                if recording.process.poll() is None and recording.noted() >= recording.doom:
                    self._killed.append(time.time_ns())
                    recording.doom = math.inf
                    recording.kill()
                    self._found.kills += 1
                if recording.process.poll() is not None:
                    running.remove(recording)
                    recording.kill()
                    self._read_errors(recording)
                    self._tell(f"{started - len(running)} of {total} processes have ended")
            pause.wait(0.05)
        step = max(1, len(self._found.rss) // 20)
        self._found.rss = [round(value, 1) for value in self._found.rss[::step]]

    def _task(self, server: DevServer, number: int, spans: int) -> Task:
        return Task(
            url=server.url,
            token=server.token,
            agent_id=server.agent_id,
            spool_dir=str(self._spool),
            notes=str(self._notes),
            seed=self._random.randrange(10**6) * 100 + number,
            spans=spans,
            pause=self._pause,
        )

    def _change_weather(self, server: DevServer) -> None:
        server.faults.clear()
        for fault in self._random.sample(_FAULTS, self._random.randint(0, 3)):
            rule = fault.format(seed=self._random.randrange(10**6))
            server.faults.add(f"path=/api/v1/bulk {rule}")

    def _read_errors(self, recording: _Recording) -> None:
        _, errors = recording.process.communicate()
        if errors:
            self._found.stderr.append(errors.decode(errors="replace")[-2000:])

    def _drain(self, server: DevServer) -> None:
        """Let one last process adopt everything."""
        exporter = Exporter(
            ExporterConfig(
                http=HttpClientConfig(server.url, server.token),
                agent=AgentInfo(agent_id=server.agent_id, version="soak"),
                spool_dir=self._spool,
                linger=0.01,
            )
        )
        with exporter.instance():
            pass
        deadline = time.monotonic() + _DRAIN
        pause = threading.Event()
        while time.monotonic() < deadline and any(
            f"-{os.getpid()}-" not in path.name for path in self._spool.glob("*.spool")
        ):
            pause.wait(0.05)
        exporter.flush(_DRAIN)
        stats = exporter.stats()
        if stats.dead or stats.dropped:
            self._found.examples.append(f"{stats.dead_reasons} {stats.dropped_reasons}")
        exporter.shutdown()
        self._found.left = len(list(self._spool.glob("*.spool")))

    def _compare(self, server: DevServer) -> None:
        notes = self._read_notes()
        arrived = {span["id"]: span for span in server.spans()}
        self._found.recorded = len(notes)
        self._found.arrived = len(arrived)
        latest: dict[str, int] = {}
        for span_id, span in arrived.items():
            note = notes.get(span_id)
            if note is None:
                # Killed between the call and the note; or nobody recorded it.
                if not self._killed:
                    self._blame("strange", f"{span_id} was noted by nobody")
                continue
            self._check(span, note, arrived, latest)
        for span_id, note in notes.items():
            if span_id not in arrived:
                if self._excuses(note.at):
                    self._found.excused += 1
                else:
                    self._blame("lost", f"{span_id} of {note.by} is missing")

    def _check(
        self,
        span: dict[str, object],
        note: "_Note",
        arrived: dict[str, dict[str, object]],
        latest: dict[str, int],
    ) -> None:
        span_id, seq = str(span["id"]), int(str(span["seq"]))
        expected = note.finished if note.finished is not None else note.begun
        found = fingerprint(span["payload"], span["result_payload"])
        # A process that was killed cannot finish its spans; the adopter closes them.
        cut_short = span["status"] == "cancelled" and self._killed
        if span["status"] == "active" and self._excuses(note.at):
            self._found.excused += 1  # its finish
        elif found != expected and not (cut_short and found == note.begun):
            self._blame("changed", f"{span_id} holds something else: {span} {note}")
        elif span["status"] != note.status and not cut_short:
            self._blame("changed", f"{span_id} is {span['status']}, not {note.status}")
        elif span["parent_span_id"] != note.parent or span["agent_instance_id"] != note.run:
            self._blame("changed", f"{span_id} hangs elsewhere")
        parent = arrived.get(note.parent) if note.parent is not None else None
        if parent is not None and int(str(parent["seq"])) > seq:
            self._blame("disordered", f"{span_id} came before its parent")
        lane = f"{note.by} {note.run}"
        if latest.get(lane, 0) > note.turn:
            self._blame("disordered", f"{span_id} came after a later one of {note.by}")
        latest[lane] = max(latest.get(lane, 0), note.turn)

    def _excuses(self, at: int) -> bool:
        """Return whether what was recorded *at* that time may have died with its process."""
        ages = [(killed - at) / 1e9 for killed in self._killed]
        age = min((age for age in ages if -_KILL_WINDOW < age < _KILL_WINDOW), default=None)
        if age is None:
            return False
        self._found.window = max(self._found.window, age)
        return True

    def _blame(self, column: str, example: str) -> None:
        setattr(self._found, column, getattr(self._found, column) + 1)
        self._found.examples.append(f"{column}: {example}"[:300])

    def _read_notes(self) -> "dict[str, _Note]":
        notes: dict[str, _Note] = {}
        for path in self._notes.iterdir():
            with path.open() as lines:
                for line in lines:
                    with contextlib.suppress(json.JSONDecodeError):  # cut off by a kill
                        _enter(notes, json.loads(line))
        return notes


@dataclasses.dataclass
class _Note:
    """What is known of a span from its process."""

    parent: str | None
    run: str
    by: str
    turn: int
    begun: str
    finished: str | None
    status: str
    at: int


def _enter(notes: dict[str, _Note], entry: list[object]) -> None:
    kind, span_id, *rest = entry
    if kind == "finish":
        finished, status, at = rest
        note = notes[str(span_id)]
        note.finished, note.status, note.at = str(finished), str(status), int(str(at))
        return
    parent, run, by, turn, content, *end, at = rest
    notes[str(span_id)] = _Note(
        parent=None if parent is None else str(parent),
        run=str(run),
        by=str(by),
        turn=int(str(turn)),
        begun=str(content),
        finished=None if kind == "start" else str(content),
        status=str(end[0]) if end else "cancelled",
        at=int(str(at)),
    )
