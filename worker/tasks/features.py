"""Features objects: stored with their hash, compared with it by each reader, extracted again if damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from records import damage, storage
from records.models import Evaluation, Shard
from records.storage import DamagedObject
from vcp_core.catalog.files import sha256_of
from worker.work import Work

LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
MAX_HEADER_BYTES = 100_000_000  # the safetensors format's own limit

log = structlog.get_logger("vcpbench.worker")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The features of a shard in the store.

    Attributes:
        sha256: Hash of the object.
        size_bytes: Its size; 0 as long as only the facts were read.
        facts: How the features were made: device, counts, machine.
    """

    sha256: str
    size_bytes: int = 0
    facts: dict[str, Any]


class DamagedFeatures(Exception):
    """Features that a job needs are damaged or gone.

    Attributes:
        shards: The hash that each damaged object should have had, by the id of its shard.
    """

    def __init__(self, shards: Mapping[UUID, str | None]) -> None:
        super().__init__(shards)
        self.shards = shards


def store(work: Work, shard: Shard, facts: dict[str, Any], path: Path) -> Stored:
    """Store features and the facts about them, in place of damaged ones if there are any.

    Another worker may have stored its own meanwhile. Both are replaced, so that the facts fit the features.
    """
    made = Stored(sha256=sha256_of(path), size_bytes=path.stat().st_size, facts=facts)
    # Store the facts first: if the features exist, their facts then exist, too.
    work.storage.put_bytes(storage.facts_key(shard.key), _sealed(shard.key, made))
    work.storage.put_file(shard.key, path)
    return made


def stored(work: Work, shard: Shard) -> Stored | None:
    """Find what an earlier attempt has stored; None if there is nothing, or it is damaged."""
    try:
        said = work.storage.get_bytes(storage.facts_key(shard.key))
        made = _unsealed(shard.key, said)
        if made is None:
            return None
        path = work.storage.fetch(shard.key, work.folder, sha256=made.sha256 or None)
    except DamagedObject:
        return None
    sha256 = made.sha256
    if not sha256:  # stored before hashes were noted; from now on it has one
        if not _is_whole(path):
            return None
        sha256 = sha256_of(path)
    return Stored(sha256=sha256, size_bytes=path.stat().st_size, facts=made.facts)


def features_of(work: Work, shards: Sequence[Shard]) -> list[str]:
    """Return local files of the shards' features.

    Raises:
        DamagedFeatures: If some are damaged. It names all that are, so that they are made again side by side.
    """
    paths, damaged = [], {}
    for shard in shards:
        try:
            path = work.storage.fetch(shard.key, work.folder, sha256=shard.sha256)
        except DamagedObject as error:
            log.warning("features damaged", shard=str(shard.id), error=str(error))
            damaged[shard.id] = shard.sha256
            continue
        if shard.sha256 is None and not _is_whole(path):
            log.warning("features cut off", shard=str(shard.id))
            damaged[shard.id] = None
        paths.append(str(path))
    if damaged:
        raise DamagedFeatures(damaged)
    return paths


def extract_again(work: Work, evaluation: Evaluation, damaged: DamagedFeatures) -> None:
    """End this job, and let its evaluation wait until the damaged features are extracted again."""

    def write(session: Session) -> None:
        row = session.get_one(Evaluation, evaluation.id)
        damage.features_damaged(session, row, work.claim.job_id, damaged.shards)

    work.conclude(write)


def _sealed(key: str, made: Stored) -> bytes:
    """Write facts with a hash over them and the key, so that no other shard's facts pass for them."""
    content = {"facts": made.facts, "features_sha256": made.sha256}
    return json.dumps({**content, "sha256": _hash(key, content)}).encode()


def _unsealed(key: str, said: bytes) -> Stored | None:
    """Read facts; None if they are damaged. Facts without a hash give an empty one."""
    try:
        content = json.loads(said)
        if "device" in content:  # from before hashes were noted
            return Stored(sha256="", facts=content)
        if content.pop("sha256") != _hash(key, content):
            return None
        return Stored(sha256=content["features_sha256"], facts=content["facts"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _hash(key: str, content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([key, content], sort_keys=True).encode()).hexdigest()


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file has the length of its header: the only check of an object without a hash."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = json.loads(file.read(length)) if length < MAX_HEADER_BYTES else {}
        ends = [value["data_offsets"][1] for name, value in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False
    return bool(ends) and path.stat().st_size == LENGTH_BYTES + length + max(ends)
