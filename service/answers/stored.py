"""Stored answers of one benchmark of an evaluation, in a compact form that is kept in memory.

The database has the answers as one JSON text: 20 MB for cloze on 20,000 videos. A page must not parse that
each time. So the first request parses the text into arrays, and a finished evaluation's answers never change.

Legend: N answers (rows), V videos, M neighbours that occur, K ranked answers or neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json
from sqlalchemy.orm import Session

from records.kept import Kept
from records.models import DatasetRow
from records.repositories import evaluations
from records.storage import Storage, manifest_key
from service.problems import Busy
from vcp_core.catalog.errors import StorageError
from vcp_core.results.types import sureness_column

ASKED = ("video", "group", "label", "option", "variant", "tuple")  # columns that say what was asked
RANKINGS = {"neighbours": "pooled", "max.neighbours": "max-pooled"}  # part of retrieval, by its column
UNKNOWN = -1  # code of an answer whose class is unknown
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Labels = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The answers of one part, such as a head of cloze.

    Attributes:
        answer_N: Code of the answer. Of retrieval, the class of the nearest video.
        right_N: Whether it is right.
        sure_N: Probability of the answer, or similarity of the nearest video; None if that was not kept.
        ranked_NK: Codes of the best answers, if several were kept. Places without one have `UNKNOWN`.
        ranked_sure_NK: Their probabilities; None if these were not kept.
        neighbours_NK: Of retrieval, the nearest videos as numbers of `Stored.gallery`, or `UNKNOWN`.
        precision_N: Of retrieval, average precision.
    """

    answer_N: Codes
    right_N: npt.NDArray[np.bool_]
    sure_N: Floats | None
    ranked_NK: Codes | None = None
    ranked_sure_NK: Floats | None = None
    neighbours_NK: Codes | None = None
    precision_N: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """All answers of one benchmark of one evaluation.

    Attributes:
        answers: The possible answers; codes are places among them.
        videos: Ids of the test videos.
        groups: Group of each video.
        video_N: The video of each row, as a number of `videos`.
        truth_N: Code of the right answer.
        tuple_N: Number of the question among those of its video; None if each video has one.
        variants: The variants that occur.
        variant_N: The variant of each row, as a number of `variants`; None if there are none.
        gallery: Ids of the videos that are neighbours.
        gallery_label_M: Code of the class of each; `UNKNOWN` if the dataset's list cannot be read.
        parts: By name, in the order of the benchmark.
    """

    answers: tuple[str, ...]
    videos: tuple[str, ...]
    groups: tuple[str | None, ...]
    video_N: Codes
    truth_N: Codes
    tuple_N: Codes | None
    variants: tuple[str, ...]
    variant_N: Codes | None
    gallery: tuple[str, ...]
    gallery_label_M: Codes
    parts: Mapping[str, Part]

    def __len__(self) -> int:
        return len(self.video_N)


class NoAnswers:
    """Stands for predictions that hold no answers, so that they are not parsed again."""


# Nine MB at most on 20,000 videos, two on UCF101 (python -m bench.gallery). A page reads those of one
# evaluation, of its controls, and of the one that it is compared with: six at most.
KEPT = Kept[tuple[UUID, str, bool], "Stored | NoAnswers"](32)
LABELS = Kept[UUID, Labels](4)  # classes of training videos, by dataset
# One parser at a time: several requests for the same answers parse them once, and other pages get the
# processor in between. Who waits longer asks again, so that waiting requests do not take all threads.
_reading = Lock()
LONGEST_WAIT_S = 3.0


def read(
    session: Session, evaluation_id: UUID, benchmark: str, labels: Callable[[], Labels | None]
) -> Stored | None:
    """Read the answers of a finished evaluation; None if it has none of this benchmark.

    Args:
        session: Of the caller.
        evaluation_id: The evaluation.
        benchmark: The benchmark.
        labels: Gives the classes of training videos by id, for retrieval; None if they cannot be read.

    Raises:
        Busy: If other answers are read for longer than a request may wait.
    """
    known = labels() if benchmark == "retrieval" else None
    key = (evaluation_id, benchmark, known is not None)
    found = KEPT.get(key)
    if found is None:
        if not _reading.acquire(timeout=LONGEST_WAIT_S):
            raise Busy("The service reads the answers of other evaluations at the moment. Ask again soon.")
        try:
            found = KEPT.get(key)
            if found is None:
                text = evaluations.predictions_text(session, evaluation_id, benchmark)
                # `from_json` is faster than `json.loads` on long texts, and keeps each repeated name once.
                made = None if text is None else compact(from_json(text, cache_strings="all"), known)
                found = NoAnswers() if made is None else made
                KEPT.put(key, found)
        finally:
            _reading.release()
    return None if isinstance(found, NoAnswers) else found


def labels_of(storage: Storage, dataset: DatasetRow) -> Labels | None:
    """Read the classes of a dataset's training videos, by id; None if its list cannot be read just now."""
    found = LABELS.get(dataset.id)
    if found is None:
        try:
            text = storage.get_bytes(manifest_key(dataset.id), sha256=dataset.manifest_sha256)
        except StorageError:  # the answers can be shown without the classes
            return None
        videos = from_json(text, cache_strings="all")["videos"]
        found = {video["id"]: video["label"] for video in videos if video["split"] == "train"}
        LABELS.put(dataset.id, found)
    return found


