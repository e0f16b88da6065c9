"""Deletes and sweeps in a process of its own, and is killed with SIGKILL at a given step.

A process that has loaded everything forks for each attempt: loading takes a second, and there are many steps.
A step is the moment before or after a commit, and before or after an object is deleted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session

from records import deletion, flow, sweep
from records.db import Database
from records.models import Checkpoint
from records.settings import Retention
from records.storage import Storage

LIMITS = Retention(features_days=30, features_gib=0, media_days=30, media_gib=0)
VERSION = "of this test"


class Forks:
    """The process that forks. Each attempt gets a step, and its own connections."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dying"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def attempt(self, *, database_url: str, store_url: str, checkpoint: UUID, step: int) -> bool:
        """Delete a checkpoint and sweep, until the step. True if there was such a step: it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = [database_url, store_url, str(checkpoint), step]
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL), f"it ended with {code}"
        return code != 0

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class _Steps:
    """Counts steps, and kills this process at one of them."""

    def __init__(self, last: int) -> None:
        self._left = last

    def step(self, *_: Any) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _run(database_url: str, store_url: str, checkpoint: str, last: int) -> NoReturn:
    steps = _Steps(last)
    for moment in ("before_commit", "after_commit"):
        event.listen(Session, moment, steps.step)
    delete_one = Storage.delete

    def delete(self: Storage, *keys: str) -> None:
        for key in keys:
            steps.step()
            delete_one(self, key)
            steps.step()

    Storage.delete = delete  # type: ignore[method-assign]
    database, store = Database(database_url), Storage(store_url)
    with database.session() as session:
        found = session.get(Checkpoint, UUID(checkpoint))
        if found is not None:
            flow.lock(session)
            deletion.delete(session, found, by="somebody")
    sweep.run(database, store, LIMITS, map_version=VERSION, min_age_s=0.0)
    os._exit(0)


def main() -> None:
    """Fork for each line of standard input, and write how the fork ended."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _run(*json.loads(line))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
