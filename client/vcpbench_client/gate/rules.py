"""Rules, and what their intervals say. Pure: no network, no files.

A rule compares what an interval leaves possible with what is allowed:

    --min METRIC=VALUE        the score's interval           against VALUE
    --max-drop METRIC=POINTS  the paired difference's one    against -POINTS

        [----]         wholly at or above the bound: pass
           [--|--]     the bound lies inside: inconclusive, the videos are too few to tell
               [----]  (bound to the right of it) wholly below: fail
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

from vcpbench_client.answers import LEAST_UNITS, Difference, Evaluation, Score, cannot_tell
from vcpbench_client.errors import GateError

T = TypeVar("T")
LARGEST = 100.0  # percent; every metric that a server gives is in percent, see `vcp_core.results.Score`
Kind = Literal["min", "max-drop"]


class Verdict(StrEnum):
    """What comes out; the worst of the rules' is the gate's. A skipped rule had nothing to compare with."""

    SKIPPED = "skipped"
    PASS = "pass"  # noqa: S105 - not a password
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
    ERROR = "error"


SEVERITY = tuple(Verdict)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One demand. Every metric is in percent, from 0 to 100, and more is better.

    Attributes:
        kind: "min": the score must reach `bound`; "max-drop": it may fall by `bound` points.
        metric: Such as "cloze.temporal".
        bound: Percent, or percentage points.

    Raises:
        GateError: If nobody can mean it: such a rule would pass every time, or fail every time.

    >>> Rule.parse("min", "recognition.top1=40")
    Rule(kind='min', metric='recognition.top1', bound=40.0)
    """

    kind: Kind
    metric: str
    bound: float

    def __post_init__(self) -> None:
        if not self.metric or not math.isfinite(self.bound):
            raise GateError(f"--{self.kind} {self}: write it as METRIC=NUMBER.")
        if 0 <= self.bound <= LARGEST:
            return
        if self.kind == "max-drop":
            raise GateError(f"--{self.kind} {self}: the drop that is allowed is 0 to 100 percentage points.")
        raise GateError(f"--{self.kind} {self}: scores are percent, so give a number from 0 to 100.")

    @classmethod
    def parse(cls, kind: Kind, text: str) -> Rule:
        """Read `METRIC=NUMBER`, or `METRIC=NUMBER%`.

        A minimum below 1 needs its `%`: 0.4 is nearly always 40 percent written as a fraction, and a gate
        that asks for 0.4 percent passes every time.
        """
        metric, _, number = text.partition("=")
        try:
            rule = cls(kind=kind, metric=metric.strip(), bound=float(number.strip().removesuffix("%")))
        except ValueError:
            raise GateError(f"--{kind} {text}: write it as METRIC=NUMBER.") from None
        if rule.is_like_a_fraction and not number.rstrip().endswith("%"):
            raise GateError(
                f"--{kind} {text}: scores are percent, so {rule.bound:g} means {rule.bound:g} percent. "
                f"Did you mean {rule.as_percent}? If you do mean {rule.bound:g} percent, write {rule}."
            )
        return rule

    @property
    def is_like_a_fraction(self) -> bool:
        """Whether the bound of a minimum looks like a fraction of 1 instead of percent."""
        return self.kind == "min" and 0 < self.bound < 1

    @property
    def as_percent(self) -> str:
        """The bound in percent, if it was a fraction of 1."""
        return f"{100 * self.bound:g}"

    @property
    def warning(self) -> str | None:
        """What a reader of the verdict should know of this rule; None if it is as usual."""
        if not self.is_like_a_fraction:
            return None
        return (
            f"--{self.kind} {self}: {self.bound:g} means {self.bound:g} percent. "
            f"Did you mean {self.as_percent}?"
        )

    def __str__(self) -> str:
        return f"{self.metric}={self.bound:g}{'%' if self.is_like_a_fraction else ''}"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A rule and its verdict.

    Attributes:
        value: The score, or for "max-drop" the difference; None if there was nothing to judge.
        low: Lower end of its 95 % interval.
        high: Upper end.
        reason: In words.
    """

    rule: Rule
    verdict: Verdict
    reason: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


def judge_min(rule: Rule, candidate: Evaluation) -> Judged:
    """Whether a score reaches its minimum, as far as its interval tells.

    Raises:
        GateError: If the evaluation has no such score.
    """
    score = _named(rule.metric, {score.metric: score for score in candidate.scores}, candidate)
    verdict = _verdict(score.low, score.high, rule.bound, score)
    reason = f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}], at least {rule.bound:g} is asked for"
    if score.num_units < LEAST_UNITS:
        reason += f"; {cannot_tell(score)}"
    elif verdict is Verdict.INCONCLUSIVE:
        half = (score.high - score.low) / 2
        reason += f"; {score.num_videos:,} test videos tell a score to within {half:.1f} points only"
    return Judged(
        rule=rule, verdict=verdict, reason=reason, value=score.value, low=score.low, high=score.high
    )


def judge_drop(rule: Rule, candidate: Evaluation, differences: Iterable[Difference]) -> Judged:
    """Whether a score fell by more than is allowed, as far as the paired interval tells.

    Raises:
        GateError: If the two evaluations do not share the metric.
    """
    found = _named(rule.metric, {one.metric: one for one in differences}, candidate)
    verdict = _verdict(found.low, found.high, -rule.bound, found)
    reason = (
        f"{found.first:.1f} before, {found.second:.1f} now: {found.difference:+.1f} "
        f"[{found.low:+.1f}, {found.high:+.1f}], a drop of {rule.bound:g} is allowed"
    )
    if verdict is Verdict.INCONCLUSIVE:
        reason += _power(found, rule.bound)
    return Judged(
        rule=rule,
        verdict=verdict,
        reason=reason,
        value=found.difference,
        low=found.low,
        high=found.high,
    )


def videos_needed(found: Difference, limit: float) -> int | None:
    """How many test videos would decide about a drop in 80 % of cases where nothing changed; None if unknown.

    The width of an interval shrinks with the square root of the number of videos.
    """
    if not (found.detectable and found.num_videos and limit > 0):
        return None
    return math.ceil(found.num_videos * (found.detectable / limit) ** 2 - 1e-9)


def _power(found: Difference, limit: float) -> str:
    """What these videos can show, and how many would be enough."""
    if found.num_units is not None and found.num_units < LEAST_UNITS:
        return f"; {cannot_tell(found)}"
    if not (found.detectable and found.num_videos):
        return ""
    said = f"; {found.num_videos:,} test videos find a drop of {found.detectable:.1f} points in 80 % of cases"
    needed = videos_needed(found, limit)
    return said if needed is None else f"{said}, about {needed:,} videos would decide about {limit:g}"


def worst(judged: Iterable[Judged]) -> Verdict:
    """The gate's verdict; a rule that was skipped does not count."""
    return max((one.verdict for one in judged), key=SEVERITY.index, default=Verdict.PASS)


def _verdict(low: float, high: float, bound: float, of: Score | Difference) -> Verdict:
    if of.num_units is not None and of.num_units < LEAST_UNITS:
        return Verdict.INCONCLUSIVE
    if low >= bound:
        return Verdict.PASS
    return Verdict.FAIL if high < bound else Verdict.INCONCLUSIVE


def _named(metric: str, found: Mapping[str, T], candidate: Evaluation) -> T:
    if metric in found:
        return found[metric]
    reason = candidate.unavailable.get(metric.partition(".")[0])
    if reason is not None:
        raise GateError(f"{metric} cannot be judged: {reason}")
    near = difflib.get_close_matches(metric, found, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(found))}."
    raise GateError(f"No metric {metric!r}. {hint}")
