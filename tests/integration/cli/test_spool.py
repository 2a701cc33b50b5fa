"""``spool``: what waits and what was refused is seen, sent again or removed, and never lost."""

import json
import os
import sqlite3

import pytest

from prefactor_exporter import HttpClientConfig
from prefactor_exporter._core.events import Event
from prefactor_exporter._core.stored import pack
from prefactor_exporter._delivery.clock import SystemClock
from prefactor_exporter._delivery.dead_letters import DeadLetters
from prefactor_exporter._delivery.inspection import survey
from prefactor_exporter._delivery.resending import Resender
from prefactor_exporter.registration import SDK_HEADER
from prefactor_http.devserver import Switches
from tests.integration.exporter.conftest import until

pytestmark = pytest.mark.slow

REFUSE = "type=agent_spans/create item_error=validation_errors"


@pytest.fixture
def spool(tmp_path):
    """A directory with a name that no address would have."""
    return tmp_path / "a spool #1? 100%25 ü"


@pytest.fixture
def refused(server, record, spool):
    """A run that goes on, of whose spans so many were refused."""

    def refused(count=3, rule=REFUSE):
        server.faults.add(f"{rule} times={count}")
        exporter = record(spool_dir=spool)
        run = exporter.register_instance()
        exporter.start_instance(run)
        for n in range(count):
            exporter.record_span("a", {"n": n, "password": "open sesame"}, instance_id=run)
        assert not exporter.flush()
        exporter.shutdown()
        assert exporter.stats().dead == count
        server.faults.clear()

    return refused


@pytest.fixture
def left_behind(server, record, spool):
    """A process is gone that could not deliver so many spans; the server is back."""

    def left_behind(count=3):
        server.pause()
        exporter = record(spool_dir=spool)
        for n in range(count):
            exporter.record_span("a", {"n": n})
        exporter.shutdown(timeout=0)
        assert exporter.stats().spooled == exporter.stats().recorded
        server.resume()
        return exporter.stats().spooled

    return left_behind


@pytest.fixture
def away(server, reach):
    """The server, which will be away, and the options that lead to it."""
    return server, reach


@pytest.fixture
def both(refused, left_behind):
    """So many letters, and a file of a process that is gone."""

    def both(count):
        refused(count)
        left_behind()

    return both


@pytest.fixture
def living(server, record):
    """A process lives, of another agent, and cannot deliver what it has."""

    def living(spool):
        server.pause()
        exporter = record(spool_dir=spool, spool_interval=0.01, agent=None)
        exporter.record_span("a", {"n": 9})

        # It looks into the files of others first, which are not free at that moment.
        def written():
            mine = [file for file in survey(spool).files if not file.agent_id]
            return any(file.alive and file.events for file in mine)

        until(written, "the first write")

    return living


@pytest.fixture
def configured(server, record):
    """Return a maker of what sends again, in this process."""

    def configured(spool, patience=10.0):
        return Resender(
            record(spool_dir=spool).config,
            partition=server.partition,
            sdk_header=SDK_HEADER,
            clock=SystemClock(),
            patience=patience,
        )

    return configured


def letters(spool):
    return DeadLetters(spool).heads()


def numbers(server):
    return sorted(span["payload"]["n"] for span in server.spans())


# -- looking ---------------------------------------------------------------------------------


def test_list_tells_what_waits_and_for_whom(call, server, spool, left_behind, living):
    """Each file is listed with its owner, alive or gone, and what is in it."""
    count = left_behind()
    living(spool)
    done = call("spool", "ls", "--dir", spool, "--json")
    gone, alive = json.loads(done.stdout)["files"]

    assert (done.exit_code, done.stderr) == (0, "")
    assert (gone["alive"], gone["events"]) == (False, count)
    assert (gone["api_url"], gone["agent_id"]) == (server.url, server.agent_id)
    assert gone["oldest"].endswith("Z") and gone["bytes"] > 0
    assert (alive["alive"], alive["pid"]) == (True, str(os.getpid()))
    shown = call("spool", "ls", "--dir", spool)
    assert f"{os.getpid()} alive" in shown.stdout
    assert f"{os.getpid()} gone" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) > 80  # whole, since this is no terminal


