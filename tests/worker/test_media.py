"""A worker makes previews when somebody looks at them, and only once."""

from __future__ import annotations

import io
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import httpx
import pytest
from sqlalchemy import select, update

from records import storage
from records.models import DatasetRow, Evaluation, Job, JobKind, JobState, Media, MediaState
from records.repositories import jobs
from records.settings import Settings
from records.storage import Storage
from service.media import addresses
from tests.datasets_on_disk import make_folder
from tests.served import Served
from tests.service.finished import done, ready_checkpoint
from tests.service.kit import problem_of
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from worker.background import tidy
from worker.job_loop import JobLoop
from worker.runner import ChildFailed
from worker.tasks.media import checked
from worker.work import Work

SPEC = BACKBONES["r3d_tiny"]
QUICK = PROTOCOLS["quick-v1"]
VIDEO = "class1/2.mp4"


@pytest.fixture
def dataset_id(api: Served, job_loop: JobLoop, tmp_path: Path) -> UUID:
    """A dataset that was indexed, with an evaluation."""
    folder = make_folder(tmp_path / "videos")
    body = {"name": "gestures", "location": str(folder)}
    assert api.client.post("/v1/datasets", json=body).status_code == 202
    job_loop.run_until_idle()
    found = api.client.get("/v1/datasets/gestures").json()
    assert found["state"] == "ready", found
    with api.database.session() as session:
        done(session, ready_checkpoint(session), session.get_one(DatasetRow, UUID(found["id"])), {})
    return UUID(found["id"])


def media_jobs(api: Served) -> list[Job]:
    with api.database.session() as session:
        return list(session.scalars(select(Job).where(Job.kind == JobKind.MEDIA)))


def rows(api: Served) -> list[Media]:
    with api.database.session() as session:
        return list(session.scalars(select(Media)))


def age(path: Path) -> None:
    before = time.time() - 2 * 3600
    os.utime(path, (before, before))


def waits(answer: httpx.Response) -> bool:
    return answer.status_code == 202 and int(answer.headers["Retry-After"]) > 0


def size_of(content: bytes) -> tuple[int, int, int]:
    """Frames, height and width."""
    with av.open(io.BytesIO(content)) as container:
        frames = list(container.decode(video=0))
    return len(frames), frames[0].height, frames[0].width


def test_the_first_look_has_a_worker_make_a_videos_preview(
    api: Served, job_loop: JobLoop, dataset_id: UUID
) -> None:
    shown = addresses.video(dataset_id, SPEC, VIDEO)
    for _ in range(2):  # and the second asks for nothing more
        assert waits(api.client.get(shown.strip))
        assert waits(api.client.get(shown.clip))
    [job] = media_jobs(api)
    assert (job.priority, job.queue, job.state) == (-2, "cpu", JobState.QUEUED)
    job_loop.run_until_idle()
    strip, clip = api.client.get(shown.strip), api.client.get(shown.clip)
    assert (strip.status_code, strip.headers["Content-Type"]) == (200, "image/webp"), strip.text
    assert size_of(strip.content) == (1, shown.height, shown.width)
    assert (clip.status_code, clip.headers["Content-Type"]) == (200, "video/webm")
    assert size_of(clip.content) == (50, 56, 56)
    [row] = rows(api)
    assert len(row.files or {}) == 2 * 6  # all videos of a small dataset are one group
    assert row.size_bytes == sum(size for _, size, _ in (row.files or {}).values())
    assert [job.state for job in media_jobs(api)] == [JobState.DONE]


def test_a_question_is_shown_with_every_option(api: Served, job_loop: JobLoop, dataset_id: UUID) -> None:
    made = [
        addresses.question(dataset_id, SPEC, QUICK.hash, VIDEO, number, option)
        for number in range(QUICK.cloze.num_tuples)
        for option in QUICK.cloze.options
    ]
    assert all(waits(api.client.get(one.strip)) for one in made)
    assert len(media_jobs(api)) == 1
    job_loop.run_until_idle()
    clips = set()
    for one in made:
        strip, clip = api.client.get(one.strip), api.client.get(one.clip)
        assert size_of(strip.content) == (1, one.height, one.width)
        assert size_of(clip.content) == (16, 56, 3 * 56 + 2 * 4)
        clips.add(clip.content)
    assert len(clips) == len(made)
    other = addresses.question(dataset_id, SPEC, QUICK.hash, VIDEO, QUICK.cloze.num_tuples, "original")
    assert "no such preview" in problem_of(api.client.get(other.strip), 404)["detail"]


