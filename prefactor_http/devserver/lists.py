"""Pages of rows: pagination, sorting, and the envelope of a list."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from prefactor_http.devserver.answers import Answer
from prefactor_http.devserver.backend import Call
from prefactor_http.devserver.errors import invalid
from prefactor_http.devserver.shapes import Listing, Page

MAX_PAGE_SIZE = 100
_LARGEST = (1 << 63) - 1


class Query(NamedTuple):
    """The rows of a list: a table, what they must fulfil, and what they may be sorted by."""

    table: str
    conditions: list[str]
    values: list[Any]
    sortable: tuple[str, ...]


def page(
    call: Call, listing: Listing, query: Query, show: Callable[[Any], dict[str, Any] | msgspec.Raw]
) -> Answer:
    """Return one page of *query* as the listing asks for."""
    wanted = listing.pagination
    if not 0 <= wanted.offset <= _LARGEST:
        raise invalid("pagination", "offset must not be negative or absurd")
    if not 1 <= wanted.page_size <= MAX_PAGE_SIZE:
        raise invalid("pagination", f"page_size must be between 1 and {MAX_PAGE_SIZE}")
    field, direction = _sorting(listing.sorting, query.sortable)
    where = " AND ".join(query.conditions) or "1"
    # Every piece of SQL here is a constant of this package; what users send is bound.
    column = "seq" if field is None else field
    storage = call.backend.storage
    count = storage.one(
        f"SELECT count(*) FROM {query.table} WHERE {where}",  # noqa: S608 - constants, see above
        query.values,
    )[0]
    rows = storage.rows(
        f"SELECT * FROM {query.table} WHERE {where}"  # noqa: S608 - constants, see above
        f" ORDER BY {column} {direction}, seq {direction} LIMIT ? OFFSET ?",
        [*query.values, wanted.page_size, wanted.offset],
    )
    return Answer(
        msgspec.json.encode(
            {
                "status": "success",
                "summaries": [show(row) for row in rows],
                "pagination": _pagination(wanted, count, len(rows)),
                "sorting": {"field": field or "inserted_at", "direction": direction},
            }
        )
    )


def _pagination(wanted: Page, count: int, shown: int) -> dict[str, int | None]:
    """Describe the page in the nine keys of the API."""
    offset, size = wanted.offset, wanted.page_size
    following = offset + size
    return {
        "item_count": count,
        "item_start": offset + 1 if shown else 0,
        "item_end": offset + shown if shown else 0,
        "page_offset": offset,
        "page_size": size,
        "page_count": -(-count // size),
        "page_index": offset // size + 1,
        "next_page_offset": following if following < count else None,
        "previous_page_offset": max(0, offset - size) if offset else None,
    }


def _sorting(
    sorting: str | dict[str, str] | None, sortable: tuple[str, ...]
) -> tuple[str | None, str]:
    """Return column and direction; no column stands for the order of arrival."""
    if sorting is None or sorting == "":
        return None, "asc"
    if isinstance(sorting, str):
        field = sorting.removeprefix("-")
        direction = "desc" if sorting.startswith("-") else "asc"
    else:
        field, direction = sorting.get("field", ""), sorting.get("direction", "asc")
    if field not in sortable or direction not in {"asc", "desc"}:
        raise invalid("sorting", f"must be one of: {', '.join(sortable) or 'nothing here'}")
    return field, direction
