"""Make the previews of some videos of a dataset, or of their questions, and store them in one object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from records import storage
from records.db import NOW
from records.models import Media, MediaState, ProtocolRow
from records.repositories import objects
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.files import sha256_of
from vcp_core.catalog.previews import CLIP, MAX_CLIP_BYTES, MAX_STRIP_BYTES, STRIP
from worker.runner import ChildFailed, Out
from worker.tasks.index import manifest_of
from worker.work import Work

STALL_S = 300.0
# The suffix of a file's name, the most bytes that it may have, and the bytes that stand at one place in it.
FORMS: Mapping[str, tuple[int, int, bytes]] = {
    STRIP: (MAX_STRIP_BYTES, 8, b"WEBP"),
    CLIP: (MAX_CLIP_BYTES, 0, bytes.fromhex("1a45dfa3")),  # RFC 8794: every WebM begins so
}


def make_media(work: Work) -> None:
    """Have the child make the previews, and store them."""
    row, protocol = work.read(lambda session: _needs(session, work))
    out = work.folder / "media"
    answer = work.in_child(
        "media",
        stall_s=STALL_S,
        decodes=row.dataset,
        manifest=manifest_of(work, row.dataset),
        geometry=row.geometry,
        protocol=protocol,
        group=row.number,
        out=Out(out),
    )
    files = checked(out, answer["sizes"])
    failed = {key: VcpbenchError.from_dict(error).as_dict() for key, error in answer["failed"].items()}
    sha256, size_bytes = sha256_of(out), out.stat().st_size

    def name(session: Session) -> None:
        objects.about_to_name(session)
        session.get_one(Media, work.subject_id).sha256 = sha256

    work.prepare(name)
    work.storage.put_file(storage.media_key(sha256), out)

    def write(session: Session) -> None:
        made = session.get_one(Media, work.subject_id)
        made.state, made.size_bytes, made.used_at = MediaState.MADE, size_bytes, NOW
        made.files, made.failed, made.finished_at = files, failed, NOW

    work.conclude(write)


def _needs(session: Session, work: Work) -> tuple[Media, dict[str, Any] | None]:
    row = session.get_one(Media, work.subject_id)
    return row, session.get_one(ProtocolRow, row.protocol_hash).content if row.protocol_hash else None


def checked(path: Path, sizes: Iterable[tuple[str, int]]) -> dict[str, tuple[int, int, str]]:
    """Say where each file lies in the object: first byte, bytes, SHA-256.

    The child decoded foreign videos, so browsers get nothing of its file that is not of the right form.

    Raises:
        ChildFailed: If the child wrote something else than previews.
    """
    found: dict[str, tuple[int, int, str]] = {}
    begin = 0
    with path.open("rb") as file:
        for name, size in sizes:
            most, place, mark = FORMS.get(name.rpartition(".")[2], (0, 0, b""))
            content = file.read(size) if 0 < size <= most else b""
            if name in found or len(content) != size or not content.startswith(mark, place):
                raise ChildFailed(f"it wrote a preview {name!r} of {size} bytes that is none", "")
            found[name] = begin, size, hashlib.sha256(content).hexdigest()
            begin += size
        if file.read(1):
            raise ChildFailed("it wrote more than previews", "")
    return found
