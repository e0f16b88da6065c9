"""The page of a map: the test videos of one evaluation, or of two side by side, and a list of the videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Query
from sqlalchemy.orm import Session

from records.models import Evaluation, EvaluationState
from records.repositories import datasets, evaluations, media
from service.auth import Caller
from service.evaluations import named
from service.evaluations.schemas import EvaluationOut, shown
from service.maps import service
from service.maps.schemas import MapOut
from service.media import addresses
from service.media.addresses import Preview
from service.problems import Conflict, NotFound
from service.visible import visible_to
from service.web import scatter
from service.web.evaluation import title
from service.web.scatter import Cell, Layer
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.scoring.maps import VideoMap

LIST = 12  # videos of a page of the list: each has a strip
MOST_PICKED = len(scatter.COLOURS)
MOST_OFFERED = 120  # classes or groups that the form lists, and evaluations to compare with
NO_GROUP = "no group"


class Colour(StrEnum):
    """What the points are coloured by."""

    RIGHT = "right"
    CLASS = "class"
    GROUP = "group"


class Show(StrEnum):
    """The videos of the list. DIFFER are those that one evaluation answers rightly and the other does not."""

    ALL = "all"
    WRONG = "wrong"
    RIGHT = "right"
    DIFFER = "differ"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The parameters of the page's address."""

    colour: Colour = Colour.RIGHT
    against: str | None = None
    pick: tuple[str, ...] = ()
    show: Show = Show.ALL
    cell: int | None = None
    on: str = "own"
    video: str | None = None
    offset: int = 0

    def query(self, **changes: Any) -> str:
        """The query of this page with some changes. The list begins anew, unless the offset is given."""
        values = {**vars(self), "offset": 0, **changes}
        plain = vars(Wanted())
        words = [
            (name, str(values[name])) for name in plain if name != "pick" and values[name] != plain[name]
        ]
        return urlencode([*words, *(("pick", one) for one in values["pick"])])


