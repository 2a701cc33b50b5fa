"""The quickstart, followed word for word, leads where it says."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "quickstart.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
HANG = 50


class Reader:
    """Somebody in an empty directory, who types what the page says."""

    def __init__(self, directory):
        # The environment of the tests stands for the one the page has them make.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: text for name, text in os.environ.items() if "PREFACTOR" not in name}
        self.environ = kept | {"PATH": path, "COLUMNS": "120", "NO_COLOR": "1"}
        self.directory = directory
        self.server = None

    def start_server(self, command):
        self.server = subprocess.Popen(
            [*shlex.split(command), "--port", "0"],  # the usual one may be taken
            cwd=self.directory,
            env=self.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        return [self.server.stdout.readline().strip() for _ in range(4)]

    def paste(self, lines):
        for line in lines:
            name, _, text = shlex.split(line)[1].partition("=")
            self.environ[name] = text

    def run(self, command):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def leave(self):
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            assert self.server.wait(HANG) == 0
            self.server.stdout.close()


@pytest.fixture
def reader(tmp_path):
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


def shape(text):
    """Return *text* without what differs from one time to the next: ids, moments, durations."""
    text = re.sub(r"\b[0-9a-z]{32}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "SERVER", text)
    return re.sub(r"[\d.]+ m?s\b", "SPELL", text).strip()


def lines(text):
    return [line.rstrip() for line in shape(text).splitlines()]


@pytest.mark.slow
def test_the_page_can_be_followed_word_for_word(reader):
    """Its blocks in their order; what it shows is what is seen."""
    install, serve, exports, agent, run, said, show, tree, program = BLOCKS
    kinds = ["sh", "sh", "console", "python", "sh", "console", "sh", "console", "python"]
    (name,) = re.findall(r"^Save this as `(.+)`:$", PAGE, re.MULTILINE)

    assert [kind for kind, _ in BLOCKS] == kinds
    assert "pip install '.[cli]'" in install[1]

    printed = reader.start_server(serve[1])
    assert lines("\n".join(printed)) == lines(exports[1])
    reader.paste(printed)

    (reader.directory / name).write_text(agent[1], encoding="utf-8")
    assert reader.run(run[1]) == said[1]
    assert lines(reader.run(show[1])) == lines(tree[1])

    (reader.directory / "line.py").write_text(program[1], encoding="utf-8")
    assert reader.run("python line.py") == ""
    assert "agent:llm  complete" in reader.run(show[1])


def test_one_line_is_one_line():
    """What the page calls so has an import, and the line."""
    assert len([line for line in BLOCKS[-1][1].splitlines() if line]) == 2
