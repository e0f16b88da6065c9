"""Two evaluations as a page: paired differences, told in words, as a chart and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from records.repositories import datasets
from service.auth import Caller
from service.comparisons import service
from service.comparisons.schemas import ComparisonOut
from service.web import names
from service.web.evaluation import title
from vcp_core.catalog import units
from vcp_core.results.diagnosis import too_few
from vcp_core.scoring.comparison import Difference

TESTS = {
    "mcnemar": "McNemar's score test on gains and losses; within a group or a video, answers may be alike",
    "newcombe": "Newcombe's interval of two shares of different answers",
    "student": "Student's test, leaving out one group or video at a time",
    "same": "the same weights: equal without a test",
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A comparison's page.

    Attributes:
        shown: The comparison as the API shows it; it has no differences until it is done.
        superseded: Whether another dataset has the name of the videos now.
        first_title: Title of the first evaluation.
        second_title: Title of the second evaluation.
        main: The metrics of the chart.
        rest: All others.
        num_better: Number of better metrics in `main`.
        num_worse: Number of worse metrics in `main`.
        chart: Chart of `main`.
    """

    shown: ComparisonOut
    superseded: bool
    first_title: str
    second_title: str
    main: list[Difference]
    rest: list[Difference]
    num_better: int
    num_worse: int
    chart: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.shown.state in ("done", "failed")


def page(session: Session, first: str, second: str, reader: Caller | None) -> Page:
    """Make the page that compares the second evaluation with the first.

    Raises:
        NotFound: If there is no such evaluation.
        Conflict: If they cannot be compared.
    """
    return of(session, service.ask(session, first, second, reader))


def of(session: Session, found: ComparisonOut) -> Page:
    """Make the page of a comparison."""
    main = [one for one in found.differences if one.headline or one.metric in names.OPTION_METRICS]
    return Page(
        shown=found,
        superseded=bool(datasets.superseded(session, [found.first.dataset.fingerprint])),
        first_title=title(found.first),
        second_title=title(found.second),
        main=main,
        rest=[one for one in found.differences if one not in main],
        num_better=sum(verdict(one) == "better" for one in main),
        num_worse=sum(verdict(one) == "worse" for one in main),
        chart=_chart([one for one in main if one.unit != "number"]),
    )


def verdict(difference: Difference) -> str:
    """Say better, worse or open, by the interval. With few groups or videos, the verdict is open."""
    if too_few(difference):
        return "open"
    return {1: "better", 0: "open", -1: "worse"}[
        units.verdict(difference.low, difference.high, difference.better)
    ]


def _chart(differences: Sequence[Difference]) -> dict[str, Any]:
    return {
        "kind": "intervals",
        "axis": "difference, points",
        "reference": 0,
        "referenceName": "equal",
        "names": [names.title(one.metric) for one in differences],
        "series": [
            {"name": "difference", "points": [[one.low, one.difference, one.high] for one in differences]}
        ],
    }
