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
        answer: The class that was answered. None for retrieval, if the class of the neighbour is unknown.
        right: Whether that is the true class.
        neighbour: For retrieval, id of the nearest training video.
    """

    video: str
    group: str | None
    label: str
    answer: str | None
    right: bool
    neighbour: str | None = None


def answers(predictions: Predictions, labels: Mapping[str, str] | None = None) -> list[Answer]:
    """List the first answer for every test video, in the order of the predictions.

    Args:
        predictions: Of recognition or of retrieval. The answer of retrieval is the nearest training video's
            class.
        labels: For retrieval, the classes of the training videos, by id.

    Raises:
        NotAvailable: If the benchmark answers other questions than the class of a video.

    >>> columns = {"video": ["a", "b"], "group": [None, None], "label": ["wave", "clap"]}
    >>> columns["linear"] = [["wave", "clap"], ["wave", "clap"]]
    >>> found = Predictions(benchmark="recognition", answers=("clap", "wave"), columns=columns)
    >>> [(one.video, one.answer, one.right) for one in answers(found)]
    [('a', 'wave', True), ('b', 'wave', False)]
    """
    if predictions.benchmark == RECOGNITION:
        method = next(name for name in METHODS if name in predictions.columns)
        first = [(row[0], None) for row in predictions.column(method)]
        right = [
            answer == label for (answer, _), label in zip(first, predictions.column("label"), strict=True)
        ]
    elif predictions.benchmark == RETRIEVAL:
        nearest = [row[0] if row else None for row in predictions.column("neighbours")]
        first = [((labels or {}).get(one), one) for one in nearest]
        right = predictions.column(f"hit_at_{min(predictions.facts['ks'])}")
        if min(predictions.facts["ks"]) > 1:  # a hit is then no matter of the nearest video
            right = [
                answer == label for (answer, _), label in zip(first, predictions.column("label"), strict=True)
            ]
    else:
        raise NotAvailable(
            f"{predictions.benchmark} does not answer the class of a video. "
            f"Ask for {RECOGNITION} or {RETRIEVAL}."
        )
    videos = zip(*(predictions.column(name) for name in ("video", "group", "label")), strict=True)
    return [
        Answer(
            video=video, group=group, label=label, answer=answer, right=bool(is_right), neighbour=neighbour
        )
        for (video, group, label), (answer, neighbour), is_right in zip(videos, first, right, strict=True)
    ]
