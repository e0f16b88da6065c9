"""Files that are whole or not there, and whether they could be."""

from __future__ import annotations

from pathlib import Path

import pytest

from vcp_core.catalog.errors import StorageError
from vcp_core.catalog.files import refuse_unwritable


def test_a_file_whose_folders_can_be_made_is_let_pass_and_nothing_is_made(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("as it was")
    refuse_unwritable(there)
    refuse_unwritable(tmp_path / "a" / "b" / "c.json")
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]
    assert there.read_text() == "as it was"


def test_a_folder_and_what_is_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written: Is a directory\."):
        refuse_unwritable(tmp_path)
    for below in ("file/a.json", "file/a/b.json"):
        with pytest.raises(StorageError, match=rf"{below} cannot be written: Not a directory\."):
            refuse_unwritable(tmp_path / below)


def test_a_place_that_takes_no_files_is_refused() -> None:
    with pytest.raises(StorageError, match=r"/proc/a\.json cannot be written: "):
        refuse_unwritable(Path("/proc/a.json"))
