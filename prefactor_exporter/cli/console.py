"""What the commands print: results on standard output, everything else on standard error."""

import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

__all__ = [
    "ERROR",
    "INTERRUPTED",
    "OUTPUT",
    "USAGE",
    "fail",
    "note",
    "plain",
    "progress_bar",
    "say_error",
    "statuses",
    "sums_table",
    "write_json",
    "write_line",
    "write_table",
]


class _Results(Console):
    """A console whose user is told in one line when nothing can be written to it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print *objects*, or end the command."""
        with _written():
            super().print(*objects, **options)

    def out(self, *objects: Any, **options: Any) -> None:
        """Print *objects* as they are, or end the command."""
        with _written():
            super().out(*objects, **options)


@contextmanager
def _written() -> Generator[None]:
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            # Python would try once more at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"standard output cannot be written: {error.strerror or error}")


OUTPUT: Final = _Results(highlight=False)
"""For what was asked for."""
ERROR: Final = Console(stderr=True, highlight=False)
"""For progress, notes and errors."""

USAGE: Final = 2
"""Exit status of a mistake in what the user gave."""
INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it."""


_ANY_WIDTH: Final = 1_000_000
_REMARK_WIDTH: Final = 60


def statuses(done: str, failed: str, usage: str = "wrong usage") -> str:
    """Return the end of a command's help: what its exit statuses mean."""
    return f"Exit status: **0** {done}, **1** {failed}, **2** {usage}, **130** interrupted."


def note(text: str) -> None:
    """Print *text* as it is on standard error, on one line however long it is."""
    ERROR.print(plain(text), soft_wrap=True)


def fail(text: str, *, status: int = 1) -> NoReturn:
    """Say what is wrong in one line and end the command with *status*."""
    say_error(text)
    raise typer.Exit(status)


def say_error(text: str) -> None:
    """Say what is wrong in one line."""
    line = Text("error: ", style="bold red")
    ERROR.print(line.append_text(plain(text)), soft_wrap=True)


def write_json(value: Any) -> None:
    """Print *value* for a machine: JSON on one line of standard output."""
    OUTPUT.out(msgspec.json.encode(value).decode(), highlight=False)


def write_line(line: Text) -> None:
    """Print one line: cut to fit on a terminal, whole for anybody else."""
    if OUTPUT.is_terminal:
        OUTPUT.print(line, no_wrap=True, overflow="ellipsis")
    else:
        OUTPUT.out(line.plain, highlight=False)


def write_table(table: Table) -> None:
    """Print *table*: made to fit on a terminal, as wide as it wants to be for anybody else."""
    if OUTPUT.is_terminal:
        OUTPUT.print(table)
    else:
        room = OUTPUT.options.update(width=_ANY_WIDTH)
        width = Measurement.get(OUTPUT, room, table).maximum
        _Results(file=OUTPUT.file, width=width, highlight=False).print(table)


@contextmanager
def progress_bar(what: str) -> Generator[Callable[[int, int, str], None]]:
    """Show on a terminal how far something is, once there is something to show.

    Yields what updates it: with what is done, of how much, and a remark.
    """
    progress = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[remark]}", markup=False),
        console=ERROR,
        disable=not ERROR.is_terminal,
        transient=True,
    )
    task = progress.add_task(what, remark="")

    def update(done: int, total: int, remark: str = "") -> None:
        progress.update(
            task, completed=done, total=total, remark=plain(remark).plain[:_REMARK_WIDTH]
        )
        progress.start()

    try:
        yield update
    finally:
        progress.stop()


def sums_table(title: str, rows: Iterable[tuple[str, object]]) -> Table:
    """Return a table of names and figures; what is zero is dim."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows:
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name, shown, style="dim" if value == 0 else None)
    return table


def plain(text: str) -> Text:
    """Return *text* without markup, its control characters made visible."""
    return Text("".join(c if c.isprintable() else repr(c)[1:-1] for c in text), style="default")
