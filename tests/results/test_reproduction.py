"""Run again: to the last digit here, within the stated tolerance by other kernels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from tests.datasets_on_disk import make_dataset
from vcp_core.catalog.protocols import Protocol, load_protocol
from vcp_core.results.reproduction import GIVEN, MULTIPLES, TOLERANCE_POINTS, agreement
from vcp_core.results.types import Results

pytestmark = pytest.mark.slow

CI = Protocol.model_validate(
    {**load_protocol("quick-v1").model_dump(), "name": "ci", "grid": {"num_clips": 1}}
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Results]:
    """Evaluates one checkpoint on one dataset."""
    root = tmp_path_factory.mktemp("run")
    dataset = make_dataset(root / "videos", lengths=(100,), num_classes=2, per_class=(2, 1))
    torch.save(vcp_core.build("r3d_tiny", seed=5).state_dict(), root / "tiny.pt")
    return lambda controls=False: vcp_core.evaluate(
        root / "tiny.pt", dataset, CI, device="cpu", controls=controls
    )


@pytest.fixture(scope="module")
def published(run: Callable[..., Results]) -> Results:
    return run()


@pytest.fixture(scope="module")
def controlled(run: Callable[..., Results]) -> Results:
    """The same beside random weights and pixels."""
    return run(controls=True)


def changed(results: Results, metric: str, **values: Any) -> Results:
    """The results with one score otherwise."""
    benchmarks = tuple(
        result.model_copy(
            update={
                "scores": tuple(
                    score.model_copy(update=values) if score.metric == metric else score
                    for score in result.scores
                )
            }
        )
        for result in results.benchmarks
    )
    return results.model_copy(update={"benchmarks": benchmarks})


def elsewhere(results: Results) -> Results:
    """The same, measured on another device."""
    provenance = results.provenance.model_copy(update={"device": "cuda: NVIDIA H200"})
    return results.model_copy(update={"provenance": provenance})


def without_sizes(results: Results) -> Results:
    """As results from before chance went by the sizes of classes."""
    benchmarks = []
    for result in results.benchmarks:
        predictions = result.predictions
        assert predictions is not None
        facts = {name: fact for name, fact in predictions.facts.items() if name != "training"}
        benchmarks.append(
            result.model_copy(update={"predictions": predictions.model_copy(update={"facts": facts})})
        )
    return results.model_copy(update={"benchmarks": tuple(benchmarks)})


def test_chance_by_an_older_rule_is_no_deviation(published: Results) -> None:
    metric = "recognition.top1"
    other = changed(published, metric, chance=published.score(metric).chance + 1)  # type: ignore[operator]
    assert not agreement(other, published).reproduced
    assert agreement(without_sizes(other), published).equal


def test_the_same_machine_gives_the_same_scores_to_the_last_digit(
    published: Results, run: Callable[..., Results]
) -> None:
    found = agreement(published, run())
    assert (found.equal, found.reproduced, found.conditions) == (True, True, ())
    assert found.num_scores == sum(len(result.scores) for result in published.benchmarks) > 20


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # torch's own words on its own flags
def test_other_kernels_stay_within_the_stated_tolerance(
    published: Results, run: Callable[..., Results]
) -> None:
    """Without oneDNN torch sums in another order, as another device does."""
    with torch.backends.mkldnn.flags(enabled=False):
        again = run()
    found = agreement(published, elsewhere(again))
    print([(one.metric, one.first, one.second, one.allowed) for one in found.deviations])
    assert found.reproduced


def test_a_tiny_difference_on_the_same_machine_is_none_that_a_device_explains(published: Results) -> None:
    again = changed(published, "recognition.top1", value=published.score("recognition.top1").value + 1e-9)
    found = agreement(published, again)
    assert (found.equal, found.reproduced) == (False, False)
    assert [(one.metric, one.field) for one in found.deviations] == [("recognition.top1", "value")]
    assert agreement(published, elsewhere(again)).reproduced


def test_a_difference_beyond_the_tolerance_is_not_reproduced_anywhere(published: Results) -> None:
    score = published.score("retrieval.top1")
    allowed = max(TOLERANCE_POINTS, 200 / score.num_videos)
    for factor, reproduced in ((0.99, True), (1.01, False)):
        again = elsewhere(changed(published, "retrieval.top1", value=score.value + factor * allowed))
        assert agreement(published, again).reproduced is reproduced


@pytest.mark.parametrize("name", [*MULTIPLES, *GIVEN])
def test_every_number_of_a_score_counts_and_has_its_own_tolerance(controlled: Results, name: str) -> None:
    score = controlled.score("cloze.accuracy")
    was = getattr(score, name)
    assert was is not None
    assert 0 < score.value < 100
    points = max(TOLERANCE_POINTS, 200 / score.num_videos) * MULTIPLES.get(name, 0)
    for step, elsewhere_reproduced in (
        (1e-6, name in MULTIPLES),
        (0.99 * points, True),
        (1.01 * points + 1, False),
    ):
        again = changed(controlled, "cloze.accuracy", **{name: was + step})
        found = agreement(controlled, again)
        assert (found.equal, found.reproduced) == (step == 0, step == 0)
        assert [one.field for one in found.deviations] == [name] * (step > 0)
        assert agreement(controlled, elsewhere(again)).reproduced is elsewhere_reproduced


def test_a_control_that_was_not_measured_again_is_a_deviation_that_nothing_explains(
    controlled: Results,
) -> None:
    again = elsewhere(changed(controlled, "retrieval.top1", control=None, lift=None))
    found = agreement(controlled, again)
    assert not found.reproduced
    assert {one.field for one in found.deviations} == {"control", "lift"}


def test_the_largest_deviation_by_what_is_allowed_comes_first(controlled: Results) -> None:
    was = controlled.score("cloze.accuracy")
    again = changed(controlled, "cloze.accuracy", high=was.high + 3, control=was.control + 1)
    assert [one.field for one in agreement(controlled, again).deviations] == ["control", "high"]


def test_the_interval_of_a_full_score_may_move_as_far_as_any_other(controlled: Results) -> None:
    points = max(TOLERANCE_POINTS, 200 / controlled.score("cloze.accuracy").num_videos)
    whole = changed(controlled, "cloze.accuracy", value=100.0, low=0.0)
    for step, reproduced in ((3, True), (5, False)):
        again = changed(whole, "cloze.accuracy", low=step * points)
        assert agreement(whole, elsewhere(again)).reproduced is reproduced


def test_a_score_that_is_gone_is_a_deviation_that_nothing_explains(published: Results) -> None:
    less = published.model_copy(update={"benchmarks": published.benchmarks[1:]})
    found = agreement(published, elsewhere(less))
    assert not found.reproduced
    assert {one.second for one in found.deviations} == {None}


def with_machine(results: Results, **machine: int | str) -> Results:
    """The same, measured with other threads."""
    provenance = results.provenance.model_copy(update={"machine": machine})
    return results.model_copy(update={"provenance": provenance})


def test_other_threads_are_a_condition_that_is_named(published: Results) -> None:
    score = published.score("recognition.top1")
    again = changed(published, "recognition.top1", value=score.value + 1e-9)
    machine = published.provenance.machine
    more = {**machine, "network_threads": 7}
    found = agreement(published, with_machine(again, **more))
    assert found.conditions == (f"network threads: {machine['network_threads']}, now 7",)
    assert found.reproduced


def test_results_from_before_threads_were_kept_load_and_are_compared(published: Results) -> None:
    old = json.loads(published.to_json())
    del old["provenance"]["machine"]
    found = agreement(Results.model_validate(old), published)
    assert found.equal
    assert (
        f"network threads: not kept, now {published.provenance.machine['network_threads']}"
        in found.conditions
    )


def test_results_of_other_inputs_are_not_compared(published: Results) -> None:
    other = published.provenance.model_copy(update={"protocol_hash": "0" * 64})
    with pytest.raises(ValueError, match="another protocol"):
        agreement(published, published.model_copy(update={"provenance": other}))


def test_the_tolerance_is_said_where_the_numbers_are_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproducing.md").read_text()
    assert f"{TOLERANCE_POINTS} points" in page
