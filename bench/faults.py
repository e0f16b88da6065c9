"""Prints the numbers that today's code gives for five faults that a review found in intervals.

python -m bench.faults
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from vcpbench_client import answers
from vcpbench_client.gate.rules import Rule, judge_drop

from bench.intervals import units_of
from vcp_core.benchmarks.cloze import HEADS
from vcp_core.catalog.options import PAPERS_OPTIONS
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.results.diagnosis import diagnose
from vcp_core.results.types import Fit, Predictions, Score
from vcp_core.scoring.comparison import Difference, compare
from vcp_core.scoring.scores import score_benchmark

PROTOCOL = PROTOCOLS["quick-v1"]
CANDIDATE: Any = None  # the gate reads it only if a metric is missing
FITTED = Fit(
    name="relational", l2=1.0, holdout_losses={}, converged=True, num_iterations=1, gradient_norm=0.0
)


def recognition(right: np.ndarray, num_groups: int = 0) -> Predictions:
    """Predictions with one outcome per video, in `num_groups` groups of equal size."""
    num = len(right)
    names = [["a"] if good else ["x"] for good in right.astype(bool).tolist()]
    groups = units_of(num_groups, num // num_groups).ids if num_groups else [None] * num
    return Predictions(
        benchmark="recognition",
        answers=("a", "x"),
        columns={
            "video": [f"v{i:05d}" for i in range(num)],
            "group": list(groups),
            "label": ["a"] * num,
            "linear": names,
            "knn": names,
        },
    )


def cloze(answers: list[str]) -> Predictions:
    """Cloze predictions with five options per video, without groups."""
    num = len(answers) // 5
    return Predictions(
        benchmark="cloze",
        answers=PAPERS_OPTIONS,
        columns={
            "video": [f"v{i:05d}" for i in np.repeat(np.arange(num), 5)],
            "group": [None] * len(answers),
            "option": [*PAPERS_OPTIONS] * num,
            "variant": ["", "90", "1032", "before:21", "0-1"] * num,
            **{head: answers for head in HEADS},
        },
        fits=(FITTED, FITTED.model_copy(update={"name": "concat"})),
    )


def scored(benchmark: str, predictions: Predictions, control: Predictions | None = None) -> dict[str, Score]:
    """The scores of predictions, by metric."""
    controls = {} if control is None else {"0": control}
    found = score_benchmark(benchmark, predictions, controls, unavailable=None, protocol=PROTOCOL)
    return {score.metric: score for score in found.scores}


def lost(num: int, losses: int, num_groups: int = 0, *, same: bool = False) -> Difference:
    """The difference to a checkpoint that loses right answers, one per group in turn, and gains none."""
    first, second = np.ones(num), np.ones(num)
    order = np.arange(num).reshape(num_groups or 1, -1).T.ravel()
    second[order[:losses]] = 0
    was, now = ({"recognition": recognition(right, num_groups)} for right in (first, second))
    found = compare(was, now, PROTOCOL, same=same)
    return next(one for one in found if one.metric == "recognition.top1")


def as_client(one: Difference) -> answers.Difference:
    """Convert a difference into the client's type, which the gate reads."""
    names = {field.name for field in dataclasses.fields(answers.Difference)}
    return answers.Difference(**one.model_dump(include=names))


def main() -> None:
    """Print the numbers of each fault."""
    print("(a) a network that always gives one answer, cloze accuracy:")
    for num in (24, 200, 3783):
        score = scored("cloze", cloze(["original"] * 5 * num))["cloze.accuracy"]
        print(f"    {num:>5} videos  {score.value:.1f} [{score.low:.1f}, {score.high:.1f}]")
    print("(b) see python -m bench.intervals --only paired")
    print("(c) 200 videos, losses and no gain:")
    for losses in (0, 1, 2):
        one = lost(200, losses)
        print(f"    {losses} lost  {one.difference:.2f} [{one.low:.2f}, {one.high:.2f}], p {one.p_value:.3f}")
    judged = judge_drop(Rule.parse("max-drop", "recognition.top1=1.5"), CANDIDATE, [as_client(lost(200, 1))])
    print(f"    the gate, 1 lost: {judged.verdict}: {judged.reason}")
    print("(d) two test videos:")
    for said in diagnose(scored("cloze", cloze([*PAPERS_OPTIONS] * 2), cloze(["original"] * 10)).values()):
        print(f"    {said}")
    print("(e) 24 videos in 6 groups:")
    for right in (0, 1, 12, 23, 24):
        order = np.arange(24).reshape(6, 4).T.ravel()
        score = scored("recognition", recognition(np.isin(np.arange(24), order[:right]), 6))[
            "recognition.top1"
        ]
        print(f"    {right:>2} right  {score.value:.1f} [{score.low:.1f}, {score.high:.1f}]")
    for losses in (0, 6):
        one = lost(24, losses, 6)
        print(f"    {losses} lost  {one.difference:.1f} [{one.low:.1f}, {one.high:.1f}], p {one.p_value:.3f}")
    one = lost(24, 0, 6, same=True)
    print(f"    the same weights  {one.difference:.1f} [{one.low:.1f}, {one.high:.1f}], test: {one.test}")


if __name__ == "__main__":
    main()
