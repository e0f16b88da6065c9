"""Whatever a scan sees is taken, or counted by the reason why not."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datasets.test_folders import touch
from tests.videos import write_video
from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets import load_dataset
from vcp_core.datasets.folders import Listing, list_folder
from vcp_core.datasets.suffixes import SUFFIXES

NOBODY = 65534  # the account without rights, of every Linux


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of two videos each."""
    return touch(tmp_path / "set", "a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4")


def passed(listing: Listing) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {files.reason: (files.count, files.examples) for files in listing.not_taken}


def ids(listing: Listing) -> list[str]:
    return [video.id for video in listing.videos]


TAKEN = ["a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4"]


def told(listing: Listing, words: str) -> bool:
    return any(words in warning for warning in listing.warnings)


def test_a_clean_folder_has_nothing_to_tell(root: Path) -> None:
    listing = list_folder(root)
    assert (ids(listing), listing.not_taken, listing.warnings) == (TAKEN, (), ())


def test_every_suffix_of_the_list_is_taken_in_any_case_of_letters(root: Path) -> None:
    for suffix in SUFFIXES:
        touch(root, f"a/small{suffix}", f"b/LARGE{suffix.upper()}")
    assert len(ids(list_folder(root))) == 4 + 2 * len(SUFFIXES)


def test_a_suffix_that_is_no_videos_is_counted_and_added_on_demand(root: Path) -> None:
    touch(root, "a/3.xyz", "a/4.XYZ", "c/1.xyz", "c/2.xyz", "b/note.txt")
    listing = list_folder(root)
    assert ids(listing) == TAKEN
    assert passed(listing) == {
        "the suffix .xyz is not a video's": (4, ("a/3.xyz", "a/4.XYZ", "c/1.xyz")),
        "the suffix .txt is not a video's": (1, ("b/note.txt",)),
        "a class folder without videos": (1, ("c",)),
    }
    assert told(listing, "If they are videos, add --suffix .xyz.")
    assert told(listing, "No video is taken from 1 class folder: c (2 files (the suffix .xyz is not")
    assert not told(listing, ".txt")
    for spelling in (".xyz", "xyz", ".XYZ"):
        assert len(ids(list_folder(root, suffixes=[spelling]))) == 8


@pytest.mark.parametrize("suffix", ["", ".", "a/b", ".a b", ".\udce9"])
def test_what_can_be_no_suffix_is_refused(suffix: str, root: Path) -> None:
    with pytest.raises(DatasetError, match="is not a suffix of files"):
        list_folder(root, suffixes=[suffix])


def test_names_without_a_suffix_are_told_and_texts_beside_videos_are_not(root: Path) -> None:
    touch(root, "a/dQw4w9WgXcQ", "a/v_g01.0042", "a/README", "LICENSE")
    listing = list_folder(root)
    assert passed(listing) == {
        "the name has no suffix": (2, ("a/dQw4w9WgXcQ", "a/v_g01.0042")),
        "a text beside the videos, such as README": (2, ("LICENSE", "a/README")),
    }
    assert told(listing, "Give videos a suffix")
    assert not told(listing, "README")


def test_what_systems_leave_beside_videos_is_counted_without_a_warning(root: Path) -> None:
    touch(
        root, "a/._1.mp4", "._a", "a/.DS_Store", ".git/config", "__MACOSX/a/._1.mp4", "a/@eaDir/1.mp4/x.jpg"
    )
    listing = list_folder(root)
    assert ids(listing) == TAKEN
    assert passed(listing) == {
        "an AppleDouble file of a Mac (._name)": (2, ("._a", "a/._1.mp4")),
        "hidden (the name begins with a dot)": (2, (".git", "a/.DS_Store")),
        "a folder that the operating system made": (2, ("__MACOSX", "a/@eaDir")),
    }
    assert not listing.warnings


