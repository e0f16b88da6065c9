"""The parameters of a request for answers. The JSON and the page take the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query

from service.deps import Limit, Offset
from service.references import EVALUATION, IS_NAMED

PAGE = 24
Sort = Literal["-sure", "sure", "video", "-video"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which answers of an evaluation, and in which order. None means all.

    Attributes:
        metric: Take the benchmark, the part and the filters that this metric counts.
        benchmark: If left out, recognition, or the first one that has answers.
        part: A part of the benchmark, such as a head of cloze; if left out, the headline's.
        truth: Only with these right answers.
        answer: Only with this answer.
        right: Only right answers, or only wrong ones.
        variant: Only of this variant, or this kind of variant.
        group: Only of this group of videos.
        video: Only of videos whose id contains this.
        against: Another evaluation on the same videos, whose answers stand beside.
        against_right: Only where that one is right, or only where it is wrong.
        sort: By how sure the network was, or by video; `-` before it: largest first.
        limit: Number of answers on a page.
        offset: Number of answers before the page.
    """

    metric: str | None = None
    benchmark: str | None = None
    part: str | None = None
    truth: tuple[str, ...] = ()
    answer: str | None = None
    right: bool | None = None
    variant: str | None = None
    group: str | None = None
    video: str | None = None
    against: str | None = None
    against_right: bool | None = None
    sort: Sort = "-sure"
    limit: int = PAGE
    offset: int = 0

    @property
    def filtered(self) -> bool:
        """Whether the view leaves out answers for another reason than being right or wrong."""
        return any((self.truth, self.answer, self.variant, self.group, self.video))

    def query(self, **changes: Any) -> str:
        """Make the query of an address after these changes. Parameters with their defaults are left out."""
        pairs: list[tuple[str, str]] = []
        for name, value in vars(replace(self, **changes)).items():
            if value == getattr(Wanted, name):
                continue
            several = value if isinstance(value, tuple) else (value,)
            pairs += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in several]
        return f"?{urlencode(pairs)}" if pairs else ""


def _wanted(
    metric: Annotated[
        str,
        Query(
            description="Take the benchmark, the part and the filters of this metric, unless they are given.",
            examples=["cloze.recall.rotation"],
        ),
    ] = "",
    benchmark: Annotated[
        str, Query(description="If left out, recognition, or the first with answers.", examples=["cloze"])
    ] = "",
    part: Annotated[
        str,
        Query(
            description="A part of the benchmark: `linear`, `knn`; `relational`, `concat`, `concat@layer2`; "
            "`pooled`, `max-pooled`. If left out, the headline's.",
            examples=["knn"],
        ),
    ] = "",
    truth: Annotated[
        list[str] | None,
        Query(description="Only with this right answer, a class or an option; repeat for several."),
    ] = None,
    answer: Annotated[
        str, Query(description="Only with this answer; of retrieval, the class of the nearest video.")
    ] = "",
    right: Annotated[bool | None, Query(description="Only right answers, or only wrong ones.")] = None,
    variant: Annotated[
        str, Query(description="Of cloze, only this variant or kind of variant.", examples=["2-tiles"])
    ] = "",
    group: Annotated[str, Query(description="Only of this group of videos.")] = "",
    video: Annotated[str, Query(description="Only of videos whose id contains this.")] = "",
    against: Annotated[
        str,
        Query(
            description="Another evaluation on the same videos, whose answers stand beside: a checkpoint's, "
            f"or a control's. {EVALUATION}",
            json_schema_extra=IS_NAMED,
        ),
    ] = "",
    against_right: Annotated[
        bool | None, Query(description="Only where that evaluation is right, or only where it is wrong.")
    ] = None,
    sort: Annotated[
        Sort, Query(description="By how sure the network was, or by video. `-`: largest first.")
    ] = "-sure",
    limit: Limit = PAGE,
    offset: Offset = 0,
) -> Wanted:
    """Drop empty values: a browser sends every field of a form, and an empty one means all."""
    return Wanted(
        metric=metric or None,
        benchmark=benchmark or None,
        part=part or None,
        truth=tuple(dict.fromkeys(filter(None, truth or ()))),
        answer=answer or None,
        right=right,
        variant=variant or None,
        group=group or None,
        video=video or None,
        against=against or None,
        against_right=against_right,
        sort=sort,
        limit=limit,
        offset=offset,
    )


WantedDep = Annotated[Wanted, Depends(_wanted)]
