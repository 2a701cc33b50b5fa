"""A directive that describes a command, read from the code so that it cannot go stale."""

import inspect
from collections.abc import Iterator
from typing import Any

import typer.main
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from prefactor_exporter import cli
from prefactor_exporter.cli.usage import default_of, usage_of, written


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
    yield from ("```sh", usage_of(command, " ".join(("prefactor-exporter", *words))), "```", "")
    yield from (inspect.cleandoc(command.help or ""), "")
    yield from ("| Argument or option | Default | Meaning |", "|---|---|---|")
    for parameter in sorted(command.params, key=lambda p: p.param_type_name):
        name = f"`{written(parameter)}`"
        variable = f"<br>`{parameter.envvar}`" if parameter.envvar else ""
        meaning = (parameter.help or "").replace("|", r"\|")
        yield f"| {name}{variable} | {default_of(parameter)} | {meaning} |"
    yield from ("", inspect.cleandoc(command.epilog or ""), "")


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
