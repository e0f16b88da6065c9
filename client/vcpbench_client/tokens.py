"""The part of the client that makes, lists and revokes API tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vcpbench_client.asking import Asking
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class Token:
    """An API token, without its secret.

    Attributes:
        role: "reader", "submitter" or "admin".
        owner: The person or machine that answers for it, and may revoke it.
        state: "live", "expired" or "revoked".
        expires_at: None if it does not expire.
        last_used_at: When it was last used, to the minute.
        token: The secret itself, only in the answer to `create_token`.
    """

    id: str
    name: str
    team: str
    role: str
    owner: str
    state: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    token: str | None = None


class Tokens(Asking):
    """Methods of `Client` for tokens."""

    def tokens(self, *, team: str | None = None, limit: int | None = None) -> Iterator[Token]:
        """Your team's tokens, the newest first, also those that open nothing any more.

        Args:
            team: Another team, for an administrator.
            limit: Most tokens; all if left out.
        """
        return self._pages(Token, "/tokens", limit, {} if team is None else {"team": team})

    def create_token(
        self,
        name: str,
        *,
        role: str = "submitter",
        expires_days: int | None = None,
        team: str | None = None,
        owner: str | None = None,
    ) -> Token:
        """Make a token of your team.

        Args:
            name: For people, such as its purpose.
            role: "reader", "submitter" or "admin"; at most your own.
            expires_days: When it expires: in so many days. Left out, as late as the server allows.
            team: Another team, for an administrator.
            owner: Who answers for it; only an administrator names somebody else.

        Returns:
            The token. Its secret `token` is told only here; the server keeps no more than a hash of it.
        """
        body: dict[str, Any] = {"name": name, "role": role, "expires_days": expires_days}
        return self._asked_once(Token, "POST", "/tokens", body={**body, "team": team, "owner": owner})

    def revoke_token(self, token_id: str) -> Token:
        """Revoke a token of your team. It opens nothing from then on."""
        return self._asked(Token, "DELETE", f"/tokens/{segment(token_id)}")
