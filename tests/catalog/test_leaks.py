"""Declared pretraining data against the split that a model is tested on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import SHARED, needs_shared
from vcp_core.catalog.leaks import declaration, declared, leak_warnings
from vcp_core.datasets import hmdb51, ucf101

FINGERPRINT = "ab" * 32


def warned(
    pretrained_on: str | None,
    dataset: str = "ucf101",
    split: str = "1",
    origin: dict[str, object] | None = None,
    own_name: str | None = None,
) -> tuple[str, ...]:
    return leak_warnings(
        pretrained_on,
        dataset=dataset,
        split=split,
        fingerprint=FINGERPRINT,
        origin=origin,
        own_name=own_name,
    )


def origin(dataset: str, split: str, fingerprint: str = "cd" * 32) -> dict[str, object]:
    return {"dataset": dataset, "dataset_split": split, "dataset_fingerprint": fingerprint}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "none",
        "random weights",
        "kinetics400",
        "hmdb51",
        "ucf101:1",
        "UCF101 split 1",
        "UCF-101 (split 01)",
        "UCF101 Split 1",
        "ucf101_split1",
        "UCF101-split-1",
        "ucf101:1, 20bn-jester",
        "Kinetics-400, ucf101:1",
        FINGERPRINT,
        FINGERPRINT.upper(),
        "cd" * 32,
    ],
)
def test_other_data_and_the_training_side_of_the_same_split_are_no_leak(text: str | None) -> None:
    assert warned(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "ucf101:2",
        "UCF101 split 2",
        "ucf-101 (split 2)",
        "kinetics400; ucf101:02",
        "ucf101_split2",
        "ucf101-split2",
        "ucf101:1,2",
        "UCF101 split 1, split 2",
        "UCF101 (splits 1, 2), hmdb51:3",
    ],
)
def test_another_splits_training_side_is_flagged(text: str) -> None:
    (said,) = warned(text)
    assert "of ucf101, which holds test videos of split 1" in said


@pytest.mark.parametrize("text", ["ucf101", "UCF-101", "kinetics400 + UCF101"])
def test_a_dataset_without_a_split_is_flagged_as_open(text: str) -> None:
    (said,) = warned(text, split="3")
    assert "does not say on which split's training side" in said
    assert "may hold test videos of split 3" in said


def test_each_entry_is_looked_at() -> None:
    assert len(warned("ucf101:1, ucf101:2, ucf101:3, hmdb51")) == 2


@pytest.mark.parametrize("text", ["ucf101:1,2,3", "ucf101:1+2+3", "UCF101 splits 1; 2; 3, kinetics400"])
def test_numbers_after_a_name_and_its_split_are_splits_of_that_name(text: str) -> None:
    assert [one.split for one in declared(text) if one.name == "ucf101"] == ["1", "2", "3"]
    assert len(warned(text)) == 2
    assert warned(text, "hmdb51") == ()


@pytest.mark.parametrize(
    "text",
    [
        "UCF101 train+test",
        "UCF101 test",
        "UCF101 (all videos)",
        "UCF101 full",
        "UCF101 and HMDB51",
        "ucf101 splits 1-3",
        "ucf101 trainlist02",
        "Kinetics-400 -> UCF101",
        "Kinetics-400 and UCF101 split 1",
        "kinetics400:ucf101",
        "ucf101-2",
        "ucf101:1, 2 and 3",
        "ucf101:1-3",
        "ucf101:all",
    ],
)
def test_what_is_not_understood_and_holds_the_datasets_name_may_hold_its_test_videos(text: str) -> None:
    (said,) = warned(text)
    assert "test videos of split 1" in said
    assert "ucf101" in said


@given(before=st.text(), after=st.text(), ending=st.sampled_from(["", ":1", " split 1", ":1,2"]))
def test_nothing_around_a_name_silences_it(before: str, after: str, ending: str) -> None:
    separators = str.maketrans(dict.fromkeys(",;+:"))
    before, after = before.translate(separators), after.translate(separators)
    extra = any(letter.isalnum() for letter in (before + after).casefold())
    assert bool(warned(f"{before}UCF-101{after}{ending}")) == (extra or ending in ("", ":1,2"))


@pytest.mark.parametrize("trained", ["playground-64", "playground-344:1", "playground-64 split 1"])
def test_a_known_dataset_named_after_the_one_tested_on_is_another(trained: str) -> None:
    assert warned(trained, "playground") == ()
    assert warned(f"more than {trained}", "playground")


@pytest.mark.parametrize(("trained", "tested"), [("hmdb51", "hmdb"), ("ucf101:2", "ucf")])
def test_a_dataset_named_after_a_known_one_may_be_part_of_it(trained: str, tested: str) -> None:
    assert warned(trained, tested)


def test_a_folder_whose_name_looks_like_a_split_is_known_by_its_name() -> None:
    for name in ("clips-split2", "ucf101-split2"):
        assert warned(name, name, "hash")
        assert warned(f"{name}:hash", name, "hash") == ()


def test_a_name_in_any_script_is_known() -> None:
    assert warned("Жесты", "жесты", "hash")
    assert warned("kinetics400", "жесты", "hash") == ()


def test_a_dataset_under_another_name_is_known_by_its_own_too() -> None:
    (said,) = warned("ucf101:1", "ucf101-2", "2", own_name="ucf101")
    assert "split 1 of ucf101, which holds test videos of split 2" in said
    (said,) = warned(None, "ucf101-2", "2", origin("ucf101", "1"), own_name="ucf101")
    assert "split 1 of ucf101, which holds test videos of split 2" in said
    (said,) = warned("ucf101-2:1", "ucf101-2", "2", own_name="ucf101")
    assert "split 1 of ucf101-2, which holds" in said
    for text in ("ucf101:2", "ucf101-2:2", "kinetics400"):
        assert warned(text, "ucf101-2", "2", own_name="ucf101") == ()


def test_a_dataset_of_the_users_own_is_known_by_its_name_or_its_fingerprint() -> None:
    assert warned("My Clips", dataset="my-clips")
    assert warned("my-clips:1", dataset="my-clips") == ()
    assert [one.fingerprint for one in declared(f"{FINGERPRINT},x")] == [FINGERPRINT, None]


@pytest.mark.parametrize(
    ("trained", "tested", "leaks"),
    [
        ("test groups P3", "test groups P4", True),
        ("test groups P3,P4", "test groups P4,P3", False),
        ("test groups P3,P4", "test groups P4", False),  # held out, and P3 with it
        ("test groups P4", "test groups P3,P4", True),
        ("test groups P3", "hash", True),
        ("hash", "hash", False),
        ("folders", "listed", True),
    ],
)
def test_splits_of_a_folder_are_compared_group_by_group(trained: str, tested: str, leaks: bool) -> None:
    texts = [f"clips:{trained}", f"Clips : {trained}; hmdb51", f"kinetics400, clips:{trained}, hmdb51:2"]
    for text in texts:
        assert bool(warned(text, "clips", tested)) == leaks, text
    for text in (None, f"clips:{trained}", "clips", "none"):
        if leaks:
            assert warned(text, "clips", tested, origin("clips", trained)), text
        assert warned(text, "clips", tested, origin("clips", trained, FINGERPRINT)) == (), text


def test_what_a_file_says_of_its_own_training_is_flagged_whatever_was_declared() -> None:
    own = origin("ucf101", "1")
    for text in (None, "none", "ucf101:1", "kinetics400"):
        (said,) = warned(text, split="2", origin=own)
        assert "split 1 of ucf101, which holds test videos of split 2" in said
    assert len(warned("ucf101:3", split="2", origin=own)) == 2


def test_the_same_name_and_split_with_other_videos_is_flagged() -> None:
    (said,) = warned(None, "clips", "hash", origin("clips", "hash"))
    assert "split hash of a clips with another fingerprint" in said
    assert warned(None, "clips", "hash", origin("other", "hash")) == ()


def test_a_name_that_holds_commas_and_colons_is_known_from_the_file_itself() -> None:
    strange = origin("a, b:c", "test groups x,y, z", FINGERPRINT)
    assert warned(declaration(strange), "a, b:c", "test groups x,y, z", strange) == ()
    (said,) = warned(declaration(strange), "a, b:c", "test groups w", {**strange, "dataset_fingerprint": "0"})
    assert "split test groups x,y, z of a, b:c" in said


@needs_shared
def test_other_splits_training_sides_do_hold_test_videos_in_the_official_lists() -> None:
    for reader in (ucf101, hmdb51):
        splits = {
            name: reader.read_split(SHARED / "splits" / reader.__name__.rpartition(".")[2], name)  # type: ignore[attr-defined]
            for name in ("1", "2", "3")
        }
        for own, videos in splits.items():
            tested = {video.id for video in videos if video.split == "test"}
            for other, theirs in splits.items():
                seen = tested & {video.id for video in theirs if video.split == "train"}
                assert bool(seen) == (own != other)


def test_a_finetuned_file_still_says_what_it_was_pretrained_on() -> None:
    finetuned = {**origin("hmdb51", "1"), "pretrained_on": "ucf101:1"}
    (said,) = warned(None, split="2", origin=finetuned)
    assert "training side of split 1 of ucf101" in said
    assert warned("hmdb51:1, ucf101:1", split="2", origin=finetuned) == (said,), "said twice, warned of once"
    assert warned(None, split="1", origin=finetuned) == ()
