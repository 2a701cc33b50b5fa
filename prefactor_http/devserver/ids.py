"""Mint and check PFIDs: 48 bits of time, 30 of partition and 80 of chance in 32 characters."""

import base64
import os
import re
import time
from collections.abc import Callable

MAX_PARTITION = (1 << 30) - 1

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())
_PFID = re.compile(r"[0-7][0-9abcdefghjkmnpqrstvwxyz]{31}", re.ASCII)
_TIME_CHARACTERS = 10
_PARTITION_CHARACTERS = 6
_RANDOM_BYTES = 10


def is_pfid(text: str) -> bool:
    """Say whether *text* is a PFID; upper case is not."""
    return _PFID.fullmatch(text) is not None


def random_partition() -> int:
    """Return a partition nobody chose, between 1 and `MAX_PARTITION` inclusive."""
    return 1 + int.from_bytes(os.urandom(4), "big") % MAX_PARTITION


class Mint:
    """Makes PFIDs in one partition.

    Args:
        partition: 0 to `MAX_PARTITION`, both inclusive.
        clock: Seconds since the epoch.
        entropy: Returns that many random bytes.
    """

    def __init__(
        self,
        partition: int,
        *,
        clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if not 0 <= partition <= MAX_PARTITION:
            raise ValueError(f"partition must be between 0 and {MAX_PARTITION}, got {partition}")
        self.partition = partition
        self._characters = _digits(partition, _PARTITION_CHARACTERS)
        self._clock = clock
        self._entropy = entropy
        self._last = (-1, "")

    def __call__(self) -> str:
        """Return a fresh PFID."""
        milliseconds = int(self._clock() * 1000)
        moment, text = self._last
        if moment != milliseconds:
            text = _digits(milliseconds, _TIME_CHARACTERS)
            self._last = (milliseconds, text)
        chance = base64.b32encode(self._entropy(_RANDOM_BYTES)).translate(_TO_CROCKFORD)
        return text + self._characters + chance.decode()

    def owns(self, pfid: str) -> bool:
        """Say whether *pfid* is a PFID of this partition."""
        end = _TIME_CHARACTERS + _PARTITION_CHARACTERS
        return is_pfid(pfid) and pfid[_TIME_CHARACTERS:end] == self._characters


def _digits(value: int, width: int) -> str:
    """Write *value* in *width* base 32 characters."""
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(width)))
