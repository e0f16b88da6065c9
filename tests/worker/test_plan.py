"""What a plan shares with others, as rows come while it is being made."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path

import pytest

from records import flow
from records.db import Database
from records.models import (
    Evaluation,
)
from records.repositories import checkpoints, datasets
from records.settings import Settings
from tests.catalog.test_graphs import FACTS
from tests.service.finished import done, ready_checkpoint, ready_dataset
from vcp_core.catalog import versions
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.errors import VersionError
from vcp_core.catalog.inputs import input_of, with_input
from vcp_core.catalog.protocols import PROTOCOLS, protocol_from
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.plan import EvaluationPlan
from worker.planning import Cut, digest, fit_jobs
from worker.tasks.plan import controls_of, expect_same_facts, feature_space, spec_of

QUICK = PROTOCOLS["quick-v1"]
VIDEOS = tuple(
    Video(id=name, label="x", split="test", group=None, sha256=name * 64, num_frames=40) for name in "ab"
)


def plan_on(videos: tuple[Video, ...], *, clips_of_a_video: int = 2) -> EvaluationPlan:
    """`r3d_tiny` on these videos, with no clips but those of the grid."""
    protocol = protocol_from({"name": "p", "grid": {"num_clips": clips_of_a_video}})
    dataset = Dataset(name="d", split_name="1", root=Path(), videos=videos)
    return EvaluationPlan(
        dataset=dataset, protocol=protocol, spec=BACKBONES["r3d_tiny"], benchmarks=("retrieval",)
    )


def test_clips_that_other_shards_hold_are_shared_and_not_forwarded_twice() -> None:
    cut = Cut(plan_on(VIDEOS))
    (new,) = cut.new(100)
    starts = [clip[0] for clip in new["clips"][0][2]]
    assert (cut.num_clips, new["num_clips"], len(starts)) == (4, 4, 2)
    first, second = ([start, "original", ""] for start in starts)
    cut = Cut(plan_on(VIDEOS))
    cut.share("useless", [("a", "of other bytes", [first]), ("other", "o" * 64, [first])])
    cut.share("theirs", [("a", "a" * 64, [first, [7, "rotation", "90"]]), ("other", "o" * 64, [first])])
    cut.share("again", [("a", "a" * 64, [first])])
    assert [(one["number"], one["num_clips"], one["clips"]) for one in cut.new(2)] == [
        (0, 1, [["a", "a" * 64, [second]]]),
        (1, 2, [["b", "b" * 64, [first, second]]]),
    ]
    assert cut.shared == ["theirs"]
    assert cut.num_clips == 4


def test_a_benchmark_that_is_added_later_is_measured_for_controls_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def controls() -> list[Evaluation]:
        with database.session() as session:
            dataset = datasets.named(session, "gestures") or ready_dataset(session)
            weights = ready_checkpoint(session, "a", step=len(versions.engine()))
            flow.lock(session)
            return controls_of(session, done(session, weights, dataset, {}), QUICK)

    before = controls()
    assert [one.checkpoint.is_pixels for one in before] == [False, True]
    assert [one.id for one in controls()] == [one.id for one in before]  # one for all
    monkeypatch.setattr(versions, "BENCHMARKS", [*BENCHMARKS, "speed"])
    after = controls()
    assert not {one.id for one in after} & {one.id for one in before}
    assert [one.checkpoint_id for one in after] == [one.checkpoint_id for one in before]  # the same weights
    assert {one.engine for one in after} == {versions.engine()}


@pytest.mark.parametrize("scheme", ["PyTorchVideo", "SlowFast", "MMAction2"])
@pytest.mark.parametrize("variant", [None, "bgr"])
def test_keys_of_features_move_only_with_a_readings_facts(
    database: Database, scheme: str, variant: str | None
) -> None:
    with database.session() as session:
        weights = ready_checkpoint(session, "a", scheme=scheme, variant=variant, weights_sha256="f" * 64)
        weights.backbone = "slow_r50"
        session.flush()
        evaluation = done(session, weights, ready_dataset(session), {})
        session.refresh(evaluation)
        spec = with_input(BACKBONES["slow_r50"], None)
        known = [versions.FEATURES_VERSION, version("torch"), version("av"), weights.weights_sha256]
        before = digest([*known, input_of(spec), QUICK.precision, QUICK.frames, True, evaluation.team])
        assert (feature_space(evaluation, max_pooled=True) == before) == (
            scheme != "MMAction2" and variant is None
        )
        flow.lock(session)
        controls = controls_of(session, evaluation, QUICK)
        assert {(one.checkpoint.scheme, one.checkpoint.variant) for one in controls} == {(scheme, variant)}
        assert {
            spec_of(one.checkpoint).normalisation for one in controls if not one.checkpoint.is_pixels
        } == {spec_of(weights).normalisation}


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({}, True),
        ({"input_spec": "stride=2,resize=128x171,mean=0.5,std=0.225"}, False),
        ({"kept": "ab" * 32}, False),
        ({"structure": FACTS.structure[:8] + 56 * "f"}, False),
    ],
    ids=["one structure", "another input", "other kept numbers", "another structure of one name"],
)
def test_graphs_of_one_structure_share_their_controls(
    database: Database, change: dict[str, str], shared: bool
) -> None:
    with database.session() as session:
        dataset = ready_dataset(session)
        flow.lock(session)
        found = []
        for number, facts in enumerate((FACTS, dataclasses.replace(FACTS, **change))):
            weights = ready_checkpoint(
                session, f"model {number}", graph=facts.as_dict(), weights_sha256=str(number) * 64
            )
            weights.backbone = facts.name
            session.flush()
            evaluation = done(session, weights, dataset, {})
            session.refresh(evaluation)
            found.append(controls_of(session, evaluation, QUICK))
            alike = (facts.structure, facts.kept) == (FACTS.structure, FACTS.kept)
            assert checkpoints.weights_like(session, facts) == ("0" if alike else "1") * 64
        first, second = ({one.id for one in controls if not one.checkpoint.is_pixels} for controls in found)
        assert (first == second) == shared
        assert {one.checkpoint.graph_facts.input_spec for one in found[0]} == {FACTS.input_spec}
        assert spec_of(found[0][0].checkpoint).name == FACTS.name


@pytest.mark.parametrize("is_graph", [False, True], ids=["backbone", "graph"])
def test_features_are_reused_within_a_team_and_controls_of_backbones_by_all(
    database: Database, is_graph: bool
) -> None:
    with database.session() as session:
        dataset = ready_dataset(session)
        flow.lock(session)
        spaces, controls = [], []
        for number, team in enumerate(("aardvark", "badger", "badger")):
            graph = FACTS.as_dict() if is_graph else None
            weights = ready_checkpoint(
                session, f"model {number}", team=team, graph=graph, weights_sha256=64 * "0"
            )
            weights.backbone = FACTS.name if is_graph else "r3d"
            session.flush()
            evaluation = done(session, weights, dataset, {})
            session.refresh(evaluation)
            spaces.append(feature_space(evaluation, max_pooled=True))
            found = controls_of(session, evaluation, QUICK)
            for one in found:
                one.checkpoint.weights_sha256 = 64 * "1"  # random weights of one program are the same
            controls.append({feature_space(one, max_pooled=True) for one in found})
        assert spaces[0] != spaces[1] == spaces[2]
        assert (controls[0] == controls[1]) == (not is_graph)
        assert not is_graph or not controls[0] & controls[1]
        assert controls[1] == controls[2]


def test_features_are_not_made_under_the_key_of_other_facts(database: Database) -> None:
    with database.session() as session:
        weights = ready_checkpoint(session, "a", scheme="MMAction2")
        weights.backbone = "slow_r50"
        session.flush()
        evaluation = done(session, weights, ready_dataset(session), {})
        session.refresh(evaluation)
        with pytest.raises(VersionError, match="vcpbench was updated while this was evaluated"):
            expect_same_facts(evaluation)
        evaluation.scheme_version = 2
        expect_same_facts(evaluation)


def plan_of(num_videos: int) -> EvaluationPlan:
    """`r3d` under `standard-v1` on videos of 150 frames in 8 classes; seven tenths are for training."""
    videos = tuple(
        Video(
            id=f"{number:05d}",
            label=f"c{number % 8}",
            split="train" if number % 10 < 7 else "test",
            group=None,
            sha256="0" * 64,
            num_frames=150,
        )
        for number in range(num_videos)
    )
    dataset = Dataset(name="d", split_name="1", root=Path(), videos=videos)
    return EvaluationPlan(dataset=dataset, protocol=PROTOCOLS["standard-v1"], spec=BACKBONES["r3d"])


def test_small_datasets_are_fitted_by_the_score_job_and_large_ones_by_many() -> None:
    usual = Settings.model_fields["fit_values"].default
    assert fit_jobs(plan_of(344), usual) == []  # the largest playground
    large = plan_of(13_320)  # UCF101
    found = fit_jobs(large, usual)
    assert len(found) > 5
    assert sum(fit["units"] for fit in found) == large.num_predict_units
    assert sorted(part for fit in found for part in fit["parts"]) == sorted(map(str, large.parts))
    assert fit_jobs(plan_of(13_320), usual) == found


def test_each_part_can_be_a_job_and_the_longest_comes_first() -> None:
    plan = plan_of(100)
    found = [fit["parts"] for fit in fit_jobs(plan, 0)]
    assert sorted(found) == sorted([str(part)] for part in plan.parts)
    assert found[0] == ["cloze.relational"]
