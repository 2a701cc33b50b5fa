"""``spool``: what waits in a spool directory and what was refused; send it again, or remove it."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from prefactor_exporter import ConfigError, ExporterConfig
from prefactor_exporter._core.ids import extract_partition
from prefactor_exporter._core.wire import rfc3339
from prefactor_exporter._delivery.clock import SystemClock
from prefactor_exporter._delivery.dead_letters import UNREADABLE_CODE, DeadLetters, LetterHead
from prefactor_exporter._delivery.inspection import (
    Survey,
    WaitingFile,
    described,
    letters_of,
    purge_file,
    survey,
    waiting_events,
)
from prefactor_exporter._delivery.resending import Resender, Resent
from prefactor_exporter._delivery.spool_file import token_mark
from prefactor_exporter.cli.connection import TokenOption, UrlOption, connection, with_client
from prefactor_exporter.cli.console import (
    INTERRUPTED,
    USAGE,
    fail,
    note,
    progress_bar,
    statuses,
    sums_table,
    write_json,
    write_table,
)
from prefactor_exporter.cli.spool_view import (
    files_table,
    letters_table,
    survey_data,
    write_event,
)
from prefactor_exporter.cli.usage import Command, Group
from prefactor_exporter.registration import SDK_HEADER
from prefactor_http.client import PrefactorHttpClient
from prefactor_http.devserver.server import DEFAULT_DEPLOYMENT_TOKEN
from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorAuthError,
    is_permanent_http_error,
)

__all__ = ["app"]

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Look after a spool directory: what waits in it, and what the API refused.",
)

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIRECTORY",
        envvar="PREFACTOR_EXPORTER_SPOOL_DIR",
        help="The spool directory.",
        show_default=False,
    ),
]
CodeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--code", metavar="CODE", help="Only dead letters with this code; may be repeated."
    ),
]


@app.command(
    cls=Command,
    name="ls",
    epilog=statuses("listed", "the directory cannot be read", "wrong usage or no such directory"),
)
def ls(
    *,
    directory: DirectoryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the files of events that wait, and the dead letters by their code.

    A file whose process lives is that process's to deliver. One whose process is gone is adopted
    by the next that uses the directory, or by `spool resend`.
    """
    found = _survey(_given(directory))
    if as_json:
        write_json(survey_data(found))
        return
    if not found.files and not found.letters:
        note("nothing waits, and there are no dead letters")
        return
    if found.files:
        write_table(files_table(found.files))
    if found.letters:
        write_table(letters_table(found.letters))


@app.command(
    cls=Command,
    name="show",
    epilog=statuses("shown", "there is no such file or letter, or it cannot be read"),
)
def show(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT...",
            help="Numbers of dead letters, or files as they are listed; everything if left out.",
            show_default=False,
        ),
    ] = None,
    *,
    directory: DirectoryOption = None,
    code: CodeOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each event.")
    ] = False,
) -> None:
    """Show events that wait and dead letters, with their payloads.

    Secrets were removed before the events were written.
    """
    where = _given(directory)
    found = _survey(where)
    numbers, files = _chosen(found, what or [], code or [])
    try:
        for file in files:
            for event in waiting_events(file.path):
                write_event(event, {"file": file.path.name}, as_json=as_json)
        for letter in letters_of(where, numbers):
            about = {
                "number": letter.number,
                "code": letter.code,
                "message": letter.message,
                "died": rfc3339(letter.died),
            }
            write_event(described(letter.body), about, as_json=as_json)
    except OSError as error:
        fail(str(error))


