"""Bearer tokens: what they are, what state they are in, what they may see."""

from typing import Literal

import msgspec

from prefactor_http.devserver.errors import ApiError, unauthorized
from prefactor_http.devserver.storage import Storage

DEFAULT_TOKEN = "dev-account-token"  # noqa: S105 - a well-known word, not a secret
DEFAULT_DEPLOYMENT_TOKEN = "dev-deployment-token"  # noqa: S105 - likewise

Scope = Literal["account", "agent_deployment"]
TokenState = Literal["active", "suspended", "revoked"]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One bearer token.

    Attributes:
        token: The secret itself.
        scope: An account token sees all agents, a deployment token its own in one environment.
        state: Only an active token works; a revoked one never works again.
        account_id: Where it belongs.
        agent_id: The agent of a deployment token.
        environment_id: The environment of a deployment token.
    """

    token: str
    scope: Scope
    state: TokenState
    account_id: str
    agent_id: str | None
    environment_id: str | None

    def sees(self, agent_id: str) -> bool:
        """Say whether what belongs to *agent_id* is visible to this token."""
        return self.scope == "account" or self.agent_id == agent_id


class Tokens:
    """The tokens of one database, remembered between requests."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, Token] = {}

    def bearer(self, header: str | None) -> Token:
        """Return the token in an ``Authorization`` header.

        Raises:
            ApiError: 401 if there is none, or it is unknown, suspended or revoked.
        """
        kind, _, secret = (header or "").partition(" ")
        token = self._find(secret.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise ApiError("bad_authtoken", "the token is missing or unknown", status=401)
        if token.state != "active":
            raise ApiError("bad_authtoken", f"the token is {token.state}", status=401)
        return token

    def add(self, token: Token) -> None:
        """Store *token* unless it is there already."""
        self._storage.run(
            "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(token)
        )

    def set_state(self, secret: str, state: TokenState) -> None:
        """Suspend, revoke or re-activate a token.

        Raises:
            KeyError: If there is no such token.
            ValueError: If it is revoked, which is final.
        """
        token = self._find(secret)
        if token is None:
            raise KeyError("no such token")
        if token.state == "revoked" and state != "revoked":
            raise ValueError("a revoked token stays revoked")
        self._storage.run("UPDATE tokens SET state = ? WHERE token = ?", (state, secret))
        self._known.pop(secret, None)

    def works(self, secret: str) -> bool:
        """Say whether *secret* opens anything."""
        token = self._find(secret)
        return token is not None and token.state == "active"

    def _find(self, secret: str) -> Token | None:
        """Look *secret* up."""
        token = self._known.get(secret)
        if token is None:
            row = self._storage.one("SELECT * FROM tokens WHERE token = ?", (secret,))
            if row is None:
                return None
            token = msgspec.convert(dict(row), Token)
            self._known[secret] = token
        return token


def require_account(token: Token) -> None:
    """Refuse deployment tokens.

    Raises:
        ApiError: 401 for a deployment token.
    """
    if token.scope != "account":
        raise unauthorized("this needs an account token")
