"""The numbers of a run refuse nonsense and name it."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import pytest

from tests.shared import SHARED, needs_shared
from vcp_core.catalog.errors import TrainingError, UnknownName
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets import hmdb51, ucf101
from vcp_core.pretraining.config import FinetuneConfig, PretrainConfig, TrainingConfig, learning_rate
from vcp_core.pretraining.tasks import divide


@pytest.mark.parametrize(
    "nonsense",
    [
        {"epochs": 0},
        {"batch": 1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": "fast"},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"schedule": "linear"},
        {"precision": "fp16"},
        {"holdout_most": 0.9},
        {"seed": -1},
        {"head": "mlp"},
        {"gap": -1},
    ],
)
def test_nonsense_is_refused_by_name_and_value(nonsense: dict[str, Any]) -> None:
    [(name, value)] = nonsense.items()
    with pytest.raises(TrainingError, match=rf"{name} must be .*{value!r}"):
        PretrainConfig(**nonsense)


def test_an_error_names_the_option_as_it_is_typed() -> None:
    with pytest.raises(TrainingError, match=r"^--holdout \(holdout_videos\) must be at least 1, got 0"):
        PretrainConfig(holdout_videos=0)
    with pytest.raises(TrainingError, match=r"^--save-steps must be at least 1, got 0"):
        PretrainConfig(save_steps=0)
    with pytest.raises(TrainingError, match=r"^momentum must be"):
        PretrainConfig(momentum=1.0)


def test_an_unknown_backbone_is_told_with_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'r3d_tiny'"):
        PretrainConfig(backbone="r3d_tinny")


def test_warm_up_leaves_epochs_to_train() -> None:
    with pytest.raises(TrainingError, match="10 epochs of warm-up leave none of 10"):
        TrainingConfig(epochs=10, warmup_epochs=10)


def test_the_defaults_are_the_papers() -> None:
    pretrain, finetune = PretrainConfig(), FinetuneConfig()
    assert (pretrain.epochs, pretrain.lr, pretrain.batch, pretrain.head) == (300, 0.01, 8, "concat")
    assert (finetune.epochs, finetune.lr, finetune.batch, finetune.num_clips) == (150, 1e-3, 8, 10)
    assert (pretrain.momentum, pretrain.weight_decay, pretrain.holdout_videos) == (0.9, 5e-4, 800)
    assert learning_rate(pretrain, 123_456, 1000) == 0.01


def test_finetuning_by_default_is_what_the_papers_protocol_says() -> None:
    assert FinetuneConfig().protocol() == PROTOCOLS["paper-v1"]
    assert FinetuneConfig.of(PROTOCOLS["paper-v1"]) == FinetuneConfig()
    with pytest.raises(TrainingError, match="standard-v1 has no numbers for finetuning"):
        FinetuneConfig.of(PROTOCOLS["standard-v1"])


def test_every_number_of_finetuning_that_moves_a_score_is_in_its_protocol() -> None:
    moves_none = {"export_every", "save_steps"}
    for field in dataclasses.fields(FinetuneConfig):
        value = getattr(FinetuneConfig(), field.name)
        changes = {
            "optimizer": "adamw",
            "schedule": "cosine",
            "precision": "bf16",
            "holdout_most": 0.2,
            "augment": "jitter",
        }
        other = changes.get(field.name, value / 2 if isinstance(value, float) else None) or value + 1
        changed = FinetuneConfig(**{field.name: other})
        same = changed.protocol().hash == PROTOCOLS["paper-v1"].hash
        assert same == (field.name in moves_none), field.name
        if not same:
            assert changed.protocol().name == "finetune"
            assert FinetuneConfig.of(changed.protocol()) == changed


@needs_shared
@pytest.mark.parametrize(
    ("reader", "held_out"),
    [(ucf101, {"1": 805, "2": 801, "3": 809}), (hmdb51, {"1": 418, "2": 350, "3": 363})],
)
def test_about_800_videos_of_ucf101_and_400_of_hmdb51_are_held_out(
    reader: ModuleType, held_out: dict[str, int]
) -> None:
    for split, number in held_out.items():
        listed = reader.read_split(SHARED / "splits" / reader.__name__.rpartition(".")[2], split)
        training = [video for video in listed if video.split == "train"]
        division = divide(training, sorted({video.label for video in training}), FinetuneConfig())
        assert len(division.held_out) == number
        assert {video.label for video in division.held_out} == {video.label for video in training}
