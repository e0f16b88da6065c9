"""What stands beside features in the store, and what is taken of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from records.db import Database
from records.models import Shard
from records.settings import Settings
from records.storage import facts_key, features_key
from tests.worker.test_work import of
from vcp_core.catalog.files import sha256_of
from vcp_core.features.bank import ShardFeatures
from vcp_core.features.shards import Clip
from worker.tasks.features import DamagedFeatures, features_of, store, stored
from worker.work import Work

FACTS = {"device": "cpu", "counts": {"forwarded_clips": 1}, "machine": {}}


@pytest.fixture
def work(settings: Settings, database: Database, tmp_path: Path) -> Work:
    return of(settings, database, tmp_path)


def shard(name: str, sha256: str | None = None) -> Shard:
    return cast(Shard, SimpleNamespace(id=name, key=features_key(name), sha256=sha256))


def features(folder: Path, value: float) -> Path:
    path = folder / "out.safetensors"
    rows_ND = np.full((1, 3), value, np.float32)
    ShardFeatures(clips=(Clip("a.mp4", 0),), stages={"conv5": rows_ND}).save(path)
    return path


def change(work: Work, key: str, old: bytes, new: bytes) -> None:
    content = work.storage.get_bytes(key)
    assert old in content
    work.storage.put_bytes(key, content.replace(old, new, 1))


def test_what_a_killed_attempt_stored_is_taken_only_if_all_of_it_is_whole(work: Work, tmp_path: Path) -> None:
    one, other = shard("1"), shard("2")
    assert stored(work, one) is None
    made = store(work, one, FACTS, features(tmp_path, 1))
    assert stored(work, one) == made
    store(work, other, FACTS, tmp_path / "out.safetensors")
    theirs = work.storage.get_bytes(facts_key(other.key))
    ours = work.storage.get_bytes(facts_key(one.key))
    for damaged in (theirs, ours[:-1], b"", b"[]", b"{}", ours.replace(b"cpu", b"gpu"), b"\xff"):
        work.storage.put_bytes(facts_key(one.key), damaged)
        assert stored(work, one) is None
    work.storage.put_bytes(facts_key(one.key), ours)
    assert stored(work, one) == made
    change(work, one.key, b"a.mp4", b"b.mp4")
    assert stored(work, one) is None
    again = store(work, one, FACTS, features(tmp_path, 1))
    assert again == made == stored(work, one)


def test_features_and_facts_from_before_hashes_are_taken_and_have_one_from_then_on(
    work: Work, tmp_path: Path
) -> None:
    old, path = shard("1"), features(tmp_path, 1)
    work.storage.put_file(old.key, path)
    work.storage.put_bytes(facts_key(old.key), json.dumps(FACTS).encode())
    found = stored(work, old)
    assert found is not None
    assert (found.sha256, found.facts) == (sha256_of(path), FACTS)
    assert len(features_of(work, [old])) == 1
    content = path.read_bytes()
    for damaged in (content[:-1], content[:20], b"", content + b"x"):
        work.storage.put_bytes(old.key, damaged)
        assert stored(work, old) is None
        with pytest.raises(DamagedFeatures):
            features_of(work, [old])


def test_all_damaged_features_are_named_at_once(work: Work, tmp_path: Path) -> None:
    made: list[Any] = []
    for number in range(4):
        path = features(tmp_path, number)
        made.append(shard(str(number), sha256_of(path)))
        work.storage.put_file(made[-1].key, path)
    assert len(features_of(work, made)) == 4
    work.storage.delete(made[0].key)
    work.storage.put_bytes(made[2].key, work.storage.get_bytes(made[3].key))
    with pytest.raises(DamagedFeatures) as caught:
        features_of(work, made)
    assert caught.value.shards == {one.id: one.sha256 for one in (made[0], made[2])}
