from __future__ import annotations

import json
from pathlib import Path

import pytest

from vcp_core.catalog.names import OnDisk, is_utf8, one_form, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.mp4", "plain name.mp4"),
        ("café 走る 👩\u200d🚀.mp4", "café 走る 👩\u200d🚀.mp4"),
        ("caf\udce9.mp4", r"caf\xe9.mp4"),
        ("two\nlines\t\x1b[31m\x7f\x85.mp4", r"two\nlines\t\x1b[31m\x7f\x85.mp4"),
        ("gpj\u202e4pm.exe", r"gpj\u202e4pm.exe"),
        ("a\u2028b", r"a\u2028b"),
        ("lone \ud800 surrogate", r"lone \ud800 surrogate"),
    ],
)
def test_what_a_terminal_cannot_take_is_escaped_and_all_else_stays(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert json.loads(json.dumps(printable(name)).encode()) == shown


def test_ends_of_lines_stay_where_the_words_around_a_name_have_them() -> None:
    assert printable("seen:\n  caf\udce9\t", keep="\n") == "seen:\n  caf\\xe9\\t"


def test_bytes_that_are_no_utf8_show_as_surrogates() -> None:
    assert is_utf8("café")
    assert not is_utf8("caf\udce9")


def test_a_listed_name_finds_its_file_in_whatever_unicode_form_it_lies_on_disk(tmp_path: Path) -> None:
    decomposed, composed = "cafe\u0301", "caf\u00e9"
    (tmp_path / decomposed).mkdir()
    (tmp_path / decomposed / f"{decomposed}.mp4").touch()
    disk = OnDisk(tmp_path)
    on_disk = f"{decomposed}/{decomposed}.mp4"
    assert disk.find(f"{composed}/{composed}.mp4") == on_disk
    assert disk.find(f"{composed}/{decomposed}.mp4") == on_disk
    assert disk.find(on_disk) == on_disk
    assert disk.find(f"{composed}/gone.mp4") == f"{composed}/gone.mp4"
    assert disk.find("plain.mp4") == "plain.mp4"
    assert one_form(decomposed) == composed
