"""Whatever people record becomes a JSON object, once, and of a bounded size."""

import base64
import dataclasses
import enum
import json
import pathlib
import subprocess
import sys
import threading
import types
import uuid
from collections import OrderedDict, UserDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple

import attrs
import msgspec
import numpy as np
import pydantic
import pydantic.v1
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefactor_exporter._core.snapshot import FALLBACK, SENSITIVE, slow_snapshot, snapshot, trim
from prefactor_exporter.sensitive import Sensitive


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def strict(data):
    """Decode *data* as strict JSON in strict UTF-8, and insist on an object."""
    decoded = json.loads(data.decode("utf-8", "strict"), parse_constant=refuse)
    assert type(decoded) is dict
    return decoded


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    __slots__ = ()


class Point(msgspec.Struct, tag="point", rename="camel"):
    x_axis: object
    note: object = msgspec.UNSET


@dataclasses.dataclass
class Data:
    a: object
    b: int = 2


@attrs.define
class Attributes:
    a: object
    _private: int = 2


class Model(pydantic.BaseModel):
    a: object = 1
    hidden: str = pydantic.Field("secret", exclude=True)
    key: pydantic.SecretStr = pydantic.SecretStr("secret")


class OldModel(pydantic.v1.BaseModel):
    a: int = 1


class Pair(NamedTuple):
    x: int
    y: int


OPAQUE = object()  # sends any payload into the slow path

VALUES = [
    (None, None),
    (True, True),
    (float("nan"), None),
    (float("-inf"), None),
    (2**64, 2**64),
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    (date(2026, 1, 2), "2026-01-02"),
    (timedelta(days=1), "P1D"),
    (Decimal("1.50"), "1.50"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Colour.RED, "red"),
    (b"\xff", base64.b64encode(b"\xff").decode()),
    (bytearray(b"x"), "eA=="),
    (memoryview(b"x"), "eA=="),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    ({1}, [1]),
    (frozenset({1}), [1]),
    (deque([1, 2]), [1, 2]),
    (Pair(1, 2), [1, 2]),
    (Text("text"), "text"),
    (OrderedDict(a=1), {"a": 1}),
    (UserDict(a=1), {"a": 1}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    ({"a": 1}.keys(), ["a"]),
    (Point(1), {"type": "point", "xAxis": 1}),
    (Data(1), {"a": 1, "b": 2}),
    (Attributes(1), {"a": 1}),
    (Model(), {"a": 1, "key": "**********"}),
    (OldModel(), {"a": 1}),
    (np.float64(1.5), 1.5),
    (np.int8(3), 3),
    (np.bool_(1), True),
    (np.array([[1, 2]]), [[1, 2]]),
    (np.float64("nan"), None),
    (ValueError("no"), {"error_type": "ValueError", "message": "no"}),
    (dict, "builtins.dict"),
    (msgspec.Raw(b'{"a":1}'), {"a": 1}),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=range(len(VALUES)))
def test_what_people_put_in_comes_out_as_they_would_write_it(value, expected):
    """Each of these has one natural form in JSON, the same on the fast path and on the slow."""
    data, flags = snapshot({"value": value})
    slow, slow_flags = slow_snapshot({"value": value})

    assert strict(data) == {"value": expected}
    assert strict(slow) == {"value": expected}
    assert flags == slow_flags == 0


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (None, {}),
        ({}, {}),
        ([1], {"value": [1]}),
        ("text", {"value": "text"}),
        (7, {"value": 7}),
        (Data(1), {"a": 1, "b": 2}),
        (Model(), {"a": 1, "key": "**********"}),
        (np.zeros(1), {"value": [0.0]}),
    ],
)
def test_a_payload_is_an_object_in_any_case(payload, expected):
    """What encodes to an object is taken as it is, anything else is wrapped, None is empty."""
    assert strict(snapshot(payload)[0]) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (1, "1"),
        (1.5, "1.5"),
        (None, "null"),
        (True, "true"),
        (Colour.RED, "red"),
        (Text("text"), "text"),
        (b"x", "eA=="),
        (date(2026, 1, 2), "2026-01-02"),
        ((1, "a"), "(1, 'a')"),
        ("a\ud800", "a\ufffd"),
        (Sensitive("x"), "Sensitive(***)"),
    ],
)
def test_keys_that_are_no_strings_become_some(key, expected):
    """Every key finds a text."""
    assert strict(snapshot({key: 1, "other": OPAQUE})[0])[expected] == 1


