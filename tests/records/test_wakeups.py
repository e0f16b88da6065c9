"""Wake-ups on a real broker."""

from __future__ import annotations

from collections import Counter

import pytest

from records.settings import Settings
from records.wakeups import MAX_WAKE_UPS, WakeUps, celery_app


@pytest.mark.parametrize(("new_jobs", "sent"), [(20, 20), (1000, MAX_WAKE_UPS)])
def test_a_plan_of_many_shards_wakes_many_workers_but_fills_no_broker(
    settings: Settings, new_jobs: int, sent: int
) -> None:
    with celery_app(settings).connection_for_read() as connection:
        queue = connection.channel().client
        queue.delete("gpu")
        WakeUps(settings).send(Counter(gpu=new_jobs))
        assert queue.llen("gpu") == sent
        queue.delete("gpu")
