"""Previews over HTTP: who gets them, in which parts, and what is asked of workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select

from records import storage
from records.models import DatasetRow, Job, JobKind, Media, MediaState
from records.settings import Settings
from records.storage import Storage
from service.auth import COOKIE
from service.limits import MAX_LIVE_MEDIA
from service.media import addresses
from tests.served import Served, open_http
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import problem_of
from vcp_core.catalog import previews
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.inputs import with_input
from vcp_core.catalog.protocols import PROTOCOLS

SPEC = BACKBONES["r3d_tiny"]
QUICK = PROTOCOLS["quick-v1"]
STRIP, CLIP = b"RIFF\4\0\0\0WEBP", bytes.fromhex("1a45dfa3") + bytes(range(200))


def evaluated(api: Served, name: str = "gestures", *, num_videos: int = 6) -> UUID:
    """A dataset with an evaluation of a network that sees videos as SPEC does."""
    with api.database.session() as session:
        dataset = ready_dataset(session, name)
        dataset.summary = {"videos": {"train": num_videos // 2, "test": num_videos - num_videos // 2}}
        done(session, ready_checkpoint(session, name), dataset, {})
        return dataset.id


def made(api: Served, settings: Settings, dataset_id: UUID) -> addresses.Preview:
    """The addresses of previews that a worker has made."""
    key, content = previews.key_of("a.mp4"), STRIP + CLIP
    sha256 = hashlib.sha256(content).hexdigest()
    Storage(settings.store_url).put_bytes(storage.media_key(sha256), content)
    with api.database.session() as session:
        dataset = session.get_one(DatasetRow, dataset_id)
        session.add(
            Media(
                dataset_id=dataset_id,
                fingerprint=dataset.fingerprint,
                geometry=previews.frame_geometry(SPEC),
                protocol_hash="",
                number=0,
                state=MediaState.MADE,
                sha256=sha256,
                size_bytes=len(content),
                files={
                    f"{key}.webp": [0, len(STRIP), hashlib.sha256(STRIP).hexdigest()],
                    f"{key}.webm": [len(STRIP), len(CLIP), hashlib.sha256(CLIP).hexdigest()],
                },
                failed={},
            )
        )
    return addresses.video(dataset_id, SPEC, "a.mp4")


@pytest.fixture
def shown(api: Served, settings: Settings) -> addresses.Preview:
    return made(api, settings, evaluated(api))


@pytest.fixture
def anyone(api: Served) -> Iterator[httpx.Client]:
    with open_http(api.url) as client:
        yield client


def num_jobs(api: Served) -> int:
    with api.database.session() as session:
        return session.scalar(select(func.count()).where(Job.kind == JobKind.MEDIA)) or 0


def test_a_preview_is_served_with_headers_that_let_browsers_keep_it(
    api: Served, shown: addresses.Preview
) -> None:
    for address, content, kind in ((shown.strip, STRIP, "image/webp"), (shown.clip, CLIP, "video/webm")):
        answer = api.client.get(address)
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        assert answer.headers["Cache-Control"] == "private, max-age=86400, immutable"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_what_a_browser_has_is_not_sent_again(api: Served, shown: addresses.Preview) -> None:
    etag = api.client.get(shown.clip).headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = api.client.get(shown.clip, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
    assert api.client.get(shown.clip, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-", 0, 203),
        ("bytes=0-0", 0, 0),
        ("bytes=4-9", 4, 9),
        ("bytes=200-999999", 200, 203),
        ("bytes=-4", 200, 203),
        ("bytes=-999999999999999999", 0, 203),
    ],
    ids=["all", "a byte", "some", "more than there are", "the last", "more last ones"],
)
def test_a_range_gets_its_bytes(
    api: Served, shown: addresses.Preview, wanted: str, first: int, last: int
) -> None:
    answer = api.client.get(shown.clip, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, CLIP[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/204"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert answer.headers["Content-Type"] == "video/webm"


@pytest.mark.parametrize(
    "wanted", ["bytes=204-", "bytes=9-3", "bytes=-0", "bytes=99999999999999999-"], ids=str
)
def test_a_range_of_no_bytes_is_refused(api: Served, shown: addresses.Preview, wanted: str) -> None:
    answer = api.client.get(shown.clip, headers={"Range": wanted})
    assert "204 bytes" in problem_of(answer, 416)["detail"]
    assert answer.headers["Content-Range"] == "bytes */204"


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,4-5",
        "frames=0-1",
        "bytes=0-" + 400 * "9",
        "bytes=--1",
        "bytes=1e3-",
    ],
    ids=["empty", "words", "two", "another unit", "huge", "negative", "float"],
)
def test_a_range_that_is_none_gets_the_whole(api: Served, shown: addresses.Preview, wanted: str) -> None:
    answer = api.client.get(shown.clip, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, CLIP)


def test_a_range_of_another_version_gets_the_whole(api: Served, shown: addresses.Preview) -> None:
    etag = api.client.get(shown.clip).headers["ETag"]
    part = {"Range": "bytes=0-3"}
    assert api.client.get(shown.clip, headers={**part, "If-Range": etag}).status_code == 206
    assert api.client.get(shown.clip, headers={**part, "If-Range": '"other"'}).content == CLIP


def test_the_cookie_of_a_logged_in_browser_opens_previews(
    api: Served, shown: addresses.Preview, anyone: httpx.Client
) -> None:
    assert problem_of(anyone.get(shown.clip), 401)
    secret = api.client.headers["Authorization"].removeprefix("Bearer ")
    cookie = {"Cookie": f"{COOKIE}={secret}"}
    assert anyone.get(shown.clip, headers=cookie).content == CLIP
    assert anyone.get(shown.strip, headers={"Cookie": f"{COOKIE}=wrong"}).status_code == 401


def test_every_reader_sees_previews(api: Served, shown: addresses.Preview) -> None:
    with api.client_of("others") as client:
        assert client.get(shown.strip).content == STRIP


def test_only_an_administrator_switches_previews_off(api: Served, shown: addresses.Preview) -> None:
    off = {"shows_media": False}
    with api.client_of("others") as client:
        assert problem_of(client.patch("/v1/datasets/gestures", json=off), 403)
    assert api.client.get("/v1/datasets/gestures").json()["shows_media"] is True
    assert api.client.patch("/v1/datasets/gestures", json=off).json()["shows_media"] is False
    assert "switched off" in problem_of(api.client.get(shown.strip), 404)["detail"]
    slip = problem_of(api.client.patch("/v1/datasets/gesture", json=off), 404)
    assert "Did you mean 'gestures'?" in slip["detail"]
    for body in ({}, {"shows_media": "no"}, {"shows_media": None}, {"shows_media": True, "name": "other"}):
        assert problem_of(api.client.patch("/v1/datasets/gestures", json=body), 422)


def test_previews_stay_off_for_the_next_dataset_of_the_name_and_for_equal_videos(api: Served) -> None:
    evaluated(api)
    with api.database.session() as session:
        twin = ready_dataset(session, "twin", "fingerprint of gestures").id
    api.client.patch("/v1/datasets/gestures", json={"shows_media": False})
    assert "switched off" in api.client.get(addresses.video(twin, SPEC, "a.mp4").strip).json()["detail"]
    answer = api.client.post("/v1/datasets", json={"name": "gestures", "location": "/elsewhere"})
    assert (answer.status_code, answer.json()["shows_media"]) == (202, False)
    with api.database.session() as session:  # another name, registered only now
        late = ready_dataset(session, "late", "fingerprint of gestures").id
    assert "switched off" in api.client.get(addresses.video(late, SPEC, "a.mp4").strip).json()["detail"]
    api.client.patch("/v1/datasets/twin", json={"shows_media": True})
    assert api.client.get(addresses.video(late, SPEC, "a.mp4").strip).status_code == 202


def test_nobody_has_workers_make_previews_that_no_evaluation_shows(api: Served) -> None:
    dataset_id = evaluated(api)
    other = with_input(SPEC, "resize=64x86,crop=54")
    for shown in (
        addresses.video(dataset_id, other, "a.mp4"),
        addresses.question(dataset_id, other, QUICK.hash, "a.mp4", 0, "original"),
        addresses.question(dataset_id, SPEC, PROTOCOLS["standard-v1"].hash, "a.mp4", 0, "original"),
        addresses.question(dataset_id, SPEC, 64 * "0", "a.mp4", 0, "original"),
    ):
        assert (
            "No evaluation on the dataset gestures" in problem_of(api.client.get(shown.strip), 404)["detail"]
        )
    assert num_jobs(api) == 0
    shown = addresses.question(dataset_id, SPEC, QUICK.hash, "a.mp4", 0, "original")
    answer = api.client.get(shown.strip)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (202, "no-store")
    assert num_jobs(api) == 1


def test_previews_of_no_dataset_or_of_one_that_is_not_ready_are_not_found(api: Served) -> None:
    indexing = api.client.post("/v1/datasets", json={"name": "late", "location": "/videos"}).json()["id"]
    for dataset_id in (uuid4(), UUID(indexing)):
        answer = api.client.get(addresses.video(dataset_id, SPEC, "a.mp4").strip)
        assert "is ready" in problem_of(answer, 404)["detail"]


def test_a_team_has_a_number_of_jobs_and_more_wait_for_room(api: Served) -> None:
    dataset_id = evaluated(api, num_videos=8000)
    for number in range(MAX_LIVE_MEDIA + 20):
        answer = api.client.get(addresses.video(dataset_id, SPEC, f"{number}.mp4").strip)
        assert answer.status_code == 202
        assert "Retry-After" in answer.headers
    assert num_jobs(api) == MAX_LIVE_MEDIA
    with api.client_of("others") as client:  # another team has room of its own
        for number in range(MAX_LIVE_MEDIA + 20):
            client.get(addresses.video(dataset_id, SPEC, f"{number}.mp4").strip)
    assert num_jobs(api) > MAX_LIVE_MEDIA


ADDRESS = "/v1/media/{dataset_id}/{geometry}/videos/{key}.{form}"
QUESTION = "/v1/media/{dataset_id}/{geometry}/questions/{protocol}/{key}/{number}/{option}.webm"
GOOD = {
    "dataset_id": "00000000-0000-0000-0000-000000000007",
    "geometry": previews.frame_geometry(SPEC),
    "key": 32 * "0",
    "form": "webp",
    "protocol": 64 * "0",
    "number": "0",
    "option": "original",
}
OF_CLIPS = {"geometry": previews.clip_geometry(SPEC)}


@pytest.mark.parametrize(
    ("address", "changes"),
    [
        (ADDRESS, {"dataset_id": "7"}),
        (ADDRESS, {"dataset_id": 400 * "9"}),
        (ADDRESS, {"geometry": "resize=64x86,crop=" + 300 * "9"}),
        (ADDRESS, {"geometry": "resize=-1x86,crop=56"}),
        (ADDRESS, {"geometry": "crop=56,resize=64x86"}),
        (ADDRESS, {"geometry": "resize=64x86,crop=56,mean=0"}),
        (ADDRESS, {"geometry": "%00"}),
        (ADDRESS, OF_CLIPS),
        (ADDRESS, {"key": 31 * "0"}),
        (ADDRESS, {"key": 32 * "A"}),
        (ADDRESS, {"key": "..%2f..%2fetc%2fpasswd"}),
        (ADDRESS, {"form": "html"}),
        (QUESTION, {}),
        (QUESTION, {**OF_CLIPS, "number": "-1"}),
        (QUESTION, {**OF_CLIPS, "number": 5000 * "9"}),
        (QUESTION, {**OF_CLIPS, "number": "1e3"}),
        (QUESTION, {**OF_CLIPS, "number": "٣٣٣٣٣"}),
        (QUESTION, {**OF_CLIPS, "option": "%2e%2e"}),
        (QUESTION, {**OF_CLIPS, "option": 4000 * "a"}),
        (QUESTION, {**OF_CLIPS, "protocol": "quick-v1"}),
        (QUESTION, {"geometry": "frames=65,stride=1,resize=64x86,crop=56"}),
    ],
    ids=str,
)
def test_hostile_addresses_are_refused_and_ask_for_nothing(
    api: Served, address: str, changes: dict[str, str]
) -> None:
    dataset_id = str(evaluated(api))
    answer = api.client.get(address.format_map({**GOOD, "dataset_id": dataset_id, **changes}))
    assert answer.status_code in (404, 422), answer.text
    assert "Retry-After" not in answer.headers
    assert problem_of(answer, answer.status_code)
    assert num_jobs(api) == 0
