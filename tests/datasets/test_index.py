from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.damaged_videos import zero_packet
from tests.videos import damage, write_two_streams, write_video
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import DatasetError, StorageError
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets import index as index_module
from vcp_core.datasets.index import index_videos
from vcp_core.datasets.manifest import Dataset, ListedVideo, Split
from vcp_core.datasets.parallel import Progress
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.video.examine import Examined, examine
from vcp_core.video.reasons import cannot_be_used_now

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
            "a/empty.mp4": "the file is empty; copy or download it again",
            "a/gone.mp4": "there is no such file; correct the list, or put the file where the list says",
            "a/text.mp4": "it is a text file (it begins with 'not a video'); put the video in its place",
            "b/one.mp4": "it has 1 frame, and at least 2 are needed; a picture is no video, so remove it",
        }
        assert len(dataset.videos) == 4
        assert dataset.warnings == (
            "4 of 8 listed videos are left out, for example a/empty.mp4: the file is empty; copy or download "
            "it again.",
        )


def test_a_file_that_is_written_to_while_it_is_read_is_no_verdict_on_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, five = write_four(tmp_path / "set"), [*FOUR, listed("a/3.mp4", TRAIN)]
    whole = write_video(root / "a/3.mp4", 12, seed=9).read_bytes()

    def overtaken(path: Path) -> Examined:
        if path.name == "3.mp4":
            path.write_bytes(whole[:100])
        return examine(path)

    monkeypatch.setattr(index_module, "examine", overtaken)
    (left_out,) = load(root, five).left_out
    assert "changed while it was read" in left_out.reason
    (root / "a/3.mp4").write_bytes(whole)
    monkeypatch.setattr(index_module, "examine", examine)
    assert load(root, five).left_out == ()