def test_list_sums_up_dead_letters_by_their_code(call, spool, refused):
    """Letters of one code are one line, with what the API said last."""
    refused(3)
    done = call("spool", "ls", PREFACTOR_EXPORTER_SPOOL_DIR=spool)

    (line,) = [line for line in done.stdout.splitlines() if "validation_errors" in line]
    assert "1 to 3" in line
    assert "this item was chosen to fail" in line


def test_empty_directory_has_nothing_to_list(call, tmp_path):
    """An empty spool is said to be empty, on standard error."""
    done = call("spool", "ls", "--dir", tmp_path)

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "nothing waits, and there are no dead letters\n"
    assert list(tmp_path.iterdir()) == []


def test_show_prints_payloads_without_secrets(call, spool, refused, left_behind):
    """Events that wait and letters are shown with their payloads; secrets never got there."""
    refused(1)
    left_behind(2)
    done = call("spool", "show", "--dir", spool)

    assert (done.exit_code, done.stderr) == (0, "")
    assert '"n": 0' in done.stdout and '"n": 1' in done.stdout
    assert "validation_errors: this item was chosen to fail" in done.stdout
    assert "[redacted]" in done.stdout
    assert "open sesame" not in done.stdout


def test_show_takes_numbers_codes_and_parts_of_names(call, spool, refused, left_behind):
    """Only what is asked for is shown, for a machine one event on each line."""
    refused(3)
    left_behind(1)
    (file,) = survey(spool).files
    part = file.path.stem[-8:]

    def shown(*what):
        done = call("spool", "show", "--dir", spool, "--json", *what)
        assert (done.exit_code, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert [row["number"] for row in shown(2)] == [2]
    assert [row["event"]["payload"]["n"] for row in shown("--code", "validation_errors")] == [
        0,
        1,
        2,
    ]
    assert {row["file"] for row in shown(part)} == {file.path.name}
    assert {row["event"]["kind"] for row in shown(part)} == {
        "instance",
        "instance_start",
        "span",
        "instance_finish",
    }
    assert len(shown()) == 3 + len(shown(part))


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("show", ["7"]),
        ("show", ["nothing"]),
        ("show", ["--code", "strange"]),
        ("resend", ["7"]),
        ("resend", ["--code", "strange"]),
        ("purge", ["7"]),
        ("purge", ["--code", "strange"]),
    ],
)
def test_what_is_not_there_is_one_line(call, spool, refused, command, what):
    """A number, name or code that is not in the spool is named, and nothing is done."""
    refused(1)
    done = call("spool", command, "--dir", spool, *what)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: there is no {what[-1]} in the spool: see 'prefactor-exporter spool ls'\n"
    )
    assert len(letters(spool)) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "which directory? give --dir or set PREFACTOR_EXPORTER_SPOOL_DIR"),
        (["--dir", "nowhere"], "nowhere does not exist: check --dir"),
        (["--dir", __file__], f"{__file__} is no directory: check --dir"),
    ],
)
@pytest.mark.parametrize("command", ["ls", "show", "resend", "purge"])
def test_wrong_directory_is_wrong_usage(call, command, arguments, problem):
    """A mistake in the directory is one line, for every command."""
    done = call("spool", command, *arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.count("\n") == 1


def test_damage_is_shown_and_can_be_removed(call, spool, left_behind):
    """A file that cannot be read is listed with the reason, and purged like any other."""
    left_behind()
    (file,) = survey(spool).files
    file.path.write_bytes(b"no database" * 1000)
    (spool / "old.damaged").write_bytes(b"set aside")
    (spool / "dead-letters.db").write_bytes(b"no database" * 1000)
    done = call("spool", "ls", "--dir", spool)
    shown = call("spool", "show", "--dir", spool, file.path.name)

    assert "file is not a database" in done.stdout
    assert "it was damaged and set aside" in done.stdout
    assert done.stderr.startswith("the dead letters cannot be read: dead-letters.db is damaged")
    assert shown.exit_code == 1
    assert "is damaged" in shown.stderr.splitlines()[-1]
    assert call("spool", "purge", "--dir", spool, "--yes").exit_code == 0
    assert survey(spool).files == ()


def test_looking_makes_no_file(spool, left_behind):
    """A file that vanishes while somebody looks is not made anew."""
    left_behind()
    (file,) = survey(spool).files
    names = sorted(path.name for path in spool.iterdir())

    assert survey(spool).files == (file,)
    assert sorted(path.name for path in spool.iterdir()) == names


# -- sending again ---------------------------------------------------------------------------


def test_refused_letters_are_delivered_under_new_keys(call, server, spool, refused, reach):
    """An API that remembers its refusals under their keys takes them all the same."""
    server.switches = Switches(remember_errors=True)
    refused(3)
    done = call("spool", "resend", "--dir", spool, *reach, "--json")

    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["delivered"] == 3
    assert letters(spool) == []
    assert numbers(server) == [0, 1, 2]
    assert {span["create_key"] for span in server.spans()} == {
        span["id"] + ".1" for span in server.spans()
    }
    assert server.changed_bodies == []


def test_letters_that_may_have_been_applied_keep_their_key(call, server, record, spool, reach):
    """What the API has, but did not confirm, is confirmed and not doubled."""
    server.faults.add("type=agent_spans/create drop_output times=1")
    exporter = record(spool_dir=spool, max_attempts=1)
    run = exporter.register_instance()
    exporter.start_instance(run)
    assert exporter.flush()
    exporter.record_span("a", {"n": 0}, instance_id=run)
    assert not exporter.flush()
    exporter.shutdown()
    assert [letter.code for letter in letters(spool)] == ["unanswered"]
    done = call("spool", "resend", "--dir", spool, *reach)

    assert (done.exit_code, done.stderr) == (0, "")
    assert letters(spool) == []
    (span,) = server.spans()
    assert span["create_key"] == span["id"]
    assert server.changed_bodies == []


def test_letters_refused_again_keep_their_number_and_get_the_new_reason(
    call, server, spool, refused, reach
):
    """Nothing is removed but what the API confirmed; each try has a key of its own."""
    server.switches = Switches(remember_errors=True)
    refused(3)
    server.faults.add("type=agent_spans/create item_error=bad_request message=no times=1")
    first = call("spool", "resend", "--dir", spool, *reach, "--json")
    told = json.loads(first.stdout)
    (letter,) = letters(spool)
    second = call("spool", "resend", "--dir", spool, *reach)

    assert first.exit_code == 1
    assert first.stderr == (
        "error: some of it was refused again: see 'prefactor-exporter spool show'\n"
    )
    assert (told["delivered"], told["refused"], told["reasons"]) == (2, 1, {"bad_request": 1})
    assert (letter.number, letter.code, letter.message) == (1, "bad_request", "no")
    assert second.exit_code == 0
    assert letters(spool) == []
    assert numbers(server) == [0, 1, 2]
    assert sorted(span["create_key"].partition(".")[2] for span in server.spans()) == [
        "1",
        "1",
        "2",
    ]


def test_a_refused_run_is_delivered_whole(call, server, record, spool, reach):
    """The registration goes first, and everything that fell with it follows."""
    server.faults.add("type=agent_instances/register item_error=validation_errors times=1")
    exporter = record(spool_dir=spool)
    with exporter.instance() as run, run.span("a", {"n": 0}) as outer:
        exporter.record_span("a", {"n": 1})
        outer.set_result({"done": True})
    assert not exporter.flush()
    exporter.shutdown()
    assert {letter.code for letter in letters(spool)} == {"validation_errors", "instance_refused"}
    done = call("spool", "resend", "--dir", spool, *reach)

    assert (done.exit_code, done.stderr) == (0, "")
    assert letters(spool) == []
    assert numbers(server) == [0, 1]
    assert [run["status"] for run in server.instances()] == ["complete"]
    assert {span["status"] for span in server.spans()} == {"complete"}


def test_only_the_letters_asked_for_are_sent(call, server, spool, both, reach):
    """Numbers and codes choose; what waits in files is left alone then."""
    both(3)
    done = call("spool", "resend", 2, "--dir", spool, *reach)

    assert (done.exit_code, done.stderr) == (0, "")
    assert [letter.number for letter in letters(spool)] == [1, 3]
    assert numbers(server) == [1]
    assert len(survey(spool).files) == 1


def test_what_dead_processes_left_is_delivered(call, server, spool, left_behind, reach):
    """Their files are adopted, delivered and removed, once."""
    count = left_behind(3)
    done = call("spool", "resend", "--dir", spool, *reach, "--json")

    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["delivered"] == count
    assert numbers(server) == [0, 1, 2]
    assert survey(spool).files == ()
    assert server.changed_bodies == []


def test_events_of_another_deployment_token_are_delivered_only_on_request(
    call, server, record, spool
):
    """Two agents may share a directory, and a token may have been replaced: only people know."""
    other = "the token of before"
    server.add_token(other, agent_id=server.agent_id, environment_id=server.environment_id)
    server.pause()
    exporter = record(spool_dir=spool, http=HttpClientConfig(server.url, other), agent=None)
    exporter.record_span("a", {"n": 1})
    exporter.shutdown(timeout=0)
    server.resume()
    mine = ["--url", server.url, "--token", server.deployment_token]
    left = call("spool", "resend", *mine, "--dir", spool)
    asked = call("spool", "resend", *mine, "--dir", spool, "--other-token")

    assert left.exit_code == 1
    assert "still there   │ 4 " in left.stdout
    assert "4 events were recorded with another deployment token" in left.stderr
    assert asked.exit_code == 0, asked.stderr
    assert numbers(server) == [1]


def test_events_for_another_address_are_named_and_left(call, record, spool, reach):
    """They wait for whoever gives their address."""
    other = record(spool_dir=spool, http=HttpClientConfig("http://127.0.0.1:1", "other"))
    other.register_instance()
    other.shutdown(timeout=0)
    done = call("spool", "resend", "--dir", spool, *reach, "--json")

    assert done.exit_code == 1
    assert done.stderr == (
        "1 event waits for http://127.0.0.1:1: give it with --url to deliver\n"
        "error: 1 event is for another address or token, as said above\n"
    )
    assert json.loads(done.stdout)["left"] == 1
    assert len(survey(spool).left_behind) == 1


def test_what_is_delivered_does_not_hide_what_is_for_others(
    call, record, spool, left_behind, reach
):
    """The sums have both, and the status tells that it is not all."""
    other = record(spool_dir=spool, http=HttpClientConfig("http://127.0.0.1:1", "other"))
    other.register_instance()
    other.shutdown(timeout=0)
    count = left_behind()
    done = call("spool", "resend", "--dir", spool, *reach, "--json")

    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["delivered"], told["left"], told["last_error"]) == (count, 1, None)


