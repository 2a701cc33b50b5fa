"""How commands explain themselves: help in two columns, and a mistake in one line."""

import inspect
import sys
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from prefactor_exporter.cli.console import OUTPUT, say_error

__all__ = ["Command", "Group", "default_of", "usage_of", "written"]


class Command(TyperCommand):
    """A command that does something."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # printed here
        """Print the help."""
        _print_help(ctx)


class Group(TyperGroup):
    """A command that has others below it."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # printed here
        """Print the help."""
        _print_help(ctx)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command that was typed and end the process with its status."""
        try:
            status = super().main(*args, **extra | {"standalone_mode": False})
        except Exception as error:
            if not isinstance(error, _Mistake):
                raise
            status = error.exit_code
            # The help that stands for a missing command is printed already, and leaves no message.
            if message := " ".join(error.format_message().split()):
                path = getattr(error.ctx, "command_path", extra.get("prog_name"))
                message = message[0].lower() + message[1:].removesuffix(".")
                say_error(f"{message} (see '{path} --help')")
        sys.exit(status)


@runtime_checkable
class _Mistake(Protocol):
    """What is raised when the words that were typed make no command."""

    exit_code: int
    ctx: Any

    def format_message(self) -> str: ...


def _print_help(ctx: Any) -> None:
    command = ctx.command
    OUTPUT.print(Text("Usage: ", style="bold").append(usage_of(command, ctx.command_path)))
    OUTPUT.print()
    OUTPUT.print(Markdown(inspect.cleandoc(command.help or "")))
    shown = [parameter for parameter in command.get_params(ctx) if not parameter.hidden]
    sections: dict[str, list[tuple[str, Text]]] = {}
    for parameter in shown:
        title = "Arguments" if parameter.param_type_name == "argument" else "Options"
        sections.setdefault(title, []).append((written(parameter), _about(parameter)))
    for name, below in getattr(command, "commands", {}).items():
        title = below.rich_help_panel or "Commands"
        about = Text(inspect.cleandoc(below.help or "").partition("\n\n")[0].replace("\n", " "))
        sections.setdefault(title, []).append((name, about))
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    for title, rows in sections.items():
        OUTPUT.print(Text(f"\n{title}", style="bold"))
        OUTPUT.print(Padding(_columns(rows, width), (0, 0, 0, 2)))
    if command.epilog:
        OUTPUT.print()
        OUTPUT.print(Markdown(command.epilog))


def _columns(rows: Iterable[tuple[str, Text]], width: int) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", width=width, no_wrap=True)
    table.add_column(overflow="fold")
    for name, about in rows:
        table.add_row(Text(name), about)
    return table


def _about(parameter: Any) -> Text:
    """Say what *parameter* is for, where else it may come from, and what it is if left out."""
    about = Text((parameter.help or "").replace("`", ""))
    remarks = [f"variable: {parameter.envvar}"] if parameter.envvar else []
    if default := default_of(parameter):
        remarks.append(default if parameter.required else f"default: {default}")
    for remark in remarks:
        about.append(f" [{remark}]", style="dim")
    return about


def usage_of(command: Any, path: str) -> str:
    """Return how *command* is typed, *path* being the words that lead to it."""
    words = [path, "[OPTIONS]"]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = written(parameter)
            words.append(name if parameter.required else f"[{name}]")
    return " ".join(words + (["COMMAND [ARGS]..."] if hasattr(command, "commands") else []))


def written(parameter: Any) -> str:
    """Return how *parameter* is typed: its names, and what stands for its value."""
    value = str(parameter.metavar or parameter.name.upper())
    if parameter.param_type_name == "argument":
        return value
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {value}"


def default_of(parameter: Any) -> str:
    """Return what *parameter* is if left out, in words; empty if that goes without saying."""
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default
    if not parameter.show_default or value is None or value is False or callable(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
