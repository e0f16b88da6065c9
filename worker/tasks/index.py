"""Make the manifest of a registered dataset."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.orm import Session

from records import flow, storage
from records.models import DatasetRow, DatasetState
from records.repositories import datasets
from records.storage import DamagedObject
from vcp_core.catalog.errors import DatasetError, StorageError
from vcp_core.catalog.files import sha256_of, whole
from vcp_core.catalog.paths import cache_dir
from worker.runner import Out
from worker.work import Work

STALL_S = 600.0

log = structlog.get_logger("vcpbench.worker")


def index(work: Work) -> None:
    """Read every video, and store the manifest."""
    dataset = work.read(lambda session: session.get_one(DatasetRow, work.subject_id))
    out = work.folder / "manifest.json"
    answer = read_videos(work, dataset, out)
    sha256, size_bytes = sha256_of(out), out.stat().st_size
    work.storage.put_file(storage.manifest_key(dataset.id), out)

    def write(session: Session) -> None:
        row = session.get_one(DatasetRow, work.subject_id)
        row.state, row.manifest_sha256, row.manifest_bytes = DatasetState.READY, sha256, size_bytes
        row.fingerprint, row.own_name, row.summary = (
            answer[fact] for fact in ("fingerprint", "own_name", "summary")
        )
        flow.dataset_ended(session, row)

    work.conclude(write)


def read_videos(work: Work, dataset: DatasetRow, out: Path) -> dict[str, Any]:
    """Have the child read a dataset's videos and write their manifest; its answer.

    The findings about the files are kept on this machine. If a file did not change, it is not decoded again.
    """
    source = json.dumps(dataset.source, sort_keys=True).encode()
    kept = cache_dir() / "registered" / f"{hashlib.sha256(source).hexdigest()[:32]}.json"
    findings = work.folder / "findings.json"
    answer = work.in_child(
        "index",
        stall_s=STALL_S,
        decodes=dataset,
        source=dataset.source,
        name=dataset.name,
        out=Out(out),
        known=kept if kept.exists() else None,
        findings=Out(findings),
    )
    try:
        if findings.stat().st_size:
            with whole(kept) as part:
                shutil.copyfile(findings, part)
    except StorageError as error:
        log.warning("findings not kept; the next registration decodes all videos again", error=str(error))
    return answer


def manifest_of(work: Work, dataset: DatasetRow) -> Path:
    """Return a local file of a ready dataset's manifest. If the object is damaged, make it again.

    Raises:
        DatasetError: If the videos are gone or have changed, so that it cannot be made again.
    """
    key = storage.manifest_key(dataset.id)
    try:
        return work.cached(key, sha256=dataset.manifest_sha256)
    except DamagedObject as error:
        log.warning("making the manifest again", dataset=dataset.name, error=str(error))
    out = work.folder / "manifest.json"
    said = f"the manifest of the dataset {dataset.name} was damaged in the store, and cannot be made again: "
    try:
        answer = read_videos(work, dataset, out)
    except DatasetError as error:
        raise error.within(said) from None
    if answer["fingerprint"] != dataset.fingerprint:
        raise DatasetError(f"{said}its videos have changed since it was registered. Register it again.")
    # The fingerprint is over all that decides a score. The rest may differ after an update of vcpbench.
    sha256 = sha256_of(out)
    work.storage.put_file(key, out)
    work.read(lambda session: datasets.manifest_made(session, dataset.id, sha256))
    return work.cached(key, sha256=sha256)
