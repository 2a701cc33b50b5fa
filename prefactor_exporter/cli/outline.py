"""How a tree of spans looks: guides, one line for each span, durations, what went in and out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from rich.text import Text

from prefactor_exporter.cli.console import OUTPUT, plain

__all__ = ["STYLES", "below", "duration", "outline", "pretty", "span_line", "summary"]

STYLES: Final[Mapping[str, str]] = {
    "complete": "green",
    "failed": "bold red",
    "terminated": "bold red",
}
"""Colour of a status; of others it is yellow."""

_SUMMARY_WIDTH: Final = 40
_MINUTE: Final = 60
_HOUR: Final = 3600

T = TypeVar("T")


def outline(
    roots: Sequence[T], children: Callable[[T], Sequence[T]]
) -> Iterator[tuple[str, T, int]]:
    """Yield *roots* and all below them, each after its parent, with the guide before its line.

    The third value is the depth, 0 for a root.
    """
    bar, tee, corner, gap = _guides()
    stack: list[tuple[str, T, int, bool]] = []

    def push(nodes: Sequence[T], indent: str, depth: int) -> None:
        for position, node in enumerate(reversed(nodes)):
            stack.append((indent, node, depth, position == 0))

    push(roots, "", 0)
    while stack:
        indent, node, depth, last = stack.pop()
        yield indent + (corner if last else tee), node, depth
        push(children(node), indent + (gap if last else bar), depth + 1)


def below(guide: str) -> str:
    """Return what stands before further lines of a node that has this *guide*."""
    bar, tee, corner, gap = _guides()
    return guide.replace(tee, bar).replace(corner, gap)


def _guides() -> tuple[str, str, str, str]:
    if OUTPUT.encoding.lower().startswith("utf"):
        return "│   ", "├── ", "└── ", "    "
    return "|   ", "|-- ", "`-- ", "    "


def span_line(
    name: str, status: str, seconds: float | None, about: str, *, guide: str = ""
) -> Text:
    """Return the line of a span, or of a run."""
    line = Text(guide, style="default")
    line.append_text(Text(plain(name).plain, style="bold"))
    line.append(f"  {status}", style=STYLES.get(status, "yellow"))
    line.append("" if seconds is None else f"  {duration(seconds)}", style="cyan")
    return line.append(f"  {plain(about).plain}" if about else "", style="dim")


def duration(seconds: float) -> str:
    """Write *seconds* as people say it."""
    if seconds < 1:
        return f"{seconds * 1000:,.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.2f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:02.0f} s"
    return f"{seconds // _HOUR:,.0f} h {seconds % _HOUR // _MINUTE:02.0f} min"


def summary(went_in: Iterable[Any], came_out: Iterable[Any]) -> str:
    """Say in a few words what went into a span and what came out."""
    parts = [*map(_short, went_in), "→", *map(_short, came_out)]
    return " ".join(parts) if len(parts) > 1 else ""


def _short(value: Any) -> str:
    """Write *value* on one line, and on a terminal in a few characters."""
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content", value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    if len(text) <= _SUMMARY_WIDTH or not OUTPUT.is_terminal:
        return text
    return text[: _SUMMARY_WIDTH - 1] + "…"


def pretty(label: str, value: Any, *, indent: str) -> Iterator[Text]:
    """Yield the lines that show *value* as JSON for people, below a *label*."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    first, *rest = text.splitlines()
    yield Text(f"{indent}{label} ", style="dim").append_text(plain(first))
    for line in rest:
        yield Text(indent, style="dim").append_text(plain(line))
