"""The page that leads through the code names every module, and no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
WHOLE = re.compile(r"`(\w+(?:/\w+)*/?)`")


def named(package):
    """Return the modules and folders that the table about *package* names."""
    table = PAGE[PAGE.index(f"In `{package}`:") :].split("\n\n")[1]
    return [name for row in table.splitlines()[2:] for name in WHOLE.findall(row.split(" | ")[0])]


def modules(package):
    """Return what there is to read, without the modules that only gather names."""
    files = (ROOT / package).rglob("*.py")
    paths = (file.relative_to(ROOT / package).with_suffix("").as_posix() for file in files)
    return [path for path in paths if not path.endswith("__init__")]


def used_by(path):
    """Return the modules of the exporter that the one at *path* imports."""
    text = (ROOT / "prefactor_exporter" / f"{path}.py").read_text(encoding="utf-8")
    found = re.findall(r"^ *from prefactor_exporter\.([\w.]+) import", text, re.MULTILINE)
    return {module.replace(".", "/") for module in found}


def covers(name, path):
    return path.startswith(name) if name.endswith("/") else path == name


@pytest.mark.parametrize("package", ["prefactor_exporter", "prefactor_http"])
def test_what_is_named_exists_and_once(package):
    names = named(package)

    assert names
    assert [name for name in names if names.count(name) > 1] == []
    assert [n for n in names if not any(covers(n, path) for path in modules(package))] == []


def test_every_module_of_the_exporter_is_named():
    names = named("prefactor_exporter")

    assert [p for p in modules("prefactor_exporter") if not any(covers(n, p) for n in names)] == []


def test_every_module_of_the_client_is_named():
    """Of the development server, those that the small ones are found from."""
    names = named("prefactor_http")
    client = [path for path in modules("prefactor_http") if not path.startswith("devserver/")]

    assert [path for path in client if not any(covers(name, path) for name in names)] == []


def test_every_module_is_met_before_it_is_read():
    """The three that somebody else starts are where reading begins."""
    names = named("prefactor_exporter")
    met = {"exporter", "testing/plugin", "__main__"}
    jumps = []
    for name in names:
        paths = [path for path in modules("prefactor_exporter") if covers(name, path)]
        jumps += [name] * (name not in met and not any(path.split("/")[0] in met for path in paths))
        for path in paths:
            met |= used_by(path)

    assert jumps == []
