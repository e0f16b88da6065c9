"""Code that took over the child that decodes tries to get out. Sound datasets are read all the same."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.datasets_on_disk import make_folder, write_ucf101
from tests.patience import DEADLINE_S
from tests.walls.attempts import SPARE_UID
from tests.walls.test_walls import AS, needs_root, needs_walls, place, refusals, targets
from vcp_core.catalog.reach import files_of
from vcp_core.datasets import load_dataset
from vcp_core.datasets.manifest import Dataset
from vcp_core.walls.user import CAP_DAC_READ_SEARCH, FIRST_UID
from worker import runner as runner_module
from worker.runner import ChildFailed, Foreign, Out, Runner

pytestmark = pytest.mark.slow
__all__ = ["place", "targets"]  # fixtures


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    (tmp_path / "scratch").mkdir(mode=0o700)
    found = Runner(tmp_path / "scratch")
    yield found
    found.close()


def call(runner: Runner, dataset: dict[str, str], do: str, **arguments: Any) -> dict[str, Any]:
    return runner.call(
        {"do": do, **arguments},
        stall_s=DEADLINE_S,
        on_progress=lambda done, total: None,
        foreign=Foreign(dataset=dataset, device="cpu"),
    )


def index(runner: Runner, tmp_path: Path, source: dict[str, str], **more: Any) -> Dataset:
    out = tmp_path / "manifest.json"
    call(runner, source, "index", source=source, name="x", out=Out(out), **more)
    return Dataset.from_json(out.read_text())


@needs_walls
@needs_root
@pytest.mark.parametrize("ordinary", AS)
def test_no_attempt_to_get_out_of_the_child_that_decodes_succeeds(
    monkeypatch: pytest.MonkeyPatch, place: Path, targets: dict[str, Any], ordinary: bool
) -> None:
    command = (sys.executable, "-m", "tests.walls.attacking", *(["ordinary"] if ordinary else []))
    monkeypatch.setattr(runner_module, "COMMAND", command)
    monkeypatch.setenv("VCPBENCH_DATABASE_URL", "postgresql://secret")
    videos = make_folder(place / "videos", per_class=(1, 1), num_frames=20)
    (place / "scratch").mkdir(mode=0o711 if ordinary else 0o700)  # an ordinary user's worker has its own
    runner, out = Runner(place / "scratch"), place / "out"
    told = call(
        runner,
        {"name_or_path": str(videos)},
        "attack",
        out=Out(out),
        video=str(videos / "class0" / "0.mp4"),
        targets={**targets, "skip": ()},
    )
    runner.close()
    for name, number in told["found"].items():
        print(f"{name:36} {errno.errorcode.get(number, 'succeeds')}")
    assert told["frames"] == 20
    assert told["found"] == refusals(told["found"])
    assert len(told["found"]) > 45
    assert "VCPBENCH_DATABASE_URL" not in told["environment"]
    for thread in told["state"]:
        uid = int(thread["Uid"].split()[0])
        assert uid == SPARE_UID if ordinary else uid > FIRST_UID
        assert (thread["Groups"], thread["NoNewPrivs"], thread["Seccomp"]) == ("", "1", "2")
        # Root's scratch folder is root's alone. Landlock says what may be read.
        kept = {0} if ordinary else {0, 1 << CAP_DAC_READ_SEARCH}
        assert {int(thread[name], 16) for name in ("CapPrm", "CapEff")} <= kept
    assert out.read_text() == "taken over"
    assert out.stat().st_uid == 0


@needs_walls
@pytest.mark.parametrize("kind", ["link", "folder", "nothing"])
def test_what_a_child_leaves_in_the_place_of_its_file_is_not_taken(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setattr(runner_module, "COMMAND", (sys.executable, "-m", "tests.walls.attacking"))
    with pytest.raises(ChildFailed, match=r"the process left|unforeseen error .*PermissionError"):
        call(runner, {}, "leave", out=Out(tmp_path / "out"), kind=kind)
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_videos_are_read_where_links_lead_and_lists_beside_them(runner: Runner, tmp_path: Path) -> None:
    real = make_folder(tmp_path / "elsewhere", num_frames=20)
    linked = tmp_path / "linked"
    (linked / "class1").mkdir(parents=True)
    (linked / "class0").symlink_to(real / "class0")
    (linked / "dataset.csv").symlink_to(real / "dataset.csv")
    for video in (real / "class1").iterdir():
        (linked / "class1" / video.name).symlink_to(video)
    (linked / "up").symlink_to(tmp_path)  # which opens nothing
    ucf = write_ucf101(tmp_path / "ucf")
    (tmp_path / "big").mkdir()
    (ucf / "UCF-101").rename(tmp_path / "big" / "UCF-101")  # another disk; the lists stay beside the link
    (ucf / "UCF-101").symlink_to(tmp_path / "big" / "UCF-101")
    for source in (
        {"name_or_path": str(linked)},
        {"name_or_path": f"ucf101:{ucf / 'UCF-101'}"},
        {"name_or_path": f"ucf101:{tmp_path / 'big' / 'UCF-101'}", "lists": str(ucf / "ucfTrainTestlist")},
    ):
        found, expected = index(runner, tmp_path, source), load_dataset(**source)
        assert found.videos == expected.videos
        assert len(found.videos) >= 4
        runner.close()


@needs_root
def test_videos_that_only_root_may_read_are_read(runner: Runner, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "private", num_frames=20)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    folder.chmod(0o700)
    found = index(runner, tmp_path, {"name_or_path": str(folder)})
    assert len(found.videos) == 6


def test_findings_are_handed_on_so_that_no_video_is_decoded_twice(runner: Runner, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "videos", num_frames=20)
    source, findings = {"name_or_path": str(folder)}, tmp_path / "findings.json"
    first = index(runner, tmp_path, source, findings=Out(findings))
    said = findings.read_text()
    findings.write_text(said.replace('"num_frames": 20', '"num_frames": 21'))
    runner.close()
    again = index(runner, tmp_path, source, known=findings)
    assert {video.num_frames for video in first.videos} == {20}
    assert {video.num_frames for video in again.videos} == {21}  # which nobody decoded
    runner.close()
    findings.write_text("damaged")
    assert index(runner, tmp_path, source, known=findings) == first


@pytest.mark.parametrize("links", [True, False])
def test_a_child_has_only_the_files_that_its_request_names(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    folder = make_folder(tmp_path / "videos", num_frames=20)
    if not links:  # as between two disks

        def refuse(*_: object) -> None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    for number in range(3):
        file = tmp_path / f"{number}.json"
        file.write_text(str(number))
        index(runner, tmp_path, {"name_or_path": str(folder)}, known=file)
        (given,) = (tmp_path / "scratch").glob("child-*/given/*")
        assert given.read_text() == str(number)
        assert (given.stat().st_ino == file.stat().st_ino) == links


def test_a_disk_that_is_full_while_a_file_is_handed_over_leaves_no_part_of_it(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = make_folder(tmp_path / "videos", num_frames=20), tmp_path / "known.json"
    file.write_text("whole")

    def fill(source: Path, target: Path) -> None:
        target.write_text("who")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with monkeypatch.context() as full:
        full.setattr(shutil, "copyfile", fill)
        with pytest.raises(OSError, match="No space left"):
            index(runner, tmp_path, {"name_or_path": str(folder)}, known=file)
    index(runner, tmp_path, {"name_or_path": str(folder)}, known=file)
    (given,) = (tmp_path / "scratch").glob("child-*/given/*")
    assert given.read_text() == "whole"


def test_findings_of_a_dataset_without_walls_stay_in_the_users_cache(tmp_path: Path) -> None:
    folder, findings = make_folder(tmp_path / "videos", num_frames=20), tmp_path / "findings.json"
    runner = Runner(tmp_path, walled=False)
    index(runner, tmp_path, {"name_or_path": str(folder)}, findings=Out(findings))
    runner.close()
    assert findings.read_text() == ""


def test_only_what_belongs_to_a_dataset_is_reached(tmp_path: Path) -> None:
    shut = ("home/secrets", "home/.ssh", "store/objects")
    for name in ("data/a", "data/b", "out/c", ".cache/blobs", "ucfTrainTestlist", "lists", *shut):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "out" / "c" / "back").symlink_to(tmp_path / "data")
    leads = (
        "out/c",
        ".cache/blobs",
        "gone",
        "home",
        "home/secrets",
        "home/.ssh",
        "store/objects",
        "",
        "store",
    )
    for number, name in enumerate(leads):
        (tmp_path / "data" / "a" / str(number)).symlink_to(tmp_path / name)
    for number, path in enumerate(("/", "/etc", "/etc/passwd", "/proc/self/environ")):
        (tmp_path / "data" / "b" / str(number)).symlink_to(path)
    found = files_of(
        f"ucf101:{tmp_path / 'data'}",
        lists=tmp_path / "lists",
        csv=tmp_path / "no.csv",
        closed=[tmp_path / "home" / "secrets", tmp_path / "store" / "objects"],
    )
    wanted = ("data", "ucfTrainTestlist", "lists", "out/c", ".cache/blobs")
    assert set(found) == {tmp_path / name for name in wanted}
    assert files_of(tmp_path / "gone") == [tmp_path / "ucfTrainTestlist"]
    assert tmp_path / "ucf" not in files_of(tmp_path / "ucf" / "UCF-101")


def test_lists_that_an_administrator_names_above_the_videos_are_reached(tmp_path: Path) -> None:
    (tmp_path / "ucf" / "UCF-101").mkdir(parents=True)
    found = files_of(f"ucf101:{tmp_path / 'ucf' / 'UCF-101'}", lists=tmp_path / "ucf")
    assert set(found) == {tmp_path / "ucf" / "UCF-101", tmp_path / "ucf"}


def test_a_link_to_where_nobody_may_look_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.avi").symlink_to(tmp_path / "private" / "a.avi")

    def refuse(path: str, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(Path, "exists", refuse)
    assert files_of(tmp_path / "data") == [tmp_path / "data"]


@pytest.mark.long
def test_a_built_in_dataset_is_made_before_the_walls_and_read_behind_them(
    runner: Runner, tmp_path: Path
) -> None:
    found = index(runner, tmp_path, {"name_or_path": "playground-64"})
    assert found.fingerprint == load_dataset("playground-64").fingerprint
