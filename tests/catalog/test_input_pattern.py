"""The regular expression of a declared input, against the parser that decides."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcp_core.catalog.errors import InputError
from vcp_core.catalog.inputs import EXAMPLE, PATTERN, InputSpec


@given(st.from_regex(PATTERN, fullmatch=True))
@settings(max_examples=50, deadline=None, database=None)
def test_every_text_of_the_pattern_is_an_input(text: str) -> None:
    assert is_an_input(text)


@pytest.mark.parametrize("word", ["frames={}", "stride={}", "crop={}", "resize={}x128", "resize=128x{}"])
def test_the_pattern_has_the_parsers_whole_numbers(word: str) -> None:
    for number in range(700):
        text = word.format(number)
        assert bool(re.search(PATTERN, text)) == is_an_input(text), text


def test_the_pattern_has_the_parsers_decimals() -> None:
    for number in ["0", "1", "1.0", "1.1", "0.0", "0.5", "0.001", "0.0009", "0.0010", "0.01", "2", "-0.5"]:
        for text in (f"mean={number}", f"std={number}", f"std={number}/0.5/0.5"):
            assert bool(re.search(PATTERN, text)) == is_an_input(text), text


@pytest.mark.parametrize("text", [EXAMPLE, "crop=64,frames=8", "std=0.2/0.2/0.2"])
def test_usual_inputs_match(text: str) -> None:
    assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "frames", "frames=8,frames=8", "frames=8,crop=64,frames=12", "colour=1"]
)
def test_neither_takes_an_unknown_word_or_one_twice(text: str) -> None:
    assert not re.search(PATTERN, text)
    assert not is_an_input(text)


def is_an_input(text: str) -> bool:
    try:
        InputSpec.parse(text)
    except InputError:
        return False
    return True
