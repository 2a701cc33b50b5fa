"""How a spool directory looks: tables of what waits and what was refused, and single events."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from prefactor_exporter._core.wire import rfc3339
from prefactor_exporter._delivery.dead_letters import LetterHead
from prefactor_exporter._delivery.inspection import Survey, WaitingFile
from prefactor_exporter.cli.console import OUTPUT, plain, write_json, write_line
from prefactor_exporter.cli.outline import duration, pretty

__all__ = ["files_table", "letters_table", "survey_data", "write_event"]


def survey_data(found: Survey) -> dict[str, Any]:
    """Return *found* as plain data for a machine."""
    files: list[dict[str, Any]] = [
        msgspec.to_builtins(file, enc_hook=str)
        | {"oldest": None if file.oldest is None else rfc3339(file.oldest)}
        for file in found.files
    ]
    letters = [letter._asdict() | {"died": rfc3339(letter.died)} for letter in found.letters]
    return {"files": files, "dead_letters": letters}


def files_table(files: Iterable[WaitingFile]) -> Table:
    """Return the table of what waits."""
    table = Table(title="Waiting", title_justify="left")
    table.add_column("file", no_wrap=True)
    table.add_column("process")
    table.add_column("events", justify="right")
    table.add_column("bytes", justify="right")
    table.add_column("oldest", no_wrap=True)
    table.add_column("for")
    for file in files:
        owner = plain(f"{file.pid} {'alive' if file.alive else 'gone'}".strip())
        owner.stylize("green" if file.alive else "yellow")
        table.add_row(
            plain(file.path.stem.rpartition("-")[2] + file.path.suffix.removesuffix(".spool")),
            owner,
            "?" if file.problem else f"{file.events:,}",
            f"{file.bytes:,}",
            "" if file.oldest is None else _ago(file.oldest),
            plain(file.problem or " ".join(filter(None, (file.api_url, file.agent_id)))),
        )
    return table


def letters_table(letters: Sequence[LetterHead]) -> Table:
    """Return the table of what was refused, a line for each code."""
    table = Table(title="Dead letters", title_justify="left")
    table.add_column("code", no_wrap=True)
    table.add_column("letters", justify="right")
    table.add_column("bytes", justify="right")
    table.add_column("newest", no_wrap=True)
    table.add_column("numbers")
    table.add_column("the newest says")
    for code in sorted({letter.code for letter in letters}):
        those = [letter for letter in letters if letter.code == code]
        newest = max(those, key=lambda letter: letter.died)
        first, last = those[0].number, those[-1].number
        table.add_row(
            plain(code),
            f"{len(those):,}",
            f"{sum(letter.size for letter in those):,}",
            _ago(newest.died),
            str(first) if first == last else f"{first} to {last}",
            plain(newest.message),
        )
    return table


def _ago(moment: int) -> str:
    return f"{duration(max(0.0, (time.time_ns() - moment) / 1e9))} ago"


def write_event(event: dict[str, Any], about: dict[str, Any], *, as_json: bool) -> None:
    """Print one event, with where it is and what became of it."""
    if as_json:
        write_json(about | {"event": event})
        return
    where = str(about.get("file", f"letter {about.get('number')}"))
    head = Text(plain(where).plain, style="bold")
    head.append(f"  {event['kind']}", style="cyan")
    for name in ("name", "status", "id", "at"):
        if event.get(name):
            head.append(f"  {plain(str(event[name])).plain}")
    write_line(head)
    if "code" in about:
        reason = f"  {about['code']}: {about['message']} ({about['died']})"
        OUTPUT.print(plain(reason), style="yellow", soft_wrap=True)
    for label in ("instance_id", "parent_span_id", "problem"):
        if event.get(label):
            OUTPUT.print(plain(f"  {label} {event[label]}"), style="dim", soft_wrap=True)
    for label in ("payload", "result_payload", "details"):
        if label in event:
            for line in pretty(label, event[label], indent="  "):
                OUTPUT.print(line, soft_wrap=True)
