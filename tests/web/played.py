"""Finished evaluations with all that a worker would write, scored by the library from invented answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy.orm import Session

from records.models import (
    BenchmarkRow,
    Checkpoint,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Origin,
    ScoreRow,
)
from records.repositories import datasets
from tests.service.finished import ready_checkpoint
from vcp_core.catalog.options import OPTION_NAMES, OPTIONS
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.results.types import BenchmarkResult, Fit, Predictions, Provenance, Results
from vcp_core.scoring.scores import score_benchmark
from worker.tasks.score import command_of

CLASSES = ("bounce", "circle", "drift", "pendulum", "shake", "spin", "zigzag", "zoom")
NUM_VIDEOS = 120
BIRTH = datetime(2026, 11, 20, 9, tzinfo=UTC)


def _fit(name: str) -> Fit:
    return Fit(name=name, l2=0.1, holdout_losses={}, converged=True, num_iterations=9, gradient_norm=1e-6)


def _guess(rng: random.Random, truth: str, answers: Sequence[str], skill: float) -> list[str]:
    order = rng.sample(answers, len(answers))
    return [truth, *(one for one in order if one != truth)] if rng.random() < skill else order


def _videos(prefix: str = "v") -> dict[str, list[Any]]:
    return {
        "video": [f"{prefix}{index}" for index in range(NUM_VIDEOS)],
        "group": [f"g{index // 3}" for index in range(NUM_VIDEOS)],
    }


def recognition(seed: int, skill: float) -> Predictions:
    """Answers that are right so often; the rest is guessed."""
    rng = random.Random(seed)
    labels = [CLASSES[index % len(CLASSES)] for index in range(NUM_VIDEOS)]
    ranked = {
        method: [_guess(rng, label, CLASSES, skill)[:5] for label in labels] for method in ("linear", "knn")
    }
    sure = {
        f"{method}.probability": [_sureness(seed, index) for index in range(NUM_VIDEOS)] for method in ranked
    }
    return Predictions(
        benchmark="recognition",
        answers=CLASSES,
        columns={**_videos(), "label": labels, **ranked, **sure},
        fits=(_fit("linear"),),
    )


def retrieval(seed: int, skill: float) -> Predictions:
    """Hits that come so often."""
    rng = random.Random(seed + 1)
    ks = PROTOCOLS["quick-v1"].retrieval.ks
    first = [rng.random() < skill for _ in range(NUM_VIDEOS)]
    hits = {f"hit_at_{k}": [hit or rng.random() < 0.1 * index for hit in first] for index, k in enumerate(ks)}
    return Predictions(
        benchmark="retrieval",
        answers=CLASSES,
        columns={
            **_videos(),
            "label": [CLASSES[index % len(CLASSES)] for index in range(NUM_VIDEOS)],
            "average_precision": [0.4 * hit + 0.3 * rng.random() for hit in first],
            "neighbours": [_neighbours(index, hit) for index, hit in enumerate(first)],
            "similarity": [_sureness(seed, index)[0] for index in range(NUM_VIDEOS)],
            **hits,
        },
        facts={"ks": list(ks), "gallery": dict.fromkeys(CLASSES, 30)},
    )


def cloze(seed: int, skills: Sequence[float]) -> Predictions:
    """Each option is told apart as often as its skill says."""
    rng = random.Random(seed + 2)
    videos = _videos()
    options = list(OPTION_NAMES) * NUM_VIDEOS
    skill_of = dict(zip(OPTION_NAMES, skills, strict=True))
    columns: dict[str, list[Any]] = {
        name: [value for value in values for _ in OPTION_NAMES] for name, values in videos.items()
    }
    variants = [_variant(rng, option) for option in options]
    columns |= {"tuple": [0] * len(options), "option": options, "variant": variants}
    for head in ("relational", "concat"):
        columns[head] = [_guess(rng, option, OPTION_NAMES, skill_of[option])[0] for option in options]
        columns[f"{head}.probability"] = [_sureness(seed, index)[0] for index in range(len(options))]
    return Predictions(
        benchmark="cloze",
        answers=OPTION_NAMES,
        columns=columns,
        num_left_out=3,
        fits=(_fit("relational"), _fit("concat")),
    )


def _sureness(seed: int, index: int) -> list[float]:
    """Probabilities of the best five answers; without chance, so that the answers above stay as they were."""
    first = 0.4 + 0.0001 * ((17 + seed) * (index + 1) % 5000)
    return [round(first * 0.4**place, 4) for place in range(5)]


def _neighbours(index: int, hit: bool) -> list[str]:
    """Training videos, the nearest of the video's class if it is a hit. Their folders are their classes."""
    first = index % len(CLASSES) if hit else (index + 1) % len(CLASSES)
    places = [(first + place, (index + place // len(CLASSES)) % 3) for place in range(10)]
    return [f"{CLASSES[label % len(CLASSES)]}/t{number}.mp4" for label, number in places]


def _variant(rng: random.Random, option: str) -> str:
    if option == "remote":
        return f"{rng.choice(['before', 'after'])}:{rng.randint(16, 90)}"
    return rng.choice(OPTIONS[option].variants)


def answers(seed: int, skill: float, tilt: float = 0.0) -> dict[str, Predictions]:
    """Of a network of this skill; `tilt` moves it from spatial to temporal operations."""
    spatial, temporal = max(0.0, skill - tilt), max(0.0, skill / 2 + tilt)
    return {
        "cloze": cloze(seed, (skill / 2, spatial, spatial, temporal, temporal * 0.8)),
        "recognition": recognition(seed, skill),
        "retrieval": retrieval(seed, skill),
    }


@cache
def control() -> dict[str, Predictions]:
    """Of random weights."""
    return answers(999, 0.12)


@cache
def results(
    seed: int, skill: float, tilt: float, is_control: bool, protocol_name: str
) -> tuple[dict[str, Predictions], tuple[BenchmarkResult, ...], dict[str, Any]]:
    """Predictions, their scores as a worker computes them, and what it keeps of them."""
    protocol = PROTOCOLS[protocol_name]
    found = control() if is_control else answers(seed, skill, tilt)
    scored = tuple(
        score_benchmark(name, one, {"0": control()[name]}, unavailable=None, protocol=protocol)
        for name, one in found.items()
    )
    kept = Results(
        benchmarks=tuple(result.model_copy(update={"predictions": None}) for result in scored),
        provenance=Provenance(
            checkpoint={"sha256": "ab" * 32},
            backbone="r3d_tiny",
            dataset={"name": "playground", "split": "1", "fingerprint": "cd" * 32, "licence": "CC0 1.0"},
            protocol_name=protocol.name,
            protocol_hash=protocol.hash,
            protocol=protocol,
            versions={"vcpbench": "0.1.0", "torch": "2.13.0"},
            device="cpu: x86_64 AVX512",
            machine={"batch_clips": 8, "network_threads": "2; 4"},
            num_clips=1842,
            reproduce=None,
        ),
    )
    return found, scored, kept.model_dump(mode="json")


def finished(
    session: Session,
    dataset: DatasetRow,
    model: str = "tiny",
    *,
    seed: int = 0,
    skill: float = 0.5,
    tilt: float = 0.0,
    team: str = "default",
    protocol: str = "quick-v1",
    checkpoint: Checkpoint | None = None,
    is_control: bool = False,
    **facts: Any,
) -> Evaluation:
    """An evaluation that is done, with scores, tables and predictions."""
    row = datasets.keep_protocol(session, PROTOCOLS[protocol])
    assert row is not None
    found, scored, kept = results(seed, skill, tilt, is_control, protocol)
    evaluation = Evaluation(
        checkpoint_id=(checkpoint or ready_checkpoint(session, model, team=team, **facts)).id,
        dataset_id=dataset.id,
        protocol_hash=row.hash,
        team=team,
        is_control=is_control,
        state=EvaluationState.DONE,
        started_at=BIRTH,
        finished_at=BIRTH + timedelta(minutes=seed),
    )
    session.add(evaluation)
    session.flush()
    evaluation.results = {**kept, "provenance": {**kept["provenance"], "reproduce": command_of(evaluation)}}
    session.add_all(
        ScoreRow(
            evaluation_id=evaluation.id,
            benchmark=result.benchmark,
            **score.model_dump(),
        )
        for result in scored
        for score in result.scores
    )
    session.add_all(
        BenchmarkRow(evaluation_id=evaluation.id, benchmark=name, predictions=one.model_dump(mode="json"))
        for name, one in found.items()
    )
    session.flush()
    return evaluation


def random_weights(session: Session, dataset: DatasetRow, seed: int = 0) -> Evaluation:
    """The control's own evaluation."""
    checkpoint = ready_checkpoint(session, "control", step=seed)
    checkpoint.model, checkpoint.origin, checkpoint.seed = None, Origin.CONTROL, seed
    checkpoint.step = None
    session.flush()
    return finished(session, dataset, checkpoint=checkpoint, is_control=True, seed=seed)


def ended(session: Session, dataset: DatasetRow, state: EvaluationState, **facts: Any) -> Evaluation:
    """An evaluation without results: under way, failed or cancelled."""
    row = datasets.keep_protocol(session, PROTOCOLS["quick-v1"])
    assert row is not None
    evaluation = Evaluation(
        checkpoint_id=ready_checkpoint(session, f"model-{state.value}").id,
        dataset_id=dataset.id,
        protocol_hash=row.hash,
        team="default",
        is_control=False,
        state=state,
        **facts,
    )
    session.add(evaluation)
    session.flush()
    return evaluation
