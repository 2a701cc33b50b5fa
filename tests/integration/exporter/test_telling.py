"""The log says each change of state once, sums up the rest, and holds no payload and no secret."""

import ast
import asyncio
import logging
import sqlite3
from collections import Counter

import pytest

from prefactor_exporter import Exporter, Redaction
from prefactor_exporter._core import pace
from prefactor_exporter._delivery import herald, worker
from tests.integration.exporter.conftest import until

pytestmark = pytest.mark.slow


def told(caplog):
    """Return the events of all lines of the log, in order."""
    return [record.getMessage().split()[0] for record in caplog.records]


def test_a_long_outage_is_two_lines_and_no_traceback(server, make, caplog, monkeypatch):
    """However often it was tried; at every level of the log."""
    caplog.set_level(logging.DEBUG, "prefactor_exporter")
    monkeypatch.setattr(pace, "backoff_delay", lambda *_, **__: 0.0)
    server.faults.add("times=20 status=503 path=/bulk")
    server.faults.add("times=20 html path=/bulk")
    server.faults.add("times=20 reset=before path=/bulk")
    exporter = make()
    for n in range(20):
        exporter.record_span("a", {"n": n})
    assert exporter.flush(25)

    ours = [r for r in caplog.records if r.name.startswith("prefactor")]
    assert exporter.stats().requests > 60
    assert [r.getMessage().split()[0] for r in ours] == ["delivery_degraded", "delivery_recovered"]
    assert all(record.exc_info is None for record in ours)
    assert "after_seconds" in ours[1].getMessage()
    assert "lost: 0" in ours[1].getMessage()


def test_a_flapping_api_is_told_once_a_minute(server, make, caplog):
    exporter = make()
    for n in range(6):
        server.faults.add("times=1 status=503 path=/bulk")
        exporter.record_span("a", {"n": n})
        assert exporter.flush(25)

    assert told(caplog) == ["delivery_degraded", "delivery_recovered"]


def test_a_refused_run_is_told_with_its_cause(make, caplog):
    """Not with what followed from it."""
    exporter = make(agent=None)
    exporter.record_span("a", {"n": 1})
    exporter.flush(25)
    until(lambda: caplog.records, "a line")
    [line] = [record.getMessage() for record in caplog.records]

    assert "events_lost" in line
    assert "'instance_refused': 2" in line
    assert "agent_id" in line.partition("example: ")[2]
    assert exporter.stats().last_error.startswith("validation_errors: ")
    assert exporter.health().problems == ()


def test_losses_are_told_at_once_and_then_in_sums(server, make, caplog, monkeypatch):
    """The sum comes by itself when it is due, not only with the next loss."""
    monkeypatch.setattr(herald, "_QUIET", 0.5)
    server.faults.add("schema_name=poison item_error=validation_errors")
    exporter = make()
    for n in range(40):
        exporter.record_span("poison", {"n": n})
        exporter.flush(25)
        if n == 0:
            until(lambda: told(caplog) == ["events_lost"], "the first line")
    until(lambda: sum(lost(caplog)) == 40, "the last sum")

    assert lost(caplog)[0] == 1
    assert len(lost(caplog)) <= 20


def lost(caplog):
    """Return the counts of the lines that tell of a loss."""
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("events_lost")]
    return [int(line.partition("'validation_errors': ")[2].partition("}")[0]) for line in lines]


def test_on_drop_is_called_once_for_each_loss_with_its_reason(server, make):
    server.faults.add("schema_name=poison item_error=validation_errors")
    drops = []
    exporter = make(on_drop=lambda event, reason: drops.append((event, reason)))
    with exporter.instance() as run:
        with run.span("poison", {"n": 1}) as span:
            exporter.flush(25)
        exporter.record_span("poison", {"n": 2}, parent_span_id=None)
        exporter.flush(25)
    assert exporter.flush(25).dead == 3

    assert sorted(reason for _, reason in drops) == ["dependent", *["validation_errors"] * 2]
    event, _ = next(drop for drop in drops if drop[1] == "dependent")
    assert event == {
        "kind": "span_finish",
        "id": span.id,
        "instance_id": run.id,
        "name": "",
        "bytes": event["bytes"],
        "message": "its create was refused",
    }


def sums(caplog):
    """Return all that the log has said is lost, by reason."""
    found = Counter()
    for record in caplog.records:
        if record.getMessage().startswith("events_lost"):
            reasons = record.getMessage().partition("reasons: ")[2].partition("}")[0] + "}"
            found.update(ast.literal_eval(reasons))
    return found


