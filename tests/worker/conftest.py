"""A job loop in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from records.db import Database
from records.settings import Settings
from records.storage import Storage
from worker.job_loop import JobLoop
from worker.scratch import ScratchFolder


@pytest.fixture
def job_loop(settings: Settings, database: Database) -> Iterator[JobLoop]:
    """Does the jobs of the queue "cpu" when told to."""
    scratch = ScratchFolder(settings.scratch, str(uuid4()))
    cpu = settings.model_copy(update={"queues": ("cpu",)})
    found = JobLoop(cpu, database, Storage(settings.store_url), uuid4(), scratch)
    yield found
    found.stop()
    found.close()
    scratch.leave()
