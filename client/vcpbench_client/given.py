"""What a network answered, video by video, as frozen dataclasses and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from vcpbench_client.answers import Evaluation

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Addresses of a picture and of a short video, on the server."""

    strip: str
    clip: str


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One of the best answers, and how probable it was."""

    answer: str
    sure: float | None = None


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A training video near a test video; whether it has the same class, if that is known."""

    video: str
    label: str | None = None
    right: bool | None = None
    preview: Preview | None = None


@dataclass(frozen=True, kw_only=True)
class OtherAnswer:
    """The answer of another evaluation to the same question."""

    evaluation: str
    right: bool
    answer: str | None = None
    sure: float | None = None


@dataclass(frozen=True, kw_only=True)
class GivenAnswer:
    """One answer to one question about one test video.

    Attributes:
        truth: The right answer: the class of the video, or the option of cloze.
        answer: Of retrieval, the class of the nearest video; None if that is not known.
        sure: Probability of the answer; of retrieval, similarity of the nearest video. None in older results.
        number: Of cloze, the number of the question about its video.
        variant: Of cloze, what was done to the clip.
        ranked: Of recognition, the best five answers.
        neighbours: Of retrieval, the nearest first.
        controls: What random weights and pixels answered.
        against: What the evaluation answered that the request named beside.
    """

    video: str
    truth: str
    right: bool
    group: str | None = None
    answer: str | None = None
    sure: float | None = None
    number: int | None = None
    variant: str | None = None
    ranked: tuple[Ranked, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    average_precision: float | None = None
    controls: tuple[OtherAnswer, ...] = ()
    against: OtherAnswer | None = None
    preview: Preview | None = None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Some of the answers of one part of one benchmark of an evaluation.

    Attributes:
        num_right: Right answers among those that the filters keep, whatever `right`.
        num_wrong: Wrong ones.
        total: Number of answers on all pages.
        notes: What these answers lack, and why.
        items: The answers of this page.
    """

    evaluation: Evaluation
    benchmark: str
    part: str
    sort: str
    num_right: int
    num_wrong: int
    total: int
    notes: tuple[str, ...] = ()
    items: tuple[GivenAnswer, ...] = ()


def query(wanted: Mapping[str, Any]) -> str:
    """Make the query of a gallery's address.

    >>> query({"right": False, "truth": ["wave", "run"], "group": None})
    '?right=false&truth=wave&truth=run'
    """
    pairs: list[tuple[str, str]] = []
    for name, value in wanted.items():
        several = value if isinstance(value, list | tuple) else [value]
        pairs += [
            (name, str(one).lower() if isinstance(one, bool) else str(one))
            for one in several
            if one is not None
        ]
    return f"?{urlencode(pairs)}" if pairs else ""


def table(found: Answers) -> Table:
    """The answers, a row each."""
    from rich.table import Table
    from rich.text import Text

    is_retrieval = found.benchmark == "retrieval"
    made = Table(box=None, pad_edge=False, header_style="dim")
    headings = ["", "video", "group", "truth", "nearest" if is_retrieval else "answer"]
    headings += ["similarity" if is_retrieval else "sure, %"]
    beside = any(one.against for one in found.items)
    for heading in [*headings, *(["the other", ""] if beside else [])]:
        made.add_column(heading, no_wrap=True, justify="right" if heading in headings[-1:] else "left")
    for one in found.items:
        truth = f"{one.truth} {one.variant}" if one.variant else one.truth
        cells = [_mark(one.right), one.video, one.group or "", truth, one.answer or "?"]
        cells += [_sure(one.sure, is_retrieval)]
        if one.against:
            cells += [one.against.answer or "?", _mark(one.against.right)]
        made.add_row(*map(Text, cells), style="" if one.right else "red")
    return made


def _mark(right: bool) -> str:
    return "right" if right else "wrong"


def _sure(value: float | None, is_similarity: bool) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if is_similarity else f"{100 * value:.1f}"
