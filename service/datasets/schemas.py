"""Datasets as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from records.models import DatasetRow
from service.auth import Caller
from service.forms import Word
from service.reasons import CauseOut, cause_for, text_for


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
    cause: CauseOut | None = Field(None, description="The reason, for programs.")
    fingerprint: str | None = Field(
        None, description="Hash of its videos. A board never mixes datasets of two fingerprints."
    )
    summary: dict[str, Any] | None = None
    created_at: datetime | None = None


class DatasetPage(BaseModel):
    """Some of the datasets, by name."""

    items: list[DatasetOut]
    total: int


def shown(dataset: DatasetRow, reader: Caller | None) -> DatasetOut:
    """The dataset for a client; where its files lie is the operators' business."""
    return DatasetOut(
        id=dataset.id,
        name=dataset.name,
        state=dataset.state.value,
        reason=text_for(dataset.reason, reader, dataset),
        cause=cause_for(dataset.reason, reader, dataset),
        fingerprint=dataset.fingerprint,
        summary=dataset.summary,
        created_at=dataset.created_at,
    )
