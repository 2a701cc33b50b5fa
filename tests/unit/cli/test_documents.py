"""Every command is documented, and its help says all there is to know."""

import re
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from prefactor_exporter.cli import app
from prefactor_exporter.cli.usage import written

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")


def leaves(group, *words):
    """Yield words and command of everything below *group* that does something."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *words, name)
        else:
            yield (*words, name), command


COMMANDS = dict(leaves(typer.main.get_command(app)))
by_name = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


def told(monkeypatch, *arguments, width="300"):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("NO_COLOR", "1")
    done = CliRunner().invoke(app, [*arguments])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


@by_name
def test_every_command_has_a_section(words):
    """The section holds what the code says of the command, so it cannot go stale."""
    level = "#" * (len(words) + 1)

    assert f"\n{level} {' '.join(words)}\n" in PAGE
    assert f"\n```{{command}} {' '.join(words)}\n```\n" in PAGE


def test_every_section_is_about_a_command():
    """What is described is there."""
    described = re.findall(r"^```\{command\} (.+)$", PAGE, re.MULTILINE)

    assert sorted(described) == sorted(map(" ".join, COMMANDS))


@by_name
def test_help_explains_every_option(words, monkeypatch):
    """Nobody has to guess what an option does, or what the exit statuses mean."""
    text = " ".join(told(monkeypatch, *words, "--help").split())

    for parameter in COMMANDS[words].params:
        if parameter.name != "help":
            assert parameter.help, parameter.name
            assert parameter.help.partition("`")[0].strip() in text
    assert "Exit status: 0 " in text
    assert ", 2 wrong usage" in text


@pytest.mark.parametrize("width", ["60", "80", "120"])
@pytest.mark.parametrize("words", [(), ("spool",), *COMMANDS], ids=" ".join)
def test_help_fits(words, width, monkeypatch):
    """Nothing is cut, broken off or longer than a line, whatever the terminal."""
    text = told(monkeypatch, *words, "--help", width=width)

    assert "…" not in text
    assert max(map(len, text.splitlines())) <= int(width)
    if words in COMMANDS:
        for parameter in COMMANDS[words].params:
            assert re.search(rf"^  {re.escape(written(parameter))} ", text, re.MULTILINE)
            assert not parameter.envvar or parameter.envvar in text


@by_name
def test_help_says_what_stands_for_each_value(words):
    """In capitals, in words that tell more than a type; a flag has no value."""
    for parameter in COMMANDS[words].params:
        if parameter.param_type_name == "argument" or not parameter.is_flag:
            assert parameter.metavar, parameter.name
            assert written(parameter).endswith(parameter.metavar)
        else:
            assert written(parameter).split()[-1].startswith("-")


@by_name
def test_whatever_a_machine_may_read_is_there_as_json(words):
    """Every command has ``--json``."""
    assert any("--json" in parameter.opts for parameter in COMMANDS[words].params)


def test_help_of_the_whole_names_all_commands(monkeypatch):
    """The first thing anybody types shows what there is."""
    text = " ".join(told(monkeypatch, "--help").split())

    assert all(f" {words[0]} " in text for words in COMMANDS)
    assert "Exit status: 0 all is well" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(monkeypatch, shell):
    """A shell gets a script that asks the command what may come next."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = CliRunner().invoke(app, ["--show-completion", shell], prog_name="prefactor-exporter")

    assert done.exit_code == 0
    assert "_PREFACTOR_EXPORTER_COMPLETE" in done.stdout


def test_completion_offers_commands_and_options():
    """What the script asks for is answered."""

    def offered(line):
        environ = {
            "_PREFACTOR_EXPORTER_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        done = CliRunner().invoke(app, [], env=environ, prog_name="prefactor-exporter")
        return done.stdout.split()

    assert offered("prefactor-exporter do") == ["doctor"]
    assert set(offered("prefactor-exporter spool ")) == {"ls", "show", "resend", "purge"}
    assert "--payloads" in offered("prefactor-exporter tail --p")


def test_the_page_is_reachable():
    """The index leads to it."""
    index = Path(__file__).parents[3] / "docs" / "index.md"

    assert "\ncli\n" in index.read_text(encoding="utf-8")
