"""Datasets as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, WithJsonSchema

from records.models import DatasetRow
from service.auth import Caller
from service.body import Body
from service.forms import Text, Word
from service.reasons import CauseOut, cause_for, text_for
from vcp_core.catalog.datasets import DATASETS

AN_ABSOLUTE_PATH = r"[/~][^\x00]*$"
_OFFICIAL = {spec.name: sorted(spec.splits) for spec in DATASETS.values() if not spec.built_in}
_NONE, _NO_ITEMS = {"type": "null"}, {"maxItems": 0}
# Which options go with which location, for the API's description. `Location` checks it for each request.
_FORMS: list[dict[str, Any]] = [
    {  # a folder with a table or test groups of its own
        "location": {"pattern": f"^{AN_ABSOLUTE_PATH}"},
        "split": {"const": "1"},
        "lists": _NONE,
    },
    {  # a folder that may be an official dataset's
        "location": {"pattern": f"^{AN_ABSOLUTE_PATH}"},
        "split": {"enum": sorted({split for splits in _OFFICIAL.values() for split in splits})},
        "csv": _NONE,
        "test_groups": _NO_ITEMS,
    },
    *(
        {
            "location": {"pattern": f"^{name}:{AN_ABSOLUTE_PATH}"},
            "split": {"enum": splits},
            "csv": _NONE,
            "test_groups": _NO_ITEMS,
            "suffixes": _NO_ITEMS,
        }
        for name, splits in _OFFICIAL.items()
    ),
    {  # a built-in one, which a worker makes
        "location": {"enum": [spec.name for spec in DATASETS.values() if spec.built_in]},
        "split": {"const": "1"},
        "csv": _NONE,
        "lists": _NONE,
        "test_groups": _NO_ITEMS,
        "suffixes": _NO_ITEMS,
    },
]
Path = Annotated[Text, WithJsonSchema({"type": "string", "pattern": f"^{AN_ABSOLUTE_PATH}"})]


class DatasetIn(Body):
    """Videos that all workers can read under one path."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"properties": form} for form in _FORMS]})

    name: Word = Field(examples=["gestures"])
    location: Text = Field(
        description="As the workers see it: a folder, `ucf101:FOLDER` or `hmdb51:FOLDER`.",
        examples=["/data/gestures"],
    )
    split: Text = Field("1", description="Which split of UCF101 or HMDB51.")
    csv: Path | None = Field(None, description="For a folder: its table, if not inside it.")
    test_groups: list[Text] = Field(
        [], description="For a folder: groups of the test side.", examples=[["P3"]]
    )
    suffixes: list[Text] = Field(
        [], description="For a folder: suffixes of more videos.", examples=[[".xyz"]]
    )
    lists: Path | None = Field(None, description="For UCF101 and HMDB51: folder of the official lists.")


class DatasetChange(Body):
    """What an administrator may change of a dataset."""

    shows_media: StrictBool = Field(description="Whether people may see previews of its videos.")


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
    shows_media: bool = Field(True, description="Whether people may see previews of its videos.")
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
        shows_media=dataset.shows_media,
        created_at=dataset.created_at,
    )
