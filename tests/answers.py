"""Answers of heads, as a benchmark keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from vcp_core.catalog.options import PAPERS_OPTIONS
from vcp_core.results.types import Fit, Predictions

VARIANTS = ("", "90", "1032", "before:21", "0-2")  # one of each option, in their order


def cloze_answers(guesses: Sequence[str], heads: Sequence[str] = ("relational", "concat")) -> Predictions:
    """Cloze, five rows a video in the order of the options; every head gives the same guesses."""
    num_videos = len(guesses) // len(PAPERS_OPTIONS)
    numbers = {"l2": 1.0, "holdout_losses": {}, "converged": True, "num_iterations": 1, "gradient_norm": 0.0}
    return Predictions(
        benchmark="cloze",
        answers=PAPERS_OPTIONS,
        columns={
            "video": [f"v{video:02d}" for video in range(num_videos) for _ in PAPERS_OPTIONS],
            "group": [None] * len(guesses),
            "option": [*PAPERS_OPTIONS] * num_videos,
            "variant": [*VARIANTS] * num_videos,
            **{head: list(guesses) for head in heads},
        },
        fits=tuple(Fit.model_validate({"name": head, **numbers}) for head in heads),
    )
