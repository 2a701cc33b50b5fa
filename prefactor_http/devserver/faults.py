"""Scripted misbehaviour: which requests go wrong, and how."""

import math
import random
import threading
from typing import Any, Literal, NamedTuple, get_args

import msgspec

Reset = Literal["before", "after"]

_CHOOSING = (
    "every",
    "p",
    "seed",
    "times",
    "after",
    "path",
    "method",
    "over_items",
    "over_bytes",
    "schema_name",
    "type",
    "nth",
)
_MOST_SECONDS = 86_400.0


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of misbehaviour. All conditions given must hold; at least one effect is required.

    Attributes:
        every: Every n-th matching request only.
        p: Each matching request with this probability.
        seed: Makes ``p`` repeatable.
        times: At most that many requests.
        after: The first that many matching requests are spared.
        path: Only requests whose path contains this text.
        method: Only requests with this method.
        over_items: Only bulk requests with more items than this.
        over_bytes: Only requests with a body of more bytes than this.
        schema_name: Only bulk requests with such a span create; ``item_error`` strikes that item.
        type: The same for the ``_type`` of an item.
        nth: One-based position of the item an item fault strikes; later items for
            ``reset=after`` are not applied. Only bulk requests that long match.
        status: Answer with this status and an error envelope, applying nothing.
        code: The ``code`` of that envelope; by default a word that fits the status.
        message: Its ``message``.
        retry_after: Send a ``Retry-After`` header with so many seconds.
        retry_after_date: Send it with the HTTP date so many seconds from now instead, rounded up
            to a whole second; below zero it has passed.
        retry_after_ms: Put this ``retry_after_ms`` into the envelope.
        html: Answer with an HTML page as a proxy would, status 502 unless given.
        latency: Wait so many seconds before anything else.
        late: Apply the request, then wait so many seconds before answering.
        black_hole: Never answer, applying nothing.
        reset: Cut the connection before or after applying the request.
        cut_json: Apply the request, then send the first half of the answer only.
        item_error: Fail one item of a bulk request with this code, by default the first.
        drop_output: Apply the bulk request, then leave an output out of the answer.
        alien_output: Apply the bulk request, then add an output nobody asked for.
    """

    every: int | None = None
    p: float | None = None
    seed: int = 0
    times: int | None = None
    after: int = 0
    path: str = ""
    method: str = ""
    over_items: int | None = None
    over_bytes: int | None = None
    schema_name: str | None = None
    type: str | None = None
    nth: int | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    retry_after_date: float | None = None
    retry_after_ms: int | None = None
    html: bool = False
    latency: float = 0.0
    late: float = 0.0
    black_hole: bool = False
    reset: Reset | None = None
    cut_json: bool = False
    item_error: str | None = None
    drop_output: bool = False
    alien_output: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("every", 1, math.inf),
            ("times", 0, math.inf),
            ("after", 0, math.inf),
            ("nth", 1, math.inf),
            ("p", 0.0, 1.0),
            ("status", 200, 599),
            ("latency", 0.0, _MOST_SECONDS),
            ("late", 0.0, _MOST_SECONDS),
            ("retry_after", 0.0, math.inf),
            ("retry_after_date", -_MOST_SECONDS, _MOST_SECONDS),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be between {low} and {high}, got {value}")
        if self.retry_after is not None and self.retry_after_date is not None:
            raise ValueError("retry_after and retry_after_date are one header; give one of them")
        if not self.answers and not self.latency and not self.late:
            effects = [name for name in self.__struct_fields__ if name not in _CHOOSING]
            raise ValueError(f"the rule has no effect; add one of: {', '.join(effects)}")

    @property
    def answers(self) -> bool:
        """Whether the rule decides the answer, rather than only when it comes."""
        return (
            self.status is not None
            or self.html
            or self.black_hole
            or self.reset is not None
            or self.cut_json
            or self.item_error is not None
            or self.drop_output
            or self.alien_output
        )

    @property
    def reads_items(self) -> bool:
        """Whether the rule can be judged only after the items of a bulk request are read."""
        return any(
            value is not None
            for value in (self.over_items, self.schema_name, self.type, self.nth, self.item_error)
        )

    def strikes(self, position: int, kind: str, schema_name: str | None) -> bool:
        """Say whether the item at one-based *position* is the one to fail."""
        if self.schema_name is None and self.type is None and self.nth is None:
            return position == 1
        return (
            self.nth in {None, position}
            and self.type in {None, kind}
            and self.schema_name in {None, schema_name}
        )


class ItemFacts(NamedTuple):
    """What a rule may ask about an item."""

    type: str
    schema_name: str | None


class Facts(NamedTuple):
    """What a rule may ask about a request; *items* is None unless it is a bulk request."""

    method: str
    path: str
    size: int
    items: list[ItemFacts] | None = None


class Plan(NamedTuple):
    """What happens to one request: waits in seconds, and the rule that decides the answer."""

    latency: float = 0.0
    late: float = 0.0
    rule: FaultRule | None = None


class _Scripted:
    """A rule with what it has seen so far."""

    def __init__(self, text: str, rule: FaultRule) -> None:
        self.text = text
        self.rule = rule
        self.seen = 0
        self.hits = 0
        self._chance = random.Random(rule.seed)  # noqa: S311 - repeatable on purpose

    def hit(self, facts: Facts) -> bool:
        """Count the request and say whether the rule applies to it."""
        rule = self.rule
        if not _concerns(rule, facts):
            return False
        self.seen += 1
        turn = self.seen - rule.after
        if turn < 1 or (rule.times is not None and self.hits >= rule.times):
            return False
        if rule.every is not None and turn % rule.every:
            return False
        if rule.p is not None and self._chance.random() >= rule.p:
            return False
        self.hits += 1
        return True


class FaultScript:
    """The rules in force, asked once for each request. Safe to use from any thread.

    Rules are tried in the order they were added: waits add up, and the first rule that decides the
    answer ends the search.
    """

    def __init__(self, *rules: str | FaultRule) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Scripted] = []
        self._hits = 0
        for rule in rules:
            self.add(rule)

    def add(self, rule: str | FaultRule) -> FaultRule:
        """Add a rule, given as text such as ``times=3 status=429 retry_after=2`` or as a value.

        Raises:
            ValueError: If the text cannot be read; names the bad part and the words allowed.
        """
        parsed = parse_rule(rule) if isinstance(rule, str) else rule
        text = rule if isinstance(rule, str) else written_rule(rule)
        with self._lock:
            self._rules.append(_Scripted(text, parsed))
        return parsed

    def clear(self) -> None:
        """Remove all rules; the total of hits stays."""
        with self._lock:
            self._rules.clear()

    @property
    def counts(self) -> dict[str, int]:
        """How often each rule in force was hit, by its text."""
        with self._lock:
            counts: dict[str, int] = {}
            for scripted in self._rules:
                counts[scripted.text] = counts.get(scripted.text, 0) + scripted.hits
            return counts

    @property
    def hits(self) -> int:
        """How often any rule was hit since the start."""
        with self._lock:
            return self._hits

    @property
    def empty(self) -> bool:
        """Whether no rule is in force."""
        return not self._rules

    def plan(self, facts: Facts) -> Plan:
        """Decide what happens to a request."""
        latency = late = 0.0
        with self._lock:
            for scripted in self._rules:
                if not scripted.hit(facts):
                    continue
                self._hits += 1
                latency += scripted.rule.latency
                late += scripted.rule.late
                if scripted.rule.answers:
                    return Plan(latency, late, scripted.rule)
        return Plan(latency, late)


def parse_rule(text: str) -> FaultRule:
    """Read a rule written as words and ``name=value`` pairs.

    Raises:
        ValueError: Names the bad part and the words allowed.
    """
    values: dict[str, Any] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if name not in FaultRule.__struct_fields__:
            allowed = ", ".join(FaultRule.__struct_fields__)
            raise ValueError(f"unknown word {name!r} in fault rule {text!r}; allowed: {allowed}")
        kind = FaultRule.__annotations__[name]
        try:
            values[name] = msgspec.convert(value if equals else "true", kind, strict=False)
        except msgspec.ValidationError:
            wanted = " or ".join(get_args(Reset)) if name == "reset" else _kind(kind)
            raise ValueError(
                f"{part!r} in fault rule {text!r} cannot be read; {name} takes {wanted}"
            ) from None
    return FaultRule(**values)


def written_rule(rule: FaultRule) -> str:
    """Write *rule* as `parse_rule` reads it."""
    given: dict[str, Any] = msgspec.to_builtins(rule)
    return " ".join(name if value is True else f"{name}={value}" for name, value in given.items())


def _kind(kind: Any) -> str:
    """Name the type of a word's value for people; a word that takes any text never gets here."""
    names = {int: "a whole number", float: "a number", bool: "no value"}
    return next(name for part, name in names.items() if kind is part or part in get_args(kind))


def _concerns(rule: FaultRule, facts: Facts) -> bool:
    """Say whether the conditions of *rule* that look at the request hold."""
    if rule.path not in facts.path or (rule.method and rule.method.upper() != facts.method):
        return False
    if rule.over_bytes is not None and facts.size <= rule.over_bytes:
        return False
    if not (rule.reads_items or rule.drop_output or rule.alien_output):
        return True
    items = facts.items
    if items is None:
        return False
    if rule.over_items is not None and len(items) <= rule.over_items:
        return False
    return any(
        rule.strikes(position, item.type, item.schema_name)
        for position, item in enumerate(items, start=1)
    )