def test_a_video_in_two_classes_is_told(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    shutil.copy(root / "a/1.mp4", root / "b/3.mp4")
    (told,) = load(root, [*FOUR, listed("b/3.mp4", TRAIN)]).warnings
    assert told.startswith("In two classes under different names: a/1.mp4 = b/3.mp4.")


def test_damaged_frames_are_counted_and_told_also_from_the_cache(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    damage(write_video(root / "b/1.mp4", 120, size=(240, 320), options={"crf": "10"}, seed=4), seed=4)
    for _ in range(2):
        (warning,) = [warning for warning in load(root).warnings if "damaged" in warning]
        assert warning.endswith("in 1 videos are damaged and used as the decoder mends them: b/1.mp4.")


def test_a_video_of_colours_that_cannot_be_converted_is_left_out_with_the_reason(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    write_video(root / "a/3.mp4", 12, options={"x264-params": "colormatrix=YCgCo:log-level=none"})
    for _ in range(2):
        (left,) = load(root, [*FOUR, listed("a/3.mp4", TRAIN)]).left_out
        assert left.id == "a/3.mp4"
        assert "colour matrix 8" in left.reason


def test_failed_packets_are_counted_and_told_also_from_the_cache(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    zero_packet(write_video(root / "b/1.mp4", 60, options={"g": "1"}), 20)
    zero_packet(write_video(root / "a/1.mp4", 60, options={"g": "1"}), 59)
    for _ in range(2):
        dataset = load(root)
        assert [video.num_failed_packets for video in dataset.videos] == [1, 0, 1, 0]
        assert [video.num_frames for video in dataset.videos] == [59, 13, 59, 15]
        assert dataset.warnings == (
            "2 packets in 2 videos cannot be decoded. Frames are missing: a/1.mp4, b/1.mp4.",
        )


def test_which_of_several_streams_was_taken_is_told_also_from_the_cache(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    (root / "a/1.mp4").write_bytes(write_two_streams(tmp_path / "two.mkv").read_bytes())
    for _ in range(2):
        dataset = load(root)
        assert [video.stream for video in dataset.videos] == ["stream 1 of 0, 1: h264 128x96", "", "", ""]
        (warning,) = dataset.warnings
        assert "a/1.mp4 (stream 1 of 0, 1: h264 128x96)" in warning


@pytest.mark.parametrize(("curve", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_an_hdr_curve_is_told_also_from_the_cache(tmp_path: Path, curve: str, name: str) -> None:
    root = write_four(tmp_path / "set")
    for seed, video in enumerate(("b/1.mp4", "b/2.mp4")):
        write_video(
            root / video, 12, options={"x264-params": f"transfer={curve}:log-level=none"}, seed=50 + seed
        )
    for _ in range(2):
        (warning,) = load(root).warnings
        assert warning.startswith(f"2 videos have the HDR transfer curve {name} ")
        assert warning.endswith("b/1.mp4, b/2.mp4.")


def test_other_bytes_of_the_same_length_and_time_are_noticed(tmp_path: Path) -> None:
    root, backup = write_four(tmp_path / "set"), tmp_path / "backup.mp4"
    victim = root / "a/1.mp4"
    write_video(victim, 12, options={"g": "1"})
    shutil.copy2(victim, backup)
    zero_packet(victim, 6)
    os.utime(victim, ns=(victim.stat().st_atime_ns, backup.stat().st_mtime_ns))
    assert load(root).videos[0].num_frames == 11
    shutil.copy2(backup, victim)
    repaired = load(root).videos[0]
    assert repaired.num_frames == 12
    assert repaired.sha256 == hashlib.sha256(backup.read_bytes()).hexdigest()
    zero_packet(backup, 6)
    os.utime(backup, ns=(victim.stat().st_atime_ns, victim.stat().st_mtime_ns))
    os.replace(backup, victim)  # another file in its place
    assert load(root).videos[0].num_frames == 11


def test_the_same_bytes_in_another_file_are_hashed_and_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_four(tmp_path / "set")
    first = load(root)
    for video in FOUR:
        shutil.copy(root / video.id, tmp_path / "copy.mp4")
        os.replace(tmp_path / "copy.mp4", root / video.id)
    monkeypatch.setattr(index_module, "examine", lambda path: pytest.fail("it was decoded"))
    assert load(root) == first


def test_a_file_that_changes_while_it_is_read_is_left_out_this_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_four(tmp_path / "set")
    write_video(root / "a/3.mp4", 12)
    more = [*FOUR, listed("a/3.mp4", TRAIN)]

    def examine_and_write(path: Path) -> Examined:
        found = examine(path)
        if path.name == "3.mp4":
            write_video(path, 14)
        return found

    monkeypatch.setattr(index_module, "examine", examine_and_write)
    (left,) = load(root, more).left_out
    assert left.id == "a/3.mp4"
    assert left.reason == "it changed while it was read; load the dataset again when it is complete"
    monkeypatch.setattr(index_module, "examine", examine)
    assert [video.num_frames for video in load(root, more).videos] == [12, 13, 14, 14, 15]


def test_a_pipe_is_left_out_and_not_waited_for(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    os.mkfifo(root / "a/3.mp4")
    (left,) = load(root, [*FOUR, listed("a/3.mp4", TRAIN)]).left_out
    assert left.reason == "it is not a file; remove it from the dataset"


def test_what_was_found_of_the_files_is_in_the_warnings_of_results(tmp_path: Path) -> None:
    root = write_four(tmp_path / "set")
    zero_packet(write_video(root / "b/1.mp4", 60, options={"g": "1"}), 20)
    dataset = Dataset.from_json(load(root).to_json())  # as a service keeps it
    plan = EvaluationPlan(dataset=dataset, protocol=PROTOCOLS["quick-v1"], spec=BACKBONES["r3d_tiny"])
    results = plan.results((), checkpoint={}, versions={}, device="cpu", reproduce=None)
    assert results.warnings == ("1 packet in 1 video cannot be decoded. Frames are missing: b/1.mp4.",)


def test_a_read_error_that_passes_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real = write_four(tmp_path / "set"), index_module.sha256_of

    def fail_once(path: Path) -> str:
        monkeypatch.setattr(index_module, "sha256_of", real)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def break_off_once(path: Path) -> Examined:
        monkeypatch.setattr(index_module, "examine", examine)
        raise cannot_be_used_now("cannot be read (stale file handle)", path)

    more = [*FOUR, listed("a/3.mp4", TRAIN), listed("b/3.mp4", TRAIN)]
    for name in ("a/3.mp4", "b/3.mp4"):
        write_video(root / name, 12)
    load(root)
    monkeypatch.setattr(index_module, "sha256_of", fail_once)
    monkeypatch.setattr(index_module, "examine", break_off_once)
    assert {left.reason for left in load(root, more).left_out} == {
        "it cannot be read now (input/output error); try again", "cannot be read (stale file handle)"
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