def test_links_to_files_and_folders_are_followed(root: Path, tmp_path: Path) -> None:
    touch(tmp_path / "store", "3.mp4", "more/4.mp4", "c/1.mp4", "c/2.mp4")
    (root / "a" / "linked.mp4").symlink_to(tmp_path / "store" / "3.mp4")
    (root / "a" / "deep").symlink_to(tmp_path / "store" / "more")
    (root / "c").symlink_to(tmp_path / "store" / "c")
    listing = list_folder(root)
    assert ids(listing) == sorted([*TAKEN, "a/deep/4.mp4", "a/linked.mp4", "c/1.mp4", "c/2.mp4"])
    assert not listing.not_taken


def test_links_that_lead_nowhere_or_back_are_counted_and_not_followed(root: Path) -> None:
    (root / "a" / "gone.mp4").symlink_to("/nowhere/gone.mp4")
    (root / "a" / "itself.mp4").symlink_to("itself.mp4")
    (root / "a" / "deep").mkdir()
    (root / "a" / "deep" / "up").symlink_to("..")
    (root / "a" / "deep" / "top").symlink_to(root)
    listing = list_folder(root)
    assert ids(listing) == TAKEN
    assert passed(listing) == {
        "a broken link": (2, ("a/gone.mp4", "a/itself.mp4")),
        "a link to a folder above it": (2, ("a/deep/top", "a/deep/up")),
    }
    assert told(listing, "2 files, for example a/gone.mp4 (a broken link). Mend the links.")


def test_a_folder_that_a_class_holds_twice_is_read_once_and_by_its_real_name(root: Path) -> None:
    touch(root, "a/z real/3.mp4")
    (root / "a" / "alias").symlink_to("z real")
    (root / "a" / "y").mkdir()
    (root / "a" / "y" / "other").symlink_to("../z real")
    listing = list_folder(root)
    assert ids(listing) == ["a/1.mp4", "a/2.mp4", "a/z real/3.mp4", "b/1.mp4", "b/2.mp4"]
    assert passed(listing) == {
        "a link to a folder that is read already": (2, ("a/alias", "a/y/other")),
    }


def test_many_folders_that_link_to_each_other_end_soon(root: Path) -> None:
    names = [f"n{number}" for number in range(12)]
    for name in names:
        touch(root, f"a/{name}/{name}.mp4")
        for other in names:
            if other != name:
                (root / "a" / name / other).symlink_to(f"../{other}")
    listing = list_folder(root)
    assert len(ids(listing)) == 4 + 12
    assert sum(files.count for files in listing.not_taken) == 12 * 11


def test_what_is_no_regular_file_is_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "a" / "pipe.mp4")
    monkeypatch.chdir(root / "a")  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.mp4")
        listing = list_folder(root)
    assert passed(listing) == {"not a regular file": (2, ("a/pipe.mp4", "a/socket.mp4"))}


def test_videos_beside_the_class_folders_are_told(root: Path) -> None:
    listing = list_folder(touch(root, "loose.mp4"))
    assert passed(listing) == {"a video beside the class folders": (1, ("loose.mp4",))}
    assert told(listing, "loose.mp4 (a video beside the class folders). It has no class")


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A dataset's folder that every account can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield touch(folder / "set", "a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4", "b/locked/3.mp4", "c/1.mp4")
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")
def test_folders_that_may_not_be_read_are_told(open_root: Path) -> None:
    (open_root / "b" / "locked").chmod(0o700)
    (open_root / "c").chmod(0o700)
    os.seteuid(NOBODY)
    try:
        listing = list_folder(open_root)
    finally:
        os.seteuid(0)
    assert ids(listing) == TAKEN
    assert passed(listing)["cannot be read (permission denied)"] == (2, ("b/locked", "c"))
    assert told(listing, "Ask for the right to read them.")
    assert told(listing, "c (1 file (cannot be read (permission denied)))")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")
def test_a_dataset_folder_that_may_not_be_read_is_refused(open_root: Path) -> None:
    for locked, given in ((open_root, open_root), (open_root.parent, open_root)):
        locked.chmod(0o700)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(DatasetError, match="permission denied"):
                load_dataset(given)
        finally:
            os.seteuid(0)


def raw(root: Path, name: bytes) -> None:
    """A file whose name is these bytes."""
    path = os.fsencode(root) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(os.fsdecode(path)).touch()


