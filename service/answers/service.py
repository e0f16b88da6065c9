"""A page of an evaluation's answers, with those of its controls, and of another evaluation, beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from records.models import Evaluation
from records.repositories import evaluations, media
from records.storage import Storage
from service.answers import stored
from service.answers.choosing import Chosen, Side, choose, pair
from service.answers.metrics import benchmark_of, of_metric
from service.answers.schemas import (
    AgainstOut,
    AnswerOut,
    AnswersOut,
    ControlOut,
    NeighbourOut,
    OtherOut,
    PreviewOut,
    RankedOut,
)
from service.answers.stored import UNKNOWN, Labels, Part, Stored
from service.answers.wanted import Wanted
from service.auth import Caller
from service.evaluations import named
from service.evaluations.schemas import shown
from service.evaluations.service import check_done, difference
from service.media import addresses
from service.media.addresses import Preview, switched_off
from service.problems import Conflict
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.options import KINDS
from vcp_core.catalog.specs import BackboneSpec

USUAL = "recognition"
NOT_KEPT = (
    "These answers are from before 2026-11-30. How sure the network was is not kept, so they are sorted by "
    "video."
)
EARLIER_STAGE = "How sure the network was is kept for the heads after the last stage alone."
NO_LABELS = "The dataset's list of videos cannot be read just now, so the classes of neighbours are unknown."


@dataclass(frozen=True, kw_only=True)
class _Page:
    """The parts of a page: what is shown, and what stands beside."""

    evaluation: Evaluation
    benchmark: str
    name: str
    answers: Stored
    part: Part
    controls: Sequence[tuple[Evaluation, Side]]
    other: Evaluation | None
    beside: Side | None
    shows_previews: bool


def page(
    session: Session, storage: Storage, evaluation: str, wanted: Wanted, reader: Caller | None
) -> tuple[AnswersOut, Wanted]:
    """Make a page of answers. Also give the parameters with all that they leave open filled in.

    Raises:
        NotFound: If there is no such evaluation.
        Conflict: If one of the two is not done, lacks the benchmark, or was asked other questions.
        UnknownName: If there is no such metric, part, class, option or variant.
    """
    found = named.find(session, evaluation, reader)
    check_done(found, reader)
    benchmarks = list(evaluations.answered(session, found.id))
    benchmark = _benchmark(session, found, benchmarks, wanted)
    answers = _read(session, storage, found, benchmark)
    if wanted.metric is not None:
        wanted = of_metric(wanted, answers.parts)
    name = wanted.part or next(iter(answers.parts))
    if name not in answers.parts:
        raise UnknownName("part", name, answers.parts)
    part = answers.parts[name]
    if part.sure_N is None and wanted.sort.endswith("sure"):
        wanted = replace(wanted, sort="video")
    other, beside = _beside(session, storage, found, benchmark, answers, name, wanted.against, reader)
    wanted = replace(wanted, benchmark=benchmark, part=name, against=None if other is None else str(other.id))
    made = _Page(
        evaluation=found,
        benchmark=benchmark,
        name=name,
        answers=answers,
        part=part,
        controls=_controls(session, storage, found, benchmark, answers, name),
        other=other,
        beside=beside,
        shows_previews=media.is_shown(session, found.dataset),
    )
    return _shown(made, benchmarks, choose(answers, part, wanted, beside), wanted, reader), wanted


def _benchmark(session: Session, found: Evaluation, known: Sequence[str], wanted: Wanted) -> str:
    """The wanted benchmark, or the metric's, or the usual one."""
    if wanted.metric is not None:
        metrics = [row.metric for row in evaluations.scores(session, [found.id])[found.id]]
        if wanted.metric not in metrics:
            raise UnknownName("metric", wanted.metric, metrics)
    asked = wanted.benchmark or (benchmark_of(wanted.metric) if wanted.metric else None)
    unavailable = found.unavailable or {}
    if asked in unavailable:
        raise Conflict(f"Evaluation {found.id} has no answers of {asked}: {unavailable[asked]}.")
    if not known:
        raise Conflict(f"Evaluation {found.id} has no answers of any benchmark.")
    if asked is not None and asked not in known:
        raise UnknownName("benchmark", asked, known)
    return asked or (USUAL if USUAL in known else known[0])