def test_losses_of_every_reason_are_told_to_on_drop_and_to_the_log(
    server, make, caplog, monkeypatch
):
    monkeypatch.setattr(herald, "_QUIET", 0.0)
    server.faults.add("schema_name=poison item_error=validation_errors")
    drops = []
    exporter = make(
        strict=False,
        max_queue_items=20,
        on_drop=lambda event, reason: drops.append((reason, event)),
    )
    exporter.record_span("a", status="no such")  # invalid, and the very first of all
    exporter.finish_span("no such span")
    with exporter.span("poison"):  # refused with its finish inside
        pass
    exporter.flush(25)
    server.pause()
    for n in range(20):
        exporter.record_span("a", {"n": n})
    dropped = exporter.start_span("a")  # no room
    exporter.finish_span(dropped)
    server.resume()
    assert exporter.flush(25).pending == 0
    exporter.shutdown(25)

    stats = exporter.stats()
    lost = Counter(stats.dropped_reasons) + Counter(stats.dead_reasons)
    assert set(lost) == {"invalid", "validation_errors", "queue_full", "create_dropped"}
    assert Counter(reason for reason, _ in drops) == lost == sums(caplog)
    assert all(
        set(event) == {"kind", "id", "instance_id", "name", "bytes", "message"}
        for _, event in drops
    )
    kinds = {reason: [e["kind"] for r, e in drops if r == reason] for reason in lost}
    assert kinds["invalid"] == ["", ""]
    assert kinds["validation_errors"] == ["span", "span_finish"]
    assert kinds["create_dropped"] == ["span_finish"]
    late = next(event for reason, event in drops if reason == "create_dropped")
    assert (late["id"], late["instance_id"]) == (dropped, exporter._own)
    assert "status" in drops[0][1]["message"]


def test_the_log_counts_more_losses_than_on_drop_is_told_one_by_one(make, caplog, monkeypatch):
    """A worker that comes to nothing for a while is told the latest."""
    monkeypatch.setattr(worker, "_REMEMBERED", 50)
    drops = []
    exporter = make(
        max_queue_items=20, overflow="drop_oldest", on_drop=lambda *loss: drops.append(loss)
    )
    monkeypatch.setattr(exporter._pipeline.worker, "start", lambda: False)
    for n in range(1_000):
        exporter.finish_span(exporter.start_span("a", {"n": n}))
    exporter.shutdown(0)

    stats = exporter.stats()
    assert stats.dropped == 2_003
    assert sums(caplog) == stats.dropped_reasons
    told = Counter(reason for _, reason in drops)
    assert told["shutdown"] == stats.dropped_reasons["shutdown"]
    assert 50 <= told["queue_full"] + told["create_dropped"] < 60


def test_what_cannot_be_read_from_disk_is_told_without_a_description(server, make, caplog):
    drops = []
    exporter = make(on_drop=lambda *loss: drops.append(loss))
    ledger = exporter._pipeline.ledger
    ledger.adopt(3)
    ledger.lose(3, "spool_unreadable")
    exporter.record_span("a", {"n": 1})
    exporter.flush(25)
    until(lambda: len(drops) == 3, "the calls")

    assert [reason for _, reason in drops] == ["spool_unreadable"] * 3
    assert drops[0][0]["kind"] == ""
    assert sums(caplog) == {"spool_unreadable": 3}


SECRETS = [
    *(f"{prefix}{number:02d}{'x7Rq9Zt2' * 5}"[:width] for number, (prefix, width) in enumerate([
        ("sk-proj-", 48), ("sk-ant-api03-", 60), ("sk_live_", 40), ("rk_test_", 40),
        ("ghp_", 40), ("gho_", 40), ("ghs_", 40), ("github_pat_", 50), ("glpat-", 30),
        ("hf_", 40), ("xoxb-", 40), ("xoxp-", 40), ("AIza", 39), ("npm_", 40),
    ])),
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9",
    "MIIEowIBAAKCAQEAprivatekeymaterial",
]  # fmt: skip
KEYS = [
    *["password", "passwd", "Password", "db_password", "api_key", "apiKey", "API-KEY", "x-api-key"],
    *["authorization", "Authorization", "secret", "client_secret", "aws_secret_access_key"],
    *["access_token", "refresh_token", "id_token", "session_token", "bearer_token", "cookie"],
    *["Set-Cookie", "private_key", "ssh_key", "credentials", "passphrase", "csrf_token"],
    *["signing_key", "encryption_key", "account_key", "auth_token", "GITHUB_TOKEN"],
]