def test_equal_videos_under_another_name_share_their_previews(
    api: Served, job_loop: JobLoop, dataset_id: UUID, tmp_path: Path
) -> None:
    api.client.get(addresses.video(dataset_id, SPEC, VIDEO).strip)
    body = {"name": "again", "location": str(tmp_path / "videos")}
    api.client.post("/v1/datasets", json=body)
    job_loop.run_until_idle()
    again = UUID(api.client.get("/v1/datasets/again").json()["id"])
    assert api.client.get(addresses.video(again, SPEC, VIDEO).strip).status_code == 200
    assert len(media_jobs(api)) == 1


def test_one_video_that_is_gone_costs_only_its_own_preview(
    api: Served, job_loop: JobLoop, dataset_id: UUID, tmp_path: Path
) -> None:
    with (tmp_path / "videos" / VIDEO).open("ab") as file:
        file.write(b"\0")
    gone, other = (addresses.video(dataset_id, SPEC, name) for name in (VIDEO, "class0/2.mp4"))
    assert waits(api.client.get(gone.strip))
    job_loop.run_until_idle()
    assert api.client.get(other.strip).status_code == 200
    with api.client_of("readers") as reader:
        detail = problem_of(reader.get(gone.strip), 404)["detail"]
    assert f"gestures/{VIDEO}" in detail
    assert "changed after the dataset was indexed" in detail
    assert str(tmp_path) not in detail


