"""Mint PFIDs on the hot path, and read what is inside them. Pure: randomness is passed in.

A PFID is 32 characters of Crockford's base 32 in lower case: ten for the time in milliseconds,
six for the partition (the account), sixteen of chance. It sorts by time as text.
"""

import hashlib
import itertools
import re
from collections.abc import Callable
from typing import Final, TypeGuard

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"

#: Stands where the partition will be as long as nobody knows it.
PROVISIONAL: Final = "000000"

_LAST_PARTITION: Final = 2**30 - 1
_LENGTH: Final = 32
_TAIL: Final = 16  # random characters of one id
_REFILL: Final = 128  # tails made from one draw of randomness

_GAPS: Final = b" " * _REFILL
#: Two characters for each ten bits.
_PAIRS: Final = tuple(high + low for high in ALPHABET for low in ALPHABET)
#: Any byte to a character by its low five bits; 256 is a multiple of 32, so it stays uniform.
_FROM_BYTE: Final = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))
#: From our alphabet to the digits that `int(..., 32)` knows.
_TO_DIGITS: Final = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")

_is_pfid: Final = re.compile(r"[0-7][0-9abcdefghjkmnpqrstvwxyz]{31}").fullmatch


class Mint:
    """Makes PFIDs; safe from any thread, signal handler or finalizer, without a lock.

    What is shared is replaced whole or popped from a list, and either is one step of the
    interpreter, so nobody can see it half done and nobody ever waits.

    Args:
        random: Returns that many cryptographically random bytes, like `os.urandom`.
        partition: The account's partition; None while it is not known, then ids carry
            `PROVISIONAL` in its place until they are stamped.

    Raises:
        ValueError: *partition* is not within 0 and 1,073,741,823.
    """

    __slots__ = ("_moment", "_partition_text", "_pool", "_random")

    def __init__(self, *, random: Callable[[int], bytes], partition: int | None) -> None:
        self._random = random
        self._partition_text = PROVISIONAL if partition is None else partition_text(partition)
        self._pool: list[str] = []  # the last 16 characters, chance, ready-made
        # A millisecond, from and to in nanoseconds, and the 16 characters of it and the partition.
        self._moment = (0, 0, "")

    def mint(self, now_ns: int) -> str:
        """Return a new id for *now_ns*, nanoseconds since the epoch."""
        since, until, head = self._moment
        if not since <= now_ns < until:
            head = self._advance(now_ns)
        try:
            return head + self._pool.pop()
        except IndexError:
            return head + self._refill()

    def set_partition(self, partition: int) -> None:
        """Put *partition* into every id minted from now on.

        Raises:
            ValueError: *partition* is not within 0 and 1,073,741,823.
        """
        self._partition_text = partition_text(partition)
        self._moment = (0, 0, "")

    def reset(self) -> None:
        """Forget the randomness at hand: a forked child must not share its parent's."""
        self._pool = []

    def _advance(self, now_ns: int) -> str:
        ms = now_ns // 1_000_000
        head = (
            _PAIRS[ms >> 40 & 0xFF]  # the first character has three bits only
            + _PAIRS[ms >> 30 & 1023]
            + _PAIRS[ms >> 20 & 1023]
            + _PAIRS[ms >> 10 & 1023]
            + _PAIRS[ms & 1023]
            + self._partition_text
        )
        self._moment = (ms * 1_000_000, (ms + 1) * 1_000_000, head)
        return head

    def _refill(self) -> str:
        while True:
            pool = self._pool
            # One character too many for each tail makes room for a gap to split at: cutting it
            # up piece by piece in Python would cost more than all the rest of minting.
            drawn = bytearray(self._random(_REFILL * (_TAIL + 1)).translate(_FROM_BYTE))
            drawn[:: _TAIL + 1] = _GAPS
            tails = drawn.decode("ascii").split()
            # A signal handler may have forked since we drew.
            if pool is self._pool:
                tail = tails.pop()
                pool += tails
                return tail


def keystream(seed: bytes) -> Callable[[int], bytes]:
    """Return a source of cryptographically random bytes that never lets another thread in between.

    The operating system's does: whoever asks it while other threads are busy waits for its turn
    again, which is longer than everything else that a record call does.

    Args:
        seed: 32 random bytes that nobody else has, of this process alone.
    """
    numbers = itertools.count()

    def draw(size: int) -> bytes:
        return hashlib.shake_128(seed + next(numbers).to_bytes(8, "big")).digest(size)

    return draw


def partition_text(partition: int) -> str:
    """Return the six characters of *partition*.

    Raises:
        ValueError: *partition* is not within 0 and 1,073,741,823.
    """
    if not 0 <= partition <= _LAST_PARTITION:
        raise ValueError(f"partition must be within 0 and {_LAST_PARTITION}, got {partition!r}")
    return _PAIRS[partition >> 20] + _PAIRS[partition >> 10 & 1023] + _PAIRS[partition & 1023]


def is_pfid(text: object) -> TypeGuard[str]:
    """Return whether *text* is a PFID as the API writes it: 32 characters, lower case."""
    return isinstance(text, str) and _is_pfid(text) is not None


def as_pfid(value: object) -> str | None:
    """Return *value* as a plain string if it is a PFID as the API writes it, else None."""
    if type(value) is not str:
        if not isinstance(value, str):
            return None
        value = str.__str__(value)  # what a subclass adds to it is the application's
    return value if _is_pfid(value) is not None else None


def extract_partition(id: str) -> int:  # noqa: A002 (an id is what it is)
    """Return the partition within *id*.

    Raises:
        ValueError: *id* is no PFID.
    """
    if not is_pfid(id):
        raise ValueError(f"not a PFID: {id!r}; it has 32 characters of {ALPHABET!r}")
    return int(id[10:16].translate(_TO_DIGITS), 32)