def compact(predictions: Mapping[str, Any], labels: Labels | None = None) -> Stored | None:
    """Make the compact form of `vcp_core.results.types.Predictions`; None if no column holds answers.

    >>> columns = {"video": ["a", "b"], "group": [None, None], "label": ["wave", "clap"]}
    >>> columns |= {"linear": [["wave", "clap"]] * 2, "linear.probability": [[0.75, 0.25], [0.5, 0.5]]}
    >>> found = compact({"answers": ["clap", "wave"], "columns": columns, "facts": {}})
    >>> found.parts["linear"].right_N.tolist(), found.parts["linear"].sure_N.tolist()
    ([True, False], [0.75, 0.5])
    """
    columns, answers = predictions["columns"], tuple(predictions["answers"])
    truth = columns.get("option") or columns.get("label")
    code_of = {name: code for code, name in enumerate(answers)}
    if not truth or not all(name in code_of for name in truth):
        return None
    truth_N = _codes(truth, code_of)
    videos = {name: number for number, name in enumerate(dict.fromkeys(columns["video"]))}
    groups = dict(zip(columns["video"], columns["group"], strict=True))
    gallery = {
        name: number
        for number, name in enumerate(
            dict.fromkeys(name for column in RANKINGS for row in columns.get(column, ()) for name in row)
        )
    }
    gallery_label_M = _codes(((labels or {}).get(name) for name in gallery), code_of)
    parts = {}
    for column, values in columns.items():
        if column in RANKINGS:
            neighbours_NK = _table(values, gallery)
            parts[RANKINGS[column]] = _ranking(
                column, columns, predictions["facts"], neighbours_NK, gallery_label_M
            )
        elif column not in ASKED and _are_answers(values, code_of):
            parts[column] = _part(values, columns.get(sureness_column(column)), truth_N, code_of)
    variants = {name: number for number, name in enumerate(dict.fromkeys(columns.get("variant", ())))}
    return None if not parts else Stored(
        answers=answers,
        videos=tuple(videos),
        groups=tuple(groups.values()),
        video_N=_codes(columns["video"], videos),
        truth_N=truth_N,
        tuple_N=np.asarray(columns["tuple"], np.int32) if "tuple" in columns else None,
        variants=tuple(variants),
        variant_N=_codes(columns["variant"], variants) if variants else None,
        gallery=tuple(gallery),
        gallery_label_M=gallery_label_M,
        parts=parts,
    )  # fmt: skip


def _are_answers(values: Sequence[Any], code_of: Mapping[str, int]) -> bool:
    """Whether a column holds answers, or lists of them, the best first."""
    first = [row[0] if isinstance(row, list) and row else row for row in values]
    return bool(first) and all(isinstance(one, str) and one in code_of for one in first)


def _part(
    values: Sequence[Any], sure: Sequence[Any] | None, truth_N: Codes, code_of: Mapping[str, int]
) -> Part:
    if isinstance(values[0], str):
        answer_N = _codes(values, code_of)
        sure_N = None if sure is None else np.asarray(sure, np.float32)
        return Part(answer_N=answer_N, right_N=answer_N == truth_N, sure_N=sure_N)
    ranked_NK = _table(values, code_of)
    ranked_sure_NK = None if sure is None else np.asarray(sure, np.float32)
    return Part(
        answer_N=ranked_NK[:, 0],
        right_N=ranked_NK[:, 0] == truth_N,
        sure_N=None if ranked_sure_NK is None else ranked_sure_NK[:, 0],
        ranked_NK=ranked_NK,
        ranked_sure_NK=ranked_sure_NK,
    )


def _ranking(
    column: str,
    columns: Mapping[str, Any],
    facts: Mapping[str, Any],
    neighbours_NK: Codes,
    gallery_label_M: Codes,
) -> Part:
    """A ranking is right if the class is among the nearest k, for the protocol's smallest k (usually 1)."""
    prefix = column.removesuffix("neighbours")
    sure, nearest_N = columns.get(f"{prefix}similarity"), neighbours_NK[:, :1]
    answer_N = np.full(len(neighbours_NK), UNKNOWN, np.int32)
    if len(gallery_label_M) and nearest_N.size:
        answer_N = np.where(nearest_N[:, 0] == UNKNOWN, UNKNOWN, gallery_label_M[nearest_N[:, 0]])
    return Part(
        answer_N=answer_N,
        right_N=np.asarray(columns[f"{prefix}hit_at_{min(facts['ks'])}"], bool),
        sure_N=None if sure is None else np.asarray(sure, np.float32),
        neighbours_NK=neighbours_NK,
        precision_N=np.asarray(columns[f"{prefix}average_precision"], np.float32),
    )


def _codes(values: Iterable[Any], code_of: Mapping[str, int]) -> Codes:
    return np.fromiter((code_of.get(value, UNKNOWN) for value in values), np.int32)


def _table(rows: Sequence[Sequence[str]], code_of: Mapping[str, int]) -> Codes:
    """Codes of lists, (N, K); a list that is shorter than the longest ends with `UNKNOWN`."""
    width = max(map(len, rows), default=0)
    found = np.full((len(rows), width), UNKNOWN, np.int32)
    for place in range(width):
        found[:, place] = _codes((row[place] if place < len(row) else None for row in rows), code_of)
    return found
