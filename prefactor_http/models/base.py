"""Own the envelopes of the answers: one object, a list, a failure."""

from typing import ClassVar, Generic, TypeVar

from prefactor_http.models._model import GenericModel, Model, OpenModel
from prefactor_http.models.types import JsonObject

__all__ = [
    "ApiError",
    "ApiResponse",
    "DetailedApiError",
    "ListResponse",
    "Model",
    "OpenModel",
    "PaginationOutput",
    "Sorting",
]

T = TypeVar("T")


class ApiResponse(GenericModel[T], Generic[T], kw_only=True):
    """The envelope of a single object; keys beside the two fields are ignored.

    Attributes:
        status: ``success`` whenever the API is content; not checked.
        details: The object.
    """

    open_fields: ClassVar[tuple[str, ...]] = ("details",)

    status: str
    details: T


class PaginationOutput(Model, kw_only=True):
    """Where a page stands in the whole list.

    Attributes:
        item_count: Rows in the whole list.
        item_start: Number of the first row of this page, counted from one.
        item_end: Number of its last row, counted from one.
        page_offset: Offset of the first row, counted from zero.
        page_size: Most rows on one page.
        page_count: Pages in the whole list.
        page_index: Number of this page, counted from one.
        next_page_offset: What to send as offset for the next page, ``None`` on the last one.
        previous_page_offset: The same for the page before, ``None`` on the first one.
    """

    item_count: int
    item_start: int
    item_end: int
    page_offset: int
    page_size: int
    page_count: int
    page_index: int
    next_page_offset: int | None = None
    previous_page_offset: int | None = None


class Sorting(Model, kw_only=True):
    """How a list is ordered.

    Attributes:
        field: The field it is ordered by.
        direction: ``asc`` or ``desc``.
        nulls: Where missing values stand: ``first``, ``last`` or ``auto``; ``None`` if not said.
    """

    field: str
    direction: str
    nulls: str | None = None


class ListResponse(GenericModel[T], Generic[T], kw_only=True):
    """The envelope of a list.

    Attributes:
        status: ``success`` whenever the API is content; not checked.
        summaries: The rows of this page.
        pagination: Where the page stands, ``None`` if the API did not say.
        sorting: How the list is ordered, ``None`` if the API did not say.
    """

    open_fields: ClassVar[tuple[str, ...]] = ("summaries",)

    status: str
    summaries: list[T]
    pagination: PaginationOutput | None = None
    sorting: Sorting | None = None


class ApiError(Model, kw_only=True):
    """The body of a failure.

    Attributes:
        status: Always ``error``.
        code: The API's own word for what went wrong.
        message: The same for a person to read.
    """

    status: str = "error"
    code: str
    message: str


class DetailedApiError(ApiError, kw_only=True):
    """The body of a refusal that names fields.

    Attributes:
        errors: What is wrong with each field; the shape of the values is not fixed.
    """

    errors: JsonObject
