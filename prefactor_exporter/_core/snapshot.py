"""Payload to JSON bytes, once, on the caller's thread; and, on the worker's, down to size.

The usual payload costs one call into msgspec::

    data, flags = snapshot(payload)

and where even the call of a function counts, the same in place::

    try:
        if COUNT_THREADS() > HARMLESS[0]:
            REFUSE_ALL_BUT_PLAIN(payload)
        data, flags = JOIN((ENCODE(payload), NOTHING)), 0
        if data[0] != OPENING:  # not an object
            data = as_object(data)
    except Exception:
        data, flags = slow_snapshot(payload)

No Python may run in the middle of msgspec's loops: another thread would get its turn there and
might shorten the very list that is being encoded; msgspec then reads past its end and the process
dies. So `ENCODE` has no ``enc_hook``: what is unknown raises at once. What is known and may run
Python all the same (the time zone of a datetime, a property of a dataclass) is refused while there
are threads that could do harm, by `marshal`, which takes nothing but plain values and runs nothing.
`slow_snapshot` then takes over with a walk of its own that copies each container in one step before
it looks into it. For the same reason there is nothing to remember about a `Sensitive`: it is
unknown to `ENCODE`, so it always comes to the walk, which notes it in a value of its own. Threads,
signal handlers and finalizers therefore never share any state here.

What comes out is always a JSON object in strict UTF-8, and nothing but `KeyboardInterrupt` and
`SystemExit` ever comes out as an exception.
"""

import _thread
import marshal
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from itertools import islice
from pathlib import PurePath
from re import Pattern
from types import NoneType
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from prefactor_exporter.sensitive import Sensitive

FALLBACK: Final = 1
"""Something could not be encoded as it was: it became a placeholder, or was cut."""
SENSITIVE: Final = 2
"""A `Sensitive` was in the payload: `sensitive_encoding` must be on."""

COUNT_THREADS: Final = _thread._count  # noqa: SLF001  # the public one takes a lock
HARMLESS: Final = [0]
"""How many threads change nobody's payload."""
REFUSE_ALL_BUT_PLAIN: Final = cast("Callable[[object], bytes]", marshal.dumps)
ENCODE: Final = msgspec.json.Encoder().encode
"""Encode a payload of ordinary values; raise on anything else."""
NOTHING: Final = b""
JOIN: Final = NOTHING.join
"""Joined with nothing, an answer of `ENCODE` takes no more memory than it is long: msgspec leaves
up to half of what it took beyond the end, and a long queue would be half as large again."""
OPENING: Final = 0x7B
"""The first byte of a JSON object."""
EMPTY: Final = b"{}"

_MAX_DEPTH: Final = 64
_MAX_VALUES: Final = 50_000  # values looked at in one walk
_MAX_CHARACTERS: Final = 16 * 1024 * 1024  # text in one walk, the same text counted each time
_MAX_REPR: Final = 1024
_MAX_INT_BITS: Final = 1023  # beyond it, decoders that know only floats fail
_TRIES: Final = 4  # to copy a container that other threads keep changing

_CIRCULAR: Final = "[circular]"
_TOO_DEEP: Final = "[too deep]"
_UNREADABLE: Final = "[unreadable]"
_NOTHING_LEFT: Final = b'{"value":"[unreadable]"}'

_ITEMS: Final[Callable[[Any], Iterable[Any]]] = dict[Any, Any].items
_decode: Final = msgspec.json.Decoder().decode


def note_own_thread(change: int) -> None:
    """Note that a thread of this package begins (1) or ends (-1): it does no harm to payloads."""
    HARMLESS[0] += change


def forget_threads() -> None:
    """Note that this thread is the only one, as in a forked child, whatever is counted there."""
    HARMLESS[0] = COUNT_THREADS()