def test_keys_that_collide_as_text_are_both_kept():
    """1 and "1" are two keys in Python and stay two."""
    assert len(strict(snapshot({1: "a", "1": "b", "other": OPAQUE})[0])) == 3


def test_lone_surrogates_are_replaced():
    """Halves of a character that cannot stand in UTF-8 are replaced, and pairs are joined."""
    data, flags = snapshot({"a": "x\ud800", "b": "\ud83d\ude00"})

    assert strict(data) == {"a": "x\ufffd", "b": "😀"}
    assert flags == FALLBACK


def test_cycles_end():
    """A container within itself is named, not followed; one that merely comes twice is written."""
    cyclic = {"twice": [1]}
    cyclic["again"] = cyclic["twice"]
    cyclic["self"] = cyclic
    data, flags = snapshot(cyclic)

    assert strict(data) == {"twice": [1], "again": [1], "self": "[circular]"}
    assert flags == FALLBACK


def test_depth_ends():
    """Nesting without end is cut at a depth that every decoder takes."""
    deep = leaf = [OPAQUE]
    for _ in range(5000):
        leaf.append([])
        leaf = leaf[-1]
    data, flags = snapshot({"deep": deep})

    assert strict(data)
    assert data.count(b"[") < 70
    assert flags == FALLBACK


@pytest.mark.slow
def test_breadth_ends():
    """What a few shared lists would unfold to is cut, and says how much is missing."""
    bomb = [OPAQUE]
    for _ in range(10):
        bomb = [bomb] * 10
    wide, flags = snapshot({"wide": list(range(200_000)), "other": OPAQUE})

    assert len(snapshot({"bomb": bomb})[0]) < 10_000_000
    assert strict(wide)["wide"][-1].endswith(" more]")
    assert flags == FALLBACK


def test_huge_integers_are_described():
    """An integer of thousands of digits is no number to anybody else."""
    data, flags = snapshot({"huge": 10**5000})

    assert strict(data) == {"huge": "[integer of 16610 bits]"}
    assert flags == FALLBACK


def test_anything_else_becomes_its_repr_within_bounds():
    """An unknown object is represented by its repr, a long one cut with a marker."""

    class Unknown:
        def __repr__(self):
            return "<Unknown " + "x" * 10_000

    data, flags = snapshot({"unknown": Unknown(), "plain": 1})
    decoded = strict(data)

    assert decoded["plain"] == 1
    assert decoded["unknown"].startswith("<Unknown xxx")
    assert len(decoded["unknown"]) < 1100
    assert flags == FALLBACK


class Failure(BaseException):
    """Not even an Exception."""


def hostile(name, error):
    def method(*_):
        raise error

    return type("Hostile", (), {name: method, "__repr__": method})()


@pytest.mark.parametrize("error", [ValueError("no"), Failure(), RecursionError()])
@pytest.mark.parametrize(
    "name",
    ["__repr__", "__str__", "__getattr__", "__getattribute__", "__iter__", "__hash__", "__len__"],
)
def test_hostile_objects_cost_only_themselves(name, error):
    """An object whose methods raise leaves a placeholder; what is around it is kept."""
    data, flags = snapshot({"before": 1, "hostile": [hostile(name, error)], "after": 2})

    assert strict(data) == {"before": 1, "hostile": ["[unreadable Hostile]"], "after": 2}
    assert flags == FALLBACK


def test_a_lying_class_is_not_believed():
    """`__class__` may raise or lie; it is never asked."""

    class Liar:
        @property
        def __class__(self):
            raise Failure

    assert strict(snapshot({"liar": Liar(), "a": 1})[0])["a"] == 1


