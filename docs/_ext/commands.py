"""A directive that describes a command, read from the code so that it cannot go stale."""

import inspect
from collections.abc import Iterator
from typing import Any

import typer.main
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from prefactor_exporter import cli


def find(words: list[str]) -> Any:
    """Return the command that *words* name; none name the whole.

    Raises:
        LookupError: There is no such command.
    """
    found: Any = typer.main.get_command(cli.app)
    for word in words:
        if word not in getattr(found, "commands", {}):
            raise LookupError(f"there is no command {' '.join(words)}")
        found = found.commands[word]
    return found


def leaves(group: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command below *group* that does something."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *words, name)
        else:
            yield (*words, name)


def lines(words: list[str]) -> Iterator[str]:
    """Yield the description of a command as Markdown."""
    command = find(words)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = ["prefactor-exporter", *words]
    usage += ["[OPTIONS]"] if options else []
    usage += [_shape(argument) for argument in arguments]
    yield from ("```sh", " ".join(usage), "```", "")
    yield from (inspect.cleandoc(command.help or ""), "")
    yield from ("| Argument or option | Default | Variable | Meaning |", "|---|---|---|---|")
    for parameter in arguments + options:
        default = _default(parameter)
        variable = f"`{parameter.envvar}`" if parameter.envvar else ""
        meaning = (parameter.help or "").replace("|", r"\|")
        yield f"| `{_written(parameter)}` | {default} | {variable} | {meaning} |"
    yield from ("", inspect.cleandoc(command.epilog or ""), "")


def _shape(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _written(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join(parameter.opts)
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or parameter.name.upper()}"


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return str(parameter.show_default)
    value = parameter.default
    if not parameter.show_default or value in {None, False} or callable(value):
        return "required" if parameter.required else ""
    return f"`{value}`"


class Command(SphinxDirective):
    """``command``: usage, options and exit statuses of one command."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Describe the command."""
        return self.parse_text_to_nodes("\n".join(lines(self.arguments[0].split())))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
