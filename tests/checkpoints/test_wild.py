"""Every family's checkpoints as their users save them: wrapped, prefixed, with heads and queues."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.checkpoints.test_read import save
from vcp_core.backbones import build, key_shapes, skeleton
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointMismatch
from vcp_core.catalog.keys import KeyScheme
from vcp_core.checkpoints import read_canonical
from vcp_core.checkpoints.child import ingest_here
from vcp_core.checkpoints.networks import choose

pytestmark = pytest.mark.slow

Weights = Mapping[str, Tensor]
SCHEMES = [(spec.name, scheme) for spec in BACKBONES.values() for scheme in spec.keys]
every_scheme = pytest.mark.parametrize(
    ("name", "scheme"), SCHEMES, ids=[f"{name}-{scheme.name}" for name, scheme in SCHEMES]
)


def head(prefix: str, width: int, *, convolution: bool = False) -> dict[str, Tensor]:
    shape = (400, width, 1, 1, 1) if convolution else (400, width)
    return {f"{prefix}.weight": torch.zeros(shape), f"{prefix}.bias": torch.zeros(400)}


def as_named(scheme: KeyScheme, weights: Weights) -> dict[str, Tensor]:
    """Our weights, as the scheme's project names and shapes them, and in its pieces."""
    return {
        name: part.reshape(scheme.shape(tuple(part.shape))).contiguous()
        for key, value in weights.items()
        for names in [scheme.names(key)]
        for name, part in zip(names, value.chunk(len(names)) if len(names) > 1 else [value], strict=True)
    }


def shapes_of(name: str, scheme: KeyScheme) -> dict[str, tuple[int, ...]]:
    named = as_named(scheme, skeleton(name).state_dict())
    return {key: tuple(value.shape) for key, value in named.items()}


def under(prefix: str, weights: Weights) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


def proxy_network(weights: Weights) -> Any:
    """VCOP's: the whole proxy network, from DataParallel."""
    return under("module.base_network.", weights) | under("module.", head("fc7", 1536) | head("fc8", 512))


def ddp(weights: Weights) -> Any:
    """Torchvision's reference scripts: model, optimizer and arguments, from DistributedDataParallel."""
    args = argparse.Namespace(lr=0.01, amp=True)
    return {"model": under("module.", weights) | under("module.", head("fc", 512)), "epoch": 44, "args": args}


def moco(weights: Weights) -> Any:
    """A query and a key encoder with projections and a queue; under Lightning's names."""
    query, key = under("model.encoder_q.", weights), under("model.encoder_k.", weights)
    queue = {"model.queue": torch.zeros(128, 64), "model.queue_ptr": torch.zeros(1, dtype=torch.int64)}
    state = query | key | queue | under("model.encoder_q.", head("classifier.1", 1024, convolution=True))
    return {"state_dict": state, "pytorch-lightning_version": "2.4.0", "global_step": 5, "loops": {}}


def old_weights(weights: Weights) -> Any:
    """The port's published files: the state dict itself, from before batch-norm counted its steps."""
    kept = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    return kept | head("logits.conv3d", 1024, convolution=True)


def hub(weights: Weights) -> Any:
    """PyTorchVideo's: the head is a block like the others."""
    return {"model_state": dict(weights) | head("blocks.5.proj", 2048)}


def slowfast(weights: Weights) -> Any:
    return {"epoch": 195, "cfg": "TRAIN:\n", "model_state": dict(weights) | head("head.projection", 2048)}


def mmaction(weights: Weights) -> Any:
    meta = {"epoch": 100, "score": np.float64(0.7), "seed": np.int64(3)}
    return {"meta": meta, "state_dict": under("backbone.", weights) | head("cls_head.fc_cls", 2048)}


def transformers(weights: Weights) -> Any:
    """VideoMAEForPreTraining: the decoder's layers are beside the encoder's."""
    decoder = {"decoder.norm.weight": torch.zeros(192), "mask_token": torch.zeros(1, 1, 192)}
    return under("videomae.", weights) | decoder


