"""The command itself: version, help, and what it says when its extra is missing."""

import functools
import subprocess
import sys

import pytest

from prefactor_exporter import __version__

WITHOUT = """
import sys
sys.modules[{module!r}] = None
from prefactor_exporter.__main__ import main
main()
"""


def test_version_is_that_of_the_package(run):
    """``--version`` tells which package is running."""
    done = run("--version")

    assert (done.returncode, done.stdout) == (0, f"prefactor-exporter {__version__}\n")


@pytest.mark.parametrize("arguments", [["nothing"], ["replay"], ["demo", "--spans", "0"]])
def test_wrong_usage_has_status_2(run, arguments):
    """Wrong usage is told apart from failure."""
    done = run(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_missing_extra_is_one_line_that_says_what_to_do(module):
    """Without typer or rich the command says how to get them."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "the command line needs its extra: pip install 'prefactor-exporter[cli]'\n"
    )


def test_other_missing_module_is_not_blamed_on_the_extra():
    """A broken installation shows what is broken."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module="prefactor_exporter.cli.demo")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "prefactor_exporter.cli.demo" in done.stderr
    assert "pip install" not in done.stderr


def test_package_does_not_need_the_extra():
    """Importing the exporter does not import the command line."""
    code = "import sys, prefactor_exporter; print('typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["doctor"], "prefactor_exporter.cli.checks:_configuration"),
        (["show"], "prefactor_http.client:PrefactorHttpClient.__aenter__"),
        (["spool", "ls", "--dir", "."], "prefactor_exporter.cli.spool:_survey"),
    ],
)
def test_ctrl_c_is_quiet_wherever_it_arrives(call, monkeypatch, arguments, where):
    """Whoever interrupts a command gets no traceback, and the status shells have for it."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    module, _, name = where.partition(":")
    owner = functools.reduce(getattr, name.split(".")[:-1], sys.modules[module])
    monkeypatch.setattr(owner, name.split(".")[-1], interrupt)
    done = call(*arguments)

    assert (done.exit_code, done.output) == (130, "")
