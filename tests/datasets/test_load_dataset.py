from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vcp_core.catalog.errors import DatasetError, UnknownName
from vcp_core.catalog.paths import cache_dir, data_dir
from vcp_core.datasets import load_dataset


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'playground'"):
        load_dataset("playgrund")


def test_a_name_that_wants_a_folder_says_so_and_one_that_does_not_too(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="ucf101:<folder>"):
        load_dataset("ucf101")
    with pytest.raises(DatasetError, match="needs no folder"):
        load_dataset(f"playground:{tmp_path}")


def test_an_option_that_would_be_ignored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="playground does not take test_groups"):
        load_dataset("playground", test_groups=("g01",))
    with pytest.raises(DatasetError, match="playground does not take split"):
        load_dataset("playground", split="2")
    with pytest.raises(DatasetError, match="does not take split or lists"):
        load_dataset(tmp_path, split="2", lists=tmp_path)
    with pytest.raises(DatasetError, match="ucf101 does not take csv"):
        load_dataset(f"ucf101:{tmp_path}", csv="videos.csv")


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("VCPBENCH_DATA", str(tmp_path / "d"))
    assert (cache_dir(), data_dir()) == (tmp_path / "c", tmp_path / "d")
    monkeypatch.delenv("VCPBENCH_CACHE")
    assert cache_dir().name == "vcpbench"


def test_datasets_load_without_torch() -> None:
    check = "import sys, vcp_core.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
