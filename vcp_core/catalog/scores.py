"""The one definition of a score.

`vcp_core.results.types` writes it into files, `records` keeps a column for each of its fields, and the API,
the CSV of the board and the pages read this class. The client has a list of its own, because it imports none
of this. tests/scoring/test_scores.py compares every other list with this one, field by field.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vcp_core.catalog.units import Better, Unit


def _open_to_newer_fields(schema: dict[str, Any]) -> None:
    """A file with an unknown field is refused; a newer server may answer with more fields."""
    schema.pop("additionalProperties", None)


class Score(BaseModel):
    """One number with what it takes to believe it; all of its numbers but counts have its unit.

    Lifts and other differences of percents are percentage points.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        from_attributes=True,
        json_schema_extra=_open_to_newer_fields,
        json_schema_serialization_defaults_required=True,
    )

    metric: str = Field(description="Its name.", examples=["cloze.temporal"])
    value: float = Field(description="The estimate.")
    low: float = Field(description="Lower end of its 95 % interval.")
    high: float = Field(description="Upper end of its 95 % interval.")
    unit: Unit = Field(
        "percent",
        description="What it is measured in: a share, 0 to 100; a difference of shares; or a plain number.",
    )
    better: Better = Field("higher", description="Which way is better; a metric of neither has no ranks.")
    num_videos: int = Field(
        description="Test videos behind it; for a precision, those where the answer was given."
    )
    num_units: int = Field(description="Units behind it, which the interval goes by.")
    units: Literal["group", "video"] = Field(description="What a unit is.")
    chance: float | None = Field(
        None, description="What guessing gives; null where guessing has no one answer."
    )
    control: float | None = Field(
        None, description="Mean over the controls, which are random weights; null without controls."
    )
    lift: float | None = Field(None, description="value - control.")
    lift_low: float | None = Field(None, description="Lower end of the lift's interval.")
    lift_high: float | None = Field(None, description="Upper end of the lift's interval.")
    pixels: float | None = Field(
        None, description="What the clips averaged to 8 x 8 fields give; null where that was not measured."
    )
    above_pixels_low: float | None = Field(None, description="Lower end of the interval of value - pixels.")
    above_pixels_high: float | None = Field(None, description="Upper end of that interval.")
    headline: bool = Field(False, description="Whether tables show it first.")


FIELDS = tuple(Score.model_fields)
PARTS = tuple(name for name in FIELDS if name != "metric")  # of a score whose metric is known
