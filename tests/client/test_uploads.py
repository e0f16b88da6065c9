"""Files on their way, over lines that break: nothing is sent twice without need, nothing arrives wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from vcpbench_client import ApiError, Client, Unauthorised, Unreachable
from vcpbench_client.errors import BadAnswer, FileError

from records.models import UploadPart
from records.settings import Settings
from service.checkpoints.uploads import Uploads
from tests.client.line import Line
from tests.served import Served
from tests.service.kit import declare, ingests, noise, num_rows, objects, put, show, stored
from vcp_core.catalog.errors import StorageError

PART = 1 << 20


class Told:
    """Progress, as it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.steps.append((stage, done, total))

    @property
    def num_sent(self) -> int:
        """Chunks that were handed to the line."""
        return sum(stage == "sending" for stage, *_ in self.steps)


def test_a_file_arrives_whole_and_its_facts_with_it(
    client: Client, weights: Path, settings: Settings, api: Served
) -> None:
    told = Told()
    found = client.upload(weights, "my-model", run="first", step=7, backbone="r3d_tiny", on_progress=told)
    assert (found.model, found.state, found.run, found.step) == ("my-model", "ingesting", "first", 7)
    assert stored(settings, weights.read_bytes())
    assert ingests(api) == [found.id]
    size = weights.stat().st_size
    assert told.steps[0] == ("hashing", PART, size)
    assert told.steps[-1] == ("sending", size, size)
    assert [done for _, done, _ in told.steps] == sorted(done for _, done, _ in told.steps[:4]) * 2


def test_a_file_comes_back_whole_or_not_at_all(client: Client, weights: Path, tmp_path: Path) -> None:
    told, found, path = Told(), client.upload(weights, "my-model"), tmp_path / "back.pt"
    client.download(found.id, path, on_progress=told)
    assert path.read_bytes() == weights.read_bytes()
    assert told.steps[-1] == ("receiving", len(path.read_bytes()), len(path.read_bytes()))
    with pytest.raises(FileError, match="nowhere"):
        client.download(found, tmp_path / "nowhere" / "back.pt")
    (stored_file,) = [one for one in tmp_path.rglob(found.sha256 or "") if one.is_file()]
    stored_file.write_bytes(b"x" * weights.stat().st_size)
    with pytest.raises(BadAnswer, match="after 0 bytes, 3 times"):  # the server keeps the last chunk back
        client.download(found, path)
    assert path.read_bytes() == weights.read_bytes()
    assert not list(tmp_path.glob(".back.pt*"))


def test_a_large_file_goes_in_parts(client: Client, weights: Path, settings: Settings, api: Served) -> None:
    assert client.upload(weights, "my-model", part_bytes=PART).state == "ingesting"
    assert stored(settings, weights.read_bytes())
    assert num_rows(api, UploadPart) == 0


def test_the_same_file_again_is_the_same_checkpoint_and_is_not_sent(client: Client, weights: Path) -> None:
    first, told = client.upload(weights, "my-model"), Told()
    assert client.upload(weights, "my-model", on_progress=told) == first
    assert told.num_sent == 0
    assert client.upload(weights, "another").id != first.id


@pytest.mark.parametrize("after", [0, 300, 700_000, 1_500_000])
def test_a_line_that_breaks_is_taken_up_again(
    far: Client, line: Line, weights: Path, settings: Settings, after: int
) -> None:
    line.faults.extend([after, after, after])
    assert far.upload(weights, "my-model", part_bytes=PART).state == "ingesting"
    assert line.num_connections >= 3
    assert stored(settings, weights.read_bytes())


def test_a_second_call_sends_only_what_is_missing(
    api: Served, client: Client, weights: Path, settings: Settings
) -> None:
    content = weights.read_bytes()
    declared = declare(api.client, content, model="my-model")
    put(api.client, declared["id"], content[: 2 * PART], 0, len(content))
    told = Told()
    assert client.upload(weights, "my-model", part_bytes=PART, on_progress=told).id == declared["id"]
    assert [done for stage, done, _ in told.steps if stage == "sending"] == [3 * PART, len(content)]
    assert stored(settings, content)


