"""Sentences about an evaluation, generated from its scores alone. No torch.

An interval decides each word:

- "above random weights" means that the interval of the lift lies above zero.
- "within error" means that the interval of the lift contains zero.
- Pixels give "more" or "less" if the interval of the difference does not contain zero.
- "No better" means that the interval rules out a lift of 5 points or more.
- "Cannot tell" means that it does not, or that there are fewer than six groups or videos.

The estimate decides the degree: far (20 points or more), plainly (5 or more), slightly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol as Interface

from vcp_core.catalog.options import KINDS, OPTION_NAMES
from vcp_core.catalog.scores import Score
from vcp_core.catalog.units import verdict

ONE_DRAW = "one random network"  # stands in sentences for "random weights"
FAR, PLAIN = 20.0, 5.0  # points of lift
LEAST_UNITS = 6  # with fewer groups or videos no score is called above or below
QUESTIONS = {
    "cloze.accuracy": "Cloze accuracy",
    "recognition.top1": "Recognition top-1",
    "retrieval.top1": "Retrieval top-1",
}


Scores = Mapping[str, Score]


def diagnose(scores: Iterable[Score], *, num_controls: int | None = None) -> tuple[str, ...]:
    """Describe one evaluation in sentences, the most important first. No scores give no sentences.

    Args:
        scores: All scores of one evaluation, in any order. Without a random-weights control, each score is
            compared with chance.
        num_controls: Number of random networks. The interval of a lift over a single one does not cover how
            another would differ, so the sentences then say "one random network".

    >>> diagnose([])
    ()
    """
    found = {score.metric: score for score in scores}
    baseline = ONE_DRAW if num_controls == 1 else "random weights"
    heads = [
        f"{words} {_against(found[metric], baseline)}{_beside_pixels(found[metric])}."
        for metric, words in QUESTIONS.items()
        if metric in found
    ]
    cloze = [_options(found, baseline), *_answers(found, baseline), *_kinds(found), _stage(found)]
    place = 1 if "cloze.accuracy" in found else 0
    said = [one for one in [*heads[:place], *cloze, *heads[place:]] if one]
    if any(baseline in one for one in said) and baseline == ONE_DRAW:
        said.append("Another random network would score differently; no interval here includes by how much.")
    return tuple(said)


class Counted(Interface):
    """A number with a count of the groups or videos behind it: a score, or a difference of two scores."""

    @property
    def num_units(self) -> int: ...  # noqa: D102


def too_few(number: Counted) -> bool:
    """Whether too few groups or videos are behind a number to call it above or below another.

    >>> from types import SimpleNamespace
    >>> too_few(SimpleNamespace(num_units=5)), too_few(SimpleNamespace(num_units=6))
    (True, False)
    """
    return number.num_units < LEAST_UNITS


def cannot_tell(score: Score) -> str:
    """Say that a score's groups or videos are too few.

    >>> from types import SimpleNamespace
    >>> cannot_tell(SimpleNamespace(num_units=5, units="group"))
    'cannot tell: 5 groups of test videos'
    """
    return f"cannot tell: {units_behind(score)}"


def units_behind(score: Score) -> str:
    """The number and kind of units behind a score.

    >>> from types import SimpleNamespace
    >>> units_behind(SimpleNamespace(num_units=1, units="video"))
    '1 test video'
    """
    plural = "" if score.num_units == 1 else "s"
    if score.units == "group":
        return f"{score.num_units} group{plural} of test videos"
    return f"{score.num_units} test video{plural}"


def way(score: Score) -> int:
    """1 if a score is better than random weights, -1 if worse, 0 if within error or on too few units.

    >>> behind = {"num_videos": 96, "num_units": 47, "units": "group"}
    >>> numbers = {"value": 40.0, "low": 35.0, "high": 45.0, **behind}
    >>> way(Score(metric="cloze.accuracy", lift=9.0, lift_low=3.0, lift_high=15.0, **numbers))
    1
    >>> way(Score(metric="cloze.accuracy", lift=9.0, lift_low=-3.0, lift_high=21.0, **numbers))
    0
    """
    return 0 if too_few(score) else verdict(score.lift_low, score.lift_high, score.better)


def is_open(score: Score) -> bool:
    """Whether the test videos leave open if a score is better than random weights.

    Fewer than six units always leave it open. More units leave it open if the interval of the lift contains
    zero and also a lift of 5 points. A plain number has no points, so zero alone is enough.

    >>> behind = {"num_videos": 96, "num_units": 47, "units": "group"}
    >>> numbers = {"value": 40.0, "low": 35.0, "high": 45.0, **behind}
    >>> is_open(Score(metric="cloze.accuracy", lift=1.0, lift_low=-2.0, lift_high=4.0, **numbers))
    False
    >>> is_open(Score(metric="cloze.accuracy", lift=1.0, lift_low=-5.0, lift_high=7.0, **numbers))
    True
    """
    if too_few(score):
        return True
    if way(score) or score.lift_low is None or score.lift_high is None:
        return False
    best = -score.lift_low if score.better == "lower" else score.lift_high
    return score.unit == "number" or best >= PLAIN


def _against(score: Score, baseline: str) -> str:
    """The sentence part that compares a score with chance and random weights."""
    chance = "" if score.chance is None else f" (chance {score.chance:.1f})"
    said = f"is {score.value:.1f} %{chance}"
    if too_few(score):
        return f"{said}: {cannot_tell(score)}"
    if score.lift is None or score.lift_low is None or score.lift_high is None:
        if score.chance is None:
            return said
        far = score.low > score.chance or score.high < score.chance
        return f"{said}: {'apart from' if far else 'within error of'} chance"
    span = f"{score.lift:+.1f} points [{score.lift_low:+.1f}, {score.lift_high:+.1f}]"
    return f"{said}: {_degree(score)} {baseline}, {span}"


def _beside_pixels(score: Score) -> str:
    """The sentence part about the pixel baseline. It compares only if the difference has an interval."""
    if score.pixels is None:
        return ""
    if score.above_pixels_low is None or score.above_pixels_high is None or too_few(score):
        return f"; 8 x 8 pixels alone give {score.pixels:.1f}"
    if score.above_pixels_low > 0:
        said = "less"
    elif score.above_pixels_high < 0:
        said = "more"
    else:
        said = "as much, within error"
    return f"; 8 x 8 pixels alone give {said} ({score.pixels:.1f})"


def _degree(score: Score) -> str:
    assert score.lift is not None
    side = way(score)
    if not side:
        return "within error of"
    word = "far" if abs(score.lift) >= FAR else "plainly" if abs(score.lift) >= PLAIN else "slightly"
    return f"{word} {'above' if side > 0 else 'below'}"


def _options(scores: Scores, baseline: str) -> str:
    """The sentence about which options the network finds better than random weights, and which not."""
    found = [(name, scores[f"cloze.recall.{name}"]) for name in _changed(scores)]
    groups: dict[str, list[str]] = {}
    open_for = None
    for name, score in found:
        if score.lift is None or score.lift_high is None:
            return ""
        said = _degree(score)
        if is_open(score):
            said, open_for = OPEN, score
        groups.setdefault(said, []).append(f"{name} ({score.lift:+.1f})")
    order = [f"{word} {side}" for side, words in _SIDES.items() for word in words]
    parts = [f"{listed(groups[key])} {key} {baseline}" for key in order if key in groups]
    if "within error of" in groups:
        parts.append(f"{listed(groups['within error of'])} no better than {baseline}, within error")
    said = f"It finds {'; '.join(parts)}." if parts else ""
    if open_for is None:
        return said
    return f"{said} Of {listed(groups[OPEN])} it {cannot_tell(open_for)}.".strip()


OPEN = "open"
_SIDES = {"above": ("far", "plainly", "slightly"), "below": ("far", "plainly", "slightly")}


def _answers(scores: Scores, baseline: str) -> list[str]:
    """Sentences about options with a better recall but a worse precision: the answer is given more often."""
    said = []
    for name in _changed(scores):
        recall, precision = scores[f"cloze.recall.{name}"], scores.get(f"cloze.precision.{name}")
        if way(recall) > 0 and precision is not None and way(precision) < 0:
            said.append(
                f"It says {name} more often than {baseline}, and is right less often when it says so "
                f"({precision.value:.1f} %, {precision.lift:+.1f})."
            )
    return said


def _kinds(scores: Scores) -> list[str]:
    """Name the hardest and the easiest kind of variant of an option, if their intervals do not overlap."""
    said = []
    for option, kinds in KINDS.items():
        named = {kind: f"cloze.recall.{option}.{kind}" for kind in kinds}
        found = {kind: scores[metric] for kind, metric in named.items() if metric in scores}
        if not found:
            continue
        hardest = min(found, key=lambda kind: found[kind].value)
        easiest = max(found, key=lambda kind: found[kind].value)
        if found[hardest].high < found[easiest].low and not too_few(found[hardest]):
            said.append(
                f"Of {option}, {hardest} is the hardest ({found[hardest].value:.1f} %) "
                f"and {easiest} the easiest ({found[easiest].value:.1f})."
            )
    return said


def _stage(scores: Scores) -> str:
    """The sentence for networks whose earlier stage scores higher on temporal options than the last one."""
    last = scores.get("cloze.temporal")
    stages = {
        metric.split("@")[1].split(".")[0]: score
        for metric, score in scores.items()
        if metric.startswith("cloze.relational@") and metric.endswith(".temporal")
    }
    if last is None or not stages:
        return ""
    best = max(stages, key=lambda stage: stages[stage].value)
    if stages[best].low <= last.high or too_few(last):
        return ""
    return (
        f"Order in time is known best after {best} ({stages[best].value:.1f} %); "
        f"the last stage has lost some of it ({last.value:.1f})."
    )


def _changed(scores: Scores) -> list[str]:
    """The options other than "original" that have a recall."""
    return [name for name in OPTION_NAMES if name != "original" and f"cloze.recall.{name}" in scores]


def listed(items: Sequence[str]) -> str:
    """Join items as in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
