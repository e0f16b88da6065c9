"""Tables as spreadsheets and scripts write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets.test_folders import touch
from tests.datasets.test_text import WRITERS
from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets.folders import list_folder
from vcp_core.datasets.tables import Row, read_table


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset's folder with two files in it."""
    folder = tmp_path / "my clips"
    for name in ("jump/0.mp4", "run/1.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def rows(root: Path, text: str | bytes) -> list[Row]:
    table = root.parent / "table.csv"
    table.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(table, root)


def ids(root: Path, text: str | bytes) -> list[tuple[str, str]]:
    return [(row.id, row.label) for row in rows(root, text)]


BOTH = [("jump/0.mp4", "jump"), ("run/1.mp4", "run")]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_table_of_every_editor_reads_the_same(writer: str, root: Path) -> None:
    assert ids(root, WRITERS[writer]("Path,LABEL\njump/0.mp4,jump\nrun/1.mp4,run\n")) == BOTH


@pytest.mark.parametrize(
    "table",
    [
        "path;label\njump/0.mp4;jump\nrun/1.mp4;run\n",
        "path\tlabel\njump/0.mp4\tjump\nrun/1.mp4\trun\n",
        "sep=;\npath;label\njump/0.mp4;jump\nrun/1.mp4;run\n",
        '"path";"label"\n"jump/0.mp4";"jump"\n"run/1.mp4";"run"\n',
        "path,label,,\njump/0.mp4,jump,,\nrun/1.mp4,run,,\n,,,\n",
        "path,label\njump/0.mp4,jump,,\nrun/1.mp4,run\n",
        "label|path\njump|jump/0.mp4\nrun|run/1.mp4\n",
        "path,label\n.\\jump\\0.mp4,jump\nrun\\1.mp4,run",
    ],
)
def test_what_spreadsheets_export_is_understood(table: str, root: Path) -> None:
    assert ids(root, table) == BOTH


def test_a_comma_in_a_name_stays_where_semicolons_divide(root: Path) -> None:
    (root / "a, b.mp4").touch()
    assert ids(root, "path;label\na, b.mp4;high, jump\n") == [("a, b.mp4", "high, jump")]


def test_a_line_is_counted_with_the_one_that_names_the_separator(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"table\.csv, line 3: the label is empty"):
        rows(root, "sep=;\npath;label\njump/0.mp4;\n")


def test_a_column_that_is_there_twice_is_refused(root: Path) -> None:
    with pytest.raises(DatasetError, match="line 1: the column label is there twice"):
        rows(root, "path,label,Label\njump/0.mp4,jump,run\n")


def test_an_absolute_path_into_the_folder_is_understood(root: Path) -> None:
    assert ids(root, f"path,label\n{root}/jump/0.mp4,jump\n{root}//run/./1.mp4,run\n") == BOTH


def test_an_absolute_path_through_a_link_is_understood_in_both_directions(root: Path) -> None:
    alias = root.parent / "alias"
    alias.symlink_to(root)
    assert ids(root, f"path,label\n{alias}/jump/0.mp4,jump\n{root}/run/1.mp4,run\n") == BOTH
    assert ids(alias, f"path,label\n{alias}/jump/0.mp4,jump\n{root}/run/1.mp4,run\n") == BOTH


def test_a_relative_dataset_folder_takes_absolute_paths(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    assert ids(Path(root.name), f"path,label\n{root}/jump/0.mp4,jump\n{root}/run/1.mp4,run\n") == BOTH


def test_a_class_folder_that_is_a_link_keeps_its_place_in_an_absolute_path(root: Path) -> None:
    (root.parent / "store").mkdir()
    (root.parent / "store" / "2.mp4").touch()
    (root / "sit").symlink_to(root.parent / "store")
    assert ids(root, f"path,label\n{root}/sit/2.mp4,sit\n") == [("sit/2.mp4", "sit")]


def test_a_path_of_windows_is_found_by_the_name_of_the_dataset_folder(root: Path) -> None:
    assert ids(root, "path,label\nD:\\work\\my clips\\jump\\0.mp4,jump\n") == BOTH[:1]
    with pytest.raises(DatasetError, match=r"line 2: .*lies outside the dataset's folder"):
        rows(root, "path,label\nD:\\work\\others\\jump\\0.mp4,jump\n")


def test_an_absolute_path_elsewhere_lies_outside_even_where_the_file_exists(root: Path) -> None:
    (root.parent / "0.mp4").touch()
    with pytest.raises(DatasetError, match=r"line 2: .*0\.mp4 lies outside the dataset's folder"):
        rows(root, f"path,label\n{root.parent}/0.mp4,jump\n")


def test_one_file_by_an_absolute_and_a_relative_path_is_listed_twice(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 3: jump/0\.mp4 is already on line 2"):
        rows(root, f"path,label\njump/0.mp4,jump\n{root}/jump/0.mp4,jump\n")


def test_names_and_labels_in_two_unicode_forms_are_one(root: Path) -> None:
    (root / "cafe\u0301.mp4").touch()
    found = ids(root, "path,label\ncaf\u00e9.mp4,the\u0301\njump/0.mp4,th\u00e9\n")
    assert found == [("cafe\u0301.mp4", "th\u00e9"), ("jump/0.mp4", "th\u00e9")]


def test_a_group_in_two_unicode_forms_is_one_and_stays_on_one_side(root: Path) -> None:
    (root / "videos.csv").write_text(
        "path,label,group\njump/0.mp4,jump,Ren\u00e9e\nrun/1.mp4,run,Rene\u0301e\n", encoding="utf-8"
    )
    listing = list_folder(root, test_groups=["Rene\u0301e"])
    assert [(video.group, video.split) for video in listing.videos] == [("Ren\u00e9e", "test")] * 2


def test_a_path_too_long_for_any_file_is_no_file(root: Path) -> None:
    with pytest.raises(DatasetError, match="line 2: there is no file"):
        rows(root, f"path,label\n{'x' * 300}.mp4,jump\n")


def test_a_table_is_picked_up_in_any_case_of_letters(root: Path) -> None:
    (root / "Groups.CSV").write_text("path,label,group\njump/0.mp4,jump,P1\nrun/1.mp4,run,P2\n")
    assert [video.group for video in list_folder(root, test_groups=["P2"]).videos] == ["P1", "P2"]


def test_files_beside_those_that_a_table_lists_are_counted(root: Path) -> None:
    (root / "run" / "more.mp4").touch()
    (root / "run" / "more.txt").touch()
    (root / "sit" / "deep").mkdir(parents=True)
    (root / "sit" / "deep" / "2.mp4").touch()
    (root / "videos.csv").write_text("path,label,split\njump/0.mp4,jump,train\nrun/1.mp4,run,test\n")
    listing = list_folder(root)
    assert {files.reason: files.examples for files in listing.not_taken} == {
        "not listed in videos.csv": ("run/more.mp4",),
        "the suffix .txt is not a video's": ("run/more.txt",),
        "a folder that leads to no listed video": ("sit",),
    }
    assert not listing.warnings


@pytest.mark.parametrize(
    ("words", "sides", "unused"),
    [
        (("Training", "Validation"), ["train", "test"], 0),
        (("train", "TEST"), ["train", "test"], 0),
        (("train", "testing", "val"), ["train", "test"], 1),
    ],
)
def test_the_sides_of_a_table_have_the_spellings_of_folders(
    words: tuple[str, ...], sides: list[str], unused: int, root: Path
) -> None:
    for name in "abc":
        (root / f"{name}.mp4").touch()
    lines = [f"{name}.mp4,x,{word}" for name, word in zip("abc", words, strict=False)]
    (root / "videos.csv").write_text("path,label,split\n" + "\n".join(lines))
    listing = list_folder(root)
    assert [video.split for video in listing.videos] == sides
    reasons = {files.reason: files.count for files in listing.not_taken}
    assert reasons.get("on the validation side, which is not used where there is a test side", 0) == unused
    assert any("validation side" in warning for warning in listing.warnings) == (words[1:] != ("TEST",))


def test_a_suffix_and_a_table_do_not_go_together(root: Path) -> None:
    (root / "videos.csv").write_text("path,label\njump/0.mp4,jump\nrun/1.mp4,run\n")
    with pytest.raises(DatasetError, match=r"videos\.csv lists the videos, so suffixes do not matter"):
        list_folder(root, suffixes=[".xyz"])


def test_what_a_table_lists_is_not_counted_as_not_taken(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/1.xyz", "a/2", "b/.3.mp4", "b/4.mp4", "b/5.xyz")
    (root / "videos.csv").write_text("path,label\na/1.xyz,a\na/2,a\nb/.3.mp4,b\nb/4.mp4,b\n")
    assert {files.reason for files in list_folder(root).not_taken} == {"the suffix .xyz is not a video's"}
