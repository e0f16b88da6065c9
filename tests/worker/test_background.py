"""What the clock of a worker does besides claiming."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from records.db import NOW, Database
from records.models import Checkpoint, CheckpointState, Origin, UploadPart
from records.settings import Settings
from records.storage import Storage
from records.sweep import UNFINISHED_S
from worker.background import tidy

LEFT = "checkpoints/" + 64 * "a"  # no row names it, but it is young


def test_uploads_that_nobody_finished_in_a_week_are_forgotten_and_no_others(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    storage = Storage(settings.store_url)
    ids = []
    states = (*3 * [CheckpointState.DECLARED], CheckpointState.READY)
    for state in states:
        with database.session() as session:
            row = Checkpoint(origin=Origin.UPLOAD, state=state)
            session.add(row)
            session.flush()
            key = f"uploads/{row.id}/{row.id}"
            session.add(UploadPart(checkpoint_id=row.id, start=0, size_bytes=1, key=key))
            storage.put_bytes(key, b"x")
            ids.append(row.id)
    storage.put_bytes(LEFT, b"x")
    fresh, old, slow, ready = ids
    long_ago = time.time() - UNFINISHED_S - 60
    for key in (f"uploads/{old}/{old}", f"uploads/{slow}/{slow}"):
        os.utime(tmp_path / "objects" / key, (long_ago, long_ago))
    with database.session() as session:
        past = NOW - timedelta(seconds=UNFINISHED_S + 60)
        session.execute(
            update(Checkpoint).where(Checkpoint.id.in_([old, slow, ready])).values(created_at=past)
        )
        session.execute(update(UploadPart).where(UploadPart.checkpoint_id == old).values(created_at=past))
    tidy(database, storage, settings)
    with database.session() as session:
        assert session.get(Checkpoint, old) is None
        assert session.get(Checkpoint, fresh) is not None
        assert session.get(Checkpoint, slow) is not None  # declared long ago, but still uploading
        assert session.get(Checkpoint, ready) is not None
    left = [LEFT, *(f"uploads/{one}/{one}" for one in (fresh, slow, ready))]
    assert sorted(storage.keys("")) == sorted(left)
