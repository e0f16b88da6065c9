"""Answers as clients see them."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from service.evaluations.schemas import EvaluationOut

SURE = "Probability of the answer; of retrieval, similarity of the nearest video. Null if it was not kept."


class PreviewOut(BaseModel):
    """The addresses of a preview: what the network sees. A worker makes it on the first request."""

    model_config = ConfigDict(from_attributes=True)

    strip: str = Field(description="A picture of some frames.")
    clip: str = Field(description="A short video without sound.")
    width: int = Field(description="Of the strip, in pixels.")
    height: int


class RankedOut(BaseModel):
    """One of the best answers."""

    answer: str
    sure: float | None = Field(description=SURE)


class NeighbourOut(BaseModel):
    """A training video near a test video."""

    video: str
    label: str | None = Field(description="Its class; null if the dataset's list cannot be read just now.")
    right: bool | None = Field(description="Whether that is the class of the test video.")
    preview: PreviewOut | None = None


class OtherOut(BaseModel):
    """The answer of another evaluation to the same question."""

    evaluation: UUID
    answer: str | None
    right: bool
    sure: float | None = Field(description=SURE)


class AnswerOut(BaseModel):
    """One answer to one question about one test video."""

    video: str
    group: str | None
    truth: str = Field(description="The right answer: the class of the video, or the option.")
    answer: str | None = Field(
        description="Of retrieval, the class of the nearest video. Null if that is not known just now."
    )
    right: bool
    sure: float | None = Field(description=SURE)
    number: int | None = Field(None, description="Of cloze, the number of the question about its video.")
    variant: str | None = Field(None, description="Of cloze, what was done to the clip.")
    ranked: list[RankedOut] = Field([], description="The best answers, if several were kept.")
    neighbours: list[NeighbourOut] = Field([], description="Of retrieval, the nearest first.")
    average_precision: float | None = Field(None, description="Of retrieval.")
    controls: list[OtherOut] = Field([], description="What random weights and pixels answered.")
    against: OtherOut | None = None
    preview: PreviewOut | None = Field(None, description="Of the video, or of the question as it was asked.")


class ControlOut(BaseModel):
    """A control whose answers stand beside."""

    evaluation: UUID
    title: str = Field(examples=["random weights, seed 0", "8 x 8 pixels"])


class AgainstOut(BaseModel):
    """Another evaluation, and on how many of the answers the two differ.

    The numbers count the answers that the filters keep and that both evaluations gave. The filters `right`
    and `against_right` do not affect these numbers.
    """

    evaluation: EvaluationOut
    both_right: int
    only_this: int = Field(description="Right here, wrong there.")
    only_other: int = Field(description="Wrong here, right there.")
    both_wrong: int


class AnswersOut(BaseModel):
    """Some of the answers of one part of one benchmark of an evaluation."""

    evaluation: EvaluationOut = Field(description="Without scores; they stand at its own address.")
    benchmark: str
    benchmarks: list[str] = Field(description="All benchmarks with answers.")
    part: str
    parts: list[str] = Field(description="All parts of this benchmark.")
    sort: str = Field(description="As asked for, or by video if nobody kept how sure the answers were.")
    answers: list[str] = Field(description="All possible answers: the classes, or the options.")
    variants: list[str] = Field(description="Kinds of variant that occur, of cloze.")
    controls: list[ControlOut]
    against: AgainstOut | None
    num_right: int = Field(
        description="Right answers among those that the filters keep. "
        "The `right` filter does not affect this number."
    )
    num_wrong: int
    total: int = Field(description="Number of answers on all pages.")
    notes: list[str] = Field(description="What these answers lack, and why.")
    items: list[AnswerOut]
