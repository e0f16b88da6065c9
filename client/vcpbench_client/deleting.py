"""The part of the client that deletes for good, and that says what is in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from vcpbench_client.asking import Asking
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class Line:
    """Some things of one kind.

    Attributes:
        kind: The kind, in the plural.
        size_bytes: Their size in the store; None for what has no objects.
        names: Their names, of aliases.
    """

    kind: str
    count: int
    size_bytes: int | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What a deletion took, or would take.

    Attributes:
        kind: "checkpoint", "dataset", "evaluation" or "model".
        name: The name of what goes, for people.
        model: The name of its model; None for a dataset.
        dry_run: Whether nothing changed.
        stays: What others use, too, and what therefore stays.
    """

    kind: str
    id: str
    name: str
    dry_run: bool
    team: str | None = None
    model: str | None = None
    goes: tuple[Line, ...] = ()
    stays: tuple[Line, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Retired:
    """A dataset that lost its name. Its results stay until somebody deletes it."""

    id: str
    name: str
    retired_at: datetime
    num_evaluations: int
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Size:
    """The objects of one kind, of one team and one dataset.

    Attributes:
        kind: The kind, in the plural.
        count: Number of objects.
        would_free_bytes: How much of them the next sweep would delete.
        team: None for what all teams share.
        dataset: None for what belongs to no dataset.
    """

    kind: str
    count: int
    size_bytes: int
    would_free_bytes: int
    team: str | None = None
    dataset: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is in the store, with the sums."""

    count: int
    size_bytes: int
    would_free_bytes: int
    sizes: tuple[Size, ...] = ()


class Deleting(Asking):
    """Methods of `Client` that delete for good, or that say what is in the store.

    With `dry_run`, a deletion says what would go, and changes nothing. Otherwise it is sent once: if no
    answer comes, look whether the thing is still there.
    """

    def delete_evaluation(self, evaluation: str, *, dry_run: bool = False) -> Deletion:
        """Delete an evaluation of your team. If it is under way, it is cancelled first."""
        return self._delete(f"/evaluations/{segment(evaluation)}", dry_run)

    def delete_checkpoint(self, checkpoint: str, *, dry_run: bool = False) -> Deletion:
        """Delete a checkpoint of your team, with all its evaluations."""
        return self._delete(f"/checkpoints/{segment(checkpoint)}", dry_run)

    def delete_model(self, model: str, *, dry_run: bool = False) -> Deletion:
        """Delete a model of your team, or `TEAM/MODEL`, with all its checkpoints and their evaluations."""
        return self._delete(f"/models/{segment(model)}", dry_run)

    def delete_dataset(self, dataset_id: str, *, dry_run: bool = False) -> Deletion:
        """Delete a retired dataset, with all evaluations on it. This needs an administrator's token."""
        return self._delete(f"/retired-datasets/{segment(dataset_id)}", dry_run)

    def retired_datasets(self, *, limit: int | None = None) -> Iterator[Retired]:
        """Datasets that lost their names, the last retired first. This needs an administrator's token."""
        return self._pages(Retired, "/retired-datasets", limit, {})

    def sizes(self) -> Sizes:
        """What your team has in the store; an administrator sees all teams."""
        return self._get(Sizes, "/sizes")

    def _delete(self, path: str, dry_run: bool) -> Deletion:
        if dry_run:
            return self._asked(Deletion, "DELETE", path, query={"dry_run": "true"})
        return self._asked_once(Deletion, "DELETE", path)
