"""Whatever pydantic finds wrong, its words stay inside."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vcp_core.catalog.validation import EXPECTED, UNFORESEEN, expected, quoted


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int


KINDS: tuple[Any, ...] = (
    int, float, bool, str, bytes, UUID, datetime, Path, AnyUrl, list[int], tuple[int, str], set[int],
    dict[str, int],
    Literal["a", "b"], Inner, int | str | None, Annotated[int, Field(ge=1, le=3, multiple_of=2)],
    Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)], Annotated[str, Field(min_length=1,
    max_length=3)],
    Annotated[str, Field(pattern="^a$")], Annotated[list[int], Field(min_length=1, max_length=2)],
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, 4, 2.5, float("nan"), float("inf"), "", "x", "nan", "9" * 5000, "long text",
    b"\xff", [], [1, 2, 3],
    ["x"], {}, {"number": "x", "more": 1}, object(), 2**70,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_is_told_in_pydantics_words(kind: Any) -> None:
    for value in VALUES:
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as caught:
            for error in caught.errors():
                words = expected(error)
                assert words in EXPECTED.values() or words != error["msg"]
                assert not any(part in words for part in ("Input", "should", "{", "unable")), words


def test_what_nobody_foresaw_is_told_without_details() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(UUID).validate_python("x")
    assert expected(caught.value.errors()[0]) == UNFORESEEN


def test_a_pattern_is_told_in_the_words_that_go_with_it() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[str, Field(pattern="^a$")]).validate_python("b")
    (error,) = caught.value.errors()
    assert (expected(error, {"^a$": "the letter a"}), expected(error)) == ("the letter a", UNFORESEEN)


def test_a_quoted_value_is_short_and_on_one_line() -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    for value in (*VALUES, "a\nb", "\x1b[31m", "\u202e", "\ud800", {"a": "\u2028"}, deep):
        text = quoted(value)
        assert text.isprintable()
        assert len(text) <= 61