def test_hostile_containers_are_read_behind_their_back():
    """Subclasses of containers cannot get in the way of what they hold."""

    class List(list):
        def __iter__(self):
            raise Failure

        __getitem__ = __len__ = __iter__

    class Dict(dict):
        def items(self):
            raise Failure

        __iter__ = __len__ = keys = items

    assert strict(snapshot({"list": List([1]), "dict": Dict(a=1), "other": OPAQUE})[0]) == {
        "list": [1],
        "dict": {"a": 1},
        "other": repr(OPAQUE),
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_the_user_may_interrupt(error):
    """Ctrl-C and exit are not ours to swallow."""
    with pytest.raises(error):
        snapshot({"a": hostile("__repr__", error())})


def test_iterators_are_not_consumed():
    """A generator belongs to the application: it is described, not drained."""
    generator = iter([1, 2])
    snapshot({"generator": generator})

    assert list(generator) == [1, 2]


def test_a_list_that_shrinks_while_it_is_read_harms_nobody():
    """An object that empties its own container, as another thread might, meets a copy of it."""
    victim = []

    class Saboteur:
        def __repr__(self):
            victim.clear()
            return "gone"

    victim += [Saboteur(), *([str(n)] for n in range(2000))]
    data, _ = snapshot({"victim": victim})

    assert strict(data)["victim"][:3] == ["gone", ["0"], ["1"]]


SABOTAGE = """
import dataclasses, datetime, os, threading
from prefactor_exporter._core.snapshot import forget_threads, snapshot

victim = []

class Zone(datetime.tzinfo):
    def utcoffset(self, moment):
        victim.clear()  # as another thread might, which gets its turn here
        return datetime.timedelta()
    def dst(self, moment):
        return None

class Property:
    @property
    def n(self):
        victim.clear()
        return 1
    @n.setter
    def n(self, value):
        pass

@dataclasses.dataclass
class Row(Property):
    n: int = 0

WHAT
victim += [saboteur, *([str(n)] for n in range(20_000))]
data, _ = snapshot({"victim": victim})
assert data.count(b"[") == 20_001, data[:100]
"""
THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()"


@pytest.mark.slow
@pytest.mark.parametrize("saboteur", ["datetime.datetime(2026, 1, 1, tzinfo=Zone())", "Row()"])
@pytest.mark.parametrize(
    "threads",
    [THREAD, f"{THREAD}\nif os.fork(): os._exit(os.wait()[1])\nforget_threads()\n{THREAD}"],
)
def test_python_that_runs_inside_a_payload_finds_a_copy(saboteur, threads):
    """The list that is being encoded is shortened meanwhile; also in a forked child."""
    code = SABOTAGE.replace("WHAT", f"{threads}\nsaboteur = {saboteur}")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-3, minutes=30))),
        datetime(2026, 1, 2),  # noqa: DTZ001  # naive on purpose
        date(2026, 1, 2),
        time(3, 4, 5, 6),
        timedelta(days=1, microseconds=5),
        Decimal("1.50"),
        uuid.UUID(int=7),
        Colour.RED,
        (1, "two", None),
        {1},
        b"bytes",
        float("nan"),
        2**63,
        {7: "one", 2.5: "more"},
        defaultdict(int, a=1),
    ],
)
def test_what_threads_make_necessary_changes_nothing(value):
    """With other threads about, values take the way that is slower and reads the same."""
    assert slow_snapshot({"value": value}) == (msgspec.json.encode({"value": value}), 0)


@pytest.mark.slow
def test_payloads_changed_by_other_threads_never_fail():
    """While threads grow and shrink a payload, each snapshot is sound."""
    shared = {"dict": {}, "list": [], "set": set(), "deque": deque(), "other": OPAQUE}
    done = threading.Event()

    def change():
        n = 0
        while not done.is_set():
            n = (n + 1) % 50
            shared["dict"][n] = n
            shared["list"].append(n)
            shared["set"].add(n)
            shared["deque"].append(n)
            if n == 49:
                for container in list(shared.values())[:4]:
                    container.clear()

    threads = [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        snapshots = [snapshot(shared)[0] for _ in range(200)]
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert all(strict(data) for data in snapshots)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.sampled_from([OPAQUE, Colour.RED, Sensitive("x"), 2**9999])
    | st.builds(hostile, st.just("__repr__"), st.builds(Failure)),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text()), inner)
        | st.builds(Data, inner)
        | st.builds(Sensitive, inner)
        | st.builds(UserDict, st.dictionaries(st.text(), inner))
        | st.lists(inner).map(tuple)
    ),
)


@pytest.mark.slow
@settings(max_examples=50)
@given(anything)
def test_the_outcome_is_always_strict_json(payload):
    """Nothing that people can record raises, and all of it is a JSON object."""
    strict(snapshot(payload)[0])


mutable = st.recursive(
    st.integers() | st.text() | st.just(OPAQUE),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
)