def payloads():
    """Yield payloads that hide a secret each, and the secret."""
    for n, secret in enumerate(SECRETS):
        text = f"the key is {secret}, keep it"
        if "private" in secret:
            text = f"-----BEGIN RSA PRIVATE KEY-----\n{secret}\n-----END RSA PRIVATE KEY-----"
        yield {"n": n, "deep": [{"text": text}]}, secret
    for n, key in enumerate(KEYS):
        yield {"n": n, "args": {key: f"hunter-{n}-{key}-zwei"}}, f"hunter-{n}-{key}-zwei"
    for n in range(5):
        secret = f"geheim-{n}-wort"
        yield {"n": n, "body": f'{{"api_key": "{secret}", "model": "m"}}'}, secret
        secret = f"s3cr3t-{n}-pass"
        yield {"n": n, "url": f"postgres://admin:{secret}@db.example.org/x"}, secret
        secret = f"abcdef{n}GHIJKL0123456789mnop"
        yield {"n": n, "error": RuntimeError(f"401 for Authorization: Bearer {secret}")}, secret


INNOCENT = {
    "usage": {"input_tokens": 1234, "max_tokens": 99, "token_count": 7},
    "text": "the password policy of the secretary; a tokenizer, an author, a monkey",
}


def test_no_secret_reaches_wire_disk_log_or_repr(server, make, tmp_path, caplog):
    """Each of sixty, in keys, values, text within text, addresses and exceptions."""
    caplog.set_level(logging.DEBUG)
    spool = tmp_path / "spool"
    hidden = list(payloads())
    drops = []
    server.faults.add("status=503 path=/bulk")
    exporter = make(
        spool_dir=spool,
        spool_interval=0.01,
        strict=False,
        redact=Redaction(keys=("favourite colour",)),
        on_drop=lambda event, reason: drops.append(event),
    )
    for n, (payload, _) in enumerate(hidden):
        # The first half stays in memory and is journaled, merged spans too.
        if n % 2:
            with exporter.span("a", payload) as span:
                span.set_result(payload)
        else:
            exporter.record_span("a", payload, result_payload=payload)
    exporter.record_span("a", {"n": "mine", "Favourite-Colour": "octarine"})
    exporter.record_span("a", {"n": "innocent", **INNOCENT})
    until(lambda: written(spool) >= len(hidden), "the write")
    on_disk = b"".join(path.read_bytes() for path in spool.iterdir())
    assert any(path.name.endswith("-wal") for path in spool.iterdir())
    server.faults.clear()
    exporter.set_token(server.token)
    assert exporter.flush(40)

    wire = repr([(span["payload"], span["result_payload"]) for span in server.spans()])
    words = " ".join([caplog.text, repr(exporter), repr(exporter.config), repr(exporter.stats())])
    words += repr(exporter.health()) + repr(drops)
    assert len(hidden) >= 60
    for secret in [*(secret for _, secret in hidden), "octarine", server.token]:
        assert secret not in wire
        assert secret.encode() not in on_disk
        assert secret not in words
    stored = next(s["payload"] for s in server.spans() if s["payload"]["n"] == "innocent")
    assert stored == {"n": "innocent", **INNOCENT}


def written(spool):
    """Return how many events are on disk, in whosever file."""
    found = 0
    for path in spool.glob("*.spool"):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            found += database.execute("SELECT count(*) FROM events").fetchone()[0]
        except sqlite3.OperationalError:  # it is being made
            pass
        finally:
            database.close()
    return found


async def test_nothing_is_printed_and_no_logging_is_configured(server, make, capfd):
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("prefactor_exporter").level)
    server.faults.add("times=1 status=503 path=/bulk")
    exporter = make(strict=False)
    exporter.record_span("a", status="no such")
    with exporter.span("a", {"n": 1}):
        await asyncio.sleep(0)
    assert (await exporter.flush_async(25)).delivered == 4
    await exporter.shutdown_async()
    Exporter(None)

    assert capfd.readouterr() == ("", "")
    after = (list(root.handlers), root.level, logging.getLogger("prefactor_exporter").level)
    assert after == before
