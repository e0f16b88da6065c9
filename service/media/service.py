"""Find previews, and have a worker make those that are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from records import storage
from records.kept import Kept
from records.models import DatasetRow, DatasetState, Deleted, JobKind, Media, MediaState
from records.repositories import live, locks, media, visibility
from records.repositories.media import Group
from records.repositories.visibility import Visibility
from records.storage import DamagedObject, Storage
from service import gone
from service.auth import Caller
from service.limits import MAX_LIVE_MEDIA
from service.problems import NotFound
from service.reasons import text_for
from service.visible import visible_to
from vcp_core.catalog.errors import InputError, VcpbenchError
from vcp_core.catalog.previews import (
    clip_geometry,
    file_name,
    frame_geometry,
    group_of,
    num_groups,
    read_geometry,
)
from vcp_core.catalog.validation import quoted

# By reader, fingerprint and protocol: what the networks that were evaluated there see. A page asks for many
# previews.
_USED = Kept[tuple[Visibility, str, str], set[str]](32, seconds=30)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A file of a preview that somebody asks for.

    Attributes:
        dataset_id: The dataset.
        geometry: What the network sees (`vcp_core.catalog.previews`).
        key: The video.
        form: "webp" for the strip, "webm" for the clip.
        protocol_hash: The protocol of the question; empty for the video itself.
        number: Number of the question.
        option: The option in the blank.
    """

    dataset_id: UUID
    geometry: str
    key: str
    form: str
    protocol_hash: str = ""
    number: int | None = None
    option: str | None = None

    @property
    def name(self) -> str:
        """Name of the file inside its group."""
        return file_name(self.key, self.form, self.number, self.option)


class Found(NamedTuple):
    """A preview that is made."""

    content: bytes
    sha256: str


def find(session: Session, store: Storage, wanted: Wanted, reader: Caller | None) -> Found | None:
    """Find a preview. None if a worker makes it; the first request for it asks for that.

    Raises:
        NotFound: If there is no such preview, or the dataset's previews are switched off.
    """
    dataset = session.get(DatasetRow, wanted.dataset_id)
    if dataset is None:
        gone.check(session, Deleted.DATASET, wanted.dataset_id, visible=visible_to(reader))
    if dataset is None or dataset.state is not DatasetState.READY or dataset.fingerprint is None:
        raise NotFound(f"No dataset {wanted.dataset_id} is ready. List the datasets: GET /v1/datasets.")
    if not media.is_shown(session, dataset):
        raise NotFound(
            f"Previews of the dataset {dataset.name} are switched off. An administrator can switch them on: "
            f"PATCH /v1/datasets/{dataset.name}."
        )
    group = _group(dataset, wanted)
    _check_used(session, dataset, wanted, reader)  # first: a row may be there for a private model
    row = media.find(session, group)
    if row is not None and row.state is MediaState.MAKING:
        return None
    if row is not None and (reason := _reason(row, wanted)) is not None:
        if not media.ended_long_ago(session, row):
            raise NotFound(f"The preview cannot be made: {text_for(reason, reader, dataset)}")
    elif row is not None and (found := _read(store, row, wanted, dataset)) is not None:
        media.looked_at(session, row.id)
        return found
    _make(session, dataset, group, row, reader)
    return None


def _group(dataset: DatasetRow, wanted: Wanted) -> Group:
    try:
        said = read_geometry(wanted.geometry)
    except InputError as error:  # the geometry is a part of the address, so nothing is there
        raise NotFound(f"No preview has this address. {error}") from None
    if (said.frames is not None) != bool(wanted.protocol_hash):
        raise NotFound(
            "A preview of a question has frames and stride in its address, and one of a video has not."
        )
    num_videos = sum((dataset.summary or {}).get("videos", {}).values())
    groups = num_groups(num_videos, has_questions=bool(wanted.protocol_hash))
    return Group(
        fingerprint=dataset.fingerprint or "",
        geometry=wanted.geometry,
        protocol_hash=wanted.protocol_hash,
        number=group_of(wanted.key, groups),
    )


def _check_used(session: Session, dataset: DatasetRow, wanted: Wanted, reader: Caller | None) -> None:
    """Make sure that an evaluation that the reader sees shows such previews.

    Otherwise anybody could have workers make any number, or learn what private networks see.

    Raises:
        NotFound: If no such network that was evaluated on the dataset sees videos so.
    """
    visible = visibility.cache_key(session, visible_to(reader))
    key = visible, dataset.fingerprint or "", wanted.protocol_hash
    used = _USED.get(key)
    if used is None or wanted.geometry not in used:
        write = clip_geometry if wanted.protocol_hash else frame_geometry
        found = media.networks(session, dataset.fingerprint or "", wanted.protocol_hash, visible)
        specs = (checkpoint.known_spec for checkpoint in found)
        used = {write(spec) for spec in specs if spec is not None}
        _USED.put(key, used)
    if wanted.geometry in used:
        return
    under = f" under protocol {wanted.protocol_hash[:12]}" if wanted.protocol_hash else ""
    raise NotFound(
        f"No evaluation on the dataset {dataset.name}{under} has a network that sees videos as "
        f"{quoted(wanted.geometry)}. An evaluation's page shows its previews."
    )


def _make(
    session: Session, dataset: DatasetRow, group: Group, old: Media | None, reader: Caller | None
) -> None:
    """Queue the job of a group instead of an old row, if the reader's team has room for one more.

    Without room nothing is queued. The page asks again, and some jobs have ended by then.
    """
    team = reader.team if reader else None
    locks.take(session, live.lock_name(JobKind.MEDIA, team))
    number, _ = live.count(session, JobKind.MEDIA, team)
    if number < MAX_LIVE_MEDIA:
        if old is not None:
            media.forget(session, old.id)
        media.make(session, group, dataset.id, team=team)


def _reason(row: Media, wanted: Wanted) -> VcpbenchError | None:
    """Say why a preview could not be made, if it could not."""
    if row.failed and wanted.key in row.failed:
        return VcpbenchError.from_dict(row.failed[wanted.key])
    return row.reason


def _read(store: Storage, row: Media, wanted: Wanted, dataset: DatasetRow) -> Found | None:
    """Read a preview from the store. None if it is damaged or gone, so it must be made again.

    Raises:
        NotFound: If there is no such preview.
    """
    if wanted.name not in (row.files or {}) or row.sha256 is None:
        raise NotFound(
            f"The dataset {dataset.name} has no such preview: no video has the key {wanted.key}, or its "
            "questions have no such number and option. A video that is too short has no questions."
        )
    assert row.files is not None
    begin, size, sha256 = row.files[wanted.name]
    try:
        content = store.get_part(storage.media_key(row.sha256), begin, size, sha256=sha256)
    except DamagedObject:
        return None
    return Found(content, sha256)
