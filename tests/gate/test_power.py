"""One more lost video never helps, an open verdict says what would close it, and few units decide nothing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from vcpbench_client.answers import Difference, Evaluation, Score
from vcpbench_client.errors import GateError
from vcpbench_client.gate.rules import Rule, Verdict, judge_drop, judge_score, videos_needed

from vcp_core.statistics import power
from vcp_core.statistics.paired import Pairs
from vcp_core.statistics.units import quantile

TOP1 = "recognition.top1"
LIMITS = (0.5, 1, 1.5, 1.6, 2, 3, 5, 10)
ORDER = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)
ANY: Any = None  # an evaluation is only asked why a metric is not there


def difference(low: float, high: float, **facts: Any) -> Difference:
    known: dict[str, Any] = {"num_videos": 200, "num_units": 200, "units": "video"}
    known |= {"detectable": power.detectable(low, high), **facts}
    return Difference(
        metric=TOP1,
        first=50,
        second=50 + (low + high) / 2,
        difference=(low + high) / 2,
        low=low,
        high=high,
        **known,
    )


def verdict(low: float, high: float, limit: float) -> Verdict:
    rule = Rule(kind="max-drop", metric=TOP1, bound=limit)
    candidate: Evaluation = ANY
    return judge_drop(rule, candidate, [difference(low, high)]).verdict


@pytest.mark.parametrize("num", [24, 56, 200])
def test_one_more_lost_video_never_turns_a_verdict_for_the_better(num: int) -> None:
    won, lost = np.meshgrid(np.arange(num + 1.0), np.arange(num + 1.0), indexing="ij")
    low, high = (
        100 * end for end in Pairs(won=won, lost=lost, total=np.full_like(won, num)).ends(quantile(0.95, num))
    )
    possible = won + lost <= num
    for limit in LIMITS:
        severity = np.where(low >= -limit, 0, np.where(high < -limit, 2, 1)).astype(float)
        severity[~possible] = np.nan
        assert not (severity[:, 1:] < severity[:, :-1]).any(), "one more lost"
        assert not (severity[:-1] < severity[1:]).any(), "one fewer won"
    indices = np.random.default_rng(0).choice(np.argwhere(possible), 200)
    for b, c in indices:  # the enumeration above judges as the gate does
        expected = 0 if low[b, c] >= -1.6 else 2 if high[b, c] < -1.6 else 1
        assert verdict(low[b, c], high[b, c], 1.6) is ORDER[expected]


def test_no_answer_changed_is_not_worse_than_one_video_lost() -> None:
    """With 200 videos and `--max-drop 1.6`, nothing lost was once inconclusive, and one lost a pass."""
    found = [
        Pairs(*(np.array([float(n)]) for n in (0, lost, 200))).ends(quantile(0.95, 200)) for lost in (0, 1)
    ]
    lower = [100 * low[0] for low, _ in found]
    assert lower == pytest.approx([-1.9, -2.8], abs=0.05)


def test_an_open_verdict_says_what_the_videos_find_and_how_many_would_decide() -> None:
    found = difference(-7.0, 7.0)
    rule = Rule(kind="max-drop", metric=TOP1, bound=2)
    judged = judge_drop(rule, ANY, [found])
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.reason == (
        "50.0 before, 50.0 now: +0.0 [-7.0, +7.0], a drop of 2 is allowed; 200 test videos find a drop of "
        "10.0 points in 80 % of cases, about 5,006 videos would decide about 2"
    )
    assert videos_needed(found, 2) == power.videos_needed(200, found.detectable or 0, 2) == 5006
    assert "would decide" not in judge_drop(replace(rule, bound=0), ANY, [found]).reason
    assert "test videos find" not in judge_drop(replace(rule, bound=8), ANY, [found]).reason
    old = replace(found, detectable=None, num_videos=None, num_units=None)
    assert judge_drop(rule, ANY, [old]).reason.endswith("a drop of 2 is allowed")


def test_so_many_videos_do_decide_in_four_of_five_cases() -> None:
    rng = np.random.default_rng(0)
    changed, num, limit = 0.1, 300, 3.0
    low, high = (
        end[0] for end in Pairs(*(np.array([x]) for x in (15.0, 15.0, 300.0))).ends(quantile(0.95, num))
    )
    needed = power.videos_needed(num, power.detectable(100 * low, 100 * high), limit)
    won, lost, _ = rng.multinomial(needed, (changed / 2, changed / 2, 1 - changed), size=4000).T.astype(float)
    low, _ = Pairs(won=won, lost=lost, total=np.full(4000, float(needed))).ends(quantile(0.95, needed))
    assert (100 * low >= -limit).mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("units", "words"), [("video", "2 test videos"), ("group", "2 groups of test videos")]
)
def test_fewer_than_six_units_decide_nothing(units: str, words: str) -> None:
    found = difference(-60.0, -40.0, num_units=2, units=units)
    judged = judge_drop(Rule(kind="max-drop", metric=TOP1, bound=5), ANY, [found])
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.reason.endswith(f"; cannot tell: {words}")


def plain(better: str, low: float, high: float) -> Difference:
    middle = (low + high) / 2
    return Difference(
        metric="spectrum.rank",
        first=37.0,
        second=37.0 + middle,
        difference=middle,
        low=low,
        high=high,
        num_videos=200,
        num_units=50,
        units="group",
        detectable=2.0,
        unit="number",
        better=better,
    )


@pytest.mark.parametrize(
    ("better", "low", "high", "expected"),
    [
        ("higher", -1.0, 3.0, Verdict.PASS),
        ("higher", -6.0, -4.0, Verdict.FAIL),
        ("lower", 4.0, 6.0, Verdict.FAIL),
        ("lower", -6.0, -4.0, Verdict.PASS),
        ("lower", 1.0, 5.0, Verdict.INCONCLUSIVE),
    ],
)
def test_a_drop_of_a_plain_number_is_a_change_for_the_worse(
    better: str, low: float, high: float, expected: Verdict
) -> None:
    rule = Rule.parse("max-drop", "spectrum.rank=3")
    judged = judge_drop(rule, ANY, [plain(better, low, high)])
    assert judged.verdict is expected, judged.reason
    assert "points" not in judged.reason


def test_of_a_number_of_which_neither_way_is_better_nothing_is_a_drop() -> None:
    with pytest.raises(GateError, match="is better, so no change is a drop"):
        judge_drop(Rule.parse("max-drop", "spectrum.rank=3"), ANY, [plain("neither", -1, 1)])


@pytest.mark.parametrize(
    ("kind", "bound", "expected"),
    [
        ("min", 300, Verdict.PASS),
        ("min", 340, Verdict.FAIL),
        ("min", 320, Verdict.INCONCLUSIVE),
        ("max", 340, Verdict.PASS),
        ("max", 300, Verdict.FAIL),
        ("max", 320, Verdict.INCONCLUSIVE),
    ],
)
def test_a_plain_number_has_a_minimum_or_a_maximum(kind: Any, bound: float, expected: Verdict) -> None:
    score = Score(
        metric="spectrum.rank",
        value=320,
        low=310,
        high=330,
        num_videos=200,
        num_units=50,
        units="group",
        unit="number",
        better="lower",
    )
    candidate: Any = SimpleNamespace(scores=[score], unavailable={})
    judged = judge_score(Rule.parse(kind, f"spectrum.rank={bound:g}"), candidate)
    assert judged.verdict is expected, judged.reason
    percent: Any = SimpleNamespace(scores=[replace(score, unit="percent")], unavailable={})
    with pytest.raises(GateError, match="from 0 to 100"):
        judge_score(Rule.parse(kind, f"spectrum.rank={bound:g}"), percent)