def test_a_client_that_died_is_followed_by_one_that_goes_on(
    api: Served, far: Client, line: Line, client: Client, weights: Path, settings: Settings
) -> None:
    class Died(Exception):
        pass

    def die(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("sending", 2 * PART):
            raise Died

    with pytest.raises(Died):
        far.upload(weights, "my-model", part_bytes=PART, on_progress=die)
    (declared,) = client.checkpoints()
    assert declared.state == "declared"
    assert declared.received_bytes >= PART
    assert client.upload(weights, "my-model", part_bytes=PART).state == "ingesting"
    assert stored(settings, weights.read_bytes())


def test_bytes_that_all_arrived_but_were_not_taken_over_are_not_sent_again(
    api: Served, client: Client, weights: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The store was away just when the service wanted to join the parts.
    content = weights.read_bytes()
    declared = declare(api.client, content, model="my-model")
    with monkeypatch.context() as patch:

        async def dies(*_: object) -> None:
            raise StorageError("away")

        patch.setattr(Uploads, "_complete", dies)
        assert put(api.client, declared["id"], content).status_code == 507
    assert show(api.client, declared["id"])["received_bytes"] == len(content)
    told = Told()
    assert client.upload(weights, "my-model", on_progress=told).state == "ingesting"
    assert told.num_sent == 0
    assert stored(settings, content)


def test_a_server_that_is_busy_is_asked_again_when_it_says(
    far: Client, line: Line, weights: Path, slept: list[float]
) -> None:
    line.faults.extend([(503, "Retry-After: 7\r\n"), (429, "Retry-After: 3\r\n"), (502, "")])
    assert far.upload(weights, "my-model").state == "ingesting"
    assert slept[:2] == [7, 3]
    assert 0 < slept[2] < 1


def test_a_wrong_token_is_said_at_once_and_never_tried_again(line: Line, weights: Path) -> None:
    with Client(line.url, "vcp_wrong") as client, pytest.raises(Unauthorised, match="unknown or was revoked"):
        client.upload(weights, "my-model")
    assert line.num_connections == 1


def test_what_the_server_refuses_is_not_tried_again(
    far: Client, line: Line, weights: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.pt"
    with large.open("wb") as file:
        file.truncate(50_000_001)
    with pytest.raises(ApiError, match="50000001 bytes") as caught:
        far.upload(large, "my-model")
    assert caught.value.status == 413
    with pytest.raises(ApiError, match="Did you mean 'r3d_tiny'"):
        far.upload(weights, "my-model", backbone="r3d-tiny")
    assert line.num_connections == 1  # kept alive


def test_a_server_that_is_gone_for_good_is_given_up(line: Line, weights: Path, api: Served) -> None:
    line.close()
    with Client(line.url, "vcp_x", patience_s=0.5) as client, pytest.raises(Unreachable, match="refused"):
        client.upload(weights, "my-model")


def test_a_file_that_changes_while_it_is_sent_is_noticed(
    client: Client, weights: Path, settings: Settings
) -> None:
    def write(stage: str, done: int, total: int) -> None:
        if stage == "sending" and done == PART:
            with weights.open("r+b") as file:
                file.seek(2 * PART)
                file.write(noise(100, seed=9))
            os.utime(weights, ns=(1, 1))

    with pytest.raises(FileError, match=r"model\.pt changed while it was sent"):
        client.upload(weights, "my-model", on_progress=write)
    assert objects(settings) == {}


def test_a_file_that_cannot_be_read_is_named(client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    for name, reason in (
        ("gone.pt", "No such file"),
        (".", "a folder with neither"),
        ("empty.pt", "is empty"),
    ):
        with pytest.raises(FileError, match=reason):
            client.upload(tmp_path / name, "my-model")