def _stored(session: Session, storage: Storage, evaluation: Evaluation, benchmark: str) -> Stored | None:
    def labels() -> Labels | None:
        return stored.labels_of(storage, evaluation.dataset)

    return stored.read(session, evaluation.id, benchmark, labels)


def _read(session: Session, storage: Storage, evaluation: Evaluation, benchmark: str) -> Stored:
    found = _stored(session, storage, evaluation, benchmark)
    if found is None:
        raise Conflict(
            f"Evaluation {evaluation.id} has no answers of {benchmark} that can be listed: they name neither "
            "classes nor options. GET /v1/evaluations/ID/results has all that was kept."
        )
    return found


def _beside(
    session: Session,
    storage: Storage,
    evaluation: Evaluation,
    benchmark: str,
    answers: Stored,
    name: str,
    against: str | None,
    reader: Caller | None,
) -> tuple[Evaluation | None, Side | None]:
    """The evaluation that the request names beside the shown one, and its answers, row by row."""
    if against is None:
        return None, None
    other = named.find(session, against, reader)
    check_done(other, reader)
    if found := difference(evaluation, other, facts=("dataset", "protocol")):
        what, its, others = found
        raise Conflict(
            f"The evaluations differ in {what}: {its} and {others}. They were not asked the same questions."
        )
    return other, pair(answers, _read(session, storage, other, benchmark), name)


def _controls(
    session: Session, storage: Storage, evaluation: Evaluation, benchmark: str, answers: Stored, name: str
) -> list[tuple[Evaluation, Side]]:
    """The answers of random weights and pixels. A control without this part is left out."""
    found = []
    for control in sorted(
        evaluation.controls, key=lambda one: (one.checkpoint.is_pixels, one.checkpoint.seed)
    ):
        theirs = _stored(session, storage, control, benchmark)
        if theirs is not None and name in theirs.parts and theirs.answers == answers.answers:
            found.append((control, pair(answers, theirs, name)))
    return found


def _shown(
    page: _Page, benchmarks: list[str], chosen: Chosen, wanted: Wanted, reader: Caller | None
) -> AnswersOut:
    pairs = chosen.pairs
    return AnswersOut(
        evaluation=shown(page.evaluation, reader=reader),
        benchmark=page.benchmark,
        benchmarks=benchmarks,
        part=page.name,
        parts=list(page.answers.parts),
        sort=wanted.sort,
        answers=list(page.answers.answers),
        variants=_kinds(page.answers),
        controls=[ControlOut(evaluation=one.id, title=_title(one)) for one, _ in page.controls],
        against=None
        if page.other is None
        else AgainstOut(
            evaluation=shown(page.other, reader=reader),
            both_right=pairs[True, True],
            only_this=pairs[True, False],
            only_other=pairs[False, True],
            both_wrong=pairs[False, False],
        ),
        num_right=chosen.num_right,
        num_wrong=chosen.num_wrong,
        total=chosen.total,
        notes=_notes(page),
        items=[_answer(page, row) for row in chosen.rows],
    )


def _title(control: Evaluation) -> str:
    seed = control.checkpoint.seed
    return "8 x 8 pixels" if seed is None else f"random weights, seed {seed}"


def _kinds(answers: Stored) -> list[str]:
    if answers.variant_N is None:
        return []
    return list(dict.fromkeys(kind for option in answers.answers for kind in KINDS.get(option, ())))