def wanted(
    colour: Colour = Colour.RIGHT,
    against: Annotated[str | None, Query(max_length=400)] = None,
    pick: Annotated[list[str] | None, Query(max_length=MOST_OFFERED)] = None,
    show: Show = Show.ALL,
    cell: Annotated[int | None, Query(ge=0, lt=scatter.GRID**2)] = None,
    on: Annotated[str, Query(pattern="^(own|against)$")] = "own",
    video: Annotated[str | None, Query(max_length=4096)] = None,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Wanted:
    """Read the parameters. A form sends an empty `against` if nothing is chosen."""
    return Wanted(
        colour=colour,
        against=against or None,
        pick=tuple(pick or ())[:MOST_PICKED],
        show=show,
        cell=cell,
        on=on,
        video=video,
        offset=offset,
    )


WantedDep = Annotated[Wanted, Depends(wanted)]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One map of the page: its SVG, and where its data lie."""

    title: str
    evaluation: UUID
    data: str
    source: str
    svg: str
    num_right: int | None


@dataclass(frozen=True, kw_only=True)
class Key:
    """A line of the legend."""

    mark: str
    name: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A class or group that the form offers."""

    name: str
    count: int
    wrong: int
    picked: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """A video of the list.

    Attributes:
        video: Its id.
        group: Its group.
        label: Its class.
        answer: What was answered; None if nothing was.
        right: Whether that is right.
        other: What the other evaluation answered, if there is one.
        address: Where its link leads: the page with this video chosen.
        preview: Addresses of its strip and clip; None if previews are switched off, or for a network that
            no catalog knows.
    """

    video: str
    group: str | None
    label: str
    answer: str | None
    right: bool | None
    other: str | None
    address: str
    preview: Preview | None


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The parts of a page whose maps are there."""

    figures: list[Figure]
    keys: list[Key]
    choices: list[Choice]
    num_choices: int
    chosen: Line | None
    lines: list[Line]
    num_lines: int
    num_videos: int
    num_left_out: int
    answered_by: str | None


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page of a map; `drawn` once the maps are there, `without_pictures` a sentence that says why."""

    shown: EvaluationOut
    superseded: bool
    title: str
    other: EvaluationOut | None
    other_title: str | None
    wanted: Wanted
    offers: list[tuple[str, str]]
    map: MapOut
    drawn: Drawn | None
    without_pictures: str | None

    @property
    def path(self) -> str:
        """The page's address without its query."""
        return f"/evaluations/{self.shown.id}/map"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.map.state in ("done", "failed")


def page(session: Session, evaluation: Evaluation, asked: Wanted, reader: Caller | None) -> Page:
    """Make the page of an evaluation's map for one reader.

    Raises:
        NotFound: If the other evaluation does not exist.
        Conflict: If an evaluation is not done, or they stand on different videos.
    """
    found = service.ask(session, str(evaluation.id), asked.against, reader)
    other = named.find(session, asked.against, reader) if asked.against else None
    first = service.ask(session, str(other.id), None, reader).map if other and found.map else None
    one = shown(evaluation, reader=reader)
    theirs = shown(other, reader=reader) if other else None
    asked = replace(asked, against=str(other.id) if other else None)
    drawn, is_shown = None, media.is_shown(session, evaluation.dataset)
    if found.map is not None:
        both = (one, found.map), (theirs, first) if theirs and first else None
        drawn = _drawn(evaluation, *both, asked, spec=evaluation.checkpoint.known_spec if is_shown else None)
    return Page(
        shown=one,
        superseded=bool(datasets.superseded(session, [one.dataset.fingerprint])),
        title=title(one),
        other=theirs,
        other_title=title(theirs) if theirs else None,
        wanted=asked,
        offers=_offers(session, evaluation, reader) if drawn else [],  # a page that waits asks each second
        map=found,
        drawn=drawn,
        without_pictures=None if is_shown else addresses.switched_off(evaluation.dataset.name),
    )


def picture(
    session: Session, evaluation: Evaluation, asked: Wanted, reader: Caller | None
) -> tuple[str, list[Layer]]:
    """Make the layers of a map alone, with the evaluation's title.

    Raises:
        Conflict: If the map is not drawn.
    """
    own = service.ask(session, str(evaluation.id), asked.against, reader).map
    if own is None:
        raise Conflict(f"The map is not drawn. See its page: /evaluations/{evaluation.id}/map.")
    return title(shown(evaluation, reader=reader)), layers(own, asked)


def chosen(
    session: Session, evaluation: Evaluation, asked: Wanted, reader: Caller | None
) -> tuple[Line, str | None]:
    """Find one video of a map that is drawn, and the title of the other evaluation, if there is one.

    Raises:
        NotFound: If the map is not drawn, or has no such video.
    """
    own = service.ask(session, str(evaluation.id), asked.against, reader).map
    if own is None or asked.video not in own.videos:
        raise NotFound(f"The map of evaluation {evaluation.id} has no video {asked.video!r}.")
    other = named.find(session, asked.against, reader) if asked.against else None
    theirs = service.ask(session, str(other.id), None, reader).map if other else None
    spec = evaluation.checkpoint.known_spec if media.is_shown(session, evaluation.dataset) else None
    line = _Lines(evaluation, own, theirs, asked, spec).line(own.videos.index(asked.video))
    return line, title(shown(other, reader=reader)) if other else None


def layers(found: VideoMap, asked: Wanted) -> list[Layer]:
    """Points of a map by kind: right and wrong, or some classes or groups and the rest."""
    points = list(zip(found.x, found.y, strict=True))
    if asked.colour is Colour.RIGHT:
        kinds = ((None, None, "no answer"), (True, 0, "right"), (False, 1, "wrong"))
        return [
            Layer(
                name=name,
                place=place,
                points=[point for point, right in zip(points, found.right, strict=True) if right is wanted],
            )
            for wanted, place, name in kinds
        ]
    names = _kinds(found, asked.colour)
    picked = picks(found, asked)
    by_name: dict[str, list[tuple[int, int]]] = {name: [] for name in picked}
    rest: list[tuple[int, int]] = []
    for name, point in zip(names, points, strict=True):
        by_name.get(name, rest).append(point)
    others = "all other classes" if asked.colour is Colour.CLASS else "all other groups"
    named_layers = [Layer(name=name, place=place, points=by_name[name]) for place, name in enumerate(picked)]
    return [Layer(name=others, place=None, points=rest), *named_layers]


def picks(found: VideoMap, asked: Wanted) -> list[str]:
    """The classes or groups in colour: those that were asked for, else those with most wrong answers."""
    counts = _counts(found, asked.colour)
    known = [name for name in dict.fromkeys(asked.pick) if name in counts]
    return known or [name for name, _, _ in _hardest(counts)][:MOST_PICKED]


def _kinds(found: VideoMap, colour: Colour) -> list[str]:
    if colour is Colour.GROUP:
        return [group or NO_GROUP for group in found.groups]
    return [found.classes[label] for label in found.labels]


def _counts(found: VideoMap, colour: Colour) -> dict[str, tuple[int, int]]:
    """Number of videos and of wrong answers of each class or group."""
    names = _kinds(found, colour)
    all_of = Counter(names)
    wrong = Counter(name for name, right in zip(names, found.right, strict=True) if right is False)
    return {name: (all_of[name], wrong[name]) for name in sorted(all_of)}


def _hardest(counts: dict[str, tuple[int, int]]) -> list[tuple[str, int, int]]:
    every = [(name, number, wrong) for name, (number, wrong) in counts.items()]
    return sorted(every, key=lambda one: (-one[2], -one[1], one[0]))


def _drawn(
    evaluation: Evaluation,
    mine: tuple[EvaluationOut, VideoMap],
    theirs: tuple[EvaluationOut, VideoMap] | None,
    asked: Wanted,
    *,
    spec: BackboneSpec | None,
) -> Drawn:
    own, other = mine[1], theirs[1] if theirs else None
    # The same classes have the same colours on both maps.
    same = asked if asked.colour is Colour.RIGHT else replace(asked, pick=tuple(picks(own, asked)))
    numbers = _listed(own, other, asked)
    chosen = own.videos.index(asked.video) if asked.video in own.videos else None
    make = _Lines(evaluation, own, other, asked, spec)
    figures = [_figure(*mine, same, "own", chosen)]
    if theirs is not None:
        figures.insert(0, _figure(*theirs, same, "against", chosen))
    counts = _counts(own, asked.colour) if asked.colour is not Colour.RIGHT else {}
    picked = set(same.pick)
    return Drawn(
        figures=figures,
        keys=[
            Key(mark=scatter.mark(layer.place), name=layer.name, count=len(layer.points))
            for layer in layers(own, same)
            if layer.points
        ],
        choices=[
            Choice(name=name, count=number, wrong=wrong, picked=name in picked)
            for name, number, wrong in _hardest(counts)[:MOST_OFFERED]
        ],
        num_choices=len(counts),
        chosen=None if chosen is None else make.line(chosen),
        lines=[make.line(number) for number in numbers[asked.offset : asked.offset + LIST]],
        num_lines=len(numbers),
        num_videos=len(own.videos),
        num_left_out=own.num_left_out,
        answered_by=own.answered_by,
    )


def _figure(out: EvaluationOut, found: VideoMap, asked: Wanted, on: str, chosen: int | None) -> Figure:
    cells = [
        Cell(
            number=cell,
            address="?" + asked.query(cell=cell, on=on, video=None),
            words=_words(found, numbers),
            chosen=asked.cell == cell and asked.on == on,
        )
        for cell, numbers in scatter.by_cell(found.x, found.y).items()
    ]
    against = [("against", asked.against)] if asked.against and on == "own" else []
    query = [("evaluation", str(out.id)), ("colour", asked.colour.value), *against, *_picked(asked)]
    answered = [right for right in found.right if right is not None]
    ring = None if chosen is None else (found.x[chosen], found.y[chosen])
    return Figure(
        title=title(out),
        evaluation=out.id,
        data=f"/v1/evaluations/{out.id}/map" + (f"?{urlencode(against)}" if against else ""),
        source=f"/charts/map.svg?{urlencode(query)}",
        svg=scatter.inside(layers(found, asked), cells, ring),
        num_right=sum(answered) if answered else None,
    )


def _picked(asked: Wanted) -> list[tuple[str, str]]:
    return [("pick", name) for name in asked.pick] if asked.colour is not Colour.RIGHT else []


def _words(found: VideoMap, numbers: Sequence[int]) -> str:
    """Say what a cell holds: how many videos, how many wrong answers, and the most frequent class."""
    wrong = sum(found.right[number] is False for number in numbers)
    label, count = Counter(found.labels[number] for number in numbers).most_common(1)[0]
    videos = "1 video" if len(numbers) == 1 else f"{len(numbers)} videos"
    return f"{videos}, {wrong} wrong. {count} of {found.classes[label]}. Click to list them."


def _listed(own: VideoMap, other: VideoMap | None, asked: Wanted) -> list[int]:
    """Numbers of the videos of the list."""
    numbers = list(range(len(own.videos)))
    if asked.cell is not None:
        place = other if asked.on == "against" and other else own
        numbers = [n for n in numbers if scatter.cell_of(place.x[n], place.y[n]) == asked.cell]
    if asked.show is Show.DIFFER:
        return [n for n in numbers if other and own.right[n] != other.right[n]]
    if asked.show is not Show.ALL:
        return [n for n in numbers if own.right[n] is (asked.show is Show.RIGHT)]
    return numbers


class _Lines:
    """Makes lines of the list; without a `spec`, without previews."""

    def __init__(
        self,
        evaluation: Evaluation,
        own: VideoMap,
        other: VideoMap | None,
        asked: Wanted,
        spec: BackboneSpec | None,
    ) -> None:
        self._own, self._other, self._asked, self._spec = own, other, asked, spec
        self._dataset_id = evaluation.dataset_id

    def line(self, number: int) -> Line:
        own, video = self._own, self._own.videos[number]
        answer, theirs = own.answers[number], self._other.answers[number] if self._other else None
        return Line(
            video=video,
            group=own.groups[number],
            label=own.classes[own.labels[number]],
            answer=None if answer is None else own.classes[answer],
            right=own.right[number],
            other=None if theirs is None else own.classes[theirs],
            address="?" + self._asked.query(video=video, offset=self._asked.offset),
            preview=addresses.video(self._dataset_id, self._spec, video) if self._spec else None,
        )


def _offers(session: Session, evaluation: Evaluation, reader: Caller | None) -> list[tuple[str, str]]:
    """Evaluations to compare with: the controls first, then others of the same videos, newest first."""
    controls = [one for one in evaluation.controls if one.state is EvaluationState.DONE]
    others, _ = evaluations.page(
        session,
        visible=visible_to(reader),
        state=EvaluationState.DONE,
        dataset=evaluation.dataset.fingerprint,
        limit=MOST_OFFERED,
    )
    every = [*controls, *(one for one in others if one.id != evaluation.id)]
    return [(str(one.id), _offered(shown(one, reader=reader))) for one in every]


def _offered(out: EvaluationOut) -> str:
    return f"{title(out)} · {out.protocol.name} · {str(out.id)[:8]}"
