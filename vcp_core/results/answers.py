"""What a network answered for each test video, and whether the answer was right. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vcp_core.catalog.errors import NotAvailable
from vcp_core.results.types import Predictions

RECOGNITION, RETRIEVAL = "recognition", "retrieval"
METHODS = ("linear", "finetune")  # columns of recognition that give its headline


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for one test video.

    Attributes:
        video: Id of the video.
        group: Group of the video, if it is known.
        label: True class.
        answer: The class that was answered; None if there is no answer.
        right: Whether that is the true class.
        neighbour: For retrieval, id of the nearest training video.
    """

    video: str
    group: str | None
    label: str
    answer: str | None
    right: bool
    neighbour: str | None = None


def answers(predictions: Predictions, labels: Mapping[str, str]) -> list[Answer]:
    """List the first answer for every test video, in the order of the predictions.

    Args:
        predictions: Of recognition or of retrieval. The answer of retrieval is the nearest training video's
            class.
        labels: Classes of the training videos, by id. Only retrieval reads them.

    Raises:
        NotAvailable: If the benchmark answers other questions than the class of a video.

    >>> columns = {"video": ["a", "b"], "group": [None, None], "label": ["wave", "clap"]}
    >>> columns["linear"] = [["wave", "clap"], ["wave", "clap"]]
    >>> found = Predictions(benchmark="recognition", answers=("clap", "wave"), columns=columns)
    >>> [(one.video, one.answer, one.right) for one in answers(found, {})]
    [('a', 'wave', True), ('b', 'wave', False)]
    """
    first: list[tuple[str | None, str | None]]
    if predictions.benchmark == RECOGNITION:
        method = next(name for name in METHODS if name in predictions.columns)
        first = [(row[0], None) for row in predictions.column(method)]
    elif predictions.benchmark == RETRIEVAL:
        nearest: list[str | None] = [row[0] if row else None for row in predictions.column("neighbours")]
        first = [(None if one is None else labels.get(one), one) for one in nearest]
    else:
        raise NotAvailable(
            f"{predictions.benchmark} does not answer the class of a video. "
            f"Ask for {RECOGNITION} or {RETRIEVAL}."
        )
    videos = zip(*(predictions.column(name) for name in ("video", "group", "label")), strict=True)
    return [
        Answer(
            video=video, group=group, label=label, answer=answer, right=answer == label, neighbour=neighbour
        )
        for (video, group, label), (answer, neighbour) in zip(videos, first, strict=True)
    ]
