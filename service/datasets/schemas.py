"""Datasets as clients see them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from records.models import DatasetRow
from service.forms import Word

# All of an absolute path but its last name; a web address is none. In quotes it ends where they do. Without
# them it may hold blanks, and goes on to the last slash before a quote, or a colon, comma, semicolon or
# full stop that ends a word: rather a word too many goes than a folder's name stays.
_BEGIN = r"(?<![\w/.])(?<!https:)(?<!http:)(?:~[\w.-]*)?/+"
_QUOTED = re.compile(rf"(?P<before>(?P<quote>['\"])(?:[\w-]+:)?){_BEGIN}(?:(?:(?!(?P=quote))[^/\n])+/+)+")
_PLAIN = re.compile(rf"{_BEGIN}(?:(?!\s)(?:[^/\n'\":,;.]|[:,;.](?!\s)|(?<=\w)'(?=\w))+(?<!\s)/+)+")


class DatasetIn(BaseModel):
    """Videos that all workers can read under one path."""

    model_config = ConfigDict(extra="forbid")

    name: Word = Field(examples=["gestures"])
    location: str = Field(
        description="As the workers see it: a folder, `ucf101:FOLDER` or `hmdb51:FOLDER`.",
        min_length=1,
        examples=["/data/gestures"],
    )
    split: str = Field("1", description="Which split of UCF101 or HMDB51.")
    csv: str | None = Field(None, description="For a folder: its table, if not inside it.")
    test_groups: list[str] = Field(
        [], description="For a folder: groups of the test side.", examples=[["P3"]]
    )
    suffixes: list[str] = Field([], description="For a folder: suffixes of more videos.", examples=[[".xyz"]])
    lists: str | None = Field(None, description="For UCF101 and HMDB51: folder of the official lists.")


class DatasetOut(BaseModel):
    """A dataset.

    It is `available` (built in, made on first use), `indexing` while its videos are hashed and counted, then
    `ready`, or `failed` with a `reason`.
    """

    id: UUID | None
    name: str
    state: Literal["available", "indexing", "ready", "failed"]
    reason: str | None = None
    fingerprint: str | None = Field(None, description="Of its videos; a board never mixes two.")
    summary: dict[str, Any] | None = None
    created_at: datetime | None = None


def without_paths(words: str | None, dataset: DatasetRow) -> str | None:
    """What a worker said, without where its files lie: that is the operators' business."""
    if words is None:
        return None
    for place in ("lists", "csv", "name_or_path"):
        path = str(dataset.source.get(place) or "").partition(":")[2] or dataset.source.get(place)
        if path and path.startswith(("/", "~")):
            words = words.replace(path, dataset.name)
    return _PLAIN.sub("", _QUOTED.sub(r"\g<before>", words))


def shown(dataset: DatasetRow, *, with_paths: bool = False) -> DatasetOut:
    """The dataset for a client; where its files lie is the operators' business."""
    return DatasetOut(
        id=dataset.id,
        name=dataset.name,
        state=dataset.state.value,
        reason=dataset.reason if with_paths else without_paths(dataset.reason, dataset),
        fingerprint=dataset.fingerprint,
        summary=dataset.summary,
        created_at=dataset.created_at,
    )
