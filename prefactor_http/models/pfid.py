"""Own the shape of a batch of ids the API has made."""

from prefactor_http.models._model import Model

__all__ = ["PfidBatch"]


class PfidBatch(Model, kw_only=True):
    """Fresh ids, good for objects of one account.

    Attributes:
        account_id: The account whose partition the ids carry.
        pfids: The ids.
    """

    account_id: str
    pfids: list[str]
