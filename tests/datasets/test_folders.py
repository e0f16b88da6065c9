from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared import SHARED, needs_shared
from tests.videos import write_video
from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets import load_dataset
from vcp_core.datasets.folders import hash_split, list_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))


def touch(root: Path, *paths: str) -> Path:
    """Listing needs files that are there, not files that decode."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def sides(root: Path, **options: object) -> dict[str, str]:
    return {video.id: video.split for video in list_folder(root, **options).videos}  # type: ignore[arg-type]


@needs_shared
def test_real_gestures_leave_one_person_out() -> None:
    dataset = load_dataset(SHARED / "gestures", test_groups=("P3",))
    assert len(dataset.videos) == 27
    assert {video.group for video in dataset.side("train")} == {"P1", "P2"}
    assert {video.group for video in dataset.side("test")} == {"P3"}
    assert dataset.classes == ("0", "1", "2")
    assert dataset.split_name == "test groups P3"
    assert all(61 <= video.num_frames <= 115 for video in dataset.videos)


@needs_shared
def test_one_video_a_class_is_refused_with_the_classes_named(tmp_path: Path) -> None:
    for file in (SHARED / "videos").iterdir():
        if file.suffix != ".md":
            (tmp_path / "set" / file.stem).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / file.stem / file.name).symlink_to(file)
    with pytest.raises(
        DatasetError, match=r"6 of 7 classes have only one video or one group.*: av1_video, bikes, carphone"
    ):
        load_dataset(tmp_path / "set")


def test_a_folder_of_real_videos_loads(tmp_path: Path) -> None:
    for seed in range(8):
        write_video(tmp_path / "set" / "ab"[seed % 2] / f"{seed}.mp4", 10, seed=seed)
    dataset = load_dataset(str(tmp_path / "set"))
    assert (dataset.name, dataset.split_name, dataset.licence) == ("set", "hash", "unknown")
    assert (len(dataset.side("train")), len(dataset.side("test"))) == (6, 2)


def test_train_and_test_folders_are_the_sides(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/a/1.mp4", "train/b/1.AVI", "test/a/2.mp4", "test/b/deep/2.mp4")
    listing = list_folder(root)
    assert listing.split_name == "folders"
    assert [(v.id, v.label, v.split) for v in listing.videos] == [
        ("test/a/2.mp4", "a", "test"),
        ("test/b/deep/2.mp4", "b", "test"),
        ("train/a/1.mp4", "a", "train"),
        ("train/b/1.AVI", "b", "train"),
    ]


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    root = touch(tmp_path, *(f"{label}/{n}.mp4" for label in ("train", "test", "bus") for n in range(3)))
    assert {video.label for video in list_folder(root).videos} == {"train", "test", "bus"}


def test_files_that_are_no_videos_are_not_listed(tmp_path: Path) -> None:
    root = touch(
        tmp_path, "a/1.mp4", "a/2.mp4", "a/notes.txt", "a/._1.mp4", ".git/x.mp4", "b/1.mp4", "b/2.mp4"
    )
    assert sorted(sides(root)) == ["a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4"]


def test_the_hash_split_is_about_a_third_of_each_class_and_always_the_same() -> None:
    videos = [(f"{label}{n}", label) for label in "abc" for n in range(20)]
    test = hash_split(videos)
    assert {label: sum(name[0] == label for name in test) for label in "abc"} == {"a": 6, "b": 6, "c": 6}
    assert hash_split(videos[::-1]) == test


def test_the_hash_split_keeps_groups_together_and_classes_on_both_sides(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{n}.mp4" for label in "abc" for n in range(9)))
    rows = [f"{label}/{n}.mp4,{label},P{n // 3}" for label in "abc" for n in range(9)]
    (tmp_path / "groups.csv").write_text("path,label,group\n" + "\n".join(rows))
    listing = list_folder(tmp_path)
    test = [video for video in listing.videos if video.split == "test"]
    assert len({video.group for video in test}) == 1
    assert {video.label for video in test} == {"a", "b", "c"}


def test_a_table_gives_labels_groups_and_sides(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "x/2.mp4")
    (tmp_path / "videos.csv").write_text(
        "\ufeffPath, LABEL ,Split,note,Group\n./1.mp4, 0 ,Train,hi,\n\nx\\2.mp4,1,TEST,,P2\n",
        encoding="utf-8",
    )
    listing = list_folder(tmp_path)
    assert listing.split_name == "listed"
    assert [(v.id, v.label, v.split, v.group) for v in listing.videos] == [
        ("1.mp4", "0", "train", None),
        ("x/2.mp4", "1", "test", "P2"),
    ]


def test_test_groups_overrule_the_split_column(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "mine.csv").write_text("path,label,group,split\n1.mp4,a,P1,train\n2.mp4,a,P2,train\n")
    options = {"csv": tmp_path / "mine.csv", "test_groups": ("P2",)}
    assert sides(tmp_path, **options) == {"1.mp4": "train", "2.mp4": "test"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "path,class\n1.mp4,a\n",
            r"videos\.csv, line 1: there is no column label. The header has path, class",
        ),
        ("", r"line 1: there is no column path or label. The header has nothing"),
        ("path,label\n", "no videos are listed"),
        ("path,label\n1.mp4,\n", "line 2: the label is empty"),
        ("path,label\n1.mp4\n", "line 2: 1 values for 2 columns"),
        ("path,label\n1.mp4,a\n../1.mp4,a\n", r"line 3: \.\./1\.mp4 lies outside"),
        ("path,label\n/1.mp4,a\n", "line 2: /1.mp4 lies outside"),
        ("path,label\ngone.mp4,a\n", r"line 2: there is no file gone\.mp4"),
        ("path,label\n1.mp4,a\n./1.mp4,b\n", r"line 3: 1\.mp4 is already on line 2"),
        ("path,label,split\n1.mp4,a,vla\n", "line 2: the split is 'vla'"),
        ("path,label\n1.mp4,a,b\n", "line 2: 3 values for 2 columns"),
        ("path,label,split\n1.mp4,a\n", "line 2: 2 values for 3 columns"),
        ("path,label,group\n\n1.mp4,a\n", "line 3: 2 values for 3 columns"),
        ('path,label\n"1.mp4,a\n', "line 2: unexpected end of data"),
    ],
)
def test_a_bad_table_is_refused_by_line(table: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4")
    (tmp_path / "videos.csv").write_text(table)
    with pytest.raises(DatasetError, match=message):
        list_folder(tmp_path)


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_bytes(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(DatasetError, match="not UTF-8"):
        list_folder(tmp_path)


def test_two_tables_ask_for_a_choice(tmp_path: Path) -> None:
    touch(tmp_path, "groups.csv", "videos.csv")
    with pytest.raises(DatasetError, match=r"holds groups\.csv and videos\.csv"):
        list_folder(tmp_path)


def test_an_unknown_test_group_is_named_with_those_there_are(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4")
    with pytest.raises(DatasetError, match=r"No group P3\. No groups are given"):
        list_folder(tmp_path, test_groups=("P3",))
    (tmp_path / "groups.csv").write_text("path,label,group\na/1.mp4,a,P1\nb/1.mp4,b,P2\n")
    with pytest.raises(DatasetError, match=r"No group P3\. There are P1, P2\."):
        list_folder(tmp_path, test_groups=("P3",))


def test_a_folder_without_class_folders_says_what_to_do(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4")
    with pytest.raises(DatasetError, match="folder named for its class"):
        list_folder(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        list_folder(tmp_path / "gone")
