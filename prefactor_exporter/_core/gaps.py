"""Own what is remembered of spans that will never exist: who has their children, who ends them.

Several threads may touch it at the same moment, and a signal handler in the middle of it. Each
step is atomic by itself, and what somebody may still ask for is never away in between.
"""

from collections import deque

from prefactor_exporter._core.events import START, Event

__all__ = ["Gaps"]

_MOST_BEGUN = 100_000
"""Open spans that are remembered in any case."""


class Gaps:
    """Spans whose create was dropped or refused.

    One that has begun only is remembered until its finish has passed or its run is over, as long as
    there are no more than 100,000 of them; others, for children that come late, until so many newer
    ones have followed.

    Attributes:
        parents: Each such span, to its nearest ancestor that was not one then; None for a root.
    """

    def __init__(self) -> None:
        self.parents: dict[str, str | None] = {}
        # In which they are forgotten.
        self._order: deque[str] = deque()
        # Those of which no finish has passed yet, to their run.
        self._begun: dict[str, str] = {}
        # Those whose finish passed a while ago: their children had a turn less than others.
        self._spared: set[str] = set()
        self._refused: set[str] = set()

    def add(self, span: Event, *, most: int, refused: bool = False) -> None:
        """Remember *span*.

        Args:
            span: The create.
            most: How many are remembered beside those that have begun only.
            refused: Whether the API refused it.
        """
        known = span.id in self.parents
        if span.kind == START and not span.merged_seq:
            self._begun[span.id] = span.instance
        if refused:
            self._refused.add(span.id)
        parent = self.surviving(span.parent)
        self.parents[span.id] = parent if parent != span.id else None
        if not known:
            self._order.append(span.id)
        self.forget(most, at_once=2)

    def surviving(self, parent: str | None) -> str | None:
        """Return the nearest ancestor, *parent* included, that exists."""
        parents = self.parents
        while parent is not None and parent in parents:
            parent = parents.get(parent)
        return parent

    def run_of(self, span: str) -> str:
        """Return the run of a *span* of which no finish has passed; empty if that is unknown."""
        return self._begun.get(span, "")

    def was_refused(self, span: str) -> bool:
        """Return whether the API refused *span*."""
        return span in self._refused

    def close(self, span: str) -> None:
        """Note that the finish of *span* has passed."""
        if span in self._begun:
            self._spared.add(span)
            self._begun.pop(span, None)

    def end(self, instance: str) -> None:
        """Note that a run is over: nothing more of it will come."""
        for span, run in self._begun.copy().items():
            if run == instance:
                self.close(span)

    def forget(self, most: int, *, at_once: int) -> None:
        """Look at the oldest *at_once* beyond *most*, and forget what nobody will ask for."""
        order = self._order
        for _ in range(min(at_once, len(order) - most)):
            span = order.popleft()
            begun = span in self._begun and len(self._begun) <= _MOST_BEGUN
            if begun or span in self._spared:
                self._spared.discard(span)
                order.append(span)
            else:
                self._begun.pop(span, None)
                self.parents.pop(span, None)
                self._refused.discard(span)
