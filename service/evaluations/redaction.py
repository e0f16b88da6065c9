"""What a reader may see of the words of a worker: errors and logs of an evaluation's jobs."""

from __future__ import annotations

from records.models import Evaluation
from service.auth import Caller, is_of
from service.datasets.schemas import without_paths


def redacted(words: str | None, evaluation: Evaluation, reader: Caller | None) -> str | None:
    """Give the words as far as this reader may see them.

    Administrators see all. The evaluation's team sees the words without the folders of the videos. Other
    readers see nothing.
    """
    if not is_of(evaluation.team, reader):
        return None
    if reader is not None and reader.admin:
        return words
    return without_paths(words, evaluation.dataset)
