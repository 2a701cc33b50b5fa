"""Own what is recorded: realistic spans, the same for the same seed, or those of recorded runs.

A generated span has about 1.2 KB of payload and 0.5 KB of result, and every eleventh is the parent
of the ten after it. Only the standard library is needed, since other projects' exporters record the
same spans in environments of their own.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["MARK", "PER_FAMILY", "Recorded", "from_runs", "numbered", "read", "spans", "write"]

PER_FAMILY = 11
"""A parent and its children."""
MARK = re.compile(rb"bench-[0-9]{8}")
"""What tells one span from another in the bytes that arrive, whatever form they travel in."""

_PROSE = (
    "the agent reads a customer record and compares invoice totals with open orders before it "
    "writes an answer that names amounts, dates and the next step for a person to confirm"
)
_WORDS = _PROSE.split()
_MODEL_CALLS = 0.7
_BULK = 90_000


class Recorded(NamedTuple):
    """What one record call is given; ``root`` says that it has no parent, but maybe children."""

    schema_name: str
    payload: dict[str, Any]
    result: dict[str, Any]
    root: bool = False


def spans(count: int, *, seed: int = 7, size: str = "typical") -> Iterator[Recorded]:
    """Yield *count* spans of an agent that asks a model and calls tools; the same for one seed.

    Args:
        count: How many.
        seed: Where chance begins.
        size: ``small`` (a few dozen bytes), ``typical``, or ``large`` (90 KB of payload).
    """
    chance = random.Random(seed)
    for number in range(count):
        root = number % PER_FAMILY == 0
        if size == "small":
            yield Recorded("agent:step", {"request": _mark(number)}, {"ok": True}, root)
            continue
        if root:
            made = _turn(chance, number)
        elif chance.random() < _MODEL_CALLS:
            made = _model_call(chance, number)
        else:
            made = _tool_call(chance, number)
        if size == "large":
            made.payload["document"] = _text(chance, _BULK)
        yield made


def numbered(pool: Sequence[Recorded], count: int) -> list[Recorded]:
    """Return *count* spans made of those in *pool*, over and over, each with a mark of its own."""
    return [
        span._replace(payload={**span.payload, "request": _mark(number)})
        for number, span in zip(range(count), _forever(pool), strict=False)
    ]


def from_runs(path: Path) -> list[Recorded]:
    """Return the spans of recorded agent runs, in the forms that the command line replays.

    Args:
        path: A file of runs as chat messages; see ``prefactor-exporter replay --help``.
    """
    # Other projects' environments read what this returned, and do not have our packages.
    from prefactor_exporter.cli import recordings  # noqa: PLC0415

    return [
        Recorded(f"agent:{step.kind}", step.payload, step.result or {}, number == 0)
        for run in recordings.read(path)
        for number, step in enumerate(run.steps)
    ]


def write(found: Iterable[Recorded], path: Path) -> None:
    """Write spans to *path*, for `read`."""
    path.write_text(json.dumps([list(span) for span in found]), encoding="utf-8")


def read(path: Path) -> list[Recorded]:
    """Return the spans in *path*."""
    return [Recorded(*fields) for fields in json.loads(path.read_text(encoding="utf-8"))]


def _mark(number: int) -> str:
    return f"bench-{number:08d}"


def _forever(pool: Sequence[Recorded]) -> Iterator[Recorded]:
    while True:
        yield from pool


def _text(chance: random.Random, size: int) -> str:
    words: list[str] = []
    while size > 0:
        words.append(chance.choice(_WORDS))
        size -= len(words[-1]) + 1
    return " ".join(words)


def _turn(chance: random.Random, number: int) -> Recorded:
    return Recorded(
        "agent:turn",
        {
            "request": _mark(number),
            "customer": chance.getrandbits(40),
            "channel": "chat",
            "history": [_text(chance, 260) for _ in range(4)],
        },
        {"answer": _text(chance, 380), "resolved": chance.random() < _MODEL_CALLS},
        root=True,
    )


def _model_call(chance: random.Random, number: int) -> Recorded:
    return Recorded(
        "agent:llm",
        {
            "request": _mark(number),
            "model": "large-2",
            "temperature": 0.2,
            "max_tokens": 1024,
            "messages": [
                {"role": "system", "content": _text(chance, 300)},
                {"role": "user", "content": _text(chance, chance.randint(550, 750))},
            ],
            "tools": ["search", "read_file", "send_mail"],
        },
        {
            "content": _text(chance, chance.randint(300, 440)),
            "finish_reason": "stop",
            "usage": {"input_tokens": chance.randint(200, 900), "output_tokens": 120},
        },
    )


def _tool_call(chance: random.Random, number: int) -> Recorded:
    return Recorded(
        "tool:search",
        {
            "request": _mark(number),
            "query": _text(chance, 80),
            "filters": {"year": chance.randint(2015, 2026), "language": "en", "limit": 20},
            "context": [_text(chance, 240) for _ in range(4)],
        },
        {
            "hits": [
                {"id": chance.getrandbits(40), "score": chance.random(), "title": _text(chance, 90)}
                for _ in range(3)
            ],
            "took_ms": chance.randint(3, 300),
        },
    )
