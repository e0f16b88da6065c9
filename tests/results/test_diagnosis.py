"""The diagnosis says what the intervals allow, and nothing where there are no numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from vcp_core.catalog.options import OPTION_NAMES
from vcp_core.results.diagnosis import diagnose
from vcp_core.results.types import Score
from vcp_core.scoring.scores import weak

OPTIONS = [name for name in OPTION_NAMES if name != "original"]


def score(metric: str, value: float, lift: float | None = None, error: float = 4, width: float = 5) -> Score:
    lifted = {} if lift is None else {"lift": lift, "lift_low": lift - error, "lift_high": lift + error}
    return Score(
        metric=metric,
        value=value,
        low=max(0, value - width),
        high=min(100, value + width),
        num_videos=100,
        num_units=100,
        units="video",
        chance=20,
        control=None if lift is None else value - lift,
        **lifted,
    )


def recalls(lifts: Iterable[float]) -> list[Score]:
    return [score(f"cloze.recall.{name}", 40 + lift, lift) for name, lift in zip(OPTIONS, lifts, strict=True)]


def test_options_are_grouped_by_how_far_they_lie_from_random_weights() -> None:
    (said,) = diagnose(recalls([31, 8, 0.5, -9]))
    assert said == (
        "It finds rotation (+31.0) far above random weights; permutation (+8.0) plainly above random "
        "weights; adjacent (-9.0) plainly below random weights; remote (+0.5) no better than random weights, "
        "within error."
    )


def test_one_random_network_does_not_stand_for_all() -> None:
    found = [score("cloze.accuracy", 51.7, -12), *recalls([31, 0.5, 0.5, -9])]
    head, options, closing = diagnose(found, num_controls=1)
    assert "plainly below one random network, -12.0 points" in head
    assert "far above one random network; adjacent (-9.0) plainly below one random network" in options
    assert closing == (
        "Another random network would score differently; no interval here includes by how much."
    )
    assert not any("random weights" in said for said in (head, options, closing))
    assert diagnose(found, num_controls=3) == diagnose(found)


def test_nothing_is_said_of_random_networks_where_none_was_measured() -> None:
    assert not any("random" in said for said in diagnose([score("cloze.accuracy", 51.7)], num_controls=1))


def test_what_may_be_plainly_better_is_not_called_no_better() -> None:
    found = recalls([45, 45, 1, -9])
    found[1] = found[1].model_copy(update={"lift_low": -5.0, "lift_high": 95.0, "units": "group"})
    (said,) = diagnose(one.model_copy(update={"num_units": 6}) for one in found)
    assert said == (
        "It finds rotation (+45.0) far above random weights; adjacent (-9.0) plainly below random weights. "
        "Of permutation (+45.0) and remote (+1.0) it cannot tell: 6 test videos."
    )


def test_nothing_is_called_above_or_below_on_fewer_than_six_units() -> None:
    found = [
        score("cloze.accuracy", 100, 80),
        *recalls([100, 80, 60, -40]),
        score("cloze.precision.remote", 9, -20),
    ]
    few = [one.model_copy(update={"num_units": 2, "units": "video"}) for one in found]
    said = diagnose(few)
    assert said == (
        "Cloze accuracy is 100.0 % (chance 20.0): cannot tell: 2 test videos.",
        "Of rotation (+100.0), permutation (+80.0), remote (+60.0) and adjacent (-40.0) it cannot tell: "
        "2 test videos.",
    )
    assert weak(few[0]) == ["cloze.accuracy 100.0: cannot tell: 2 test videos"]
    beside = few[0].model_copy(update={"pixels": 40.0, "above_pixels_low": 30.0, "above_pixels_high": 90.0})
    assert diagnose([beside])[0].endswith("cannot tell: 2 test videos; 8 x 8 pixels alone give 40.0.")
    five = few[0].model_copy(update={"num_units": 5, "units": "group"})
    assert weak(five) == ["cloze.accuracy 100.0: cannot tell: 5 groups of test videos"]


def test_a_warning_says_cannot_tell_where_the_words_above_it_do() -> None:
    wide = score("cloze.spatial", 100, 35, error=40).model_copy(update={"num_units": 6, "units": "group"})
    assert weak(wide) == [
        "cloze.spatial 100.0 is not told apart from random weights (65.0) by 6 groups of test videos"
    ]
    narrow = score("cloze.spatial", 60, 0, error=4)
    assert weak(narrow) == ["cloze.spatial 60.0 is not above random weights (60.0) within error"]
    assert weak(score("cloze.spatial", 60, 30)) == []
    below = score("cloze.spatial", 60, -9)
    assert weak(below) == ["cloze.spatial 60.0 is below random weights (69.0)"]
    assert weak(score("cloze.spatial", 21)) == ["cloze.spatial 21.0 is at chance level (20.0)"]
    assert weak(score("cloze.spatial", 12)) == ["cloze.spatial 12.0 is below chance (20.0)"]


def test_a_warning_knows_units_and_directions() -> None:
    loss = Score(
        metric="cloze.loss",
        value=1.5,
        low=1.4,
        high=1.55,
        unit="number",
        better="lower",
        num_videos=90,
        num_units=90,
        units="video",
        chance=1.609,
        control=1.7,
        lift=-0.2,
        lift_low=-0.3,
        lift_high=-0.1,
    )
    assert weak(loss) == []
    assert weak(loss.model_copy(update={"high": 1.7})) == ["cloze.loss 1.50 is at chance level (1.61)"]
    assert weak(loss.model_copy(update={"low": 1.7, "high": 1.8})) == [
        "cloze.loss 1.50 is above chance (1.61)"
    ]
    assert weak(loss.model_copy(update={"lift_low": -0.3, "lift_high": 0.1})) == [
        "cloze.loss 1.50 is not told apart from random weights (1.70) by 90 test videos"
    ]
    assert weak(loss.model_copy(update={"better": "neither", "low": 1.0, "high": 2.0})) == []


def test_a_headline_within_error_is_called_so_and_one_apart_is_not() -> None:
    within, above = diagnose([score("cloze.accuracy", 60, 3), score("retrieval.top1", 60, 4.5)])
    assert within == (
        "Cloze accuracy is 60.0 % (chance 20.0): within error of random weights, +3.0 points [-1.0, +7.0]."
    )
    assert above.startswith("Retrieval top-1 is 60.0 % (chance 20.0): slightly above random weights, +4.5")


def test_without_a_control_it_is_said_against_chance() -> None:
    assert diagnose([score("recognition.top1", 24)]) == (
        "Recognition top-1 is 24.0 % (chance 20.0): within error of chance.",
    )
    assert diagnose([score("recognition.top1", 26)])[0].endswith("apart from chance.")
    assert diagnose([]) == ()


def test_an_answer_that_is_given_more_often_and_less_often_right_is_said_to_be() -> None:
    found = [*recalls([0, 0, 20, 0]), score("cloze.precision.remote", 30, -8)]
    assert diagnose(found)[-1] == (
        "It says remote more often than random weights, and is right less often when it says so "
        "(30.0 %, -8.0)."
    )
    assert len(diagnose([*recalls([0, 0, 20, 0]), score("cloze.precision.remote", 30, -3)])) == 1


def test_the_hardest_kind_is_named_where_its_interval_is_apart() -> None:
    angles = [score(f"cloze.recall.rotation.{angle}", 90) for angle in (90, 270)]
    far = score("cloze.recall.rotation.180", 60)
    assert diagnose([*angles, far]) == (
        "Of rotation, 180 is the hardest (60.0 %) and 90 the easiest (90.0).",
    )
    assert diagnose([*angles, score("cloze.recall.rotation.180", 85)]) == ()


def test_a_stage_that_knows_more_of_time_than_the_last_is_named() -> None:
    last = score("cloze.temporal", 30)
    earlier = [score("cloze.relational@conv2.temporal", 32), score("cloze.relational@conv3.temporal", 45)]
    assert diagnose([last, *earlier]) == (
        "Order in time is known best after conv3 (45.0 %); the last stage has lost some of it (30.0).",
    )
    assert diagnose([last, earlier[0]]) == ()


@given(st.lists(st.floats(-60, 60), min_size=4, max_size=4))
def test_no_option_is_called_better_or_worse_where_its_interval_holds_zero(lifts: list[float]) -> None:
    (said,) = diagnose(recalls(lifts))
    for name, lift in zip(OPTIONS, lifts, strict=True):
        (part,) = [part for part in re.split(r"; |\. (?=Of)", said.removesuffix(".")) if f"{name} (" in part]
        expected = "cannot tell" if lift + 4 >= 5 else "within error"
        if not -4 <= lift <= 4:
            expected = "above" if lift > 4 else "below"
        assert expected in part


def test_what_pixels_give_stands_beside_a_score() -> None:
    within = "as much, within error"
    for low, high, words in (
        (-9, -1, "more"),
        (-9, 1, within),
        (0, 4, within),
        (-4, 0, within),
        (1, 9, "less"),
    ):
        span = {"pixels": 50, "above_pixels_low": low, "above_pixels_high": high}
        (said,) = diagnose([score("cloze.accuracy", 60, 3).model_copy(update=span)])
        assert said.endswith(f"; 8 x 8 pixels alone give {words} (50.0).")


def test_pixels_whose_difference_has_no_interval_get_no_word() -> None:
    (said,) = diagnose([score("cloze.accuracy", 60, 3).model_copy(update={"pixels": 20})])
    assert said.endswith("; 8 x 8 pixels alone give 20.0.")
