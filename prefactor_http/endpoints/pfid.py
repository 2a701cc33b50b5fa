"""Own the call that has the API make ids."""

import msgspec

from prefactor_http.endpoints._transport import Transport, encode, query, write_key
from prefactor_http.models.pfid import PfidBatch

__all__ = ["PfidClient"]

_decode = msgspec.json.Decoder(PfidBatch).decode


class PfidClient:
    """Ask for ids that fit the account.

    The method raises what `PrefactorHttpClient.request` raises, and a
    `PrefactorResponseContractError` without status if the answer has the wrong shape.
    """

    def __init__(self, http_client: Transport) -> None:
        self._http = http_client

    async def generate(
        self, count: int = 1, account_id: str | None = None, idempotency_key: str | None = None
    ) -> PfidBatch:
        """Return fresh ids in the partition of an account.

        Args:
            count: How many, at least 1. The API's upper limit is not documented; 100 is safe.
            account_id: The account, ``None`` for the token's.
            idempotency_key: Names this call, at most 64 characters; ``None`` takes a fresh UUID4.

        Raises:
            ValueError: If ``count`` is below 1 or the key is too long.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        body = query(count=count, account_id=account_id, idempotency_key=write_key(idempotency_key))
        return await self._http.exchange(
            "POST",
            "/api/v1/pfid/generate",
            operation="pfids.generate",
            decode=_decode,
            body=encode(body),
        )
