"""The part of the client that writes notes, makes links that read one page, and saves views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vcpbench_client.comparing import Comparing
from vcpbench_client.defaults import LINK_DAYS
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note on an evaluation, in plain text.

    Attributes:
        evaluation: The id of the evaluation.
        team: The team of its writer.
        by: Name of the token that wrote it; None for another team's note.
        edited_at: When it was last changed; None if never.
        edited_by: Name of the token that last changed it.
    """

    id: str
    evaluation: str
    team: str
    text: str
    created_at: datetime
    by: str | None = None
    edited_at: datetime | None = None
    edited_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Share:
    """A link that reads one page without a token.

    Attributes:
        state: "live", "expired", "revoked" or "deleted".
        evaluation: The id of the evaluation; None if what the link opened was deleted.
        against: Of a comparison: the id of the evaluation that it is compared with.
        by: Name of the token that made the link.
        url: The link itself, only in the answer to `share`.
    """

    id: str
    team: str
    state: str
    evaluation: str | None
    created_at: datetime
    expires_at: datetime
    by: str
    against: str | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    deleted_at: datetime | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class View:
    """A name that your team gave to the address of a page."""

    id: str
    name: str
    address: str
    by: str
    created_at: datetime


class Sharing(Comparing):
    """Methods of `Client` for notes, links and views."""

    def notes(self, evaluation: str) -> tuple[Note, ...]:
        """The notes on an evaluation, the oldest first."""
        return tuple(self._pages(Note, "/notes", None, {"evaluation": evaluation}))

    def write_note(self, evaluation: str, text: str) -> Note:
        """Write a note on an evaluation of your team. Everybody who may read the evaluation may read it.

        The request is sent once: if no answer comes, look at `notes` before you write again.
        """
        query, body = {"evaluation": evaluation}, {"text": text}
        return self._asked_once(Note, "POST", "/notes", query=query, body=body)

    def change_note(self, note_id: str, text: str) -> Note:
        """Write a note of your team anew."""
        return self._asked(Note, "PUT", f"/notes/{segment(note_id)}", body={"text": text})

    def delete_note(self, note_id: str) -> Note:
        """Delete a note of your team, and return it: only writing it again brings it back.

        The request is sent once: if no answer comes, look at `notes` before you delete again.
        """
        return self._asked_once(Note, "DELETE", f"/notes/{segment(note_id)}")

    def share(self, evaluation: str, *, against: str | None = None, days: int = LINK_DAYS) -> Share:
        """Make a link that reads one page, and nothing else, without a token.

        Args:
            evaluation: An evaluation of your team that is done: its id, `MODEL@latest`, or `@ALIAS`.
            against: If given, the page compares the evaluation with this one. A worker compares them first.
            days: When the link expires: in so many days, 365 at most.

        Returns:
            The link. Its `url` is told only here; the server keeps no more than a hash of it.
        """
        body: dict[str, Any] = {"evaluation": evaluation, "days": days}
        if against is not None:
            compared = self.compare(against, evaluation)
            body |= {"evaluation": compared.second.id, "against": compared.first.id}
        return self._asked_once(Share, "POST", "/shares", body=body)

    def shares(self, *, limit: int | None = None) -> Iterator[Share]:
        """Your team's links, the newest first, also those that open nothing any more."""
        return self._pages(Share, "/shares", limit, {})

    def revoke(self, share_id: str) -> Share:
        """Revoke a link of your team. It opens nothing from then on."""
        return self._asked(Share, "DELETE", f"/shares/{segment(share_id)}")

    def views(self) -> tuple[View, ...]:
        """Your team's saved views, by page and name."""
        return tuple(self._pages(View, "/views", None, {}))

    def save_view(self, name: str, address: str) -> View:
        """Give the address of a page a name for your team.

        Args:
            name: For people.
            address: The page's path and query: `/?...` (board), `/models?...` or `/compare?...`.
        """
        return self._asked(View, "POST", "/views", body={"name": name, "address": address})

    def delete_view(self, view_id: str) -> View:
        """Delete a view of your team, and return it: saving it again brings it back.

        The request is sent once: if no answer comes, look at `views` before you delete again.
        """
        return self._asked_once(View, "DELETE", f"/views/{segment(view_id)}")
