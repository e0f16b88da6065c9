"""Benchmarks on made-up features: chance where nothing is known, 100 % where everything is."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score, top_k_accuracy_score

from tests.answers import cloze_answers
from vcp_core.benchmarks import load_benchmark, predict, recognition, retrieval
from vcp_core.benchmarks.cloze import questions
from vcp_core.benchmarks.parts import join
from vcp_core.benchmarks.retrieval import chance_of_average_precision, chance_of_hit
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.options import DISTANCES, FARTHEST, KINDS, PAPERS_OPTIONS
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, protocol_from
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import FeatureBank, ShardFeatures
from vcp_core.features.shards import Clip
from vcp_core.results.diagnosis import diagnose
from vcp_core.results.types import BenchmarkResult, Predictions, Score
from vcp_core.scoring.comparison import compare
from vcp_core.scoring.scores import score_benchmark

SPEC = BACKBONES["r3d_tiny"]
QUICK = PROTOCOLS["quick-v1"]
NUM_CLASSES = 4


def make_manifest(per_class: tuple[int, int] = (16, 10), num_frames: int = 150) -> Dataset:
    videos = [
        Video(
            id=f"c{label}/{number:03d}.mp4",
            label=f"c{label}",
            split="train" if number < per_class[0] else "test",
            group=f"c{label}-g{number // 2}",
            sha256="0" * 64,
            num_frames=num_frames,
        )
        for label in range(NUM_CLASSES)
        for number in range(sum(per_class))
    ]
    return Dataset(name="made-up", split_name="1", root=Path("/nowhere"), videos=tuple(videos))


DATASET = make_manifest()


def score(
    name: str,
    feature: Callable[[Video, Clip], np.ndarray],
    tmp_path: Path,
    dataset: Dataset = DATASET,
    spec: BackboneSpec = SPEC,
    protocol: Protocol = QUICK,
) -> BenchmarkResult:
    benchmark = load_benchmark(name)
    clips = [(v, clip) for v in dataset.videos for clip in sorted(benchmark.clips(v, protocol, spec))]
    rows = np.stack([feature(video, clip) for video, clip in clips]).astype(np.float32)
    stages = {stage: rows for stage in spec.stages}
    path = tmp_path / "features.safetensors"
    ShardFeatures(clips=tuple(clip for _, clip in clips), stages=stages).save(path)
    units: list[int] = []
    predictions = predict(benchmark, FeatureBank([path]), dataset, protocol, spec, on_units=units.append)
    announced = sum(part.num_units for part in benchmark.parts(dataset, protocol, spec))
    assert sum(units) == announced  # progress ends where it said it would
    assert min(units) > 0
    return score_benchmark(name, predictions, {}, unavailable=None, protocol=protocol)


def value(result: BenchmarkResult, metric: str) -> float:
    return next(s.value for s in result.scores if s.metric == metric)


def noise(seed: int = 0) -> Callable[[Video, Clip], np.ndarray]:
    rng = np.random.default_rng(seed)
    return lambda video, clip: rng.standard_normal(16)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_random_features_score_at_chance(name: str, tmp_path: Path) -> None:
    result = score(name, noise(), tmp_path)
    for found in result.scores:
        if found.headline and found.chance is not None:
            assert abs(found.value - found.chance) < 15, found.metric


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_headline_metrics_of_the_catalog_are_those_that_a_benchmark_gives(
    name: str, tmp_path: Path
) -> None:
    result = score(name, noise(), tmp_path)
    assert {s.metric for s in result.scores if s.headline} == set(BENCHMARKS[name].headline)
    assert len({s.metric for s in result.scores}) == len(result.scores)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_clip_that_a_benchmark_asks_for_exists(name: str) -> None:
    for num_frames in (1, 15, 16, 17, 63, 96, 300):
        video = Video(id="v", label="c", split="test", group=None, sha256="", num_frames=num_frames)
        for clip in load_benchmark(name).clips(video, QUICK, SPEC):
            assert clip.start >= 0
            assert clip.start + SPEC.clip_frames <= max(num_frames, SPEC.clip_frames)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_order_in_which_clips_arrive_changes_nothing(name: str, tmp_path: Path) -> None:
    def by_content(video: Video, clip: Clip) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(repr(clip).encode())).standard_normal(8)

    benchmark = load_benchmark(name)
    clips = sorted({clip for v in DATASET.videos for clip in benchmark.clips(v, QUICK, SPEC)})
    videos = {video.id: video for video in DATASET.videos}
    outcomes = []
    for seed in (0, 1):
        order = [clips[i] for i in np.random.default_rng(seed).permutation(len(clips))]
        rows = np.stack([by_content(videos[c.video_id], c) for c in order]).astype(np.float32)
        path = tmp_path / f"{seed}.safetensors"
        ShardFeatures(clips=tuple(order), stages={s: rows for s in SPEC.stages}).save(path)
        outcomes.append(predict(benchmark, FeatureBank([path]), DATASET, QUICK, SPEC))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_parts_that_others_did_in_another_order_give_the_same_predictions(name: str, tmp_path: Path) -> None:
    benchmark, dataset, protocol = load_benchmark(name), make_manifest((6, 3)), PROTOCOLS["paper-v1"]
    clips = sorted({clip for v in dataset.videos for clip in benchmark.clips(v, protocol, SPEC)})
    rng = np.random.default_rng(0)
    stages = (*SPEC.stages, SPEC.max_pooled_stage)
    path = tmp_path / "features.safetensors"
    rows = {stage: rng.standard_normal((len(clips), 4)).astype(np.float32) for stage in stages}
    ShardFeatures(clips=tuple(clips), stages=rows).save(path)
    parts = benchmark.parts(dataset, protocol, SPEC)
    assert len({str(part) for part in parts}) == len(parts)
    assert {part.benchmark for part in parts} == {name}
    told: dict[str, str] = {}
    for part in reversed(parts):
        units: list[int] = []
        bank = FeatureBank([path])
        found = benchmark.predict(bank, dataset, protocol, SPEC, part.name, on_units=units.append)
        assert sum(units) == part.num_units
        assert part.num_values > 0
        told[part.name] = found.model_dump_json()
    read = [Predictions.model_validate_json(told[part.name]) for part in parts]
    whole = predict(benchmark, FeatureBank([path]), dataset, protocol, SPEC)
    assert join(read).model_dump_json() == whole.model_dump_json()


def test_parts_of_a_network_differ_by_stage_head_and_method() -> None:
    found = [
        part.name
        for name in BENCHMARKS
        for part in load_benchmark(name).parts(DATASET, PROTOCOLS["standard-v1"], SPEC)
    ]
    early = [f"{head}@{stage}" for stage in SPEC.stages[:-1] for head in ("relational", "concat")]
    assert found == [*early, "relational", "concat", "linear", "knn", "pooled"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers": ("x",)}, "differ in answers"),
        ({"columns": {"video": ["b.mp4"], "group": [None]}}, "differ in 'video'"),
        ({"facts": {"gallery": 2}}, "differ in 'gallery'"),
    ],
)
def test_parts_that_contradict_each_other_are_not_joined(change: dict[str, object], says: str) -> None:
    one = Predictions(
        benchmark="b",
        answers=("x", "y"),
        columns={"video": ["a.mp4"], "group": [None]},
        facts={"gallery": 1},
    )
    with pytest.raises(ValueError, match=says):
        join([one, one.model_copy(update=change)])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_no_label_of_a_test_video_chooses_anything(name: str, tmp_path: Path) -> None:
    def by_content(video: Video, clip: Clip) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(repr(clip).encode())).standard_normal(8)

    changed = {video.id for video in DATASET.side("test")[::2]}
    labels = {f"c{k}": f"c{(k + 1) % NUM_CLASSES}" for k in range(NUM_CLASSES)}
    videos = (replace(v, label=labels[v.label]) if v.id in changed else v for v in DATASET.videos)
    relabelled = replace(DATASET, videos=tuple(videos))
    before, after = (score(name, by_content, tmp_path, one).predictions for one in (DATASET, relabelled))
    assert before is not None
    assert after is not None
    assert before.fits == after.fits
    # A row may depend on its own video's label (whether it is right), and on no other test video's.
    kept = [video not in changed for video in before.column("video")]
    assert 0 < sum(kept) < len(kept)
    for column, values in before.columns.items():
        assert list(compress(values, kept)) == list(compress(after.column(column), kept)), column


def test_cloze_on_constant_features_is_chance_within_its_interval(tmp_path: Path) -> None:
    result = score("cloze", lambda video, clip: np.ones(8), tmp_path)
    found = next(s for s in result.scores if s.metric == "cloze.accuracy")
    assert found.low <= 20 <= found.high
    assert any("chance" in warning for warning in result.warnings)


def test_cloze_on_features_that_carry_the_option_is_100_percent(tmp_path: Path) -> None:
    remote = {q.shown for v in DATASET.videos for q in questions(v, QUICK, SPEC) if q.option == "remote"}

    def feature(video: Video, clip: Clip) -> np.ndarray:
        option = "remote" if clip in remote else clip.option
        return np.eye(len(PAPERS_OPTIONS))[PAPERS_OPTIONS.index(option)]

    result = score("cloze", feature, tmp_path)
    assert value(result, "cloze.accuracy") == 100
    assert value(result, "cloze.concat.accuracy") == 100
    assert next(s.low for s in result.scores if s.metric == "cloze.accuracy") > 80


def test_features_that_carry_only_time_let_relational_find_remote_and_concat_one_side_of_it(
    tmp_path: Path,
) -> None:
    def feature(video: Video, clip: Clip) -> np.ndarray:
        return np.array([clip.start / 20, 0.0])

    dataset = make_manifest((40, 20), num_frames=400)
    result = score("cloze", feature, tmp_path, dataset)
    assert value(result, "cloze.recall.remote") > 90
    assert value(result, "cloze.concat.recall.remote") < 65
    # A linear head adds up one term per clip. "The option comes late for its neighbours" is such a sum, so
    # is "early", but an answer has one sum: it takes a side, and cannot ask whether the option fits.
    columns = result.predictions.columns if result.predictions else {}
    found = {"relational": {"before": [], "after": []}, "concat": {"before": [], "after": []}}  # type: ignore[var-annotated]
    for head, sides in found.items():
        for variant, option, guess in zip(columns["variant"], columns["option"], columns[head], strict=True):
            if option == "remote":
                sides[variant.partition(":")[0]].append(guess == "remote")
    shares = {head: sorted(100 * np.mean(own) for own in sides.values()) for head, sides in found.items()}
    assert min(shares["relational"]) > 90
    assert shares["concat"][0] < 5
    assert shares["concat"][1] > 95


def answered(by_row: dict[int, str], num_videos: int = 50) -> Predictions:
    """Cloze predictions that say "original" but for some rows; five rows a video, in the order of options."""
    guesses = [by_row.get(row, "original") for row in range(num_videos * len(PAPERS_OPTIONS))]
    return cloze_answers(guesses)


REMOTE = PAPERS_OPTIONS.index("remote")


def test_a_precision_stands_on_the_answers_given_and_one_never_given_has_none() -> None:
    once = answered({7 * len(PAPERS_OPTIONS) + REMOTE: "remote"})
    result = score_benchmark("cloze", once, {}, unavailable=None, protocol=QUICK)
    scores = {found.metric: found for found in result.scores}
    one = scores["cloze.precision.remote"]
    assert (one.value, one.num_units, one.num_videos) == (100, 1, 1)
    assert one.low < 1
    assert "cloze.precision.adjacent" not in scores
    everyone = scores["cloze.precision.original"]
    assert (everyone.value, everyone.num_units, everyone.num_videos) == (
        pytest.approx(100 * 50 / 249),
        50,
        50,
    )
    assert scores["cloze.recall.adjacent"].value == 0
    json.dumps(result.model_dump(mode="json"), allow_nan=False)


def test_a_lift_needs_a_control_that_gave_the_answer_and_goes_by_the_fewer_answers() -> None:
    first, second = 5 * len(PAPERS_OPTIONS) + REMOTE, 9 * len(PAPERS_OPTIONS) + REMOTE
    own = answered({first: "remote", second: "remote"})
    never, once_wrongly = answered({}), answered({first + 1: "remote"})

    def remote(**controls: Predictions) -> Score:
        result = score_benchmark("cloze", own, controls, unavailable=None, protocol=QUICK)
        assert "cloze.precision.adjacent" not in result.controls.get("0", {})
        return next(found for found in result.scores if found.metric == "cloze.precision.remote")

    assert remote(**{"0": never}).lift is None
    found = remote(**{"0": never, "1": once_wrongly})
    assert (found.control, found.lift) == (0, 100)
    assert found.lift_low is not None
    assert found.lift_low < 10, "one answer is no evidence for a lift"


def test_a_lift_says_how_much_other_random_weights_would_differ_and_one_draw_says_nothing_of_it() -> None:
    rng = np.random.default_rng(0)
    rows = rng.permutation(50 * len(PAPERS_OPTIONS))
    own, *draws = (
        answered({row: PAPERS_OPTIONS[row % len(PAPERS_OPTIONS)] for row in rows[:right].tolist()})
        for right in (150, 20, 60, 120)
    )

    def lift(*controls: Predictions) -> Score:
        by_seed = {str(seed): control for seed, control in enumerate(controls)}
        result = score_benchmark("cloze", own, by_seed, unavailable=None, protocol=QUICK)
        return next(found for found in result.scores if found.metric == "cloze.accuracy")

    def width(found: Score) -> float:
        assert found.lift_high is not None
        assert found.lift_low is not None
        return found.lift_high - found.lift_low

    # Three times the same draw is the same lift; that it counts three times where it is estimated how alike
    # the answers to one video are moves the ends a little.
    assert width(lift(draws[1], draws[1], draws[1])) == pytest.approx(width(lift(draws[1])), rel=2e-3)
    assert width(lift(*draws)) > 2 * width(lift(draws[1]))
    itself = lift(own)
    assert (itself.control, itself.lift) == (itself.value, 0)


def test_the_distance_from_pixels_has_the_interval_of_a_lift_over_one_draw() -> None:
    rows = np.random.default_rng(0).permutation(50 * len(PAPERS_OPTIONS))
    own, coarse = (
        answered({row: PAPERS_OPTIONS[row % len(PAPERS_OPTIONS)] for row in rows[:right].tolist()})
        for right in (150, 60)
    )
    result = score_benchmark("cloze", own, {"0": coarse}, pixels=coarse, unavailable=None, protocol=QUICK)
    assert result.scores
    for found in result.scores:
        above = (found.pixels, found.above_pixels_low, found.above_pixels_high)
        assert above == pytest.approx((found.control, found.lift_low, found.lift_high))
    alone = score_benchmark("cloze", own, {}, unavailable=None, protocol=QUICK).scores[0]
    assert (alone.pixels, alone.above_pixels_low) == (None, None)


def test_two_evaluations_are_compared_where_both_have_a_value() -> None:
    row = 5 * len(PAPERS_OPTIONS) + REMOTE
    with_remote, without = answered({row: "remote"}), answered({})
    names = {d.metric for d in compare({"cloze": with_remote}, {"cloze": without}, QUICK)}
    assert "cloze.precision.original" in names
    assert "cloze.precision.remote" not in names
    same = {d.metric: d for d in compare({"cloze": with_remote}, {"cloze": with_remote}, QUICK)}
    found = same["cloze.precision.remote"]
    assert found.difference == 0
    assert found.high > 90, "one answer on either side says nothing about the difference"


def test_recalls_of_the_kinds_of_a_variant_make_up_the_recall_of_their_option(tmp_path: Path) -> None:
    result = score("cloze", noise(), tmp_path)
    assert result.predictions is not None
    scores = {found.metric: found for found in result.scores}
    rows = list(zip(*map(result.predictions.column, ("option", "variant", "relational")), strict=True))
    sides = {"remote": [("before", "after"), (*DISTANCES, FARTHEST)]}
    for option, kinds in KINDS.items():
        for parts in sides.get(option, [kinds]):
            there = [scores[name] for kind in parts if (name := f"cloze.recall.{option}.{kind}") in scores]
            assert sum(part.num_videos for part in there) == result.predictions.num_videos
            mean = sum(part.value * part.num_videos for part in there) / result.predictions.num_videos
            assert mean == pytest.approx(scores[f"cloze.recall.{option}"].value)
    for kind, moved in (("2-tiles", 2), ("3-tiles", 3), ("4-tiles", 4)):
        own = [
            guess == "permutation"
            for option, variant, guess in rows
            if option == "permutation" and sum(a != b for a, b in zip(variant, "0123", strict=True)) == moved
        ]
        assert scores[f"cloze.recall.permutation.{kind}"].value == pytest.approx(100 * np.mean(own))


def test_features_that_tell_one_angle_only_have_its_recall_alone(tmp_path: Path) -> None:
    def feature(video: Video, clip: Clip) -> np.ndarray:
        return np.array([clip.option == "rotation" and clip.variant == "90", 0.0])

    result = score("cloze", feature, tmp_path)
    assert value(result, "cloze.recall.rotation.90") == 100
    assert value(result, "cloze.recall.rotation.180") < 50 > value(result, "cloze.recall.rotation.270")


def test_every_question_shows_five_options_of_one_tuple() -> None:
    for video in DATASET.videos:
        asked = questions(video, QUICK, SPEC)
        assert [q.option for q in asked] == list(PAPERS_OPTIONS)
        assert len({(q.before, q.after) for q in asked}) == 1


def test_a_protocol_that_asks_two_options_has_their_answers_and_their_chance(tmp_path: Path) -> None:
    names = ["original", "adjacent"]
    two = protocol_from({"name": "two", "base": "quick-v1", "cloze": {"options": names}})
    for video in DATASET.videos:
        assert [q.option for q in questions(video, two, SPEC)] == names

    def feature(video: Video, clip: Clip) -> np.ndarray:
        return np.eye(2)[int(clip.option == "adjacent")]

    result = score("cloze", feature, tmp_path, protocol=two)
    assert {(s.value, s.chance) for s in result.scores if s.headline} == {(100.0, 50.0)}
    assert not any("rotation" in s.metric or "spatial" in s.metric for s in result.scores)
    assert [table.columns for table in result.tables] == [tuple(names)] * 2


def test_several_tuples_of_a_video_are_other_questions_and_one_unit(tmp_path: Path) -> None:
    twice = protocol_from({"name": "twice", "base": "quick-v1", "cloze": {"num_tuples": 2}})
    for video in DATASET.videos:
        asked = questions(video, twice, SPEC)
        assert [(q.number, q.option) for q in asked] == [(n, o) for n in (0, 1) for o in PAPERS_OPTIONS]
        assert asked[: len(PAPERS_OPTIONS)] == questions(video, QUICK, SPEC)
    starts = [[q.before.start for q in questions(v, twice, SPEC)] for v in DATASET.videos]
    assert sum(own[0] != own[-1] for own in starts) > 0.9 * len(starts)
    alone = replace(DATASET, videos=tuple(replace(video, group=None) for video in DATASET.videos))
    for dataset, num_units in ((DATASET, 20), (alone, 40)):
        result = score("cloze", noise(), tmp_path, dataset, protocol=twice)
        assert result.predictions is not None
        videos, numbers = (result.predictions.column(name) for name in ("video", "tuple"))
        assert len(videos) == 40 * 2 * len(PAPERS_OPTIONS)
        assert len(set(zip(videos, numbers, result.predictions.column("option"), strict=True))) == len(videos)
        found = next(one for one in result.scores if one.metric == "cloze.accuracy")
        assert (found.num_videos, found.num_units) == (40, num_units)


def test_the_same_answers_to_a_second_tuple_make_no_interval_narrower() -> None:
    rng = np.random.default_rng(0)
    rows = rng.permutation(50 * len(PAPERS_OPTIONS))[:90].tolist()
    once = answered({row: PAPERS_OPTIONS[row % len(PAPERS_OPTIONS)] for row in rows})

    def twice(own: Predictions) -> Predictions:
        return own.model_copy(update={"columns": {name: [*row, *row] for name, row in own.columns.items()}})

    one, two = (
        score_benchmark("cloze", own, {"0": control}, unavailable=None, protocol=QUICK).scores
        for own, control in ((once, answered({})), (twice(once), twice(answered({}))))
    )
    for found, before in zip(two, one, strict=True):
        # Answers to one tuple are taken for independent where they are less alike than that; with a second
        # tuple some of this shows as its correlation with the first.
        # Where nothing varies, or where one right answer to a video rules out another (the precision of an
        # answer that is nearly always given), that the second tuple repeats the first cannot be seen.
        if found.value == 100 or found.metric.endswith("precision.original"):
            continue
        ends = [[one.low, one.high, one.lift_low, one.lift_high] for one in (found, before)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-2)


STRIDE_ONE = [name for name in BACKBONES if BACKBONES[name].clip_span == SPEC.clip_span]


def test_every_backbone_of_sixteen_frames_meets_the_same_tuples() -> None:
    assert {"c3d", "r3d", "r2plus1d", "r3d_18", "mc3_18", "r2plus1d_18", "i3d"} <= set(STRIDE_ONE)
    for protocol in PROTOCOLS.values():
        for video in (*DATASET.videos[:5], *make_manifest((1, 1), num_frames=96).videos):
            asked = questions(video, protocol, SPEC)
            assert asked
            for name in STRIDE_ONE:
                assert questions(video, protocol, BACKBONES[name]) == asked, name


def test_a_backbone_of_longer_clips_says_on_how_many_videos_its_cloze_stands(tmp_path: Path) -> None:
    slow = BACKBONES["slow_r50"]
    few = [replace(video, num_frames=300 if video.id.endswith("7.mp4") else 259) for video in DATASET.videos]
    dataset = replace(DATASET, videos=tuple(few))
    long = [video for video in dataset.side("test") if video.num_frames == 300]
    own = score("cloze", noise(), tmp_path, dataset, slow)
    everyone = score("cloze", noise(), tmp_path, dataset)
    assert {s.num_videos for s in own.scores if s.headline} == {len(long)}
    assert {s.num_videos for s in everyone.scores if s.headline} == {len(dataset.side("test"))}
    out = len(dataset.side("test")) - len(long)
    told = (
        f"{out} of {out + len(long)} test videos are too short (it takes 260 frames) and were left out: "
        f"scores stand on {len(long)}"
    )
    assert told in own.warnings
    assert not any("stand on" in said for said in everyone.warnings)


def test_class_features_give_perfect_recognition_and_retrieval(tmp_path: Path) -> None:
    def feature(video: Video, clip: Clip) -> np.ndarray:
        return np.eye(NUM_CLASSES)[int(video.label[1])]

    recognition = score("recognition", feature, tmp_path)
    assert value(recognition, "recognition.top1") == 100
    assert value(recognition, "recognition.knn.top1") == 100
    retrieval = score("retrieval", feature, tmp_path)
    assert value(retrieval, "retrieval.top1") == 100
    assert value(retrieval, "retrieval.map") == pytest.approx(100)


def ranked_answers(scores_NK: np.ndarray, labels: list[str], classes: tuple[str, ...]) -> Predictions:
    best = recognition.ranked_classes(scores_NK, classes)
    videos = [f"v{i:03d}" for i in range(len(labels))]
    columns: dict[str, list[object]] = {"video": [*videos], "group": [None] * len(labels), "label": [*labels]}
    columns |= {"linear": [*best], "knn": [*best]}
    return Predictions(benchmark="recognition", answers=classes, columns=columns)


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(2, 9))
@settings(max_examples=40, deadline=None)
def test_top_k_counts_equal_scikit_learns_and_a_slow_twins(seed: int, num: int, num_classes: int) -> None:
    rng = np.random.default_rng(seed)
    classes = tuple(f"c{k}" for k in range(num_classes))
    scores_NK = rng.permuted(np.tile(np.arange(num_classes) / 10, (num, 1)), axis=1)
    truth = rng.integers(0, num_classes, num)
    predictions = ranked_answers(scores_NK, [classes[k] for k in truth], classes)
    found = {m.name: m.value(num) / 100 for m in recognition.metrics(predictions)}
    for k in (1, 5):
        slow = [sorted(row, reverse=True).index(row[t]) < k for row, t in zip(scores_NK, truth, strict=True)]
        assert found[f"recognition.top{k}"] == pytest.approx(np.mean(slow))
        if 2 < num_classes > k:  # scikit-learn wants one column for two classes, and k below their number
            theirs = top_k_accuracy_score(truth, scores_NK, k=k, labels=np.arange(num_classes))
            assert found[f"recognition.top{k}"] == pytest.approx(theirs)
    guesses = scores_NK.argmax(axis=1)
    by_class = recall_score(truth, guesses, labels=np.unique(truth), average=None)
    assert found["recognition.mean_class"] == pytest.approx(by_class.mean())
    table = recognition.tables(predictions)[0]
    assert (table.name, table.columns[0]) == ("recognition.per_class", "linear top1")
    assert [row[0] for row in table.values] == pytest.approx((100 * by_class).tolist())
    assert table.rows == tuple(classes[k] for k in np.unique(truth))


def test_a_network_that_knows_nothing_of_unequal_classes_is_at_chance(tmp_path: Path) -> None:
    sizes = {"c0": (120, 60), "c1": (20, 10), "c2": (20, 10)}
    videos = [
        Video(id=f"{label}/{side}{i:03d}", label=label, split=side, group=None, sha256="", num_frames=20)
        for label, counts in sizes.items()
        for side, count in zip(("train", "test"), counts, strict=True)
        for i in range(count)
    ]
    dataset = Dataset(name="unequal", split_name="1", root=Path("/nowhere"), videos=tuple(videos))
    result = score("recognition", lambda video, clip: np.ones(4), tmp_path, dataset)
    found = {one.metric: one for one in result.scores}
    assert (found["recognition.top1"].value, found["recognition.top1"].chance) == (75, 75)
    assert found["recognition.mean_class"].chance == pytest.approx(100 / 3)
    assert "recognition.top1 75.0 is at chance level (75.0)" in result.warnings
    assert any("within error of chance" in said for said in diagnose(result.scores))


def test_chance_of_recognition_goes_by_the_classes_that_are_most_frequent_in_training() -> None:
    classes = tuple("abcdefg")
    tested = dict(zip(classes, (7, 6, 5, 4, 3, 2, 1), strict=True))
    labels = [name for name, count in tested.items() for _ in range(count)]
    plain = ranked_answers(np.zeros((len(labels), len(classes))), labels, classes)

    def chances(*training: int) -> tuple[float, float]:
        facts = {"training": dict(zip(classes, training, strict=True))}
        one, five = (
            recognition.chance_of_frequent(plain.model_copy(update={"facts": facts}), depth)
            for depth in (1, 5)
        )
        return one, five

    assert chances(1, 2, 3, 4, 5, 6, 7) == (1 / 28, (1 + 2 + 3 + 4 + 5) / 28)
    assert chances(9, 9, 1, 1, 1, 1, 1) == (6.5 / 28, (7 + 6 + 3 * (5 + 4 + 3 + 2 + 1) / 5) / 28)
    for equal in (chances(*[4] * 7), tuple(recognition.chance_of_frequent(plain, k) for k in (1, 5))):
        assert equal == (1 / 7, 5 / 7), "whatever the test side holds"
    for num_classes in (2, 3, 8, 51, 101):
        names = tuple(map(str, range(num_classes)))
        balanced = ranked_answers(np.zeros((num_classes * 3, num_classes)), [*names] * 3, names)
        of_depth = [recognition.chance_of_frequent(balanced, depth) for depth in (1, 5)]
        assert of_depth == [1 / num_classes, min(1, 5 / num_classes)]


def test_a_dataset_of_short_videos_says_how_many_are_long_enough_for_cloze() -> None:
    short = make_manifest((3, 2), num_frames=80)
    reason = load_benchmark("cloze").availability(short, QUICK, SPEC)
    assert reason == "not available: 0 of 8 test videos have 96 frames"


def test_chance_of_retrieval_is_worked_out_once_for_each_size_of_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(num_gallery: int, num_relevant: int) -> float:
        asked.append(num_relevant)
        return chance_of_average_precision(num_gallery, num_relevant)

    monkeypatch.setattr(retrieval, "chance_of_average_precision", counted)
    found = next(one for one in score("retrieval", noise(), tmp_path).scores if one.metric == "retrieval.map")
    assert asked == [16]
    assert found.chance == 100 * chance_of_average_precision(64, 16)


def test_chance_of_a_hit_and_of_average_precision_equal_a_simulation() -> None:
    rng = np.random.default_rng(0)
    num_gallery, relevant, k = 12, 3, 4
    hits, precisions = [], []
    for _ in range(20_000):
        order = rng.permutation(num_gallery) < relevant
        hits.append(order[:k].any())
        places = np.flatnonzero(order) + 1
        precisions.append(np.mean(np.arange(1, relevant + 1) / places))
    assert chance_of_hit(num_gallery, relevant, k) == pytest.approx(np.mean(hits), abs=0.01)
    assert chance_of_average_precision(num_gallery, relevant) == pytest.approx(np.mean(precisions), abs=0.01)
    assert chance_of_hit(3, 0, 10) == 0
    assert chance_of_hit(3, 1, 10) == 1