@pytest.mark.slow
@settings(max_examples=50)
@given(st.dictionaries(st.text(), mutable))
def test_later_changes_do_not_reach_what_was_recorded(payload):
    """Emptying every container right after leaves the recorded bytes as they were."""
    data, _ = snapshot(payload)
    before = bytes(data)
    waiting = [payload]
    while waiting:
        container = waiting.pop()
        members = container.values() if isinstance(container, dict) else container
        waiting += [member for member in members if isinstance(member, dict | list)]
        container.clear()

    assert data == before
    assert strict(data).keys() == strict(before).keys()


def test_sensitive_values_are_wrapped_and_noted():
    """A marked value travels with the name of its JSON type, and switches the encoding on."""
    data, flags = snapshot(
        {
            "text": Sensitive("x"),
            "deep": [{"number": Sensitive(1.5)}, Sensitive(None), Sensitive(value=True)],
            "object": Sensitive({"inner": Sensitive([1])}),
        }
    )

    assert flags == SENSITIVE
    assert strict(data) == {
        "text": {"$sensitive": "string", "value": "x"},
        "deep": [
            {"number": {"$sensitive": "number", "value": 1.5}},
            {"$sensitive": "null", "value": None},
            {"$sensitive": "boolean", "value": True},
        ],
        "object": {"$sensitive": "object", "value": {"inner": [1]}},
    }


def test_a_sensitive_payload_stays_an_object():
    """Marking the whole payload marks each of its members."""
    assert strict(snapshot(Sensitive({"a": 1}))[0]) == {"a": {"$sensitive": "number", "value": 1}}
    assert strict(snapshot(Sensitive("a"))[0]) == {"value": {"$sensitive": "string", "value": "a"}}


def test_sensitive_shows_and_changes_nothing():
    """Its text is masked, and it is a value: equal by content and unchangeable."""
    marked = Sensitive("hidden")

    assert repr(marked) == str(marked) == "Sensitive(***)"
    assert marked == Sensitive("hidden") != Sensitive("other")
    assert hash(marked) == hash(Sensitive("hidden"))
    with pytest.raises(AttributeError):
        marked.value = "other"
    with pytest.raises(AttributeError):
        marked._value = "other"


def test_one_without_sensitive_values_is_not_flagged():
    """A text that merely reads so switches nothing on."""
    assert snapshot({"a": "$sensitive"})[1] == 0


def test_trimming_cuts_the_longest_strings_and_says_so():
    """The shape and the short strings stay; the long one tells how long it was."""
    payload = {"model": "m", "documents": ["x" * 100_000, "y" * 300], "n": [1, 2]}
    trimmed = trim(msgspec.json.encode(payload), 10_000)
    decoded = strict(trimmed)

    assert 9_900 < len(trimmed) <= 10_000
    assert decoded["documents"][0].endswith("x…[truncated from 100000 characters]")
    decoded["documents"][0] = payload["documents"][0]
    assert decoded == payload


def test_trimming_cuts_lists_and_objects_when_strings_are_not_enough():
    """A long list of numbers keeps its head and says how many are missing."""
    trimmed = trim(msgspec.json.encode({"name": "n", "numbers": list(range(20_000))}), 1_000)
    decoded = strict(trimmed)

    assert decoded["name"] == "n"
    assert decoded["numbers"][:3] == [0, 1, 2]
    assert decoded["numbers"][-1].endswith(" more]")


def test_trimming_leaves_a_marker_at_last():
    """What cannot be made to fit is replaced by an object that says so."""
    data = msgspec.json.encode({"k" * 10_000: 1})

    assert strict(trim(data, 100)) == {
        "truncated": "payload of 10006 bytes, at most 100 are allowed"
    }
    assert trim(data, 10) == b"{}"
    assert strict(trim(b'{"broken":' + b"x" * 100, 90))["truncated"]


jsons = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | st.text(max_size=300),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
)


@pytest.mark.slow
@settings(max_examples=50)
@given(payload=st.dictionaries(st.text(max_size=20), jsons), limit=st.integers(0, 600))
def test_trimming_always_fits(payload, limit):
    """Whatever the payload and the limit, the outcome is an object within the limit."""
    data = msgspec.json.encode(payload)
    trimmed = trim(data, limit)

    strict(trimmed)
    assert len(trimmed) <= max(limit, 2)
    assert len(data) > limit or trimmed == data
