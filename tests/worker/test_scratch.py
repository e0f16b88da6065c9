"""Folders of temporary files: whose they are, and when they go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from records.settings import Settings
from vcp_core.catalog.errors import StorageError
from worker.scratch import ScratchFolder, make_private, remove_abandoned

HOLD = """
import pathlib, sys
from worker.scratch import ScratchFolder
folder = ScratchFolder(pathlib.Path(sys.argv[1]), sys.argv[2])
folder.enter()
print("held", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_worker_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    mine, theirs = ScratchFolder(scratch, str(uuid4())), str(uuid4())
    mine.enter()
    (scratch / "somebody's notes").touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, scratch, theirs], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        remove_abandoned(scratch)
        assert {folder.name for folder in scratch.iterdir()} == {mine.path.name, theirs, "somebody's notes"}
        other.kill()
    remove_abandoned(scratch)
    assert {folder.name for folder in scratch.iterdir()} == {mine.path.name, "somebody's notes"}
    mine.leave()
    assert [folder.name for folder in scratch.iterdir()] == ["somebody's notes"]


def test_a_scratch_folder_that_a_tidier_removed_is_made_and_held_again(tmp_path: Path) -> None:
    folder = ScratchFolder(tmp_path / "scratch", str(uuid4()))
    folder.enter()
    shutil.rmtree(tmp_path / "scratch")
    folder.enter()
    remove_abandoned(tmp_path / "scratch")
    assert folder.path.is_dir()
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == folder.path.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_strangers_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    for mode in (0o777, 0o770, 0o1777, 0o702):  # /tmp is the third: others' folders would look like workers'
        (tmp_path / "open").chmod(mode)
        with pytest.raises(StorageError, match="can be written by other users"):
            make_private(tmp_path / "open")
    (tmp_path / "open").chmod(0o755)
    make_private(tmp_path / "open")
    if os.geteuid() == 0:
        os.chown(tmp_path / "open", 12345, 12345)
        with pytest.raises(StorageError, match="belongs to user 12345"):
            make_private(tmp_path / "open")


def test_what_is_no_workers_folder_stays_and_keeps_no_worker_from_starting(tmp_path: Path) -> None:
    file, link, service = (
        tmp_path / str(uuid4()),
        tmp_path / str(uuid4()),
        tmp_path / "systemd-private-a-b-c-d",
    )
    file.touch()
    link.symlink_to(tmp_path / "nowhere")
    (service / "tmp").mkdir(parents=True)
    left = tmp_path / str(uuid4())
    left.mkdir()
    remove_abandoned(tmp_path)
    assert set(tmp_path.iterdir()) == {file, link, service}


def test_without_a_setting_every_user_has_a_folder_of_his_own() -> None:
    settings = Settings(database_url="postgresql://x", broker_url="redis://x", store_url="file:///x")
    assert settings.scratch.name == f"vcpbench-{os.getuid()}"
