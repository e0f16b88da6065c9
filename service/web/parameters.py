"""The parameters of a board's address, which the page, the JSON and the CSV share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query

from records.repositories.leaderboard import LeaderboardKey, LeaderboardQuery
from records.repositories.visibility import Visibility
from service.deps import Limit, Offset
from service.web.names import OPTION_METRICS

DEFAULT_METRICS = ("recognition.top1", "retrieval.top1", "cloze.accuracy", *OPTION_METRICS)
FACTS = {"team": "team", "backbone": "backbone", "run": "run", "step": "step", "finished": "finished"}
DEFAULT_FACTS = ("team", "backbone", "step")
LOOKS = ("fact", "intervals")  # only of the page: the API always gives all facts and intervals
DEFAULT_SORT = "-recognition.top1"
PAGE = 100
FILTERS = ("model", "team", "backbone", "run", "latest", "limit", "offset")
Number = str | int | bool


@dataclass(frozen=True, kw_only=True)
class LeaderboardParameters:
    """A view of a board. A parameter that the address leaves out has its default.

    Attributes:
        dataset: Name of the dataset; if left out, the one with the newest result.
        protocol: Name or hash of the protocol; if left out, the one with the newest result.
        engine: The engine that made the results; if left out, this version's, or else the newest with some.
        sort: A metric, `created_at`, `finished_at`, `model` or `step`; `-` before it: largest first.
        metric: The columns of scores.
        fact: The other columns.
        intervals: Whether the options' strip shows intervals in digits.
        model: Only models whose name contains this.
        team: Only of this team.
        backbone: Only of this backbone.
        run: Only of this training run.
        latest: Only every model's newest checkpoint.
        limit: Number of rows on a page.
        offset: Number of rows before the page.
    """

    dataset: str | None = None
    protocol: str | None = None
    engine: str | None = None
    sort: str = DEFAULT_SORT
    metric: tuple[str, ...] = DEFAULT_METRICS
    fact: tuple[str, ...] = DEFAULT_FACTS
    intervals: bool = False
    model: str | None = None
    team: str | None = None
    backbone: str | None = None
    run: str | None = None
    latest: bool = False
    limit: int = PAGE
    offset: int = 0

    @property
    def column(self) -> str:
        """The column that the board is sorted by."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Largest first."""
        return self.sort.startswith("-")

    @property
    def filtered(self) -> bool:
        """Whether the view leaves out rows of the board."""
        return self.latest or any((self.model, self.team, self.backbone, self.run))

    def address(self, **changes: Any) -> str:
        """Make the page's address after these changes. Parameters with their defaults are left out."""
        changed = replace(self, **changes)
        return "/" + _query(
            (name, value)
            for name, value in vars(changed).items()
            if value != getattr(LeaderboardParameters, name) and value is not None
        )

    def usual_columns(self) -> str:
        """Make the address of this view with the columns that a board has if none are chosen."""
        return self.address(metric=DEFAULT_METRICS, fact=DEFAULT_FACTS)

    def query(self, board: LeaderboardKey, visible: Visibility) -> LeaderboardQuery:
        """Make the query for the rows and scores of this view on a board, as one reader sees it."""
        wanted = {name: value for name, value in vars(self).items() if name in FILTERS}
        return LeaderboardQuery(
            board=board,
            visible=visible,
            sort=self.column,
            descending=self.descending,
            metrics=self.metric,
            **wanted,
        )

    def api(self, suffix: str = "") -> str:
        """The address of the same rows and numbers as JSON, or with ".csv"."""
        wanted = vars(self).items()
        pairs = ((name, value) for name, value in wanted if name not in LOOKS and value not in (None, False))
        return f"/v1/leaderboard{suffix}" + _query(pairs)


def _query(pairs: Any) -> str:
    flat: list[tuple[str, Number]] = []
    for name, value in pairs:
        flat += [(name, one) for one in value or ("",)] if isinstance(value, tuple) else [(name, value)]
    text = urlencode([(name, "true" if value is True else value) for name, value in flat])
    return f"?{text}" if text else ""


def _parameters(
    dataset: str = "",
    protocol: str = "",
    engine: str = "",
    sort: str = "",
    metric: Annotated[list[str] | None, Query()] = None,
    fact: Annotated[list[str] | None, Query()] = None,
    intervals: bool = False,
    model: str = "",
    team: str = "",
    backbone: str = "",
    run: str = "",
    latest: bool = False,
    limit: Limit = PAGE,
    offset: Offset = 0,
) -> LeaderboardParameters:
    """Drop empty values: a browser sends every field of a form, and an empty one means the default."""
    return LeaderboardParameters(
        dataset=dataset or None,
        protocol=protocol or None,
        engine=engine or None,
        sort=sort or DEFAULT_SORT,
        metric=tuple(dict.fromkeys(filter(None, metric or ()))) or DEFAULT_METRICS,
        fact=DEFAULT_FACTS if fact is None else tuple(name for name in FACTS if name in fact),
        intervals=intervals,
        model=model or None,
        team=team or None,
        backbone=backbone or None,
        run=run or None,
        latest=latest,
        limit=limit,
        offset=offset,
    )


ParametersDep = Annotated[LeaderboardParameters, Depends(_parameters)]
