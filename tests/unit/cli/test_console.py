"""What is printed is what was meant: no markup, no control characters, JSON alone on its line."""

import json

import pytest
import typer

from prefactor_exporter.cli.console import fail, note, write_json


def test_text_is_printed_as_it_is_on_one_line(capsys):
    """Names of files and texts of errors are neither markup nor commands to the terminal."""
    note("[bold]a[/] \x1b[31m\nline " + "long " * 100)

    output, errors = capsys.readouterr()
    assert output == ""
    assert errors == "[bold]a[/] \\x1b[31m\\nline " + "long " * 100 + "\n"


def test_failure_is_one_line_and_a_status(capsys):
    """An error goes to standard error and decides the exit status."""
    with pytest.raises(typer.Exit) as caught:
        fail("no such thing", status=2)

    output, errors = capsys.readouterr()
    assert (output, errors) == ("", "error: no such thing\n")
    assert caught.value.exit_code == 2


def test_json_is_one_line_whatever_is_in_it(capsys):
    """A machine reads standard output line by line."""
    value = {"text": "[bold]\n\x1b é", "long": ["x" * 80] * 10}
    write_json(value)

    output, errors = capsys.readouterr()
    assert json.loads(output) == value
    assert (output.count("\n"), errors) == (1, "")
