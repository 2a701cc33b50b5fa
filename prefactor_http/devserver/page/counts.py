"""How many spans a run has by status, counted as they come and never again from the start."""

import msgspec

from prefactor_http.devserver.storage import Storage

_MOST_RUNS = 20_000
_OPEN = ("active", "pending")


class Budget:
    """How many rows a request may still look at."""

    def __init__(self, rows: int) -> None:
        self.rows = rows


class _Counted(msgspec.Struct):
    """What is known of one run: the closed spans up to *upto* as sums, the open ones by number."""

    upto: int = 0
    closed: dict[str, int] = msgspec.field(default_factory=dict)
    open: dict[int, str] = msgspec.field(default_factory=dict)


class Counts:
    """Counts spans by status. A closed span stays as it is, so it is looked at once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._runs: dict[str, _Counted] = {}

    def of(self, run_id: str, budget: Budget) -> tuple[dict[str, int], bool]:
        """Return the counts by status, and whether *budget* was enough to count everything."""
        known = self._runs.get(run_id)
        if known is None:
            if len(self._runs) >= _MOST_RUNS:
                self._runs.clear()
            known = self._runs[run_id] = _Counted()
        exact = self._recheck(run_id, known, budget) and self._advance(run_id, known, budget)
        counts = dict(known.closed)
        for status in known.open.values():
            counts[status] = counts.get(status, 0) + 1
        return counts, exact

    def _recheck(self, run_id: str, known: _Counted, budget: Budget) -> bool:
        """Look again at the spans that were open, in turn if there are too many."""
        turn = list(known.open)[: max(0, budget.rows)]
        exact = len(turn) == len(known.open)
        if not turn:
            return exact
        budget.rows -= len(turn)
        for seq, status in self._storage.rows(
            "SELECT seq, status FROM spans WHERE agent_instance_id = ?"
            " AND seq IN (SELECT value FROM json_each(?))",
            (run_id, msgspec.json.encode(turn).decode()),
        ):
            del known.open[seq]
            if status in _OPEN:
                known.open[seq] = status
            else:
                known.closed[status] = known.closed.get(status, 0) + 1
        return exact

    def _advance(self, run_id: str, known: _Counted, budget: Budget) -> bool:
        """Count the spans that are new."""
        if budget.rows <= 0:
            return False
        found, last = self._storage.one(
            "SELECT count(*), max(seq) FROM (SELECT seq FROM spans WHERE agent_instance_id = ?"
            " AND seq > ? ORDER BY seq LIMIT ?)",
            (run_id, known.upto, budget.rows),
        )
        if not found:
            return True
        within = (run_id, known.upto, last)
        for status, count in self._storage.rows(
            "SELECT status, count(*) FROM spans WHERE agent_instance_id = ?"
            " AND seq > ? AND seq <= ? AND status NOT IN ('active', 'pending') GROUP BY status",
            within,
        ):
            known.closed[status] = known.closed.get(status, 0) + count
        known.open |= dict(
            self._storage.rows(
                "SELECT seq, status FROM spans WHERE agent_instance_id = ?"
                " AND seq > ? AND seq <= ? AND status IN ('active', 'pending')",
                within,
            )
        )
        known.upto = last
        budget.rows -= found
        return budget.rows > 0