@app.command(
    cls=Command,
    name="resend",
    epilog=statuses("all of it is delivered", "something was refused again, or is still there"),
)
def resend(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="NUMBER...",
            help="Numbers of dead letters; if left out, all of them and what dead processes left.",
            show_default=False,
        ),
    ] = None,
    *,
    directory: DirectoryOption = None,
    code: CodeOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    patience: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="Give up when nothing was delivered for this long."
        ),
    ] = 30.0,
    other_token: Annotated[
        bool,
        typer.Option(
            "--other-token",
            help="Also deliver what was recorded with another deployment token, as this one's.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the sums as JSON.")] = False,
) -> None:
    """Deliver dead letters again, and what waits in files of dead processes.

    A letter is removed when the API has confirmed it; one that is refused again keeps its number,
    with the new reason. What was refused goes under a new idempotency key, because the API may
    answer the old one with the same refusal for ever. What may have been applied goes under its
    old key, so that it is applied once at most.
    """
    where = _given(directory)
    http = connection(url, token, local_token=DEFAULT_DEPLOYMENT_TOKEN)
    found = _survey(where)
    letters = _selected(found, numbers or [], code or [])
    sendable = [letter for letter in letters if letter.code != UNREADABLE_CODE]
    files = [] if numbers or code else list(found.left_behind)
    here = [file for file in files if file.api_url == http.api_url]
    ours = [
        file for file in here if other_token or file.token_mark in {"", token_mark(http.api_token)}
    ]
    if foreign := _events(here) - _events(ours):
        note(
            f"{_count(foreign, 'event was', 'events were')} recorded with another deployment token:"
            " give it with --token, or, if it was replaced and the agent is the same, --other-token"
        )
    for address in sorted({file.api_url for file in files} - {http.api_url}):
        count = _events(file for file in files if file.api_url == address)
        waiting = _count(count, "event waits", "events wait")
        note(f"{waiting} for {address}: give it with --url to deliver")
    resender = Resender(
        _settings(ExporterConfig(http=http, spool_dir=where)),
        partition=with_client(http, _partition, reading=False) if sendable or ours else None,
        sdk_header=SDK_HEADER,
        clock=SystemClock(),
        patience=patience,
    )
    total = len(sendable) + _events(ours)
    try:
        with progress_bar("resend") as update:
            _send(resender, sendable, ours, lambda done, remark: update(done, total, remark))
    except OSError as error:
        fail(f"the spool cannot be used: {error}")
    others = _events(files) - _events(ours)
    resender.resent.left += others
    unreadable = len(letters) - len(sendable)
    _tell(resender.resent, others, unreadable, http.api_url, as_json=as_json)


@app.command(
    cls=Command,
    name="purge",
    epilog=statuses("removed", "something could not be removed, or the answer was no"),
)
def purge(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="NUMBER...",
            help="Numbers of dead letters; if left out, all of them and what dead processes left.",
            show_default=False,
        ),
    ] = None,
    *,
    directory: DirectoryOption = None,
    code: CodeOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the sums as JSON.")] = False,
) -> None:
    """Delete dead letters, and the files of dead processes with the events in them.

    Files of living processes are never touched. What is deleted is gone for good.
    """
    where = _given(directory)
    found = _survey(where)
    letters = _selected(found, numbers or [], code or [])
    files = [] if numbers or code else [file for file in found.files if not file.alive]
    if letters or files:
        _confirm(letters, files, yes=yes)
    removed, events = _purge(where, letters, files)
    if as_json:
        write_json({"letters": len(letters), "files": removed, "events": events})
    else:
        note(
            f"removed {_count(len(letters), 'dead letter')} and {_count(removed, 'file')} "
            f"with {_count(events, 'event')}"
        )
    if removed < len(files):
        fail("a file was taken over by a living process in the meantime and was left to it")


# -- what is there ---------------------------------------------------------------------------


def _given(directory: Path | None) -> Path:
    """Return the directory, or end the command with what is wrong about it."""
    if directory is None:
        fail("which directory? give --dir or set PREFACTOR_EXPORTER_SPOOL_DIR", status=USAGE)
    if not directory.is_dir():
        what = "is no directory" if directory.exists() else "does not exist"
        fail(f"{directory} {what}: check --dir or PREFACTOR_EXPORTER_SPOOL_DIR", status=USAGE)
    return directory


def _survey(directory: Path) -> Survey:
    try:
        found = survey(directory)
    except OSError as error:
        fail(f"{directory} cannot be read: {error.strerror or error}")
    if found.letters_problem:
        note(f"the dead letters cannot be read: {found.letters_problem}")
    return found


def _selected(found: Survey, numbers: Sequence[int], codes: Sequence[str]) -> list[LetterHead]:
    """Return the letters with these numbers and codes; end the command if one is not there."""
    missing = [str(number) for number in numbers if number not in {x.number for x in found.letters}]
    missing += [code for code in codes if code not in {x.code for x in found.letters}]
    if missing:
        _not_there(missing)
    return [
        letter
        for letter in found.letters
        if (not numbers or letter.number in numbers) and (not codes or letter.code in codes)
    ]


def _chosen(
    found: Survey, what: Sequence[str], codes: Sequence[str]
) -> tuple[list[int], list[WaitingFile]]:
    """Return the numbers of letters and the files that are meant."""
    if not what:
        files = [] if codes else [file for file in found.files if not file.problem]
        return [letter.number for letter in _selected(found, [], codes)], files
    numbers = [int(text) for text in what if text.isdecimal() and len(text) < _LONGEST_NUMBER]
    names = [text for text in what if not (text.isdecimal() and len(text) < _LONGEST_NUMBER)]
    files = [file for file in found.files if any(name in file.path.name for name in names)]
    missing = [name for name in names if not any(name in file.path.name for file in files)]
    if missing:
        _not_there(missing)
    letters = _selected(found, numbers, codes) if numbers or codes else []
    return [letter.number for letter in letters], files


