"""Own the signal by which the API asks an agent to stop."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

__all__ = ["ControlSignalCallback", "watch_control"]

T = TypeVar("T")

ControlSignalCallback = Callable[[str | None], None]
"""Called with the reason, ``None`` if the API gave none."""


class _Signal(msgspec.Struct):
    control: Any = None


_decode_signal = msgspec.json.Decoder(_Signal).decode


def watch_control(
    decode: Callable[[bytes], T], callback: ControlSignalCallback | None
) -> Callable[[bytes], T]:
    """Return *decode* with *callback* called first if the answer asks the agent to stop.

    A ``control`` of any other shape than an object with a true ``terminate`` is ignored.
    """
    if callback is None:
        return decode

    def watched(content: bytes) -> T:
        control = _decode_signal(content).control
        if isinstance(control, dict) and control.get("terminate") is True:
            reason = control.get("reason")
            callback(reason if isinstance(reason, str) else None)
        return decode(content)

    return watched