def test_nothing_is_lost_when_the_api_is_away(call, spool, both, configured, away):
    """What could not be delivered is where it was, and the command says so."""
    both(2)
    before = survey(spool)
    server, reach = away
    server.pause()
    done = call("spool", "resend", "--dir", spool, *reach)
    resender = configured(spool, patience=0.0)
    resender.adopt(before.left_behind, lambda _count, _trouble: None)
    resender.resend(before.letters, lambda _count, _trouble: None)
    server.resume()

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: no connection to {server.url} (")
    assert resender.resent.delivered == 0
    assert resender.resent.left == 2 + sum(file.events for file in before.files)
    assert letters(spool) == list(before.letters)
    assert sum(file.events for file in survey(spool).files) == sum(f.events for f in before.files)
    again = call("spool", "resend", "--dir", spool, *reach)
    assert (again.exit_code, again.stderr) == (0, "")
    assert survey(spool).letters == survey(spool).files == ()
    assert server.changed_bodies == []


def test_a_refused_token_ends_it_at_once(call, server, spool, refused, left_behind):
    """No patience helps against a wrong token, and nothing is lost by it."""
    refused(2)
    left_behind()
    done = call("spool", "resend", "--dir", spool, "--url", server.url, "--token", "wrong")

    assert done.exit_code == 1
    assert done.stderr == (
        f"error: {server.url} refuses the token (the token is missing or unknown): "
        "check --token or PREFACTOR_API_TOKEN\n"
    )
    assert len(letters(spool)) == 2
    assert len(survey(spool).left_behind) == 1


def test_an_interrupted_resend_leaves_what_is_not_confirmed(server, configured, spool, refused):
    """Ctrl-C removes no letter that the API has not confirmed."""
    refused(3)
    server.pause()

    def interrupt(_count, _trouble):
        raise KeyboardInterrupt

    resender = configured(spool)
    with pytest.raises(KeyboardInterrupt):
        resender.resend(letters(spool), interrupt)
    server.resume()

    assert len(letters(spool)) == 3


def test_many_letters_are_sent_a_portion_at_a_time(server, configured, spool, refused, monkeypatch):
    """However many there are, few are in memory at a time."""
    monkeypatch.setattr("prefactor_exporter._delivery.resending._AT_ONCE", (2, 1 << 20))
    refused(5)
    seen = []
    resender = configured(spool)
    resender.resend(letters(spool), lambda count, _trouble: seen.append(count))

    assert resender.resent.delivered == seen[-1] == 5
    assert seen == sorted(seen)
    assert numbers(server) == [0, 1, 2, 3, 4]


def test_unreadable_letters_are_told_and_never_sent(call, server, spool, refused, reach):
    """What is no event cannot be delivered, which is said."""
    refused(1)
    DeadLetters(spool).add_unreadable(b"\xff\xff", "damage", 1)
    with sqlite3.connect(spool / "dead-letters.db") as database:
        database.execute("UPDATE letters SET body = x'c1' WHERE number = 1")
        later = pack(Event(99, "run", "id", 2**62))
        database.execute("INSERT INTO letters VALUES (9, 'k', 1, 'c', 'm', ?)", (later,))
    database.close()
    done = call("spool", "resend", "--dir", spool, *reach, "--json")
    told = json.loads(done.stdout)

    assert done.exit_code == 1
    assert (told["delivered"], told["left"], told["unreadable"]) == (0, 2, 1)
    assert server.spans() == []
    shown = call("spool", "show", "--dir", spool, "--json")
    assert shown.stdout.count('"kind":"unreadable"') == 3


def test_letters_alone_that_cannot_be_read_are_told(call, spool, reach):
    """There is nothing to send, and the way out is named."""
    DeadLetters(spool).add_unreadable(b"\xff\xff", "damage", 1)
    done = call("spool", "resend", "--dir", spool, *reach)

    assert done.exit_code == 1
    assert done.stderr.startswith("error: some letters cannot be read any more: ")


def test_ctrl_c_has_its_own_status_and_loses_nothing(call, server, spool, refused, monkeypatch):
    """An interrupted resend shows its sums, and the letters are still there."""
    refused(2)
    server.faults.add("path=bulk black_hole")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("prefactor_exporter._delivery.pipeline.Pipeline.flush", interrupt)
    done = call("spool", "resend", "--dir", spool, "--url", server.url, "--json")

    assert done.exit_code == 130
    assert done.stderr == "interrupted; what was not confirmed is still there\n"
    assert json.loads(done.stdout)["left"] == len(letters(spool)) == 2


def test_an_api_that_makes_all_ids_gets_letters_too(call, server, spool, refused, reach):
    """Without a partition the ids are left to the API."""
    refused(1)
    server.switches = Switches(refuse_client_ids=True)
    server.faults.add("path=pfid status=404")
    done = call("spool", "resend", "--dir", spool, *reach)

    assert (done.exit_code, done.stderr) == (0, "")
    assert letters(spool) == []
    assert numbers(server) == [0]


def test_settings_of_the_environment_are_heeded(call, server, spool, refused, reach):
    """How to deliver is said by the variables of the exporter; a bad one is wrong usage."""
    refused(3)
    token = {"PREFACTOR_API_TOKEN": server.token}
    bad = call("spool", "resend", "--dir", spool, *reach, PREFACTOR_EXPORTER_LINGER="x", **token)
    before = server.requests.count("/api/v1/bulk")
    variables = token | {"PREFACTOR_EXPORTER_MAX_BATCH_ITEMS": "1"}
    done = call("spool", "resend", "--dir", spool, *reach, **variables)

    assert (bad.exit_code, bad.stdout) == (2, "")
    assert bad.stderr.startswith("error: PREFACTOR_EXPORTER_LINGER='x' cannot be read")
    assert done.exit_code == 0
    assert server.requests.count("/api/v1/bulk") == before + 3


def test_a_disk_that_fails_is_one_line(call, spool, refused, reach, monkeypatch):
    """What was confirmed and cannot be removed is sent again the next time, under the same key."""
    refused(1)

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(DeadLetters, "remove", fail)
        done = call("spool", "resend", "--dir", spool, *reach)
        purged = call("spool", "purge", "--dir", spool, "--yes")
    again = call("spool", "resend", "--dir", spool, *reach)

    assert (done.exit_code, done.stderr) == (1, "error: the spool cannot be used: disk full\n")
    assert purged.stderr == "error: not everything could be deleted: disk full\n"
    assert (again.exit_code, letters(spool)) == (0, [])


def test_nothing_more_is_tried_where_nothing_gets_done(server, spool, both, configured):
    """After one file in vain the others are left alone."""
    both(1)
    server.pause()
    resender = configured(spool, patience=0.0)
    files = survey(spool).left_behind
    for _ in range(2):
        resender.adopt(files, lambda _count, _trouble: None)
    server.resume()

    assert resender.resent.left == 2 * sum(file.events for file in files)
    assert survey(spool).left_behind == files


def test_without_a_directory_there_is_nothing_to_send(record):
    """That is a mistake of the caller."""
    with pytest.raises(ValueError, match="spool_dir"):
        Resender(record().config, partition=1, sdk_header="", clock=SystemClock(), patience=0.0)


def test_a_file_that_vanishes_meanwhile_is_not_listed(spool, left_behind, monkeypatch):
    """Its owner may remove it at any moment."""
    left_behind()

    def vanish(path):
        path.unlink()
        return True

    monkeypatch.setattr("prefactor_exporter._delivery.inspection.is_alive", vanish)

    assert survey(spool).files == ()
    assert list(spool.glob("*.spool")) == []


# -- removing --------------------------------------------------------------------------------


def test_purge_removes_what_belongs_to_nobody(call, spool, refused, left_behind, living):
    """Letters and files of dead processes go; those of a living one stay."""
    refused(2)
    count = left_behind()
    living(spool)
    done = call("spool", "purge", "--dir", spool, "--yes", "--json")
    (file,) = survey(spool).files

    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"letters": 2, "files": 1, "events": count}
    assert file.alive
    assert letters(spool) == []