def test_names_that_are_not_utf8_are_left_out_by_name(root: Path) -> None:
    raw(root, b"a/caf\xe9.mp4")
    raw(root, b"caf\xe9/1.mp4")
    raw(root, b"caf\xe9/2.mp4")
    raw(root, b"a/caf\xe9.txt")
    listing = list_folder(root)
    assert ids(listing) == TAKEN
    assert passed(listing) == {
        "the name is not UTF-8": (3, (r"a/caf\xe9.mp4", r"caf\xe9/1.mp4", r"caf\xe9/2.mp4")),
        "the suffix .txt is not a video's": (1, (r"a/caf\xe9.txt",)),
        "a class folder without videos": (1, (r"caf\xe9",)),
    }
    assert told(listing, r"a/caf\xe9.mp4 (the name is not UTF-8). Rename them.")
    assert told(listing, r"caf\xe9 (2 files (the name is not UTF-8))")


def test_a_dataset_in_a_folder_whose_name_is_not_utf8_loads_and_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    for seed in range(4):
        write_video(folder / "ab"[seed % 2] / f"{seed}.mp4", 10, seed=seed)
    dataset = load_dataset(folder)
    assert dataset.name == r"caf\xe9"
    assert type(dataset).from_json(dataset.to_json().encode().decode()) == dataset
    "\n".join(dataset.source).encode()
    with pytest.raises(DatasetError, match=r"There is no folder .*caf\\xe9/gone"):
        load_dataset(folder / "gone")


def test_names_with_ends_of_lines_are_taken_and_shown_on_one_line(root: Path) -> None:
    listing = list_folder(
        touch(root, "a/two\nlines.mp4", "a/two\nlines.xyz", "new\nclass/1.mp4", "new\nclass/2.mp4")
    )
    assert "a/two\nlines.mp4" in ids(listing)
    assert passed(listing)["the suffix .xyz is not a video's"] == (1, (r"a/two\nlines.xyz",))
    assert all("\n" not in warning for warning in listing.warnings)


def test_class_folders_in_two_unicode_forms_are_one_class(root: Path) -> None:
    listing = list_folder(touch(root, "caf\u00e9/1.mp4", "cafe\u0301/2.mp4"))
    assert {video.label for video in listing.videos} == {"a", "b", "caf\u00e9"}
    assert told(listing, "differ in their Unicode form only and are one class: caf\u00e9")


def test_two_files_that_look_alike_are_refused_with_their_characters_shown(root: Path) -> None:
    touch(root, "a/caf\u00e9.mp4", "a/cafe\u0301.mp4")
    with pytest.raises(DatasetError, match=r"'a/cafe\\u0301\.mp4' and 'a/caf\\xe9\.mp4' \(1 such pair\)"):
        list_folder(root)
    (root / "videos.csv").write_text("path,label\na/caf\u00e9.mp4,a\na/cafe\u0301.mp4,b\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="names that look alike"):
        list_folder(root)


@pytest.mark.parametrize(
    ("one", "other"), [("Jump", "jump"), ("high jump", "high_jump"), ("jump ", "jump"), ("\uff2aump", "jump")]
)
def test_classes_that_seem_to_be_one_in_two_spellings_are_told(one: str, other: str, root: Path) -> None:
    touch(root, *(f"{label}/{n}.mp4" for label in (one, other) for n in range(2)))
    listing = list_folder(root)
    assert {video.label for video in listing.videos} == {"a", "b", one, other}
    assert told(listing, f"{' and '.join(sorted((one, other)))}. They are counted as different classes.")


def test_classes_with_other_digits_or_words_are_no_spellings_of_one(root: Path) -> None:
    touch(root, *(f"{label}/{n}.mp4" for label in ("1_1", "11", "handstand", "hand stand") for n in range(2)))
    assert not list_folder(root).warnings


def test_what_was_not_taken_is_said_where_a_class_is_on_one_side_only(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/1.mp4", "test/b/1.xyz")
    with pytest.raises(DatasetError, match=r"train only: b.*add --suffix \.xyz"):
        load_dataset(root)
