"""The command line ``prefactor-exporter``."""

from typing import Annotated

import typer

from prefactor_exporter import __version__
from prefactor_exporter.cli import spool
from prefactor_exporter.cli.console import OUTPUT, statuses
from prefactor_exporter.cli.demo import demo
from prefactor_exporter.cli.doctor import doctor
from prefactor_exporter.cli.replay import replay
from prefactor_exporter.cli.serve import serve
from prefactor_exporter.cli.show import show
from prefactor_exporter.cli.tail import tail
from prefactor_exporter.cli.usage import Command, Group

__all__ = ["app"]

app = typer.Typer(
    name="prefactor-exporter",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=statuses("all is well", "the command could not do all it was asked"),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        OUTPUT.out(f"prefactor-exporter {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Record what AI agents do and deliver it to Prefactor.

    Results go to standard output, progress, notes and errors to standard error.
    """


_TRY = "Try it"
_LOOK = "Look at runs"
_CARE = "Look after delivery"
_UNANSWERED = "there is no such run, or the API does not answer"

app.command(
    cls=Command,
    rich_help_panel=_TRY,
    epilog=statuses("every span arrived in its place", "something is missing or wrong"),
)(demo)
app.command(
    cls=Command,
    rich_help_panel=_TRY,
    epilog="Exit status: **0** it was told to stop, **1** it cannot listen, "
    "**2** wrong usage or a file that is no database of its own.",
)(serve)
app.command(
    cls=Command,
    rich_help_panel=_TRY,
    epilog=statuses(
        "all of it is delivered",
        "something is not",
        "wrong usage or a file that is no recording",
    ),
)(replay)
app.command(cls=Command, rich_help_panel=_LOOK, epilog=statuses("shown", _UNANSWERED))(show)
app.command(cls=Command, rich_help_panel=_LOOK, epilog=statuses("the run has ended", _UNANSWERED))(
    tail
)
app.command(cls=Command, rich_help_panel=_CARE, epilog=statuses("all is well", "something is not"))(
    doctor
)
app.add_typer(spool.app, name="spool", rich_help_panel=_CARE)
