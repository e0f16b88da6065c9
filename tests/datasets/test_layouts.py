"""Layouts of folders: sides in any usual spelling, and a drawing of what is not understood."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.datasets.test_folders import touch
from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets.folders import Listing, list_folder
from vcp_core.datasets.sides import side_of


def classes(*places: str, labels: str = "jump run sit", num: int = 2) -> list[str]:
    """Videos of each class below each place."""
    return [f"{place}{label}/{n}.mp4" for place in places for label in labels.split() for n in range(num)]


def counts(listing: Listing) -> dict[str, int]:
    assert {video.label for video in listing.videos} == {"jump", "run", "sit"}
    return dict(Counter(video.split for video in listing.videos))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        *((name, "train") for name in ("train", "Train", "TRAIN", "training", "trainingSet", "train_videos")),
        *((name, "train") for name in ("videos_train", "train-set", "Train Data", "train_split")),
        *(
            (name, "val")
            for name in ("val", "VAL", "valid", "Validation", "validate", "validationSet", "dev")
        ),
        *((name, "val") for name in ("videos_val", "eval", "Evaluation", "val.set", "validationSet")),
        *((name, "test") for name in ("test", "Test", "testing", "TestSet", "videos_test", "test_data")),
        *((name, None) for name in ("", "trainer", "tests of strength", "evaluate me", "contest", "value")),
        *((name, None) for name in ("set", "videos", "train1", "retrain", "device", "street train")),
    ],
)
def test_a_side_is_known_in_any_usual_spelling(name: str, side: str | None) -> None:
    assert side_of(name) == side


@pytest.mark.parametrize("train", ["train", "Training", "videos_train"])
@pytest.mark.parametrize("test", ["TEST", "testing", "test_set"])
def test_folders_of_sides_in_any_spelling_are_the_sides(train: str, test: str, tmp_path: Path) -> None:
    listing = list_folder(touch(tmp_path, *classes(f"{train}/"), *classes(f"{test}/", num=1)))
    assert (listing.split_name, counts(listing), listing.warnings) == ("folders", {"train": 6, "test": 3}, ())


@pytest.mark.parametrize("val", ["val", "Validation", "dev"])
def test_without_a_test_side_the_validation_side_is_tested_on_and_it_is_said(
    val: str, tmp_path: Path
) -> None:
    listing = list_folder(touch(tmp_path, *classes("train/"), *classes(f"{val}/", num=1)))
    assert counts(listing) == {"train": 6, "test": 3}
    assert listing.warnings[0].startswith("There is no test side: the 3 videos of the validation side are")


def test_with_three_sides_the_validation_side_is_counted_as_not_used(tmp_path: Path) -> None:
    root = touch(tmp_path, *classes("Train/"), *classes("val/", num=1), *classes("Test/"))
    listing = list_folder(root)
    assert counts(listing) == {"train": 6, "test": 6}
    (unused,) = listing.not_taken
    assert (unused.count, unused.examples[0]) == (3, "val/jump/0.mp4")
    assert unused.reason == "on the validation side, which is not used where there is a test side"
    assert listing.warnings == (
        "The 3 videos of the validation side are not used: the test side is tested on.",
    )


def test_a_test_side_without_classes_leaves_the_validation_side_to_test_on(tmp_path: Path) -> None:
    root = touch(tmp_path, *classes("train/", "val/"), "test/0001.mp4", "test/0002.mp4")
    listing = list_folder(root)
    assert counts(listing) == {"train": 6, "test": 6}
    assert [(files.reason, files.count) for files in listing.not_taken] == [
        ("on a side that has no class folders", 2)
    ]
    assert any("test/0001.mp4 (on a side that has no class folders)" in told for told in listing.warnings)


def test_what_lies_beside_the_folders_of_the_sides_is_told(tmp_path: Path) -> None:
    root = touch(tmp_path, *classes("train/", "test/"), "extra/jump/9.mp4", "train/loose.mp4", "notes.txt")
    listing = list_folder(root)
    assert counts(listing) == {"train": 6, "test": 6}
    assert {files.reason: files.examples for files in listing.not_taken} == {
        "beside the folders of the sides": ("extra/jump/9.mp4",),
        "a video beside the class folders": ("train/loose.mp4",),
        "the suffix .txt is not a video's": ("notes.txt",),
    }
    assert len(listing.warnings) == 2


def test_a_class_called_train_among_others_is_a_class_and_it_is_said(tmp_path: Path) -> None:
    root = touch(tmp_path, *classes("", labels="train bus car"))
    listing = list_folder(root)
    assert {video.label for video in listing.videos} == {"train", "bus", "car"}
    assert listing.warnings == (
        "The folder train is taken as a class, because it holds videos and no class folders.",
    )


def test_folders_that_all_classes_have_are_told_because_they_may_be_people(tmp_path: Path) -> None:
    root = touch(tmp_path, *classes("jump/", "run/", labels="P1 P2"))
    listing = list_folder(root)
    assert {video.label for video in listing.videos} == {"jump", "run"}
    (told,) = listing.warnings
    assert told.startswith("The class folders jump, run all hold folders called P1, P2.")


UNKNOWN = {
    "sides without classes": (
        ["train/1.mp4", "train/2.mp4", "val/3.mp4", "labels.csv"],
        ["train, val hold videos and no class folders", "    train/  2 videos\n    val/    1 video\n"],
    ),
    "sides without classes, and lists": (
        ["train/1.mp4", "test/3.mp4", "annotations/something-something-v2-train.json"],
        [
            "annotations/something-something-v2-train.json looks like a list of Something-Something v2",
            "write its rows to videos.csv",
        ],
    ),
    "class, side": (
        classes("jump/", "run/", labels="train test"),
        ["The sides lie within jump, run: the order is class, side.", "2 folders: test/, train/"],
    ),
    "a training side only": (
        classes("train/"),
        ["Class folders lie in train, and there is no test or val folder.", "the folder ROOT/train itself"],
    ),
    "a training side among classes": (
        [*classes("train/"), *classes("", labels="sit")],
        ["no test or val folder with class folders, but sit", "    sit/    2 videos\n"],
    ),
    "no training side": (
        classes("val/", "test/"),
        ["Class folders lie in test and val, and there is no train folder."],
    ),
    "one side twice": (
        classes("train/", "Train/", "test/"),
        ["Train and train are both the train side. Join them, or move one away."],
    ),
    "the sides, one level deeper": (
        classes("mine/train/", "mine/test/"),
        ["The dataset lies one level deeper, in mine. Give ROOT/mine."],
    ),
    "the classes, one level deeper": (
        [*classes("mine/"), "readme.txt"],
        ["There is one class only, mine", "If jump, run, sit are the classes, give the folder ROOT/mine."],
    ),
    "sides with a number": (
        classes("train_256/", "val_256/"),
        ["train_256, val_256 hold the class folders, and seem to be sides by their names."],
    ),
    "sides with a dataset's name": (
        classes("kinetics_train/", "kinetics-val/"),
        ["Rename them to train and test."],
    ),
    "parts": (
        classes("fold1/", "fold2/", "fold3/"),
        ["fold1, fold2, fold3 hold the class folders, and are no classes themselves."],
    ),
    "Diving48": (
        ["rgb/a_1.mp4", "rgb/b_1.mp4", "Diving48_V2_train.json"],
        ["There is one class only, rgb", "Diving48_V2_train.json looks like a list of Diving48"],
    ),
    "Kinetics": (
        ["videos/a_000001_000011.mp4", "annotations/kinetics_train.csv"],
        ["annotations/kinetics_train.csv looks like a list of Kinetics", "annotations/  1 other file (.csv)"],
    ),
    "UCF101 in other folders": (
        [*classes("videos/"), "annotations/trainlist01.txt"],
        ["annotations/trainlist01.txt is a list of UCF101: try ucf101:FOLDER-OF-THE-VIDEOS --lists"],
    ),
    "folders of pictures": (
        [f"{label}/{video}/{n:05d}.jpg" for label in ("jump", "run") for video in ("a", "b") for n in (1, 2)],
        ["8 files (the suffix .jpg is not a video's)", "Make a video file of each"],
    ),
    "videos without folders": (
        ["1.mp4", "2.mp4", "a.xyz"],
        ["no videos in class folders", "2 files (a video beside the class", "    1.mp4, 2.mp4, a.xyz\n"],
    ),
    "a name that must not reach a terminal": (
        ["only \x1b[31m/1.mp4", "only \x1b[31m/2.mp4"],
        [r"one class only, only \x1b[31m;", r"    only \x1b[31m/  2 videos"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_layout_that_is_not_known_is_refused_with_a_drawing(kind: str, tmp_path: Path) -> None:
    paths, says = UNKNOWN[kind]
    root = touch(tmp_path / "set", *paths)
    with pytest.raises(DatasetError) as caught:
        list_folder(root)
    message = str(caught.value)
    for words in (
        *says,
        "vcpbench saw:\n  set/\n",
        "vcpbench expects one of:\n",
        "    train/CLASS/video.mp4\n",
    ):
        assert words.replace("ROOT", str(root)) in message
    assert "\x1b" not in message


def test_an_empty_folder_is_drawn_as_empty(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(DatasetError, match=r"(?s)no videos in class folders.*set/\n    \(empty\)\n"):
        list_folder(tmp_path / "set")


def test_many_folders_are_drawn_in_a_few_lines(tmp_path: Path) -> None:
    root = touch(tmp_path, *(f"class{n}/{k}.jpg" for n in range(40) for k in range(20)))
    with pytest.raises(DatasetError, match="and 34 more folders") as caught:
        list_folder(root)
    assert len(str(caught.value).splitlines()) < 22


def test_lists_beside_class_folders_are_told_because_they_are_not_read(tmp_path: Path) -> None:
    listing = list_folder(touch(tmp_path, *classes(""), "splits/jump_test_split1.txt"))
    (told,) = listing.warnings
    assert told == (
        "splits/jump_test_split1.txt is a list of HMDB51: try hmdb51:FOLDER-OF-THE-VIDEOS --lists "
        "FOLDER-OF-THE-LISTS. The folders alone say which class and side a video has."
    )