_LONGEST_NUMBER = 16
"""Names of files begin with more digits than that."""


def _not_there(missing: Iterable[str]) -> NoReturn:
    fail(f"there is no {' and no '.join(missing)} in the spool: see 'prefactor-exporter spool ls'")


# -- sending again ---------------------------------------------------------------------------


def _settings(config: ExporterConfig) -> ExporterConfig:
    """Return *config* with those settings of the environment that decide how to deliver."""
    try:
        found = ExporterConfig.from_env()
    except ConfigError as error:
        fail(str(error), status=USAGE)
    if found is None:
        return config
    return msgspec.structs.replace(found, http=config.http, spool_dir=config.spool_dir, agent=None)


async def _partition(client: PrefactorHttpClient) -> int | None:
    """Return the account's partition, None with an API that makes all ids itself."""
    try:
        answer = await client.pfids.generate(count=1)
    except PrefactorAuthError:
        raise
    except PrefactorApiError as error:
        if not is_permanent_http_error(error):
            raise
        return None
    return extract_partition(answer.pfids[0])


def _send(
    resender: Resender,
    letters: Sequence[LetterHead],
    files: Sequence[WaitingFile],
    update: Callable[[int, str], None],
) -> None:
    """Deliver first what waits, which letters may build on, then the letters."""
    before = 0

    def progress(count: int, trouble: str) -> None:
        update(before + count, trouble)

    for whose in dict.fromkeys((file.agent_id, file.token_mark) for file in files):
        those = [file for file in files if (file.agent_id, file.token_mark) == whose]
        resender.adopt(those, progress)
        before += _events(those)
    resender.resend(letters, progress)


def _tell(resent: Resent, others: int, unreadable: int, url: str, *, as_json: bool) -> None:
    """Print the sums, and end the command with what they mean.

    Args:
        resent: What became of what was to be sent.
        others: How many of those that are left are for another address or token.
        unreadable: How many letters cannot be read.
        url: Where it was sent.
        as_json: Whether a machine reads it.
    """
    if as_json:
        write_json(msgspec.to_builtins(resent) | {"unreadable": unreadable})
    else:
        rows: list[tuple[str, object]] = [
            ("delivered", resent.delivered),
            ("refused again", resent.refused),
        ]
        rows += [(f"  {reason}", count) for reason, count in resent.reasons.items()]
        rows += [("still there", resent.left), ("unreadable", unreadable)]
        write_table(sums_table("Resend", rows))
    if resent.interrupted:
        note("interrupted; what was not confirmed is still there")
        raise typer.Exit(INTERRUPTED)
    if resent.left > others:
        fail(f"not everything was delivered to {url}: {resent.last_error or 'time was up'}")
    if resent.refused:
        fail("some of it was refused again: see 'prefactor-exporter spool show'")
    if others:
        what = _count(others, "event is", "events are")
        fail(f"{what} for another address or token, as said above")
    if unreadable:
        fail("some letters cannot be read any more: 'prefactor-exporter spool purge' removes them")


# -- removing --------------------------------------------------------------------------------


def _confirm(letters: Sequence[LetterHead], files: Sequence[WaitingFile], *, yes: bool) -> None:
    """Ask whether all that should be deleted; end the command unless the answer is yes."""
    if yes:
        return
    events = _events(files)
    what = (
        f"{_count(len(letters), 'dead letter')} and {_count(len(files), 'file')} of dead processes "
        f"with {_count(events, 'undelivered event')}"
    )
    if not _can_answer():
        fail(f"this would delete {what}: give --yes to do it", status=USAGE)
    if not typer.confirm(f"Delete {what} for good?", err=True):
        fail("nothing was deleted")


def _can_answer() -> bool:
    return sys.stdin.isatty()


def _purge(
    directory: Path, letters: Sequence[LetterHead], files: Sequence[WaitingFile]
) -> tuple[int, int]:
    """Delete them; return how many files are gone, with how many events."""
    removed = events = 0
    try:
        if letters:
            DeadLetters(directory).remove([letter.number for letter in letters])
        for file in files:
            if purge_file(file):
                removed += 1
                events += file.events
    except OSError as error:
        fail(f"not everything could be deleted: {error}")
    return removed, events


def _events(files: Iterable[WaitingFile]) -> int:
    return sum(file.events for file in files)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