@pytest.mark.parametrize(
    ("name", "scheme", "wrap", "wrapper", "prefix"),
    [
        ("r3d_18_vcop", "VCOP", proxy_network, "", "module.base_network."),
        ("r2plus1d_18_vcop", "VCOP", proxy_network, "", "module.base_network."),
        ("mc3_18", "torchvision", ddp, "model", "module."),
        ("r2plus1d_18", "torchvision", ddp, "model", "module."),
        ("s3d", "torchvision", moco, "state_dict", "model.encoder_q."),
        ("i3d", "pytorch-i3d", old_weights, "", ""),
        ("slow_r50", "PyTorchVideo", hub, "model_state", ""),
        ("slow_r50", "SlowFast", slowfast, "model_state", ""),
        ("slow_r50", "MMAction2", mmaction, "state_dict", "backbone."),
        ("videomae_s", "transformers 5", transformers, "", "videomae."),
    ],
)
def test_a_familys_checkpoint_is_found_as_its_users_save_it(
    tmp_path: Path, name: str, scheme: str, wrap: Any, wrapper: str, prefix: str
) -> None:
    original = build(name).state_dict()
    (names,) = (known for known in BACKBONES[name].keys if known.name == scheme)
    weights = as_named(names, original)
    canonical = tmp_path / "canonical.safetensors"
    report = ingest_here(save(wrap(weights), tmp_path / "checkpoint.pth"), canonical)
    assert (report.backbone, report.scheme) == (name, scheme)
    assert (report.wrapper, report.prefix) == (wrapper, prefix)
    assert report.left_over
    for key, value in read_canonical(canonical).state_dict().items():
        assert torch.equal(value, original[key]), key


@every_scheme
def test_names_of_a_scheme_are_all_different_and_found_as_this_scheme_alone(name: str, scheme: Any) -> None:
    named = [one for key in key_shapes(name) for one in scheme.names(key)]
    shapes = shapes_of(name, scheme)
    assert list(shapes) == named
    choice = choose({f"net.{key}": shape for key, shape in shapes.items()})
    match = choice.match
    assert (match.backbone, match.scheme, match.prefix, choice.others) == (name, scheme, "net.", ())


@every_scheme
def test_a_near_miss_is_refused_with_the_difference(name: str, scheme: Any) -> None:
    shapes = shapes_of(name, scheme)
    weights = [key for key, shape in shapes.items() if len(shape) > 3]
    needed = [key for key in shapes if not key.endswith("num_batches_tracked")]
    last = weights[-1]
    with pytest.raises(CheckpointMismatch) as caught:
        choose({**shapes, last: (*shapes[last][:-1], 5)})
    text = str(caught.value)
    assert f"closest is {name}: {len(needed) - 1} of {len(needed)} keys" in text
    assert f"{last} is {(*shapes[last][:-1], 5)}, not {shapes[last]}" in text
    stage = {key for key in needed if needed.index(key) >= len(needed) - 15}
    with pytest.raises(CheckpointMismatch) as caught:
        choose({key: shape for key, shape in shapes.items() if key not in stage}, backbone=name)
    assert f"not {name}: {len(needed) - 15} of {len(needed)} keys" in str(caught.value)
    assert "missing" in str(caught.value)


def test_a_two_pathway_slowfast_is_not_taken_for_its_slow_pathway() -> None:
    (names,) = (scheme for scheme in BACKBONES["slow_r50"].keys if scheme.name == "SlowFast")
    shapes = {names.rename(key): shape for key, shape in key_shapes("slow_r50").items()}
    with pytest.raises(CheckpointMismatch, match=r"s1\.pathway1_stem\.conv\.weight"):
        choose(shapes | {"s1.pathway1_stem.conv.weight": (8, 3, 5, 7, 7)})
