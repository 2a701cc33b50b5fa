"""What is on disk survives the process and arrives once; a bad disk changes nothing else."""

import os
import sqlite3
import stat
import threading

import pytest

from prefactor_exporter import Exporter, HttpClientConfig
from prefactor_exporter._core import identity as identity_module
from prefactor_exporter._delivery import spool as spool_module
from prefactor_exporter._delivery.database import Database
from prefactor_exporter._delivery.dead_letters import DeadLetters
from prefactor_http.devserver import Switches
from tests.integration.exporter.conftest import HANG, names, parents, total, until

pytestmark = pytest.mark.slow

SILENT = ("", "")


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def eager(monkeypatch):
    """Look for files to adopt, and weigh the directory, more often than anybody needs."""
    monkeypatch.setattr(spool_module, "_SCAN_EVERY", 0.05)
    monkeypatch.setattr(spool_module, "_WEIGH_EVERY", 0.0)
    monkeypatch.setattr(spool_module, "_FIRST_PAUSE", 0.01)


def told(caplog, event):
    return [r.getMessage() for r in caplog.records if r.getMessage().split()[0] == event]


def files(spool):
    """The databases of events in the directory, those without an owner included."""
    return sorted(spool.glob("*.spool")) if spool.exists() else []


def written(spool, table):
    """How many rows of *table* are on disk, whoever owns the file."""
    return sum(_count(path, table) for path in files(spool))


def _count(path, table):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    except sqlite3.OperationalError:  # it is being made
        return 0
    finally:
        database.close()


def statuses(server):
    return {span["payload"]["n"]: span["status"] for span in server.spans()}


def test_events_that_are_delivered_at_once_never_touch_the_disk(server, make, spool):
    exporter = make(spool_dir=spool, spool_interval=60.0)
    with exporter.instance() as run:
        for n in range(50):
            exporter.record_span("a", {"n": n}, instance_id=run.id)
    assert exporter.flush()
    exporter.shutdown()

    assert names(server) == list(range(50))
    assert not spool.exists()


def test_what_could_not_be_delivered_waits_for_the_next_process(server, make, spool):
    server.pause()
    first = make(spool_dir=spool, shutdown_timeout=0.1)
    with first.instance() as run, run.span("a", {"n": 0}):
        for n in range(1, 20):
            first.record_span("a", {"n": n})
    report = first.shutdown()
    stats = first.stats()

    assert not report
    assert report.pending == stats.spooled == stats.recorded
    assert (stats.dropped, stats.dead) == (0, 0)
    assert len(files(spool)) == 1

    server.resume()
    second = make(spool_dir=spool)
    second.record_span("a", {"n": 20})
    until(lambda: len(names(server)) == 21, "delivery of what the first left")
    assert second.flush()
    second.shutdown()

    assert sorted(names(server)) == list(range(21))
    assert parents(server)[5] == 0
    assert second.stats().adopted == stats.spooled
    assert files(spool) == []
    assert server.changed_bodies == []


def test_a_killed_process_loses_nothing_that_was_written(server, child, make, spool):
    """Also what was open is closed: spans as cancelled, children first, the run as failed."""
    server.pause()
    killed = child(
        f"""
        exporter = Exporter(config(spool_dir={str(spool)!r}, spool_interval=0.05))
        for n in range(500):
            exporter.record_span("a", {{"n": n}})
        outer = exporter.start_span("a", {{"n": "outer"}})
        exporter.start_span("a", {{"n": "inner"}}, parent_span_id=outer)
        sys.stdin.read()
        """
    )
    until(lambda: written(spool, "events") == 504, "the write")
    killed.process.kill()
    killed.end()
    server.resume()
    exporter = make(spool_dir=spool)
    exporter.record_span("a", {"n": "next"})
    until(lambda: len(names(server)) == 503, "delivery of what the killed process left")
    assert exporter.flush()

    assert sorted(map(str, names(server))) == sorted(
        [*map(str, range(500)), "outer", "inner", "next"]
    )
    assert statuses(server)["outer"] == statuses(server)["inner"] == "cancelled"
    assert parents(server)["inner"] == "outer"
    assert sorted(run["status"] for run in server.instances()) == ["active", "failed"]
    assert server.changed_bodies == []


