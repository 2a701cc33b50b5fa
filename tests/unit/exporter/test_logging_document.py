"""The page about logging lists every event that the code logs, with its level."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
LEVELS = {
    "bug": "ERROR, with traceback",
    "debug": "DEBUG",
    "error": "ERROR",
    "exception": "ERROR, with traceback",
    "info": "INFO",
    "notice": "WARNING",
    "warning": "WARNING",
}
EVENT = re.compile(r"[a-z]+(_[a-z]+)+")


def logged():
    """Yield name and level of each event, wherever a method that logs is given one."""
    for package in ("prefactor_exporter", "prefactor_http"):
        for module in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                    for text in texts:
                        if node.func.attr in LEVELS and EVENT.fullmatch(str(text)):
                            yield text, LEVELS[node.func.attr]


def test_every_event_is_in_the_page_with_its_level():
    described = re.findall(r"^\| `(\w+)` \| ([A-Z]{4,}[^|]*) \|", PAGE, re.MULTILINE)

    assert len(described) > 15
    assert sorted(described) == sorted(set(logged()))


def test_every_logger_is_in_the_page():
    """By the names that applications configure."""
    described = set(re.findall(r"^\| `([\w.]+)` \| ", PAGE, re.MULTILINE))
    used = set()
    for package in ("prefactor_exporter", "prefactor_http"):
        for module in (ROOT / package).rglob("*.py"):
            text = module.read_text(encoding="utf-8")
            used |= set(re.findall(r'get_logger\("([\w.]+)"\)', text))
            if re.search(r"^_LOGGER = logging|get_logger\(__name__\)", text, re.MULTILINE):
                used.add(".".join(module.relative_to(ROOT).with_suffix("").parts))

    assert {name for name in described if name.startswith("prefactor")} == used
