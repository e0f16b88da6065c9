"""The gallery: the videos behind a number, right and wrong, by how sure the network was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records.repositories import datasets
from records.storage import Storage
from service.answers import service
from service.answers.schemas import AnswersOut
from service.answers.wanted import PAGE, Wanted
from service.auth import Caller
from service.web.evaluation import title
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.options import KINDS, OPTIONS

SORTS = {
    "-sure": "surest first",
    "sure": "least sure first",
    "video": "by video",
    "-video": "by video, last first",
}
PARTS = {
    "linear": "linear probe",
    "knn": "nearest neighbours",
    "relational": "relational head",
    "concat": "concat head",
    "pooled": "pooled feature",
    "max-pooled": "max-pooled feature",
}
PICTURES = {
    "recognition": "Each picture has frames of a test video, as the network sees them.",
    "cloze": "Each picture is a question: the clip before the blank, the option, and the clip after it.",
    "retrieval": "Each row is a test video, and the training videos that are nearest to it.",
}
SHOWN_NEIGHBOURS = 5  # of ten, beside the query; the others are in the JSON


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One of several views of the same answers, with the number of answers in it."""

    name: str
    number: int | None
    address: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page of a gallery.

    Attributes:
        shown: The answers as the API shows them.
        wanted: The parameters, with all that the address left open filled in.
        title: Title of the evaluation.
        against_title: Title of the other evaluation, if there is one.
        superseded: Whether another dataset has the name of the videos now.
        benchmarks: A tab for each benchmark.
        sides: Tabs: all, right and wrong; with another evaluation, who is right.
        beside: Titles of the evaluations whose answers stand beside, by id.
    """

    shown: AnswersOut
    wanted: Wanted
    title: str
    against_title: str | None
    superseded: bool
    benchmarks: list[Tab]
    sides: list[Tab]
    beside: Mapping[UUID, str]

    def address(self, **changes: Any) -> str:
        """Make the address of this gallery after these changes."""
        return address(self.shown.evaluation.id, self.wanted, **changes)

    @property
    def api(self) -> str:
        """The address of the same answers as JSON."""
        return f"/v1/evaluations/{self.shown.evaluation.id}/answers{self.wanted.query()}"


def address(evaluation_id: UUID, wanted: Wanted | None = None, **changes: Any) -> str:
    """Make the address of a gallery.

    >>> address(UUID(int=7), right=False, truth=("wave",))
    '/evaluations/00000000-0000-0000-0000-000000000007/gallery?truth=wave&right=false'
    """
    return f"/evaluations/{evaluation_id}/gallery{(wanted or Wanted()).query(**changes)}"


def cell(evaluation_id: UUID, table: str, **filters: Any) -> str:
    """Make the address of the answers behind a table, or a cell of a table.

    Args:
        evaluation_id: The evaluation.
        table: Name of the table, such as "cloze.concat.confusion".
        filters: Parameters of the gallery. `truth` may be one name.

    >>> cell(UUID(int=7), "recognition.knn.confusion", truth="wave", answer="clap").partition("?")[2]
    'benchmark=recognition&part=knn&truth=wave&answer=clap'
    """
    benchmark, *words = table.split(".")
    part = words[0] if len(words) > 1 else None
    if isinstance(truth := filters.get("truth"), str):
        filters["truth"] = (truth,)
    return address(evaluation_id, benchmark=benchmark, part=part, **filters)


def page(session: Session, storage: Storage, evaluation: str, wanted: Wanted, reader: Caller | None) -> Page:
    """Make the page of a gallery.

    Raises:
        NotFound: If there is no such evaluation.
        Conflict: If the evaluation is not done, or has no such answers.
        UnknownName: If a filter names what does not exist.
    """
    shown, found = service.page(session, storage, evaluation, wanted, reader)
    other = None if shown.against is None else title(shown.against.evaluation)
    beside = {one.evaluation: one.title.replace(" x ", " \N{MULTIPLICATION SIGN} ") for one in shown.controls}
    if shown.against is not None and other is not None:
        beside[shown.against.evaluation.id] = other
    evaluation_id = shown.evaluation.id
    return Page(
        shown=shown,
        wanted=found,
        title=title(shown.evaluation),
        against_title=other,
        superseded=bool(datasets.superseded(session, [shown.evaluation.dataset.fingerprint])),
        benchmarks=[
            Tab(
                name=BENCHMARKS[name].title if name in BENCHMARKS else name,
                number=None,
                address=address(
                    evaluation_id,
                    benchmark=name,
                    right=found.right,
                    against=found.against,
                    against_right=found.against_right,
                ),
                current=name == shown.benchmark,
            )
            for name in shown.benchmarks
        ],
        sides=_sides(shown, found),
        beside=beside,
    )


def _sides(shown: AnswersOut, wanted: Wanted) -> list[Tab]:
    """Right and wrong, or with another evaluation, who is right; each with its number of answers."""
    tabs: list[tuple[str, int, bool | None, bool | None]] = [
        ("wrong", shown.num_wrong, False, None),
        ("right", shown.num_right, True, None),
        ("all", shown.num_wrong + shown.num_right, None, None),
    ]
    if shown.against is not None:
        tabs = [
            ("wrong here, right there", shown.against.only_other, False, True),
            ("right here, wrong there", shown.against.only_this, True, False),
            ("both wrong", shown.against.both_wrong, False, False),
            ("both right", shown.against.both_right, True, True),
            ("all", shown.num_wrong + shown.num_right, None, None),
        ]
    return [
        Tab(
            name=name,
            number=number,
            address=address(shown.evaluation.id, wanted, right=right, against_right=there, offset=0),
            current=(right, there) == (wanted.right, wanted.against_right),
        )
        for name, number, right, there in tabs
    ]


def values(page: Page) -> dict[str, Any]:
    """What the template needs."""
    shown, wanted = page.shown, page.wanted
    options = wanted.truth or tuple(shown.answers)
    return {
        "page": page,
        "named_parts": [(name, _part(name)) for name in shown.parts],
        "named_answers": [(name, name) for name in shown.answers],
        "named_variants": [(kind, kind) for option in options for kind in KINDS.get(option, ())],
        "sorts": list(SORTS.items()),
        "question": question,
        "pictures": PICTURES.get(shown.benchmark, "") if any(one.preview for one in shown.items) else "",
        "usual_limit": PAGE,
        "shown_neighbours": SHOWN_NEIGHBOURS,
    }


def _part(name: str) -> str:
    """Name a part of a benchmark for people.

    >>> _part("concat@conv3"), _part("linear")
    ('concat head after conv3', 'linear probe')
    """
    part, _, stage = name.partition("@")
    return PARTS.get(part, part) + (f" after {stage}" if stage else "")


def question(option: str, variant: str | None) -> str:
    """Say in words what was done to the clip of a cloze question.

    >>> question("rotation", "90"), question("remote", "before:21"), question("original", None)
    ('rotation by 90°', 'remote, 21 frames before', 'original')
    >>> question("permutation", "1032"), question("adjacent", "0-2")
    ('permutation of 4 tiles', 'adjacent, sub-clips 1 and 3')
    """
    if not variant:
        return option
    if option == "rotation":
        return f"rotation by {variant}°"
    if option == "remote":
        side, _, distance = variant.partition(":")
        return f"remote, {distance} frames {side}"
    if option == "permutation":
        return f"permutation of {OPTIONS[option].kinds_of(variant)[0].partition('-')[0]} tiles"
    if option == "adjacent":
        first, second = variant.split("-")
        return f"adjacent, sub-clips {int(first) + 1} and {int(second) + 1}"
    return f"{option} {variant}"