def test_purge_takes_numbers_and_codes(call, spool, refused, left_behind):
    """Only the chosen letters go, and no file."""
    refused(3)
    left_behind()
    done = call("spool", "purge", 1, 3, "--dir", spool, "--yes")

    assert done.exit_code == 0
    assert done.stderr == "removed 2 dead letters and 0 files with 0 events\n"
    assert [letter.number for letter in letters(spool)] == [2]
    assert len(survey(spool).files) == 1


def test_purge_asks_nobody_who_cannot_answer(call, spool, refused):
    """Without a terminal only ``--yes`` deletes."""
    refused(1)
    done = call("spool", "purge", "--dir", spool)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith("give --yes to do it\n")
    assert len(letters(spool)) == 1


@pytest.mark.parametrize("answer", ["y", "n"])
def test_purge_does_what_the_answer_says(call, spool, refused, monkeypatch, answer):
    """On a terminal it asks first, with what would be lost."""
    refused(1)
    monkeypatch.setattr("prefactor_exporter.cli.spool._can_answer", lambda: True)
    done = call("spool", "purge", "--dir", spool, stdin=f"{answer}\n")

    assert "Delete 1 dead letter and 0 files of dead processes" in done.stderr
    assert (done.exit_code, len(letters(spool))) == ((0, 0) if answer == "y" else (1, 1))


def test_a_file_that_found_an_owner_is_left_to_it(call, spool, left_behind, monkeypatch):
    """A process may have adopted it since the question was asked."""
    left_behind()
    monkeypatch.setattr("prefactor_exporter.cli.spool.purge_file", lambda _file: False)
    done = call("spool", "purge", "--dir", spool, "--yes")

    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "removed 0 dead letters and 0 files with 0 events",
        "error: a file was taken over by a living process in the meantime and was left to it",
    ]
    assert len(survey(spool).files) == 1