def test_a_commit_holds_all_that_was_recorded_before_it(server, make, spool, monkeypatch):
    """Also what the worker, which lets the application go first, has yet to take."""
    server.pause()
    exporter = make(spool_dir=spool, spool_interval=0.4)
    turns = exporter._pipeline.worker.turns
    monkeypatch.setattr(turns, "give", lambda: threading.Event().wait(0.05))
    for n in range(3_000):
        exporter.record_span("a", {"n": n})
    until(lambda: written(spool, "events"), "the commit")

    assert written(spool, "events") == 3_002


def test_what_was_open_and_delivered_is_closed_too(server, child, make, spool):
    killed = child(
        f"""
        exporter = Exporter(config(spool_dir={str(spool)!r}, spool_interval=0.05))
        outer = exporter.start_span("a", {{"n": "outer"}})
        exporter.start_span("a", {{"n": "inner"}}, parent_span_id=outer)
        over = exporter.start_span("a", {{"n": "over"}})
        assert exporter.flush()
        exporter.finish_span(over)
        assert exporter.flush()
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    killed.hear("ready")
    until(lambda: written(spool, "open") == 3, "the write")
    killed.process.kill()
    killed.end()
    exporter = make(spool_dir=spool)
    exporter.record_span("a", {"n": "next"})
    until(lambda: "failed" in {run["status"] for run in server.instances()}, "the end of the run")

    assert statuses(server) == {
        "outer": "cancelled",
        "inner": "cancelled",
        "over": "complete",
        "next": "complete",
    }
    ends = {span["payload"]["n"]: span["finished_at"] for span in server.spans()}
    assert ends["inner"] <= ends["outer"]


@pytest.mark.usefixtures("eager")
def test_events_of_another_deployment_token_are_left_to_its_owner(server, make, spool, eager):
    """The token alone says whose they are, so another agent's process must not deliver them."""
    other = "the token of another agent"
    server.add_token(other, agent_id=server.agent_id, environment_id=server.environment_id)
    server.pause()
    first = make(spool_dir=spool, token=server.deployment_token, agent=None)
    first.record_span("a", {"n": "first"})
    first.shutdown(timeout=0)
    server.resume()
    second = make(spool_dir=spool, token=other, agent=None)
    second.record_span("a", {"n": "second"})
    assert second.flush(25)
    until(lambda: second._pipeline.worker.spool._ignored, "a look at the file")

    assert names(server) == ["second"]
    third = make(spool_dir=spool, token=server.deployment_token, agent=None)
    third.record_span("a", {"n": "third"})
    until(lambda: len(names(server)) == 3, "delivery by the owner of the token")
    assert third.stats().adopted == first.stats().recorded


def test_a_token_that_is_replaced_while_running_names_the_new_owner(server, make, spool, eager):
    replacement = "the next token"
    server.add_token(replacement, agent_id=server.agent_id, environment_id=server.environment_id)
    server.pause()
    first = make(spool_dir=spool, token=server.deployment_token, agent=None)
    first.record_span("a", {"n": "first"})
    first.set_token(replacement)
    first.shutdown(timeout=0)
    server.resume()
    second = make(spool_dir=spool, token=replacement, agent=None)
    second.record_span("a", {"n": "second"})
    until(lambda: len(names(server)) == 2, "adoption")

    assert sorted(names(server)) == ["first", "second"]


def test_a_living_neighbour_adopts_what_a_killed_process_left(server, child, make, spool):
    neighbour = make(spool_dir=spool)
    neighbour.record_span("a", {"n": "neighbour"})
    assert neighbour.flush()
    server.faults.add("path=/api/v1/bulk status=503")
    killed = child(
        f"""
        exporter = Exporter(config(spool_dir={str(spool)!r}, spool_interval=0.01))
        exporter.record_span("a", {{"n": "killed"}})
        while not exporter.stats().spooled_bytes:
            threading.Event().wait(0.01)
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    killed.hear("ready")
    assert neighbour.stats().adopted == 0
    killed.process.kill()
    killed.end()
    server.faults.clear()
    until(lambda: "killed" in names(server), "adoption by the neighbour")

    assert sorted(names(server)) == ["killed", "neighbour"]
    assert neighbour.flush()
    assert neighbour.stats().recorded == total(neighbour.stats())


@pytest.mark.usefixtures("eager")
def test_two_exporters_of_one_process_share_a_directory(server, make, spool):
    server.pause()
    both = [make(spool_dir=spool, spool_interval=0.01) for _ in range(2)]
    for n, exporter in enumerate(both):
        exporter.record_span("a", {"n": n})
        until(lambda exporter=exporter: exporter.stats().spooled_bytes, "the write")
    assert len(files(spool)) == 2
    server.resume()
    for exporter in both:
        assert exporter.flush(25)
        exporter.shutdown()
    assert sorted(names(server)) == [0, 1]
    assert [exporter.stats().adopted for exporter in both] == [0, 0]
    assert files(spool) == []


def test_what_finds_no_room_in_memory_goes_to_disk_and_comes_back_in_order(
    server, make, spool, monkeypatch
):
    server.pause()
    exporter = make(spool_dir=spool, max_queue_items=1000, spool_interval=0.01)
    with exporter.instance() as run:
        for n in range(5000):
            exporter.record_span("a", {"n": n})
            if n % 100 == 0:
                until(lambda: not exporter._queue.items, "the hand-over")
    stats = exporter.stats()
    assert stats.dropped == 0
    assert stats.queued <= 1000
    assert stats.spooled >= 4000
    assert stats.recorded == total(stats)

    server.resume()
    assert exporter.flush(30)
    assert names(server, run.id) == list(range(5000))
    assert exporter.stats().spooled_bytes == exporter.stats().spooled == 0


def test_a_span_that_begins_in_memory_and_ends_on_disk_is_one_span(server, make, spool):
    server.pause()
    exporter = make(spool_dir=spool, max_queue_items=100, spool_interval=0.01)
    spans = []
    for n in range(300):
        spans.append(exporter.start_span("a", {"n": n}))
        until(lambda: not exporter._queue.items, "the hand-over")
    for span_id in spans:
        exporter.finish_span(span_id, result_payload={"end": span_id})
        until(lambda: not exporter._queue.items, "the hand-over")
    server.resume()
    assert exporter.flush(30)

    assert names(server) == list(range(300))
    assert set(statuses(server).values()) == {"complete"}
    assert [span["result_payload"]["end"] for span in server.spans()] == spans


@pytest.mark.usefixtures("eager")
def test_overflow_speaks_when_memory_and_disk_are_full(server, make, spool):
    server.pause()
    exporter = make(
        spool_dir=spool, max_queue_items=1000, max_spool_bytes=1_000_000, spool_interval=0.01
    )
    for n in range(3000):
        exporter.record_span("a", {"n": n, "text": "x" * 200})
        if n % 100 == 0:
            until(lambda: not exporter._queue.items or exporter.stats().dropped, "the hand-over")
    stats = exporter.stats()
    assert stats.dropped_reasons.keys() == {"queue_full"}
    assert stats.spooled > 500
    assert stats.spooled_bytes < 1_500_000
    assert stats.recorded == total(stats)

    server.resume()
    report = exporter.flush(30)
    assert (report.pending, report.dead) == (0, 0)
    arrived = names(server)
    assert arrived == sorted(arrived)
    assert len(arrived) == 3000 - exporter.stats().dropped


def test_a_directory_that_cannot_be_used_changes_nothing_else(
    server, make, tmp_path, eager, caplog
):
    (tmp_path / "spool").write_text("a file where a directory should be")
    exporter = make(spool_dir=tmp_path / "spool", spool_interval=0.01)
    server.pause()
    for n in range(20):
        exporter.record_span("a", {"n": n})
    until(lambda: exporter.stats().spool_errors >= 3, "the third attempt")
    server.resume()
    assert exporter.flush(25)

    assert names(server) == list(range(20))
    assert len(told(caplog, "spool_failed")) == 1
    assert exporter.stats().spooled == 0


def test_a_full_disk_changes_nothing_else(server, child, tmp_path):
    """The limit of the size of files stands in for the end of the disk."""
    server.pause()
    running = child(
        f"""
        import logging, resource
        logging.basicConfig()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        exporter = Exporter(config(spool_dir={str(tmp_path / "spool")!r}, spool_interval=0.01))
        for n in range(2000):
            exporter.record_span("a", {{"n": n, "text": "x" * 200}})
        while not exporter.stats().spool_errors:
            threading.Event().wait(0.01)
        print("ready", flush=True)
        sys.stdin.readline()
        assert exporter.flush(20), exporter.stats()
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        """,
    )
    running.hear("ready")
    server.resume()
    status, _, err = running.end()

    assert status == 0
    assert names(server) == list(range(2000))
    assert err.count("spool_failed") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("damage", ["no database", "another version", "a broken page"])
@pytest.mark.usefixtures("eager")
def test_a_file_that_cannot_be_read_is_told_once_and_left(server, make, spool, caplog, damage):
    server.pause()
    first = make(spool_dir=spool, shutdown_timeout=0)
    for n in range(200):
        first.record_span("a", {"n": n, "text": "x" * 500})
    first.shutdown()
    (left,) = files(spool)
    if damage == "no database":
        left.write_bytes(b"not a database" * 1000)
    elif damage == "another version":
        with sqlite3.connect(left) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        with left.open("r+b") as raw:
            raw.seek(4096 * 8)
            raw.write(b"\xff" * 4096 * 6)
    server.resume()
    second = make(spool_dir=spool, spool_interval=0.01)
    second.record_span("a", {"n": "fresh"})
    until(lambda: second.stats().spool_errors, "the discovery")
    assert second.flush(25) or second.stats().dropped_reasons.keys() == {"spool_unreadable"}
    until(lambda: "fresh" in names(server), "delivery")
    second.record_span("a", {"n": "later"})
    assert second.flush(25) or second.stats().dropped_reasons.keys() == {"spool_unreadable"}

    assert {"fresh", "later"} <= set(names(server))
    assert second.stats().recorded == total(second.stats())
    assert len(told(caplog, "spool_file_unreadable")) + len(told(caplog, "spool_failed")) == 1
    assert [path.stem for path in spool.iterdir() if path.stem == left.stem]


def test_the_files_are_for_this_user_alone(server, make, spool):
    old = os.umask(0)
    try:
        server.pause()
        exporter = make(spool_dir=spool / "of" / "mine", spool_interval=0.01)
        exporter.record_span("a", {"n": 1})
        until(lambda: exporter.stats().spooled_bytes, "the write")
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in (spool / "of/mine").iterdir()}
    finally:
        os.umask(old)

    assert set(found.values()) == {0o600}
    assert len(found) >= 3
    assert stat.S_IMODE((spool / "of" / "mine").stat().st_mode) == 0o700


def test_secrets_are_removed_before_they_reach_the_disk(server, make, spool):
    server.pause()
    exporter = make(spool_dir=spool, spool_interval=0.01, shutdown_timeout=0)
    exporter.record_span("a", {"n": 1, "password": "open sesame", "text": "kept as it is"})
    exporter.shutdown()
    written = b"".join(path.read_bytes() for path in spool.iterdir())

    assert b"kept as it is" in written
    assert b"open sesame" not in written
    assert server.token.encode() not in written


def test_dead_letters_are_kept_with_their_reason(server, make, spool):
    server.faults.add("item_error=validation_errors times=1 type=agent_spans/create")
    exporter = make(spool_dir=spool)
    exporter.record_span("a", {"n": "refused"})
    exporter.flush()
    exporter.record_span("a", {"n": "fine"})
    assert not exporter.flush()
    exporter.shutdown()
    (letter,) = DeadLetters(spool).all()

    assert exporter.stats().dead == 1
    assert letter.code == "validation_errors"
    assert letter.message
    assert b"refused" in letter.body
    assert names(server) == ["fine"]


def test_events_that_waited_too_long_are_given_up_and_kept(server, make, spool):
    server.pause()
    first = make(spool_dir=spool, shutdown_timeout=0)
    first.record_span("a", {"n": "old"}, finished_at=1_000_000_000)
    first.record_span("a", {"n": "new"})
    first.shutdown()
    server.resume()
    second = make(spool_dir=spool, max_spool_age=3600)
    second.record_span("a", {"n": "fresh"})
    until(lambda: "new" in names(server), "delivery")
    second.flush()

    assert second.stats().dead_reasons == {"expired": 1}
    assert "old" not in names(server)
    assert [letter.code for letter in DeadLetters(spool).all()] == ["expired"]


@pytest.mark.usefixtures("eager")
def test_events_for_another_address_are_left_alone(server, make, configured, spool):
    elsewhere = configured(spool_dir=spool, shutdown_timeout=0)
    http = HttpClientConfig("http://127.0.0.1:1", "another token")
    other = Exporter(type(elsewhere)(http=http, spool_dir=spool, shutdown_timeout=0))
    other.record_span("a", {"n": "theirs"})
    other.shutdown()
    exporter = make(spool_dir=spool)
    exporter.record_span("a", {"n": "ours"})
    assert exporter.flush()

    assert names(server) == ["ours"]
    assert exporter.stats().adopted == 0
    assert len(files(spool)) >= 1


def test_what_was_spooled_before_the_partition_was_known_keeps_its_key(server, make, spool):
    """With a deployment token and no agent id the first process never learned it."""
    server.pause()
    first = make(token=server.deployment_token, agent=None, spool_dir=spool, shutdown_timeout=0)
    span = first.record_span("a", {"n": "spooled"})
    first.shutdown()
    server.resume()
    second = make(token=server.deployment_token, agent=None, spool_dir=spool)
    second.record_span("a", {"n": "next"})
    until(lambda: "spooled" in names(server), "delivery of what the first left")

    stored = {span["payload"]["n"]: span for span in server.spans()}
    assert stored["spooled"]["create_key"] == span
    assert second.flush()


def test_ids_the_api_made_are_known_to_the_next_process(server, make, spool):
    server.switches = Switches(refuse_client_ids=True)
    first = make(spool_dir=spool, spool_interval=0.01, shutdown_timeout=0)
    outer = first.start_span("a", {"n": "outer"})
    assert first.flush()
    server.pause()
    first.record_span("a", {"n": "inner"}, parent_span_id=outer)
    first.finish_span(outer)
    first.shutdown()
    server.resume()
    second = make(spool_dir=spool)
    second.record_span("a", {"n": "next"})
    until(lambda: "inner" in names(server), "delivery of what the first left")
    assert second.flush()

    assert parents(server) == {"outer": None, "inner": "outer", "next": None}
    assert statuses(server)["outer"] == "complete"


def test_ids_the_api_made_leave_the_disk_when_nobody_needs_them(server, make, spool, monkeypatch):
    """Of a run that goes on for weeks, only those of open and of late spans are kept."""
    monkeypatch.setattr(spool_module, "_MOST_ASSIGNED", 20)
    monkeypatch.setattr(identity_module, "_REMEMBERED", 5)
    server.switches = Switches(refuse_client_ids=True)
    exporter = make(spool_dir=spool, spool_interval=0.001)
    outer = exporter.start_span("a", {"n": "outer"})
    for n in range(60):
        exporter.record_span("a", {"n": n}, parent_span_id=outer)
        assert exporter.flush()
    until(lambda: written(spool, "assigned"), "a commit")

    assert written(spool, "assigned") < 40
    assert len(names(server)) == 61


def test_a_fork_leaves_each_side_its_own_file(server, child, spool):
    server.pause()
    running = child(
        f"""
        exporter = Exporter(
            config(spool_dir={str(spool)!r}, spool_interval=0.01, shutdown_timeout=0.2)
        )
        def write(n):
            exporter.record_span("a", {{"n": n}})
            before = exporter.stats().spooled_bytes
            while not exporter.stats().spooled_bytes:
                threading.Event().wait(0.01)
        write("parent")
        pid = os.fork()
        if pid == 0:
            write("child")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        print("ready", flush=True)
        sys.stdin.readline()
        exporter.flush(20)
        """
    )
    running.hear("ready")
    assert len(files(spool)) == 2
    server.resume()
    status, *said = running.end()
    until(lambda: "parent" in names(server), "delivery by the parent")
    assert (status, *said) == (0, *SILENT)
    again = child(f"""
        exporter = Exporter(config(spool_dir={str(spool)!r}))
        exporter.record_span("a", {{"n": "again"}})
        assert exporter.flush(20)
        """)
    assert again.end()[0] == 0
    assert sorted(names(server)) == ["again", "child", "parent"]
    assert files(spool) == []


def test_an_answer_lost_before_the_kill_doubles_nothing(server, child, make, spool):
    """The API applied the request, the process died without knowing: the same keys go again."""
    server.faults.add("path=/api/v1/bulk reset=after")
    killed = child(
        f"""
        exporter = Exporter(config(spool_dir={str(spool)!r}, spool_interval=0.01))
        with exporter.instance() as run:
            for n in range(20):
                with run.span("a", {{"n": n}}):
                    pass
        while exporter.stats().retries < 1 or not exporter.stats().spooled_bytes:
            threading.Event().wait(0.01)
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    killed.hear("ready")
    killed.process.kill()
    killed.end()
    server.faults.clear()
    exporter = make(spool_dir=spool)
    exporter.record_span("a", {"n": "next"})
    until(lambda: "next" in names(server) and len(names(server)) == 21, "delivery")
    assert exporter.flush()

    assert sorted(map(str, names(server))) == sorted([*map(str, range(20)), "next"])
    assert set(statuses(server).values()) == {"complete"}
    assert server.changed_bodies == []
    assert exporter.stats().dead == 0


def test_a_disk_that_stalls_holds_no_caller(server, make, spool, monkeypatch):
    """Record calls, counts, flushes and the end take their time, not the disk's."""
    stalled, go_on = threading.Event(), threading.Event()
    execute = Database.execute_each

    def stall(self, statement, rows):
        stalled.set()
        go_on.wait(HANG)
        return execute(self, statement, rows)

    server.faults.add("status=503")
    exporter = make(spool_dir=spool, spool_interval=0.01)
    monkeypatch.setattr(Database, "execute_each", stall)
    exporter.record_span("a", {"n": 0})
    assert stalled.wait(HANG)
    for n in range(1, 500):
        with exporter.span("a", {"n": n}):
            pass
    during = exporter.stats()
    report = exporter.flush(0.1)
    stopped = exporter.shutdown(0.1)
    assert not go_on.is_set()
    go_on.set()
    until(lambda: not exporter._pipeline.worker._thread.is_alive(), "the end of the worker")
    stats = exporter.stats()

    assert during.recorded == total(during) == 3 + 2 * 499
    assert report.timed_out and not stopped
    assert stats.spooled == stats.recorded


def test_what_is_in_flight_leaves_no_less_room_on_disk(server, make, spool):
    """A slow request holds half of the memory; what finds no room in the rest is spilled."""
    server.faults.add("latency=1.5 times=1 path=/bulk")
    exporter = make(
        spool_dir=spool, max_queue_items=80, max_batch_items=40, spool_interval=0.01, linger=60
    )
    for n in range(300):
        exporter.record_span("a", {"n": n})
        until(lambda: not exporter._queue.items, "the hand-over")
        if n == 37:
            until(lambda: exporter.stats().in_flight == 40, "the slow request")
    during = exporter.stats()
    assert exporter.flush(30)

    assert during.dropped == 0
    assert during.spooled > 100
    assert names(server) == list(range(300))
