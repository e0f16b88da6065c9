"""Find the wanted answers among the stored ones.

Legend: N answers (rows).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.answers.stored import UNKNOWN, Codes, Part, Stored
from service.answers.wanted import Wanted
from service.problems import Conflict, InvalidRequest
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.options import OPTIONS

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Side:
    """The answers of one part of another evaluation, row by row beside the shown one's.

    `row_N` has the number of the row, or `UNKNOWN` where the other evaluation did not answer the question.
    """

    part: Part
    row_N: Codes

    @property
    def answered_N(self) -> Mask:
        """Whether the other evaluation answered, too."""
        found: Mask = self.row_N != UNKNOWN
        return found

    @property
    def right_N(self) -> Mask:
        """Whether the other evaluation answered, and was right."""
        return self.answered_N & self.part.right_N[self.row_N]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The rows that were asked for.

    Attributes:
        rows: Rows of the page, in order.
        total: Number of rows on all pages.
        num_right: Right answers among the rows that the filters keep. `right` and `against_right` do not
            affect this number.
        num_wrong: Wrong answers among them.
        pairs: With another evaluation, the number of rows by (right, right there), of those both answered.
    """

    rows: list[int]
    total: int
    num_right: int
    num_wrong: int
    pairs: dict[tuple[bool, bool], int]


def choose(stored: Stored, part: Part, wanted: Wanted, beside: Side | None) -> Chosen:
    """Filter and sort the rows of a part, and cut out the page.

    Raises:
        UnknownName: If a class, option or variant does not exist.
        InvalidRequest: If the benchmark has no variants, or no other evaluation was named.
    """
    if beside is None and wanted.against_right is not None:
        raise InvalidRequest("against_right needs another evaluation. Name it: against=ID.")
    kept_N = _filtered(stored, part, wanted)
    pairs = {}
    if beside is not None:
        kept_N &= beside.answered_N
        pairs = {
            (right, there): int((kept_N & (part.right_N == right) & (beside.right_N == there)).sum())
            for right in (True, False)
            for there in (True, False)
        }
    num_right, num_kept = int((kept_N & part.right_N).sum()), int(kept_N.sum())
    if wanted.right is not None:
        kept_N &= part.right_N == wanted.right
    if beside is not None and wanted.against_right is not None:
        kept_N &= beside.right_N == wanted.against_right
    rows_N = _sorted(np.flatnonzero(kept_N), part, wanted)
    return Chosen(
        rows=rows_N[wanted.offset : wanted.offset + wanted.limit].tolist(),
        total=len(rows_N),
        num_right=num_right,
        num_wrong=num_kept - num_right,
        pairs=pairs,
    )


def _filtered(stored: Stored, part: Part, wanted: Wanted) -> Mask:
    kept_N = np.ones(len(stored), bool)
    if wanted.truth:
        kept_N &= np.isin(stored.truth_N, [_code(stored, name) for name in wanted.truth])
    if wanted.answer is not None:
        kept_N &= part.answer_N == _code(stored, wanted.answer)
    if wanted.variant is not None:
        kept_N &= _of_variant(stored, wanted.variant)
    if wanted.group is not None:
        kept_N &= _of_videos(stored, {n for n, group in enumerate(stored.groups) if group == wanted.group})
    if wanted.video is not None:
        kept_N &= _of_videos(stored, {n for n, name in enumerate(stored.videos) if wanted.video in name})
    return kept_N


def _code(stored: Stored, name: str) -> int:
    if name not in stored.answers:
        raise UnknownName("answer", name, stored.answers)
    return stored.answers.index(name)


def _of_videos(stored: Stored, numbers: Collection[int]) -> Mask:
    found_V = np.zeros(len(stored.videos), bool)
    found_V[list(numbers)] = True
    found: Mask = found_V[stored.video_N]
    return found


def _of_variant(stored: Stored, wanted: str) -> Mask:
    """Rows of a variant, or of a kind of variant."""
    if stored.variant_N is None:
        raise InvalidRequest("These answers have no variants: only cloze has. Leave `variant` out.")
    found_N, known = np.zeros(len(stored), bool), set[str]()
    for code, option in enumerate(stored.answers):
        numbers = []
        for number in np.unique(stored.variant_N[stored.truth_N == code]):
            variant = stored.variants[number]
            names = {variant, *(OPTIONS[option].kinds_of(variant) if option in OPTIONS else ())} - {""}
            known |= names
            numbers += [number] if wanted in names else []
        found_N |= (stored.truth_N == code) & np.isin(stored.variant_N, numbers)
    if wanted not in known:
        raise UnknownName("variant", wanted, sorted(known))
    return found_N


def _sorted(rows_N: npt.NDArray[np.intp], part: Part, wanted: Wanted) -> npt.NDArray[np.intp]:
    """Rows are stored by video. Equally sure ones keep that order."""
    if wanted.sort.endswith("sure") and part.sure_N is not None:
        sure_N = part.sure_N[rows_N]
        return rows_N[np.argsort(sure_N if wanted.sort == "sure" else -sure_N, kind="stable")]
    return rows_N[::-1] if wanted.sort == "-video" else rows_N


def pair(stored: Stored, other: Stored, name: str) -> Side:
    """Find the row of another evaluation that answers the same question, for every row.

    Raises:
        Conflict: If the other evaluation has no such part, or other classes.
    """
    if name not in other.parts or other.answers != stored.answers:
        raise Conflict(f"The other evaluation has no answers of {name} to the same questions.")
    part = other.parts[name]
    if _same_questions(stored, other):
        return Side(part=part, row_N=np.arange(len(stored), dtype=np.int32))
    row_of = {question: row for row, question in enumerate(_questions(other))}
    rows = (row_of.get(question, UNKNOWN) for question in _questions(stored))
    return Side(part=part, row_N=np.fromiter(rows, np.int32, len(stored)))


def _same_questions(stored: Stored, other: Stored) -> bool:
    return (
        stored.videos == other.videos
        and np.array_equal(stored.video_N, other.video_N)
        and np.array_equal(stored.truth_N, other.truth_N)
    )


def _questions(stored: Stored) -> list[tuple[str, int, int]]:
    """What each row was asked about: the video, the number of the question, and the right answer."""
    numbers = [0] * len(stored) if stored.tuple_N is None else stored.tuple_N.tolist()
    return [
        (stored.videos[video], number, truth)
        for video, number, truth in zip(
            stored.video_N.tolist(), numbers, stored.truth_N.tolist(), strict=True
        )
    ]