def _notes(page: _Page) -> list[str]:
    notes = []
    if not page.shows_previews:
        notes.append(switched_off(page.evaluation.dataset.name))
    if page.part.sure_N is None:
        notes.append(EARLIER_STAGE if "@" in page.name else NOT_KEPT)
    if page.part.neighbours_NK is not None and (page.answers.gallery_label_M == UNKNOWN).any():
        notes.append(NO_LABELS)
    return notes


def _answer(page: _Page, row: int) -> AnswerOut:
    answers, part = page.answers, page.part
    video, truth = answers.videos[answers.video_N[row]], int(answers.truth_N[row])
    number = None if answers.tuple_N is None else int(answers.tuple_N[row])
    spec = page.evaluation.checkpoint.known_spec if page.shows_previews else None
    preview = None if spec is None else _preview(page, spec, video, number, answers.answers[truth])
    return AnswerOut(
        video=video,
        group=answers.groups[answers.video_N[row]],
        truth=answers.answers[truth],
        answer=_name(answers, int(part.answer_N[row])),
        right=bool(part.right_N[row]),
        sure=_sure(part, row),
        number=number,
        variant=None if answers.variant_N is None else answers.variants[answers.variant_N[row]] or None,
        ranked=_ranked(answers, part, row),
        neighbours=_neighbours(page, spec, row, truth),
        average_precision=None if part.precision_N is None else _digits(float(part.precision_N[row])),
        controls=[
            _other(answers, one, side, row) for one, side in page.controls if side.row_N[row] != UNKNOWN
        ],
        against=None
        if page.other is None or page.beside is None
        else _other(answers, page.other, page.beside, row),
        preview=_previewed(preview),
    )


def _name(answers: Stored, code: int) -> str | None:
    return None if code == UNKNOWN else answers.answers[code]


def _digits(value: float) -> float:
    """Take away the digits of single precision, which nobody stored."""
    return round(value, 4)


def _sure(part: Part, row: int) -> float | None:
    return None if part.sure_N is None else _digits(float(part.sure_N[row]))


def _ranked(answers: Stored, part: Part, row: int) -> list[RankedOut]:
    if part.ranked_NK is None:
        return []
    sure = [None] * part.ranked_NK.shape[1] if part.ranked_sure_NK is None else part.ranked_sure_NK[row]
    return [
        RankedOut(answer=answers.answers[code], sure=None if one is None else _digits(float(one)))
        for code, one in zip(part.ranked_NK[row], sure, strict=True)
        if code != UNKNOWN
    ]


def _neighbours(page: _Page, spec: BackboneSpec | None, row: int, truth: int) -> list[NeighbourOut]:
    answers, found = page.answers, []
    if page.part.neighbours_NK is None:
        return []
    for number in page.part.neighbours_NK[row]:
        if number == UNKNOWN:
            break
        video, label = answers.gallery[number], int(answers.gallery_label_M[number])
        preview = None if spec is None else addresses.video(page.evaluation.dataset_id, spec, video)
        found.append(
            NeighbourOut(
                video=video,
                label=_name(answers, label),
                right=None if label == UNKNOWN else label == truth,
                preview=_previewed(preview),
            )
        )
    return found


def _other(answers: Stored, evaluation: Evaluation, side: Side, row: int) -> OtherOut:
    there = int(side.row_N[row])
    return OtherOut(
        evaluation=evaluation.id,
        answer=_name(answers, int(side.part.answer_N[there])),
        right=bool(side.part.right_N[there]),
        sure=_sure(side.part, there),
    )


def _preview(page: _Page, spec: BackboneSpec, video: str, number: int | None, option: str) -> Preview:
    dataset_id = page.evaluation.dataset_id
    if number is None:
        return addresses.video(dataset_id, spec, video)
    return addresses.question(dataset_id, spec, page.evaluation.protocol_hash, video, number, option)


def _previewed(preview: Preview | None) -> PreviewOut | None:
    return None if preview is None else PreviewOut.model_validate(preview)