def snapshot(payload: object) -> tuple[bytes, int]:
    """Return *payload* as a JSON object, and the flags `FALLBACK` and `SENSITIVE`.

    What encodes to something else than an object is wrapped as ``{"value": ...}``; None is the
    empty object.
    """
    try:
        if COUNT_THREADS() > HARMLESS[0]:
            REFUSE_ALL_BUT_PLAIN(payload)
        data = JOIN((ENCODE(payload), NOTHING))
        if data[0] != OPENING:
            data = as_object(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 (recording never raises; the walk copes with it)
        return slow_snapshot(payload)
    return data, 0


def as_object(data: bytes) -> bytes:
    """Return *data*, JSON that is no object, as an object."""
    return EMPTY if data == b"null" else b'{"value":' + data + b"}"


def slow_snapshot(payload: object) -> tuple[bytes, int]:
    """Return what `snapshot` returns, for a payload that `ENCODE` refused."""
    try:
        walk = _Walk()
        return JOIN((ENCODE(walk.root(payload)), NOTHING)), walk.flags
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 (recording never raises; the event is kept without it)
        return _NOTHING_LEFT, FALLBACK


# --- The walk: anything to plain dicts, lists, strings and numbers --------------------------------


class _Walk:
    """One walk over one payload, within bounds of depth, breadth and text."""

    __slots__ = ("_characters", "_left", "_path", "_veiled", "flags")

    def __init__(self) -> None:
        self.flags = 0
        self._left = _MAX_VALUES
        self._characters = _MAX_CHARACTERS
        self._path: set[int] = set()  # the containers we are inside of
        self._veiled = False  # inside a Sensitive: what is within is covered by it

    def root(self, payload: object) -> dict[str, Any]:
        if type(payload) is Sensitive:
            # The root stays an object that readers find their way in; its members are veiled.
            self.flags |= SENSITIVE
            self._veiled = True
            inner = self.plain(payload.value, 1)
            if type(inner) is dict:
                return {name: _veil(value) for name, value in inner.items()}
            return {"value": _veil(inner)}
        tree = self.plain(payload, 1)
        if type(tree) is dict:
            return tree
        return {} if tree is None else {"value": tree}

    def plain(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 (the likely questions first)
        """Return *value* as plain builtins that msgspec encodes for sure."""
        self._left -= 1
        kind = type(value)
        try:
            if kind is str:
                return self._text(value)
            if kind is NoneType or kind is bool or kind is float:
                return value
            if kind is int:
                return self._number(value)
            if depth > _MAX_DEPTH:
                return self._lost(_TOO_DEEP)
            identity = id(value)
            if identity in self._path:
                return self._lost(_CIRCULAR)
            self._path.add(identity)
            try:
                return self._composed(kind, value, depth)
            finally:
                self._path.discard(identity)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 (a hostile value costs itself, not the payload)
            return self._described(kind, value)

    def _composed(self, kind: type[Any], value: Any, depth: int) -> Any:  # noqa: C901, PLR0911, PLR0912 (one question after the other, the likely first)
        if issubclass(kind, dict):
            return self._mapping(partial(_ITEMS, value), dict.__len__(value), depth)
        if issubclass(kind, list):
            taken: Sequence[Any] = list.__getitem__(value, slice(0, max(self._left, 0)))
            return self._sequence(taken, list.__len__(value), depth)
        if issubclass(kind, tuple):
            taken = tuple.__getitem__(value, slice(0, max(self._left, 0)))
            return self._sequence(taken, tuple.__len__(value), depth)
        if kind is Sensitive:
            return self._sensitive(value, depth)
        if issubclass(kind, Enum):
            return self.plain(value.value, depth + 1)
        if issubclass(kind, str):
            return self._text(str.__str__(value))
        if issubclass(kind, int):
            return self._number(int.__int__(value))
        if (module := _module(kind)) == "numpy" and hasattr(kind, "tolist"):
            return self._numpy(value, depth)
        if issubclass(kind, float):
            return float.__float__(value)
        if issubclass(kind, bytes | bytearray | memoryview):
            return self._bytes(memoryview(value))
        if issubclass(kind, date | time | timedelta | Decimal | UUID):
            return self._text(str(_to_builtins(kind, value)))
        if issubclass(kind, PurePath):
            return self._text(str(value))
        if issubclass(kind, BaseException):
            return {"error_type": _name(kind), "message": self._text(str(value))}
        if (members := self._members(kind, value)) is not None:
            return self._mapping(members.items, len(members), depth)
        if hasattr(kind, "model_dump"):  # pydantic 2
            return self.plain(kind.model_dump(value, warnings=False), depth + 1)
        if hasattr(kind, "__fields__") and hasattr(kind, "__validators__"):  # pydantic 1
            return self.plain(kind.dict(value), depth + 1)
        if hasattr(kind, "get_secret_value"):  # pydantic's secrets mask themselves
            return self._text(str(value))
        if issubclass(kind, set | frozenset):
            base: Any = set if issubclass(kind, set) else frozenset
            return self._sequence(
                _copied(partial(base.__iter__, value), self._left), base.__len__(value), depth
            )
        if issubclass(kind, Mapping):
            return self._mapping(value.items, len(value), depth)
        if issubclass(kind, Sequence | AbstractSet | deque) and kind is not range:
            return self._sequence(_copied(partial(iter, value), self._left), len(value), depth)
        if issubclass(kind, Pattern):
            return self.plain(value.pattern, depth + 1)
        if issubclass(kind, msgspec.Raw):
            return self.plain(_decode(value), depth + 1)
        if issubclass(kind, type):
            return self._text(f"{module}.{_name(value)}" if module else _name(value))
        return self._described(kind, value)

    def _mapping(self, items: Callable[[], Iterable[Any]], length: int, depth: int) -> Any:
        plain = self.plain
        out: dict[str, Any] = {}
        for key, value in _copied(items, self._left):
            if self._left <= 0:
                break
            name = self._text(key) if type(key) is str else self._key(key)
            if name in out:  # 1 and "1" are two keys here and one in JSON
                name = f"{name}#{len(out)}"
            out[name] = plain(value, depth + 1)
        if len(out) < length:
            self.flags |= FALLBACK
            out["…"] = f"[{length - len(out)} more]"
        return out

    def _sequence(self, values: Sequence[Any], length: int, depth: int) -> list[Any]:
        plain = self.plain
        out: list[Any] = []
        for value in values:
            if self._left <= 0:
                break
            out.append(plain(value, depth + 1))
        if len(out) < length:
            out.append(self._lost(f"[{length - len(out)} more]"))
        return out

    def _sensitive(self, value: Sensitive, depth: int) -> Any:
        self.flags |= SENSITIVE
        if self._veiled:
            return self.plain(value.value, depth + 1)
        self._veiled = True
        try:
            return _veil(self.plain(value.value, depth + 1))
        finally:
            self._veiled = False

    def _members(self, kind: type[Any], value: Any) -> dict[str, Any] | None:
        """Return the fields of a struct, a dataclass or an attrs class; None if it is none."""
        out: dict[str, Any] = {}
        if issubclass(kind, msgspec.Struct):
            names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
            config = kind.__struct_config__
            if config.tag_field is not None:
                out[config.tag_field] = config.tag
        elif type(fields := getattr(kind, "__dataclass_fields__", None)) is dict:
            names = zip(fields, fields, strict=True)
        elif isinstance(fields := getattr(kind, "__attrs_attrs__", None), tuple):
            public = [field.name for field in fields if not field.name.startswith("_")]
            names = zip(public, public, strict=True)
        else:
            return None
        for attribute, name in names:
            try:
                member = getattr(value, attribute)
            except AttributeError:  # never set, or deleted
                continue
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # noqa: BLE001 (one bad attribute costs itself, not its object)
                member = self._lost(_UNREADABLE)
            if member is not msgspec.UNSET:
                out[name] = member
        return out

    def _numpy(self, value: Any, depth: int) -> Any:
        """Return an array or a scalar of numpy, which need not be installed."""
        if getattr(value, "size", 1) > self._left:
            return self._lost(f"[array of {value.shape} {value.dtype}]")
        inner = value.tolist()
        if type(inner) is type(value):  # a scalar that Python has no type for
            return self._text(str(value))
        return self.plain(inner, depth + 1)

    def _bytes(self, view: memoryview) -> str:
        kept = view.nbytes
        if kept > self._characters // 2:
            view = memoryview(bytes(view)[: max(self._characters // 2, 0)])
            self.flags |= FALLBACK
        return self._text(msgspec.to_builtins(view))

    def _number(self, value: int) -> int | str:
        if value.bit_length() <= _MAX_INT_BITS:
            return value
        return self._lost(f"[integer of {value.bit_length()} bits]")

    def _text(self, text: str) -> str:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                # Joins two halves that belong together, and replaces those that stand alone.
                text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
                self.flags |= FALLBACK
        if len(text) > self._characters:
            text = _cut(text, max(self._characters, 0))
            self.flags |= FALLBACK
        self._characters -= len(text)
        return text

    def _key(self, key: Any) -> str:  # noqa: PLR0911 (one question after the other)
        if key is None:
            return "null"
        kind = type(key)
        try:
            if kind is bool:
                return "true" if key else "false"
            if issubclass(kind, Enum):
                return self._key(key.value)
            if issubclass(kind, str):
                return self._text(str.__str__(key))
            if kind is not tuple:
                plain = self.plain(key, _MAX_DEPTH)
                if type(plain) is str:
                    return plain
                if type(plain) is int or type(plain) is float:
                    return str(plain)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001, S110 (a hostile key is described, below)
            pass
        return self._described(kind, key)

    def _described(self, kind: type[Any], value: Any) -> str:
        """Return the bounded `repr` of a value we have no better word for."""
        try:
            text = str.__str__(repr(value))
            if len(text) > _MAX_REPR:
                text = _cut(text, _MAX_REPR)
            return self._lost(self._text(text))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 (even its repr is hostile)
            return self._lost(f"[unreadable {_name(kind)}]")

    def _lost(self, placeholder: str) -> str:
        self.flags |= FALLBACK
        return placeholder


def _copied(items: Callable[[], Iterable[Any]], limit: int) -> list[Any]:
    """Return up to *limit* items, in one step; try again if the container changed meanwhile."""
    for _ in range(_TRIES - 1):
        try:
            return list(islice(items(), max(limit, 0)))
        except RuntimeError:
            continue
    return list(islice(items(), max(limit, 0)))


def _to_builtins(kind: type[Any], value: Any) -> Any:
    """Return the text that `ENCODE` would write; of a subclass, its own text."""
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return value.isoformat() if issubclass(kind, date | time) else value


def _veil(value: Any) -> dict[str, Any]:
    return {"$sensitive": _JSON_TYPES.get(type(value), "string"), "value": value}


_JSON_TYPES: Final[dict[type[Any], str]] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    dict: "object",
    list: "array",
    NoneType: "null",
}


def _module(kind: type[Any]) -> str:
    module = getattr(kind, "__module__", "")
    return module.partition(".")[0] if type(module) is str else ""


def _name(kind: type[Any]) -> str:
    name = type.__dict__["__name__"].__get__(kind)
    return name if name.isascii() else ascii(name)


def _cut(text: str, keep: int) -> str:
    return f"{text[:keep]}…[truncated from {len(text)} characters]"


# --- Down to size, on the worker ------------------------------------------------------------------

_BREADTHS: Final = (None, 10_000, 1_000, 100, 10, 1)
_MIN_KEPT: Final = 200  # characters a string keeps before lists and objects are cut as well
_MARKER: Final = 40  # about as long as what `_cut` adds; shorter strings are not worth cutting


def trim(data: bytes, limit: int) -> bytes:
    """Return *data*, a JSON object, in at most *limit* bytes, its shape kept if at all possible.

    The longest strings are cut first, all to the same length, each with a marker that says how long
    it was. If that is not enough, long lists and objects are cut too. What still does not fit
    becomes a small object that says so, and below its own size the empty object. Never raises.
    """
    if len(data) <= limit:
        return data
    try:
        for breadth in _BREADTHS:
            tree = _decode(data)
            if breadth is not None:
                _narrow(tree, breadth)
            floor = 0 if breadth == _BREADTHS[-1] else _MIN_KEPT
            if (trimmed := _shortened(tree, limit, floor)) is not None:
                return trimmed
    except Exception:  # noqa: BLE001, S110 (trimming never raises; the marker below stands for it)
        pass
    marker = b'{"truncated":"payload of %d bytes, at most %d are allowed"}' % (len(data), limit)
    return marker if len(marker) <= limit else EMPTY


def _shortened(tree: Any, limit: int, floor: int) -> bytes | None:
    """Return *tree* with its longest strings cut so that it fits; None if it cannot."""
    places = _long_strings(tree, floor + _MARKER)
    sizes = [len(ENCODE(text)) for _, _, text in places]
    rest = len(ENCODE(tree)) - sum(sizes)

    def size(keep: int) -> int:
        return rest + sum(
            full if len(text) <= keep + _MARKER else len(ENCODE(_cut(text, keep)))
            for (_, _, text), full in zip(places, sizes, strict=True)
        )

    low, high = floor, max((min(len(text), limit) for _, _, text in places), default=floor)
    if size(low) > limit:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if size(middle) <= limit:
            low = middle
        else:
            high = middle - 1
    for container, key, text in places:
        if len(text) > low + _MARKER:
            container[key] = _cut(text, low)
    data = ENCODE(tree)
    return data if len(data) <= limit else None


def _long_strings(tree: Any, longer_than: int) -> list[tuple[Any, Any, str]]:
    """Return container, key and text of every string value of more than so many characters."""
    found: list[tuple[Any, Any, str]] = []
    for container in _containers(tree):
        members: Iterable[tuple[Any, Any]] = (
            container.items() if type(container) is dict else enumerate(container)
        )
        found += [
            (container, key, value)
            for key, value in members
            if type(value) is str and len(value) > longer_than
        ]
    return found


def _narrow(tree: Any, breadth: int) -> None:
    """Cut every list and object of *tree* to *breadth* members, in place."""
    for container in _containers(tree):
        if (more := len(container) - breadth) <= 0:
            continue
        if type(container) is list:
            container[breadth:] = [f"[{more} more]"]
        else:
            for key in list(islice(container, breadth, None)):
                del container[key]
            container["…"] = f"[{more} more]"


def _containers(tree: Any) -> Iterable[Any]:
    """Yield every list and object of *tree*, outer ones first; they may be cut while we go."""
    waiting = [tree]
    while waiting:
        container = waiting.pop()
        if type(container) is dict or type(container) is list:
            yield container
            waiting += container.values() if type(container) is dict else container
