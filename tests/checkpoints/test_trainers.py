"""What trainers write of step, epoch and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from vcpbench_client.commands.steps import step_in_name

from bench.wrapped import weights
from tests.checkpoints.test_read import save
from vcp_core.checkpoints.child import ingest_here
from vcp_core.checkpoints.sandbox import ingest
from vcp_core.checkpoints.trainers import counts_in_name, training_of

FACTS = ("step", "epoch", "run")


def said(tmp_path: Path, beside: dict[str, Any]) -> tuple[Any, ...]:
    """Step, epoch and run that a file with this beside its weights says."""
    path = save({"state_dict": weights(), **beside}, tmp_path / "a.pt")
    found = ingest_here(path, tmp_path / "out").training
    return (None, None, None) if found is None else tuple(found[fact] for fact in FACTS)


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ({"pytorch-lightning_version": "2.5.0", "global_step": 2000, "epoch": 1}, (2000, 1, None)),
        (
            {"meta": {"mmengine_version": "0.10.7", "iter": 300, "epoch": 3, "experiment_name": "slow"}},
            (300, 3, "slow"),
        ),
        ({"meta": {"mmcv_version": "1.7.0", "iter": 300, "epoch": 3, "exp_name": "a.py"}}, (300, 3, "a.py")),
        ({"epoch": 195, "cfg": "TRAIN:"}, (None, 195, None)),
        ({"iteration": 4999}, (4999, None, None)),
        (
            {
                "optimizer_history": [{"num_updates": n} for n in (10, 20)],
                "extra_state": {"train_iterator": {"epoch": 2}},
            },
            (20, 2, None),
        ),
        (
            {"state": {"timestamp": {"Timestamp": {"batch": 50, "epoch": 1}}, "run_name": "dawn"}},
            (50, 1, "dawn"),
        ),
        ({"global_steps": 70, "global_samples": 700, "module": {}}, (70, None, None)),
        ({"step": torch.tensor(12), "epoch": 2}, (12, 2, None)),
        ({"trainer": {"global_step": 8}, "run_name": "r"}, (8, None, "r")),
        ({}, (None, None, None)),
    ],
)
def test_each_trainers_keys_are_known(
    tmp_path: Path, beside: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert said(tmp_path, beside) == expected


@pytest.mark.parametrize(
    "beside",
    [{"step": True}, {"step": -1}, {"step": "7"}, {"step": 1 << 80}, {"step": 2.5}, {"run_name": "\x1b[1m"}],
)
def test_what_makes_no_sense_is_not_taken(tmp_path: Path, beside: dict[str, Any]) -> None:
    assert said(tmp_path, beside) == (None, None, None)


def test_the_header_of_safetensors_may_say_it(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "a", metadata={"global_step": "2000", "format": "pt"})
    found = ingest_here(tmp_path / "a", tmp_path / "out").training
    assert found is not None
    assert found["step"] == 2000


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("epoch=1-step=2000.ckpt", {"step": 2000, "epoch": 1}),
        ("r3d-epoch=07-val_loss=0.32.ckpt", {"epoch": 7}),
        ("epoch=1-step=2000-v1.ckpt", {"step": 2000, "epoch": 1}),
        ("iter_2000.pth", {"step": 2000}),
        ("epoch_100.pth", {"epoch": 100}),
        ("checkpoint_epoch_00195.pyth", {"epoch": 195}),
        ("model_100.pt", {}),
        ("checkpoint-100.pth.tar", {}),
        ("net_step2.1.pt", {}),
        ("step=1-step=2.pt", {}),
        ("global_step=7.pt", {"step": 7}),
        ("r3d_18-b3b3357e.pth", {}),
        ("step.pt", {}),
        ("twostep2000.pt", {}),
        ("best.pt", {}),
        ("", {}),
        (f"step_{'9' * 40}.pt", {}),
    ],
)
def test_names_of_files_count_steps_and_epochs(name: str, counts: dict[str, int]) -> None:
    assert counts_in_name(name) == counts
    assert step_in_name(Path(name)) == counts.get("step")  # the client reads the same


@pytest.mark.slow
def test_a_name_tells_what_the_file_does_not(tmp_path: Path) -> None:
    silent, speaking = tmp_path / "epoch=1-step=2000.ckpt", tmp_path / "step=5.ckpt"
    report = ingest(save(weights(), silent), tmp_path / "out")
    assert report.training == {
        "step": 2000,
        "epoch": 1,
        "run": None,
        "sources": dict.fromkeys(("step", "epoch"), "the file's name"),
    }
    assert "step        2000, from the file's name" in report.explain()
    report = ingest(save({"state_dict": weights(), "epoch": 3}, silent), tmp_path / "out")
    assert "step        2000, from the file's name" in report.explain()
    assert "epoch       3, from 'epoch' in the file" in report.explain()
    report = ingest(save({"state_dict": weights(), "global_step": 9}, speaking), tmp_path / "out")
    assert "step        9, from 'global_step' in the file" in report.explain()


def test_a_run_alone_is_said_too() -> None:
    found = training_of({"run_name": "dawn"}, ())
    assert found is not None
    assert (found.run, found.step, found.epoch) == ("dawn", None, None)
