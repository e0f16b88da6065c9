"""Judge rules by confidence intervals. This module uses no network and no files.

A rule compares an interval with a bound:

    --min METRIC=VALUE        the score's interval           against VALUE
    --max METRIC=VALUE        the score's interval           against VALUE, from the other side
    --max-drop METRIC=POINTS  the paired difference's one    against -POINTS

A drop is a change for the worse. If lower is better, a drop is a rise.

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
from vcpbench_client.tables import written

T = TypeVar("T")
LARGEST = 100.0  # percent
# Metrics of these benchmarks are percent. For other metrics, the server's scores name the unit.
IN_PERCENT = ("cloze.", "recognition.", "retrieval.")
Kind = Literal["min", "max", "max-drop"]


class Verdict(StrEnum):
    """The verdict of a rule, from best to worst. The gate's verdict is the worst of its rules.

    A rule is skipped if there is no baseline to compare with yet.
    """

    SKIPPED = "skipped"
    PASS = "pass"  # noqa: S105 - not a password
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
    ERROR = "error"


SEVERITY = tuple(Verdict)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the gate.

    Attributes:
        kind: "min": the score must reach `bound`. "max": the score must not exceed `bound`. "max-drop": the
            score may get worse by at most `bound`.
        metric: The name of a metric, such as "cloze.temporal".
        bound: A number in the metric's unit: percent, or percentage points of a drop.

    Raises:
        GateError: If the rule would pass every time, or fail every time.

    >>> Rule.parse("min", "recognition.top1=40")
    Rule(kind='min', metric='recognition.top1', bound=40.0)
    """

    kind: Kind
    metric: str
    bound: float

    def __post_init__(self) -> None:
        if not self.metric or not math.isfinite(self.bound):
            raise GateError(f"--{self.kind} {self}: write it as METRIC=NUMBER.")
        if self.metric.startswith(IN_PERCENT):
            self.check_percent()
        elif self.kind == "max-drop" and self.bound < 0:
            raise GateError(f"--{self.kind} {self}: the allowed drop must be 0 or more.")

    def check_percent(self) -> None:
        """Refuse a bound that no percentage can reach.

        Raises:
            GateError: If the bound is not from 0 to 100.
        """
        if 0 <= self.bound <= LARGEST:
            return
        if self.kind == "max-drop":
            raise GateError(f"--{self.kind} {self}: the allowed drop must be 0 to 100 percentage points.")
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
        return self.kind != "max-drop" and 0 < self.bound < 1 and self.metric.startswith(IN_PERCENT)

    @property
    def as_percent(self) -> str:
        """The bound in percent, if it was a fraction of 1."""
        return f"{100 * self.bound:g}"

    @property
    def warning(self) -> str | None:
        """A warning for the reports if the bound may be a mistake, else None."""
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
        low: Lower end of the 95 % interval of `value`.
        high: Upper end of the interval.
        reason: The reason for the verdict, in words.
    """

    rule: Rule
    verdict: Verdict
    reason: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


def judge_score(rule: Rule, candidate: Evaluation) -> Judged:
    """Judge a "min" or "max" rule by the score's interval.

    Raises:
        GateError: If the evaluation has no such score, or the bound does not fit the score's unit.
    """
    score = _named(rule.metric, {score.metric: score for score in candidate.scores}, candidate)
    if score.unit == "percent":
        rule.check_percent()
    ends = (score.low, score.high, rule.bound)
    verdict = _verdict(*(ends if rule.kind == "min" else (-score.high, -score.low, -rule.bound)), of=score)
    said = [written(number, score.unit) for number in (score.value, score.low, score.high)]
    least = "at least" if rule.kind == "min" else "at most"
    reason = f"{said[0]} [{said[1]}, {said[2]}], {least} {rule.bound:g} is asked for"
    if score.num_units < LEAST_UNITS:
        reason += f"; {cannot_tell(score)}"
    elif verdict is Verdict.INCONCLUSIVE:
        half = written((score.high - score.low) / 2, score.unit)
        points = " points" if score.unit == "percent" else ""
        reason += f"; {score.num_videos:,} test videos tell a score to within {half}{points} only"
    return Judged(
        rule=rule, verdict=verdict, reason=reason, value=score.value, low=score.low, high=score.high
    )


def judge_drop(rule: Rule, candidate: Evaluation, differences: Iterable[Difference]) -> Judged:
    """Judge a "max-drop" rule by the interval of the paired difference.

    Raises:
        GateError: If the two evaluations do not share the metric, or neither direction of it is worse.
    """
    found = _named(rule.metric, {one.metric: one for one in differences}, candidate)
    if found.better == "neither":
        raise GateError(
            f"--max-drop {rule}: neither higher nor lower {rule.metric} is better, so no change is a drop."
        )
    ends = (found.low, found.high) if found.better == "higher" else (-found.high, -found.low)
    verdict = _verdict(*ends, -rule.bound, of=found)
    first, second = (written(number, found.unit) for number in (found.first, found.second))
    change = [written(number, found.unit, "+") for number in (found.difference, found.low, found.high)]
    turned = "" if found.better == "higher" else " (lower is better)"
    reason = (
        f"{first} before, {second} now: {change[0]} [{change[1]}, {change[2]}]{turned}, "
        f"a drop of {rule.bound:g} is allowed"
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
    """How many test videos would rule out a drop of `limit` in 80 % of cases where nothing changed.

    None if the comparison does not say what it can detect, or `limit` is 0.

    The width of an interval shrinks with the square root of the number of videos.
    """
    if not (found.detectable and found.num_videos and limit > 0):
        return None
    return math.ceil(found.num_videos * (found.detectable / limit) ** 2 - 1e-9)


def _power(found: Difference, limit: float) -> str:
    """Say how large a drop these videos can show, and how many videos would be enough."""
    if found.num_units is not None and found.num_units < LEAST_UNITS:
        return f"; {cannot_tell(found)}"
    if not (found.detectable and found.num_videos):
        return ""
    size = written(found.detectable, found.unit) + ("" if found.unit == "number" else " points")
    said = f"; {found.num_videos:,} test videos find a drop of {size} in 80 % of cases"
    needed = videos_needed(found, limit)
    return said if needed is None else f"{said}, about {needed:,} videos would decide about {limit:g}"


def worst(judged: Iterable[Judged]) -> Verdict:
    """The worst verdict of the rules. A skipped rule never makes it worse."""
    return max((one.verdict for one in judged), key=SEVERITY.index, default=Verdict.PASS)


def _verdict(low: float, high: float, bound: float, *, of: Score | Difference) -> Verdict:
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
