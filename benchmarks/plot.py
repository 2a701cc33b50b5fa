"""Own the plots: horizontal bars on a logarithmic scale, as SVG that is readable on any page.

A plot brings its own background, and its colours follow the reader's preference for light or dark,
so that it never depends on the page around it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Bar", "bars"]

_WIDTH = 760
_LEFT = 190
_RIGHT = 150
_ROW = 30
_TOP = 64
_BOTTOM = 34
_STYLE = """
  .back { fill: #ffffff; stroke: #d0d7de }
  .text { fill: #1f2328; font: 14px system-ui, sans-serif }
  .title { font-size: 17px; font-weight: 600 }
  .quiet { fill: #59636e; font-size: 12px }
  .line { stroke: #d8dee4 }
  .ours { fill: #1a7f5a }
  .bound { fill: #8c959f }
  .other { fill: #4a7fc1 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #15191f; stroke: #3d444d }
    .text { fill: #e6edf3 }
    .quiet { fill: #9aa4af }
    .line { stroke: #313840 }
    .ours { fill: #3fb68b }
    .bound { fill: #767f89 }
    .other { fill: #6c9fe0 }
  }
"""


class Bar(NamedTuple):
    """One bar; ``kind`` is ``ours``, ``other`` or ``bound`` (what cannot be beaten)."""

    label: str
    value: float
    text: str
    kind: str


def bars(title: str, note: str, found: Sequence[Bar]) -> str:
    """Return the SVG of *found*, in the order given."""
    low = 10 ** math.floor(math.log10(min(bar.value for bar in found)))
    high = 10 ** math.ceil(math.log10(max(bar.value for bar in found)))
    width = _WIDTH - _LEFT - _RIGHT
    decades = max(1, round(math.log10(high / low)))
    height = _TOP + _ROW * len(found) + _BOTTOM

    def place(value: float) -> float:
        return _LEFT + width * math.log10(value / low) / decades

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'aria-label="{escape(title)}">'
        ),
        f"<style>{_STYLE}</style>",
        f'<rect class="back" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="text title" x="18" y="30">{escape(title)}</text>',
        f'<text class="text quiet" x="18" y="50">{escape(note)}</text>',
    ]
    bottom = _TOP + _ROW * len(found)
    for step in range(decades + 1):
        x = _LEFT + width * step / decades
        parts.append(f'<line class="line" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(
            f'<text class="text quiet" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{_number(low * 10**step)}</text>"
        )
    for number, bar in enumerate(found):
        y = _TOP + _ROW * number
        end = max(place(bar.value), _LEFT + 2)
        parts += (
            (
                f'<text class="text" x="{_LEFT - 10}" y="{y + 20}" text-anchor="end">'
                f"{escape(bar.label)}</text>"
            ),
            (
                f'<rect class="{bar.kind}" x="{_LEFT}" y="{y + 5}" width="{end - _LEFT:.1f}" '
                f'height="{_ROW - 10}" rx="3"/>'
            ),
            f'<text class="text" x="{end + 8:.1f}" y="{y + 20}">{escape(bar.text)}</text>',
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _number(mark: float) -> str:
    """Return a power of ten as people write it."""
    return f"{mark:,.0f}" if mark >= 1 else f"{mark:g}"
