"""What leaves a payload before the payload leaves the process."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["Redaction"]


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """What is replaced by ``"[redacted]"``, at any depth, also in JSON text within strings.

    Without arguments: values under keys such as `password`, `authorization`, `api_key`,
    `client_secret`, `cookie` or `access_token` in any spelling (but not `input_tokens` and other
    counts), also where such a key stands in text (addresses, settings, headers, command lines), and
    strings of a shape that only secrets have (keys of well-known vendors, JSON web tokens, bearer
    tokens, private keys, passwords in URLs). Keys are kept.

    It is done by the worker, before anything reaches wire or disk. When it fails, that payload is
    withheld as a whole; the event is still delivered.

    Args:
        keys: More keys whose values are secret. A key is matched as a whole, whatever its case
            and with or without ``-``, ``_``, dots and spaces.
        patterns: More regular expressions; what they match within a string is replaced. Every
            payload must then be decoded, which takes about 0.1 milliseconds for a usual one.
        hook: Called on the worker with the payload, decoded and redacted, and returns the payload
            to deliver. Whatever it raises, and None, withholds the payload. Costs what
            *patterns* cost.

    Raises:
        ValueError: A key is empty, or a pattern is no regular expression.
    """

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    hook: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for field, values in (("keys", self.keys), ("patterns", self.patterns)):
            if not isinstance(values, tuple) or not all(isinstance(it, str) for it in values):
                raise ValueError(f"{field} must be a tuple of strings, got {values!r}")
        for key in self.keys:
            if not re.sub(r"[-_. ]", "", key):
                raise ValueError(f"keys must have a letter or a digit each, got {key!r}")
        for pattern in self.patterns:
            try:
                matched = re.compile(pattern).search("")
            except re.error as error:
                raise ValueError(
                    f"patterns must be regular expressions, got {pattern!r}: {error}"
                ) from error
            if matched is not None:
                raise ValueError(f"patterns must not match the empty string, as {pattern!r} does")
        if self.hook is not None and not callable(self.hook):
            raise ValueError(f"hook must be callable, got {self.hook!r}")