def test_previews_that_are_damaged_in_the_store_are_made_again(
    api: Served, job_loop: JobLoop, dataset_id: UUID, settings: Settings
) -> None:
    shown = addresses.video(dataset_id, SPEC, VIDEO)
    api.client.get(shown.strip)
    job_loop.run_until_idle()
    whole = api.client.get(shown.strip).content
    store = Storage(settings.store_url)
    [key] = store.keys(storage.MEDIA)
    content = store.get_bytes(key)
    for damaged in (bytes(len(content)), content[: len(content) // 8], b"", None):
        if damaged is None:
            store.delete(key)
        else:
            store.put_bytes(key, damaged)
        answers = [api.client.get(one) for one in (shown.strip, shown.clip)]
        assert all(answer.status_code in (200, 202) for answer in answers)
        assert any(waits(answer) for answer in answers)
        job_loop.run_until_idle()
        assert api.client.get(shown.strip).content == whole
    assert [*store.keys(storage.MEDIA)] == [key]  # the same bytes, and so the same key


def again_later(api: Served, shown: addresses.Preview) -> None:
    """What could not be made is not asked for at once, but a while later."""
    answer = api.client.get(shown.strip)
    assert "cannot be made" in problem_of(answer, 404)["detail"]
    assert "Retry-After" not in answer.headers
    with api.database.session() as session:
        session.execute(update(Media).values(finished_at=Media.finished_at - timedelta(minutes=11)))
    assert waits(api.client.get(shown.strip))


def test_videos_that_were_away_are_tried_again_after_a_while(
    api: Served, job_loop: JobLoop, dataset_id: UUID, tmp_path: Path
) -> None:
    shown = addresses.video(dataset_id, SPEC, VIDEO)
    api.client.get(shown.strip)
    (tmp_path / "videos").rename(tmp_path / "away")
    job_loop.run_until_idle()
    (tmp_path / "away").rename(tmp_path / "videos")
    again_later(api, shown)
    job_loop.run_until_idle()
    assert api.client.get(shown.strip).status_code == 200


def test_a_job_that_failed_is_tried_again_after_a_while(
    api: Served, job_loop: JobLoop, dataset_id: UUID, tmp_path: Path, settings: Settings
) -> None:
    shown, store = addresses.video(dataset_id, SPEC, VIDEO), Storage(settings.store_url)
    manifest = store.get_bytes(storage.manifest_key(dataset_id))
    api.client.get(shown.strip)
    store.delete(storage.manifest_key(dataset_id))
    (tmp_path / "videos").rename(tmp_path / "away")  # so the manifest cannot be made again
    job_loop.run_until_idle()
    assert [row.state for row in rows(api)] == [MediaState.FAILED]
    (tmp_path / "away").rename(tmp_path / "videos")
    store.put_bytes(storage.manifest_key(dataset_id), manifest)
    again_later(api, shown)
    job_loop.run_until_idle()
    assert api.client.get(shown.strip).status_code == 200


def test_switched_off_nothing_is_shown_or_kept(
    api: Served, job_loop: JobLoop, dataset_id: UUID, settings: Settings
) -> None:
    shown = addresses.video(dataset_id, SPEC, VIDEO)
    api.client.get(shown.strip)
    job_loop.run_until_idle()
    answer = api.client.patch("/v1/datasets/gestures", json={"shows_media": False})
    assert (answer.status_code, answer.json()["shows_media"]) == (200, False)
    answer = api.client.get(shown.strip)
    assert "switched off" in problem_of(answer, 404)["detail"]
    assert "Retry-After" not in answer.headers
    assert rows(api) == media_jobs(api) == []
    store = Storage(settings.store_url)
    [key] = store.keys(storage.MEDIA)
    path = Path(settings.store_url.removeprefix("file://")) / key
    tidy(api.database, store, api.app.state.settings)
    assert path.exists()  # it could be of a job that is about to write its row
    age(path)
    tidy(api.database, store, api.app.state.settings)
    assert not path.exists()
    api.client.patch("/v1/datasets/gestures", json={"shows_media": True})
    assert waits(api.client.get(shown.strip))
    job_loop.run_until_idle()
    assert api.client.get(shown.strip).status_code == 200
    age(path)
    tidy(api.database, store, api.app.state.settings)
    assert path.exists()


def test_a_worker_that_has_the_job_when_previews_are_switched_off_stores_nothing(
    api: Served, job_loop: JobLoop, dataset_id: UUID, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.client.get(addresses.video(dataset_id, SPEC, VIDEO).strip)
    call, states = Work.in_child, list[JobState]()

    def call_and_switch_off(work: Work, do: str, **arguments: Any) -> dict[str, Any]:
        answer = call(work, do, **arguments)
        states.extend(job.state for job in media_jobs(api))
        api.client.patch("/v1/datasets/gestures", json={"shows_media": False})
        return answer

    monkeypatch.setattr(Work, "in_child", call_and_switch_off)
    job_loop.run_until_idle()
    assert states == [JobState.RUNNING]
    assert (rows(api), media_jobs(api)) == ([], [])
    assert list(Storage(settings.store_url).keys(storage.MEDIA)) == []  # no row could name the object


def test_an_evaluation_comes_before_previews(api: Served, dataset_id: UUID) -> None:
    api.client.get(addresses.video(dataset_id, SPEC, VIDEO).strip)
    with api.database.session() as session:
        evaluation = session.scalars(select(Evaluation)).unique().one()
        jobs.enqueue(session, JobKind.PLAN, team="others", evaluation_id=evaluation.id, priority=jobs.LOW)
    with api.database.session() as session:
        claim = jobs.claim(session, ["cpu"], worker_id=UUID(int=1), lease_s=60)
    assert claim is not None
    assert claim.kind is JobKind.PLAN


@pytest.mark.parametrize(
    ("content", "sizes"),
    [
        (b"<html></html>", [("a.webp", 13)]),
        (b"RIFF\4\0\0\0WEBP", [("a.webm", 12)]),
        (b"RIFF\4\0\0\0WEBP", [("a.html", 12)]),
        (b"RIFF\4\0\0\0WEBP", [("a.webp", 11)]),
        (b"RIFF\4\0\0\0WEBP", [("a.webp", 13)]),
        (b"RIFF\4\0\0\0WEBP", [("a.webp", -1)]),
        (2 * b"RIFF\4\0\0\0WEBP", [("a.webp", 12), ("a.webp", 12)]),
        (b"RIFF\4\0\0\0WEBP".ljust(64_001), [("a.webp", 64_001)]),
    ],
    ids=["a page", "another form", "no form", "more", "less", "negative", "twice", "too large"],
)
def test_what_is_no_preview_is_not_stored(
    tmp_path: Path, content: bytes, sizes: list[tuple[str, int]]
) -> None:
    path = tmp_path / "media"
    path.write_bytes(content)
    with pytest.raises(ChildFailed):
        checked(path, sizes)
