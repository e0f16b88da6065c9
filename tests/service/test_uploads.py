"""Bytes on their way in: whole, in parts, twice, broken off, wrong, too many, on a full disk."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from records import flow
from records.models import Checkpoint, CheckpointState, UploadPart
from records.settings import Settings
from tests.patience import DEADLINE_S, until
from tests.served import Served, sha256
from tests.service.finished import ready_checkpoint
from tests.service.kit import (
    Slow,
    begun_put,
    declare,
    folder_of,
    in_thread,
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


def test_a_declared_checkpoint_takes_its_bytes_whole(api: Served, settings: Settings) -> None:
    declared = declare(api.client, CONTENT, run="first", step=7)
    assert (declared["state"], declared["received_bytes"]) == ("declared", 0)
    answer = put(api.client, declared["id"], CONTENT)
    assert answer.status_code == 200
    assert answer.json()["state"] == "ingesting"
    assert answer.json()["received_bytes"] == len(CONTENT)
    assert stored(settings, CONTENT)
    assert ingests(api) == [declared["id"]]
    assert num_rows(api, UploadPart) == 0


def test_bytes_come_in_parts_one_after_the_other(api: Served, settings: Settings) -> None:
    declared = declare(api.client, CONTENT)
    for begin in range(0, len(CONTENT), 30_000):
        assert show(api.client, declared["id"])["received_bytes"] == begin
        answer = put(api.client, declared["id"], CONTENT[begin : begin + 30_000], begin, len(CONTENT))
        assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "ingesting"
    assert stored(settings, CONTENT)
    assert ingests(api) == [declared["id"]]


def test_an_upload_goes_on_after_connections_that_broke_half_way(api: Served, settings: Settings) -> None:
    content = noise(30_000_000)  # several parts of the store's own
    declared, size = declare(api.client, content), len(content)
    path, begin = f"/v1/checkpoints/{declared['id']}/content", 0
    for end in (10_000_000, 20_000_000):
        span = f"bytes {begin}-{size - 1}/{size}"
        begun_put(api.client, path, content[begin:end], size - begin, span).close()
        before = begin
        begin = until(lambda before=before: _more(show(api.client, declared["id"]), before))
        assert end - 200_000 < begin <= end  # what was in buffers when the connection broke is sent again
    answer = put(api.client, declared["id"], content[begin:], begin, size)
    assert answer.json()["state"] == "ingesting", answer.text
    assert stored(settings, content)


def _more(found: dict[str, Any], than: int) -> int | None:
    received = int(found["received_bytes"])
    return received if received > than else None


def test_a_connection_that_breaks_before_the_first_byte_changes_nothing(
    api: Served, settings: Settings
) -> None:
    declared = declare(api.client, CONTENT)
    put(api.client, declared["id"], CONTENT[:10], 0, len(CONTENT))
    path = f"/v1/checkpoints/{declared['id']}/content"
    begun_put(api.client, path, b"", 99_990, "bytes 10-99999/100000").close()
    assert put(api.client, declared["id"], CONTENT[10:20], 10, len(CONTENT)).json()["received_bytes"] == 20
    until(lambda: sorted(map(len, objects(settings).values())) == [10, 10])


def test_without_a_range_a_broken_upload_begins_anew(api: Served, settings: Settings) -> None:
    declared = declare(api.client, CONTENT)
    assert put(api.client, declared["id"], CONTENT[:10], 0, len(CONTENT)).json()["received_bytes"] == 10
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def test_bytes_of_another_hash_are_not_kept_and_can_be_sent_again(api: Served, settings: Settings) -> None:
    declared = declare(api.client, CONTENT)
    wrong = noise(len(CONTENT), seed=1)
    found = problem_of(put(api.client, declared["id"], wrong), 422)
    assert found["declared_sha256"] == sha256(CONTENT)
    assert found["received_sha256"] == sha256(wrong)
    assert objects(settings) == {}
    assert show(api.client, declared["id"])["received_bytes"] == 0
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def test_parts_of_another_hash_are_not_kept_and_can_be_sent_again(api: Served, settings: Settings) -> None:
    declared, size = declare(api.client, CONTENT), len(CONTENT)
    put(api.client, declared["id"], CONTENT[:50_000], 0, size)
    found = problem_of(put(api.client, declared["id"], noise(50_000, seed=2), 50_000, size), 422)
    assert found["declared_sha256"] == sha256(CONTENT) != found["received_sha256"]
    assert objects(settings) == {}
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"


def test_a_body_longer_than_declared_is_dropped_and_earlier_parts_stay(
    api: Served, settings: Settings
) -> None:
    declared, size = declare(api.client, CONTENT), len(CONTENT)
    put(api.client, declared["id"], CONTENT[:50_000], 0, size)
    path = f"/v1/checkpoints/{declared['id']}/content"
    headers = {"Content-Range": f"bytes 50000-99999/{size}"}
    found = problem_of(api.client.put(path, content=CONTENT[50_000:] + b"x", headers=headers), 422)
    assert "50000" in found["detail"]
    assert show(api.client, declared["id"])["received_bytes"] == 50_000
    assert sorted(map(len, objects(settings).values())) == [50_000]
    assert put(api.client, declared["id"], CONTENT[50_000:], 50_000, size).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def test_a_body_longer_than_its_range_is_dropped(api: Served) -> None:
    declared, size = declare(api.client, CONTENT), len(CONTENT)
    path = f"/v1/checkpoints/{declared['id']}/content"
    for content in (CONTENT[:11], CONTENT[:9], b""):
        headers = {"Content-Range": f"bytes 0-9/{size}"}
        problem_of(api.client.put(path, content=content, headers=headers), 422)
        assert show(api.client, declared["id"])["received_bytes"] == 0


def test_a_whole_body_that_is_shorter_than_declared_is_refused(api: Served, settings: Settings) -> None:
    declared = declare(api.client, CONTENT)
    for content in (CONTENT[:-1], b""):
        assert f"{len(content)} bytes" in problem_of(put(api.client, declared["id"], content), 422)["detail"]
    assert objects(settings) == {}
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"


def test_a_wrongly_declared_size_is_mended_by_declaring_again(api: Served, settings: Settings) -> None:
    short = declare(api.client, CONTENT, size_bytes=99_999)
    put(api.client, short["id"], CONTENT[:500], 0, 99_999)
    problem_of(put(api.client, short["id"], CONTENT), 422)
    again = declare(api.client, CONTENT)
    assert (again["id"], again["size_bytes"]) == (short["id"], 100_000)
    assert put(api.client, short["id"], CONTENT).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


@pytest.mark.parametrize("begin", [9, 11, 99_990])
def test_a_part_that_begins_at_the_wrong_place_is_told_where_to_go_on(api: Served, begin: int) -> None:
    declared = declare(api.client, CONTENT)
    put(api.client, declared["id"], CONTENT[:10], 0, len(CONTENT))
    found = problem_of(put(api.client, declared["id"], CONTENT[begin : begin + 5], begin, 100_000), 409)
    assert found["received_bytes"] == 10
    assert show(api.client, declared["id"])["received_bytes"] == 10


@pytest.mark.parametrize(
    "span",
    ["bytes 0-9/7", "bytes 0-100000/100000", "bytes 9-0/100000", "lines 1-2/3", "bytes 0-9", "9" * 5000, ""],
)
def test_a_range_that_makes_no_sense_is_refused(api: Served, span: str) -> None:
    declared = declare(api.client, CONTENT)
    path = f"/v1/checkpoints/{declared['id']}/content"
    for one in (span, f"bytes {span}-{span}/{span}"):
        problem_of(api.client.put(path, content=b"0123456789", headers={"Content-Range": one}), 422)
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"
    problem_of(api.client.put(path, content=b"0123456789", headers={"Content-Range": span}), 422)


@pytest.fixture
def peer(api: Served) -> Iterator[httpx.Client]:
    """Another client of the same team."""
    with api.client_of("default") as client:
        yield client


def test_a_team_gets_its_file_back_and_another_does_not(api: Served) -> None:
    declared = declare(api.client, CONTENT)
    path = f"/v1/checkpoints/{declared['id']}/content"
    with api.client_of("default") as mine, api.client_of("others") as theirs:
        assert "are missing. PUT them to" in problem_of(mine.get(path), 409)["detail"]
        put(mine, declared["id"], CONTENT)
        answer = mine.get(path)
        assert (answer.status_code, answer.content) == (200, CONTENT)
        assert answer.headers["ETag"] == f'"{sha256(CONTENT)}"'
        assert "'others' has no checkpoint" in problem_of(theirs.get(path), 404)["detail"]
    assert api.client.get(path).content == CONTENT  # an administrator's token
    problem_of(api.client.get(f"/v1/checkpoints/{uuid4()}/content"), 404)


def test_two_whole_uploads_at_once_give_one_checkpoint(
    api: Served, peer: httpx.Client, settings: Settings
) -> None:
    declared, slow = declare(api.client, CONTENT), Slow(CONTENT)
    first = in_thread(lambda: put(peer, declared["id"], iter(slow)))
    assert slow.half_sent.wait(DEADLINE_S)
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"
    slow.go_on.set()
    assert first().status_code in (200, 409)
    assert stored(settings, CONTENT)
    assert ingests(api) == [declared["id"]]


def test_the_same_part_twice_at_once_is_kept_once(
    api: Served, peer: httpx.Client, settings: Settings
) -> None:
    declared, part = declare(api.client, CONTENT), CONTENT[50_000:75_000]
    put(api.client, declared["id"], CONTENT[:50_000], 0, 100_000)
    slow = Slow(part)
    path, span = f"/v1/checkpoints/{declared['id']}/content", {"Content-Range": "bytes 50000-74999/100000"}
    late = in_thread(lambda: peer.put(path, content=iter(slow), headers=span))
    assert slow.half_sent.wait(DEADLINE_S)
    assert put(api.client, declared["id"], part, 50_000, 100_000).json()["received_bytes"] == 75_000
    slow.go_on.set()
    assert problem_of(late(), 409)["received_bytes"] == 75_000  # whichever the server looked at first
    assert put(api.client, declared["id"], CONTENT[75_000:], 75_000, 100_000).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def test_an_upload_that_begins_anew_beside_a_part_keeps_no_gap(
    api: Served, peer: httpx.Client, settings: Settings
) -> None:
    declared, slow = declare(api.client, CONTENT), Slow(CONTENT[50_000:])
    put(api.client, declared["id"], CONTENT[:50_000], 0, 100_000)
    path, span = f"/v1/checkpoints/{declared['id']}/content", {"Content-Range": "bytes 50000-99999/100000"}
    late = in_thread(lambda: peer.put(path, content=iter(slow), headers=span))
    assert slow.half_sent.wait(DEADLINE_S)
    assert put(api.client, declared["id"], CONTENT[:100], 0, 100_000).json()["received_bytes"] == 100
    slow.go_on.set()
    assert problem_of(late(), 409)["received_bytes"] in (0, 100)  # as it was when it was looked at
    assert show(api.client, declared["id"])["received_bytes"] == 100
    assert put(api.client, declared["id"], CONTENT[100:], 100, 100_000).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def test_bytes_that_are_all_there_but_were_not_taken_over_are_taken_over_next_time(
    api: Served, settings: Settings
) -> None:
    """The service died between the last byte and the commit."""
    declared = declare(api.client, CONTENT)
    put(api.client, declared["id"], CONTENT[:50_000], 0, 100_000)
    _add_part(api, declared["id"], CONTENT[50_000:], 50_000)
    assert show(api.client, declared["id"])["received_bytes"] == 100_000
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def test_bytes_that_were_moved_but_not_taken_over_are_asked_for_again(
    api: Served, settings: Settings
) -> None:
    """The service died between moving the object and the commit."""
    declared = declare(api.client, CONTENT)
    key = _add_part(api, declared["id"], CONTENT, 0)
    api.app.state.storage.move(key, f"checkpoints/{sha256(CONTENT)}")
    assert problem_of(put(api.client, declared["id"], CONTENT), 409)["received_bytes"] == 0
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def _add_part(api: Served, checkpoint_id: str, content: bytes, start: int) -> str:
    key = f"uploads/{checkpoint_id}/{uuid4()}"
    api.app.state.storage.put_bytes(key, content)
    with api.database.session() as session:
        part = UploadPart(checkpoint_id=checkpoint_id, start=start, size_bytes=len(content), key=key)
        session.add(part)
    return key


def test_bytes_sent_again_after_the_end_change_nothing(api: Served, settings: Settings) -> None:
    declared = declare(api.client, CONTENT)
    first = put(api.client, declared["id"], CONTENT).json()
    for again in (CONTENT, CONTENT[:10], b"other", b"x" * 200_000):
        answer = put(api.client, declared["id"], again)
        assert (answer.status_code, answer.json()) == (200, first)
    assert put(api.client, declared["id"], CONTENT[90_000:], 90_000, 100_000).json() == first
    assert stored(settings, CONTENT)
    assert ingests(api) == [declared["id"]]


def test_bytes_for_an_unknown_checkpoint_or_another_teams_are_refused(
    api: Served, settings: Settings
) -> None:
    declared = declare(api.client, CONTENT)
    with api.client_of("others", admin=True) as client:
        theirs = problem_of(put(client, declared["id"], CONTENT), 404)
        unknown = problem_of(put(client, str(uuid4()), CONTENT), 404)
    assert theirs["title"] == unknown["title"]
    assert show(api.client, declared["id"])["received_bytes"] == 0
    assert objects(settings) == {}


def test_an_unknown_backbone_is_refused_with_a_suggestion(api: Served, settings: Settings) -> None:
    body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64, "backbone": "r3d18"}
    assert (
        "Did you mean 'r3d_18'?" in problem_of(api.client.post("/v1/checkpoints", json=body), 404)["detail"]
    )
    assert "Did you mean" in problem_of(one_shot(api.client, b"abc", backbone="r3d18"), 404)["detail"]
    assert objects(settings) == {}


def test_what_is_declared_later_is_added_and_what_contradicts_it_is_refused(
    api: Served, settings: Settings
) -> None:
    first = declare(api.client, CONTENT, run="nigth-3")
    assert (
        declare(api.client, CONTENT, run="night-3")["run"] == "night-3"
    )  # no byte was read: a slip, put right
    assert put(api.client, first["id"], CONTENT).json()["state"] == "ingesting"
    added = one_shot(api.client, CONTENT, run="night-3", pretrained_on="ucf101:1", step="7")
    assert (added.status_code, added.json()["id"]) == (200, first["id"])
    found = show(api.client, first["id"])
    assert (found["run"], found["step"], found["pretrained_on"]) == ("night-3", 7, "ucf101:1")
    body = {"model": "tiny", "size_bytes": len(CONTENT), "sha256": sha256(CONTENT), "step": 8}
    for answer in (
        api.client.post("/v1/checkpoints", json={**body, "pretrained_on": "none", "backbone": "r3d"}),
        one_shot(api.client, CONTENT, step="8", pretrained_on="none", backbone="r3d"),
    ):
        refused = problem_of(answer, 409)
        assert (refused["checkpoint_id"], refused["differs"]) == (first["id"], ["pretrained_on", "step"])
        assert "pretrained_on is 'ucf101:1', not 'none', step is 7, not 8" in refused["detail"]
    assert show(api.client, first["id"]) == found
    with api.client_of("others") as others:
        assert one_shot(others, CONTENT, step="8").status_code == 201


def test_a_backbone_is_not_named_while_one_is_looked_for(api: Served) -> None:
    first = one_shot(api.client, CONTENT).json()
    assert first["state"] == "ingesting"
    refused = problem_of(one_shot(api.client, CONTENT, backbone="r3d"), 409)
    assert (refused["checkpoint_id"], refused["differs"]) == (first["id"], ["backbone"])
    assert show(api.client, first["id"])["backbone"] is None


def test_what_is_declared_while_a_worker_writes_what_it_found_waits_for_it(api: Served) -> None:
    first = one_shot(api.client, CONTENT).json()
    with api.database.session() as session:
        flow.lock(session)  # as a worker's last transaction does
        declared = in_thread(lambda: one_shot(api.client, CONTENT, pretrained_on="none", backbone="r3d"))
        time.sleep(0.5)
        row = session.get_one(Checkpoint, UUID(first["id"]))
        row.state, row.backbone, row.pretrained_on = CheckpointState.READY, "r3d", "ucf101:1"
    assert problem_of(declared(), 409)["differs"] == ["pretrained_on"]
    assert show(api.client, first["id"])["pretrained_on"] == "ucf101:1"


def test_the_same_bytes_declared_otherwise_are_another_checkpoint(api: Served) -> None:
    native = declare(api.client, CONTENT)
    spelt = [
        declare(api.client, CONTENT, input_spec=text) for text in ("crop=48, frames=8", "frames=8,crop=48")
    ]
    teacher = declare(api.client, CONTENT, prefix="teacher.")
    assert [one["input_spec"] for one in (native, *spelt, teacher)] == [None, *["frames=8,crop=48"] * 2, None]
    assert spelt[0]["id"] == spelt[1]["id"]
    assert len({one["id"] for one in (native, *spelt, teacher)}) == 3
    assert show(api.client, teacher["id"])["prefix"] == "teacher."
    whole = one_shot(api.client, CONTENT, model="tiny", input_spec="frames=8,crop=48")
    assert whole.json()["id"] == spelt[0]["id"]
    bgr = one_shot(api.client, CONTENT, model="tiny", variant="bgr").json()
    assert (bgr["variant"], bgr["id"] in {one["id"] for one in (native, *spelt, teacher)}) == ("bgr", False)


def test_an_input_that_makes_no_sense_is_refused_with_what_would(api: Served, settings: Settings) -> None:
    body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64, "input_spec": "frames=6"}
    for response in (
        api.client.post("/v1/checkpoints", json=body),
        one_shot(api.client, b"abc", input_spec="frames=6"),
    ):
        assert "frames of an input spec must be a multiple of 4" in problem_of(response, 422)["detail"]
    assert objects(settings) == {}


def test_an_input_that_the_declared_backbone_cannot_take_is_refused_before_the_upload(
    api: Served, settings: Settings
) -> None:
    declared = {"backbone": "r3d_tiny", "input_spec": "crop=112"}
    body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64, **declared}
    for response in (
        api.client.post("/v1/checkpoints", json=body),
        one_shot(api.client, b"abc", **declared),
    ):
        assert (
            "a crop of 112 x 112 does not fit into frames of 64 x 86" in problem_of(response, 422)["detail"]
        )
    assert objects(settings) == {}


@pytest.fixture
def tiny_store(api: Served, settings: Settings) -> Iterator[Path]:
    """The store on a disk of half a megabyte."""
    folder = folder_of(settings)
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.usefixtures("tiny_store")
def test_a_full_disk_is_said_and_nothing_is_lost(api: Served, settings: Settings) -> None:
    content = noise(400_000)
    declared = declare(api.client, content)
    assert put(api.client, declared["id"], content[:300_000], 0, 400_000).status_code == 200
    ballast = folder_of(settings) / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    found = problem_of(put(api.client, declared["id"], content[300_000:], 300_000, 400_000), 507)
    assert "full" in found["detail"]
    assert str(folder_of(settings)) not in found["detail"]
    problem_of(one_shot(api.client, noise(500_000)), 507)
    assert sorted(map(len, objects(settings).values())) == [200_000, 300_000]
    assert show(api.client, declared["id"])["received_bytes"] == 300_000
    ballast.unlink()
    (answer,) = [put(api.client, declared["id"], content[300_000:], 300_000, 400_000)]
    found = problem_of(answer, 507)  # parts and the whole need room beside each other
    assert show(api.client, declared["id"])["state"] == "declared"
    assert api.client.get("/v1/health").status_code == 200


def test_a_store_that_fails_is_said_and_the_upload_goes_on_later(api: Served, settings: Settings) -> None:
    declared, folder = declare(api.client, CONTENT), folder_of(settings)
    (folder / "uploads").write_bytes(b"a file where a folder should be")
    found = problem_of(put(api.client, declared["id"], CONTENT), 507)
    assert str(folder) not in found["detail"]
    problem_of(one_shot(api.client, CONTENT), 507)
    assert show(api.client, declared["id"])["received_bytes"] == 0
    (folder / "uploads").unlink()
    assert put(api.client, declared["id"], CONTENT).json()["state"] == "ingesting"
    assert stored(settings, CONTENT)


def test_lists_of_checkpoints_are_filtered_and_paged(api: Served) -> None:
    for number in range(3):
        one_shot(api.client, noise(10, number), model="a" if number else "b")
    with api.client_of("others") as client:
        one_shot(client, noise(10, 9), model="a")

    def steps(**query: Any) -> tuple[list[str], int]:
        page = api.client.get("/v1/checkpoints", params=query).json()
        return [f"{item['team']}/{item['model']}" for item in page["items"]], page["total"]

    assert steps() == (["others/a", "default/a", "default/a", "default/b"], 4)
    assert steps(model="a", team="default") == (["default/a", "default/a"], 2)
    assert steps(limit=1, offset=3) == (["default/b"], 4)
    assert steps(model="nobody's") == ([], 0)


SEVERAL = {
    "wrapper": "state_dict",
    "prefix": "student.",
    "others": ["state_dict.teacher."],
    "network": "state_dict.student.",
    "why": "as --prefix asked",
    "notes": [],
}


@pytest.mark.parametrize(
    ("report", "network"),
    [
        (
            SEVERAL,
            {"used": "state_dict.student.", "others": ["state_dict.teacher."], "why": "as --prefix asked"},
        ),
        # From before it was kept which one was used, and why.
        (
            {name: SEVERAL[name] for name in ("wrapper", "prefix", "others")},
            {"used": "state_dict.student.", "others": ["state_dict.teacher."], "why": ""},
        ),
        ({"wrapper": "", "prefix": "", "others": [], "network": ".", "why": ""}, None),
        (None, None),
    ],
)
def test_a_checkpoint_says_which_network_of_its_file_was_used(
    api: Served, report: dict[str, Any] | None, network: dict[str, Any] | None
) -> None:
    with api.database.session() as session:
        ready = ready_checkpoint(session, "several", report=report)
        identifier = str(ready.id)
    assert show(api.client, identifier)["network"] == network
