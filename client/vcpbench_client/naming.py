"""The part of the client that gives names: rename models, tag them, make them private, and point aliases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vcpbench_client.answers import Checkpoint
from vcpbench_client.asking import Asking
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class Named:
    """A model's names and tags, and who sees it.

    Attributes:
        former_names: Names that it had before, the newest first. They still lead to it.
        tags: In alphabetical order.
        private: Whether only its team and administrators see it.
    """

    name: str
    team: str
    former_names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    private: bool = False


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A team's word for a checkpoint.

    Attributes:
        checkpoint: The id of the checkpoint at which it points.
        moved_at: Since when it points there.
        by: Name of the token that moved it; None for another team's alias.
    """

    name: str
    team: str
    checkpoint: str
    model: str
    run: str | None = None
    step: int | None = None
    moved_at: datetime
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Move:
    """One move of an alias.

    Attributes:
        checkpoint: Where it pointed from then on; None if the alias was removed, or the checkpoint deleted.
        deleted_at: When the checkpoint was deleted; None if it was not.
    """

    moved_at: datetime
    checkpoint: str | None = None
    deleted_at: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class History:
    """Where an alias points and pointed, the newest move first."""

    name: str
    team: str
    moves: tuple[Move, ...]


class Naming(Asking):
    """Methods of `Client` that give names."""

    def rename(self, model: str, name: str) -> Named:
        """Give a model another name. The old name still leads to it.

        Args:
            model: Your team's model, or `TEAM/MODEL`.
            name: Its new name.

        Raises:
            Conflict: If another model of the team has this name or had it.
        """
        return self._asked(Named, "POST", "/models/rename", body={"model": model, "name": name})

    def tag(self, model: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Named:
        """Add tags to a model, and remove tags from it.

        Args:
            model: Your team's model, or `TEAM/MODEL`.
            add: Lower-case words.
            remove: The same.
        """
        body = {"model": model, "add": list(add), "remove": list(remove)}
        return self._asked(Named, "POST", "/models/tags", body=body)

    def set_private(self, model: str, private: bool = True) -> Named:
        """Make a model private, so that only its team and administrators see it, or public.

        Args:
            model: Your team's model, or `TEAM/MODEL`.
            private: False makes it public.
        """
        return self._asked(Named, "POST", "/models/private", body={"model": model, "private": private})

    def aliases(self, *, limit: int | None = None, team: str | None = None) -> Iterator[Alias]:
        """Aliases by team and name, fetched as they are needed."""
        return self._pages(Alias, "/aliases", limit, {"team": team})

    def set_alias(self, name: str, checkpoint: str | Checkpoint) -> Alias:
        """Point an alias of your team at a checkpoint. `@NAME` then names the checkpoint.

        Args:
            name: The alias, with or without its `@`.
            checkpoint: What `upload` gave, its id, `MODEL@latest`, or another alias.
        """
        wanted = checkpoint.id if isinstance(checkpoint, Checkpoint) else checkpoint
        return self._asked(Alias, "PUT", f"/aliases/{_segment(name)}", body={"checkpoint": wanted})

    def remove_alias(self, name: str, *, team: str | None = None) -> None:
        """Remove an alias of your team; an administrator names another team. Its history stays.

        The request is sent once: if no answer comes, look at `aliases` before you remove it again.
        """
        self._transport.once("DELETE", f"/aliases/{_segment(name)}", query={"team": team})

    def alias_history(self, name: str, *, team: str | None = None) -> History:
        """Where an alias points and pointed."""
        path = f"/aliases/{_segment(name)}/history"
        return self._get(History, path, {"team": team})


def _segment(name: str) -> str:
    return segment(name.removeprefix("@"))
