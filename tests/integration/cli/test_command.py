"""The command itself: version, help, and what it says when its extra is missing."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from prefactor_exporter import __version__
from tests.integration.cli.conftest import environment

FULL = Path("/dev/full")
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


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nothing"], "no such command 'nothing' (see 'prefactor-exporter --help')"),
        (["spool", "los"], "no such command 'los'"),
        (["replay"], "missing argument 'FILE...' (see 'prefactor-exporter replay --help')"),
        (["serve", "--port", "99999"], "invalid value for '--port': "),
        (["demo", "--spans", "0"], "invalid value for '--spans': "),
        (["show", "--jason"], "no such option: --jason"),
    ],
)
def test_wrong_usage_is_one_line_and_has_status_2(run, arguments, problem):
    """It is told apart from failure, and leads to the help."""
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.endswith(" --help')\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["spool"]])
def test_whoever_names_no_command_gets_the_help(run, arguments):
    """There is nothing to complain of, but nothing was done either."""
    done = run(*arguments)

    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.rstrip() == run(*arguments, "--help").stdout.rstrip()


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["spool", "ls", "--json"]])
def test_output_that_cannot_be_written_is_one_line(tmp_path, arguments):
    """A full disk is no defect of ours."""
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "prefactor_exporter", *arguments],
            env=environment(PREFACTOR_EXPORTER_SPOOL_DIR=str(tmp_path)),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=50,
        )

    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


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
        "error: the command line needs its extra: pip install 'prefactor-exporter[cli]'\n"
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
