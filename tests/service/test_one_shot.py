"""Uploads in one go, and the same file more than once: by one, by many at once, by another team."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from records.models import Checkpoint, UploadPart
from records.settings import Settings
from tests.patience import until
from tests.served import Served, serve, sha256
from tests.service.kit import (
    begun_put,
    declare,
    ingests,
    noise,
    num_rows,
    objects,
    one_shot,
    problem_of,
    put,
    show,
    stored,
)

CONTENT = noise(100_000)


def test_uploading_the_same_file_twice_returns_the_first_checkpoint(api: Served, settings: Settings) -> None:
    first, second = one_shot(api.client, CONTENT), one_shot(api.client, CONTENT)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"] == declare(api.client, CONTENT)["id"]
    assert first.headers["Location"] == f"/v1/checkpoints/{first.json()['id']}"
    assert stored(settings, CONTENT)
    assert len(ingests(api)) == num_rows(api, Checkpoint) == 1


def test_the_same_file_under_another_model_is_another_checkpoint(api: Served, settings: Settings) -> None:
    first, second = one_shot(api.client, CONTENT), one_shot(api.client, CONTENT, model="other")
    assert second.status_code == 201
    assert first.json()["id"] != second.json()["id"]
    assert stored(settings, CONTENT)


def test_many_that_send_the_same_file_at_once_get_one_checkpoint(api: Served, settings: Settings) -> None:
    barrier = threading.Barrier(6)

    def send(number: int) -> httpx.Response:
        with api.client_of("default") as client:
            barrier.wait()
            if number % 2:
                body = {"model": "tiny", "size_bytes": len(CONTENT), "sha256": sha256(CONTENT)}
                return client.post("/v1/checkpoints", json=body)
            return one_shot(client, CONTENT)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert {answer.status_code for answer in answers} <= {200, 201}, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == num_rows(api, Checkpoint) == 1
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert len(ingests(api)) == 1
    assert stored(settings, CONTENT)


def test_a_one_shot_upload_ends_a_declared_one_and_leaves_no_parts(api: Served, settings: Settings) -> None:
    declared = declare(api.client, CONTENT)
    put(api.client, declared["id"], CONTENT[:10], 0, len(CONTENT))
    answer = one_shot(api.client, CONTENT)
    assert (answer.status_code, answer.json()["id"]) == (200, declared["id"])
    assert answer.json()["state"] == "ingesting"
    assert stored(settings, CONTENT)
    assert num_rows(api, UploadPart) == 0


def test_another_teams_same_file_is_a_new_checkpoint_that_must_be_sent(
    api: Served, settings: Settings
) -> None:
    theirs = one_shot(api.client, CONTENT).json()
    fresh = noise(len(CONTENT), seed=3)
    with api.client_of("others") as client:
        mine, unknown = declare(client, CONTENT), declare(client, fresh)
        varying = {"id", "sha256", "created_at"}
        assert mine["id"] != theirs["id"]
        assert {k: v for k, v in mine.items() if k not in varying} == {
            k: v for k, v in unknown.items() if k not in varying
        }
        problem_of(put(client, mine["id"], b""), 422)
        problem_of(put(client, mine["id"], fresh), 422)
        assert show(client, mine["id"])["state"] == "declared"
        answer = put(client, mine["id"], CONTENT)
        assert answer.json()["state"] == "ingesting"
        assert theirs["id"] not in answer.text
    assert stored(settings, CONTENT)
    assert sorted(ingests(api)) == sorted([theirs["id"], mine["id"]])


def test_one_shot_by_curl_as_the_documentation_says(api: Served, settings: Settings, tmp_path: Path) -> None:
    content = noise(3_000_000)  # more than a megabyte: curl asks first (Expect: 100-continue)
    (tmp_path / "model.pt").write_bytes(content)
    header = f"Authorization: {api.client.headers['Authorization']}"
    command = ["curl", "-sS", "-w", "\n%{http_code}", "-H", header]
    url = f"{api.url}/v1/checkpoints/upload?model=r3d-vcp&step=3&run=a&sha256={sha256(content)}"
    done = subprocess.run(
        [*command, "-T", str(tmp_path / "model.pt"), url], capture_output=True, text=True, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    assert status == "201", body
    assert '"step":3' in body
    assert stored(settings, content)


def test_curl_is_told_before_it_sends_what_is_too_large(
    api: Served, settings: Settings, tmp_path: Path
) -> None:
    with (tmp_path / "model.pt").open("wb") as file:
        file.truncate(settings.max_upload_bytes + 1)
    header = f"Authorization: {api.client.headers['Authorization']}"
    done = subprocess.run(
        [
            *("curl", "-sS", "-w", "\n%{http_code} %{size_upload}", "-H", header),
            *("-T", str(tmp_path / "model.pt"), f"{api.url}/v1/checkpoints/upload?model=m"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rpartition("\n")[2] == "413 0"
    assert "VCPBENCH_MAX_UPLOAD_BYTES" in done.stdout


def test_an_empty_body_is_refused(api: Served, settings: Settings) -> None:
    assert "curl -T" in problem_of(one_shot(api.client, b""), 422)["detail"]
    assert objects(settings) == {}
    assert num_rows(api, Checkpoint) == 0


def test_a_one_shot_with_another_hash_than_given_is_not_kept(api: Served, settings: Settings) -> None:
    found = problem_of(one_shot(api.client, CONTENT, sha256="0" * 64), 422)
    assert found["declared_sha256"] == "0" * 64
    assert found["received_sha256"] == sha256(CONTENT)
    assert objects(settings) == {}
    assert num_rows(api, Checkpoint) == 0
    assert one_shot(api.client, CONTENT, sha256=sha256(CONTENT).upper()).status_code == 201


def test_more_than_the_installation_takes_is_refused_by_declaration(api: Served, settings: Settings) -> None:
    body = {"model": "m", "size_bytes": settings.max_upload_bytes + 1, "sha256": "0" * 64}
    problem_of(api.client.post("/v1/checkpoints", json=body), 413)


@pytest.fixture
def small_api(settings: Settings) -> Iterator[Served]:
    """An installation that takes a megabyte."""
    with serve(settings.model_copy(update={"max_upload_bytes": 1_000_000})) as served:
        yield served


def test_more_than_the_installation_takes_is_refused_while_it_streams(
    small_api: Served, settings: Settings
) -> None:
    chunks = (noise(65_536, seed) for seed in range(16))  # 1,048,576 bytes, no Content-Length
    assert "1000000" in problem_of(one_shot(small_api.client, chunks), 413)["detail"]
    assert objects(settings) == {}
    assert num_rows(small_api, Checkpoint) == 0


def test_a_one_shot_that_breaks_off_leaves_nothing(api: Served, settings: Settings) -> None:
    content = noise(20_000_000)
    connection = begun_put(api.client, "/v1/checkpoints/upload?model=m", content, len(content) + 5)
    until(lambda: objects(settings))  # the store's first parts are on the disk
    connection.close()
    until(lambda: not objects(settings))
    assert num_rows(api, Checkpoint) == 0
