from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.videos import damage, write_video
from vcp_core.catalog.errors import DatasetError, StorageError
from vcp_core.datasets import index as index_module
from vcp_core.datasets.index import index_videos
from vcp_core.datasets.manifest import Dataset, ListedVideo, Split
from vcp_core.datasets.parallel import Progress
from vcp_core.video.examine import Examined, examine

TRAIN: Split = "train"
TEST: Split = "test"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def listed(path: str, split: Split, group: str | None = None) -> ListedVideo:
    return ListedVideo(id=path, label=path.split("/")[0], split=split, group=group)


FOUR = [listed("a/1.mp4", TRAIN), listed("a/2.mp4", TEST), listed("b/1.mp4", TRAIN), listed("b/2.mp4", TEST)]


def write_four(root: Path) -> Path:
    for seed, video in enumerate(FOUR):
        write_video(root / video.id, 12 + seed, seed=seed)
    return root


def load(root: Path, videos: Sequence[ListedVideo] = FOUR, *, progress: Progress | None = None) -> Dataset:
    return index_videos(videos, name="four", split_name="1", root=root, progress=progress)


def test_frames_are_counted_by_decoding_and_files_hashed(tmp_path: Path) -> None:
    dataset = load(write_four(tmp_path / "set"))
    assert [video.num_frames for video in dataset.videos] == [12, 13, 14, 15]
    assert len({video.sha256 for video in dataset.videos}) == 4
    assert dataset.classes == ("a", "b")
    assert not dataset.left_out
    assert not dataset.warnings


def test_a_second_load_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_four(tmp_path / "set")
    decoded: list[Path] = []

    def counting(path: Path) -> Examined:
        decoded.append(path)
        return examine(path)

    monkeypatch.setattr(index_module, "examine", counting)
    first = load(root)
    assert len(decoded) == 4
    assert load(root) == first
    assert len(decoded) == 4
    write_video(root / "a/1.mp4", 20)
    assert load(root).videos[0].num_frames == 20
    assert len(decoded) == 5


def test_progress_counts_up_to_all_videos(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    load(write_four(tmp_path / "set"), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_interrupted_index_keeps_what_it_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_four(tmp_path / "set")

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(root, progress=interrupt)
    calls: list[int] = []
    load(root, progress=lambda done, total: calls.append(done))
    assert calls == [2, 3, 4]


def test_a_damaged_cache_is_made_anew(tmp_path: Path, cache: Path) -> None:
    root = write_four(tmp_path / "set")
    first = load(root)
    (file,) = (cache / "index").iterdir()
    for junk in ("{", "[]", '{"decoder": 1}', file.read_text().replace('"size"', '"sise"')):
        file.write_text(junk)
        assert load(root) == first


def test_a_cache_that_cannot_be_written_says_so_before_decoding(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot be written"):
        load(write_four(tmp_path / "set"))


def test_unusable_videos_are_named_with_their_reasons(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    (root / "a/empty.mp4").touch()
    (root / "a/text.mp4").write_text("not a video")
    write_video(root / "b/one.mp4", 1)
    more = [listed(f"a/{name}.mp4", TRAIN) for name in ("empty", "text", "gone")] + [
        listed("b/one.mp4", TEST)
    ]
    for _ in range(2):  # the second time from the cache
        dataset = load(root, [*FOUR, *more])
        assert {video.id: video.reason for video in dataset.left_out} == {
            "a/empty.mp4": "the file is empty",
            "a/gone.mp4": "no such file or directory",
            "a/text.mp4": "cannot be decoded",
            "b/one.mp4": "it has 1 frame, and at least 2 are needed",
        }
        assert len(dataset.videos) == 4
        assert dataset.warnings == (
            "4 of 8 listed videos are left out, for example a/empty.mp4: the file is empty.",
        )


def test_damaged_frames_are_counted_and_told_also_from_the_cache(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    damage(write_video(root / "b/1.mp4", 120, size=(240, 320), options={"crf": "10"}, seed=4), seed=4)
    for _ in range(2):
        (warning,) = load(root).warnings
        assert "damaged" in warning
        assert warning.endswith("in 1 videos are damaged and used as the decoder mends them: b/1.mp4.")


def test_a_video_of_colours_that_cannot_be_converted_is_left_out_with_the_reason(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    write_video(root / "a/3.mp4", 12, options={"x264-params": "colormatrix=YCgCo:log-level=none"})
    for _ in range(2):
        (left,) = load(root, [*FOUR, listed("a/3.mp4", TRAIN)]).left_out
        assert left.id == "a/3.mp4"
        assert "colour matrix 8" in left.reason


def test_a_read_error_that_passes_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real = write_four(tmp_path / "set"), hashlib.file_digest

    def fail_once(file: BinaryIO, name: str) -> object:
        monkeypatch.setattr(hashlib, "file_digest", real)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def break_off_once(path: Path) -> Examined:
        monkeypatch.setattr(index_module, "examine", examine)
        raise StorageError(f"{path}: cannot be read (stale file handle).")

    more = [*FOUR, listed("a/3.mp4", TRAIN), listed("b/3.mp4", TRAIN)]
    for name in ("a/3.mp4", "b/3.mp4"):
        write_video(root / name, 12)
    load(root)
    monkeypatch.setattr(hashlib, "file_digest", fail_once)
    monkeypatch.setattr(index_module, "examine", break_off_once)
    assert {left.reason for left in load(root, more).left_out} == {
        "input/output error", "cannot be read (stale file handle)."
    }  # fmt: skip
    assert not load(root, more).left_out


def test_a_class_lost_to_broken_files_is_refused_with_the_reason(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    (root / "b/2.mp4").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"train only: b.*b/2.mp4: the file is empty"):
        load(root)


def test_the_same_file_on_both_sides_is_a_warning(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    shutil.copy(root / "a/1.mp4", root / "a/2.mp4")
    assert "a/1.mp4 = a/2.mp4" in load(root).warnings[0]


def test_a_group_on_both_sides_is_refused(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    videos = [ListedVideo(id=v.id, label=v.label, split=v.split, group="P1") for v in FOUR]
    with pytest.raises(DatasetError, match="1 groups have videos on both sides: P1"):
        load(root, videos)


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ([], "no usable videos"),
        ([*FOUR, FOUR[0]], r"more than once: a/1\.mp4"),
        ([v for v in FOUR if v.split == TRAIN], "test side has no videos"),
        ([v for v in FOUR if v.split == TEST], "train side has no videos"),
        ([v for v in FOUR if v.label == "a"], "one class only, a"),
        (FOUR[:3], "train only: b"),
        (FOUR[1:], "test only: a"),
    ],
)
def test_a_list_that_cannot_be_evaluated_is_refused_before_any_file_is_read(
    videos: list[ListedVideo], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=message):
        load(tmp_path / "nowhere", videos)


def test_fingerprints_follow_the_bytes_and_not_the_place(tmp_path: Path) -> None:
    first = load(write_four(tmp_path / "set"))
    shutil.copytree(tmp_path / "set", tmp_path / "moved")
    assert load(tmp_path / "moved").fingerprint == first.fingerprint
    os.replace(tmp_path / "moved/a/1.mp4", tmp_path / "moved/a/2.mp4")
    write_video(tmp_path / "moved/a/1.mp4", 40)
    assert load(tmp_path / "moved").fingerprint != first.fingerprint
