"""The names of the training, validation and test side of a dataset, and which sides are used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Side = Literal["train", "val", "test"]

SPELLINGS: dict[Side, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validate", "validation", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing"),
}
AFFIXES = ("set", "split", "subset", "video", "videos", "clips", "data")  # before or after one of the words
_SIDES = {word: side for side, words in SPELLINGS.items() for word in words}
_AFFIX = "|".join(sorted(AFFIXES, key=len, reverse=True))
_NAME = re.compile(rf"(?:{_AFFIX})?(?P<word>{'|'.join(sorted(_SIDES, key=len, reverse=True))})(?:{_AFFIX})?")


def side_of(name: str) -> Side | None:
    """Recognise the side in a folder's name or a table's word; None if it names no side.

    Case does not matter. Blanks, full stops, `-` and `_` are ignored.

    >>> side_of("Training"), side_of("videos_val"), side_of("TestSet"), side_of("trainer")
    ('train', 'val', 'test', None)
    """
    match = _NAME.fullmatch(re.sub(r"[\s._-]+", "", name.casefold()))
    return _SIDES[match["word"]] if match else None


def test_side(present: Iterable[Side]) -> Side:
    """Choose the side that is tested on: the test side, or the validation side if there is no test side.

    >>> test_side(["train", "val"])
    'val'
    """
    return "test" if "test" in present else "val"
