"""Lists and tables as editors, spreadsheets and other systems write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets.text import read_text

WORDS = "path,label\n1 café.mp4,jump\n2.mp4,走る\n"

WRITERS: dict[str, Callable[[str], bytes]] = {
    "utf-8": lambda text: text.encode(),
    "Windows: CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "old Mac: CR": lambda text: text.replace("\n", "\r").encode(),
    "Notepad: UTF-8 with a mark": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "Notepad: UTF-16": lambda text: b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 of the other order": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 of the other order without a mark": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: b"\xff\xfe\0\0" + text.encode("utf-32-le"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_text_of_every_editor_reads_the_same(writer: str, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(WRITERS[writer](WORDS))
    assert read_text(file, what="list") == WORDS


def test_a_separator_of_lines_within_a_name_is_no_end_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("a\u2028b\x0b.mp4\nc\x85d.mp4", encoding="utf-8")
    assert read_text(file, what="list").split("\n") == ["a\u2028b\x0b.mp4", "c\x85d.mp4"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"one\r\ntwo\rcaf\xe9.mp4\n", r"list\.txt, line 3: not UTF-8 text \(byte 0xe9\)"),
        (b"one\ntwo\0\n", r"list\.txt, line 2 has a NUL byte"),
        (b"\xff\xfea\0\n\0\0\xd8a\0", r"list\.txt, line 2: not UTF-8 text"),
    ],
)
def test_what_is_not_text_is_refused_by_line(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=says):
        read_text(tmp_path / "list.txt", what="list")


def test_an_empty_file_is_empty_text_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.txt").touch()
    assert read_text(tmp_path / "list.txt", what="list") == ""
    with pytest.raises(DatasetError, match=r"gone\.txt: the list cannot be read \(no such file"):
        read_text(tmp_path / "gone.txt", what="list")
