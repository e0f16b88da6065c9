from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.videos import write_video
from vcp_core.catalog.errors import DatasetError, UnknownName
from vcp_core.catalog.paths import cache_dir, data_dir
from vcp_core.datasets import load_dataset


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'playground'"):
        load_dataset("playgrund")


def test_an_unknown_name_says_which_forms_of_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"Known: <folder>, hmdb51:<folder>, playground, .*ucf101:<folder>"):
        load_dataset("kinetics")
    with pytest.raises(UnknownName, match=f"Did you mean 'ucf101:{tmp_path}'"):
        load_dataset(f"UCF-101:{tmp_path}")


def test_a_place_that_is_no_folder_is_refused_by_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "clips.zip").touch()
    (tmp_path / "clips.csv").touch()
    for given, says in (
        (tmp_path / "clips.zip", r"clips\.zip is a file and no folder\. .*unpack an archive first"),
        (tmp_path / "clips.csv", r"the table by --csv .*clips\.csv".replace(r"\\", "\\")),
        (f"ucf101:{tmp_path / 'clips.zip'}", r"clips\.zip is a file and no folder"),
        (f"ucf101:{tmp_path / 'gone'}", r"There is no folder .*/gone \(no such file or directory\)"),
        (tmp_path / "gone", r"There is no folder .*/gone \(no such file or directory\)"),
        (tmp_path / "clips.csv" / "deeper", r"cannot be read \(not a directory\)"),
        (tmp_path / ("x" * 300), r"cannot be read \(file name too long\)"),
        ("ucf101:", "ucf101 needs the folder of its videos. Write ucf101:<folder>"),
    ):
        with pytest.raises(DatasetError, match=says):
            load_dataset(given)


def test_suffixes_are_kept_with_the_words_that_load_the_dataset_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    for seed in range(4):
        made = write_video(tmp_path / "set" / "ab"[seed % 2] / f"{seed}.mp4", 10, seed=seed)
        made.rename(made.with_suffix(".XYZ"))
    with pytest.raises(DatasetError, match=r"4 files \(the suffix \.xyz is not a video's\)"):
        load_dataset(tmp_path / "set")
    dataset = load_dataset(tmp_path / "set", suffixes=[".xyz"])
    assert len(dataset.videos) == 4
    assert dataset.source == (str(tmp_path / "set"), "--suffix", ".xyz")


def test_a_name_that_wants_a_folder_says_so_and_one_that_does_not_too(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="ucf101:<folder>"):
        load_dataset("ucf101")
    with pytest.raises(DatasetError, match="takes no folder"):
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
    with pytest.raises(DatasetError, match="playground does not take suffixes"):
        load_dataset("playground", suffixes=[".xyz"])


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("VCPBENCH_DATA", str(tmp_path / "d"))
    assert (cache_dir(), data_dir()) == (tmp_path / "c", tmp_path / "d")
    monkeypatch.delenv("VCPBENCH_CACHE")
    assert cache_dir().name == "vcpbench"


def test_datasets_load_without_torch() -> None:
    check = "import sys, vcp_core.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("name", ["~nobody-of-that-name/clips", "ucf101:~nobody-of-that-name/clips"])
def test_the_home_of_nobody_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match=r"There is no folder ~nobody-of-that-name/clips \(no such user"):
        load_dataset(name)
