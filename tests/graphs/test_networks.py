"""Exported networks give the features of the modules that they were exported from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.affordable import AFFORDABLE
from tests.graphs.networks import CLIP, NETWORKS, built, export
from vcp_core.backbones import Backbone, build
from vcp_core.features.extraction import inference
from vcp_core.graphs import build_graph, expect_alone, read_canonical, read_graph, write_canonical
from vcp_core.graphs.backbone import Graph
from vcp_core.graphs.running import Step, running, steps_of

CPU = torch.device("cpu")
BATCHES = (1, 3)  # clips; networks are exported with 2
DECOMPOSED = {"fp32": 1e-4, "bf16": 2e-2}  # of the largest feature

# torch.export imports modules that warn about each other when they are first pickled or copied.
# A buffer that is a part of a larger storage makes torch.export.save warn, too.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("FutureWarning", "DeprecationWarning", "UserWarning")
]


def loaded(path: Path) -> Graph:
    """The graph of a file, by way of the canonical file."""
    contents = read_graph(path)
    canonical = path.with_suffix(".safetensors")
    write_canonical(canonical, contents.program, contents.weights)
    again = read_canonical(canonical)
    assert again.program == contents.program
    return build_graph(again.program, again.weights)


def outputs(network: nn.Module, clips: Tensor) -> list[Tensor]:
    found = network(clips)
    return [found] if isinstance(found, Tensor) else list(found)


def pooled(stage: Tensor) -> Tensor:
    return stage.mean((2, 3, 4), dtype=torch.float32) if stage.dim() == 5 else stage.float()


def clips_of(batch: int, shape: Sequence[int] = CLIP) -> Tensor:
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(batch))


def differences(network: nn.Module, graph: Graph, precision: str) -> list[float]:
    """Of each stage and batch: the largest difference, in parts of the largest feature."""
    found = []
    for batch in BATCHES:
        clips = clips_of(batch)
        with inference(CPU, precision):
            ours = list(graph.stages(clips).values())
            theirs = [pooled(stage) for stage in outputs(network, clips.clone())]
        found += [distance(a, b) for a, b in zip(ours, theirs, strict=True)]
    return found


def distance(a: Tensor, b: Tensor) -> float:
    """The largest difference, as a share of the largest value of `b`."""
    return float((a - b).abs().max() / b.abs().max())


@torch.inference_mode()
def unsaid(graph: Graph) -> set[str]:
    """Operations whose result shares memory with an argument, and of which the table does not say so."""
    found = set()
    values: list[Any] = []
    clips = clips_of(2)
    steps = steps_of(graph.program)
    for step, arguments, keywords, results in running(steps, graph.program, graph.weights(), clips, values):
        known = {id(storage) for storage in _storages(arguments, step, aliased=True)}
        shared = {id(storage) for storage in _storages(arguments, step, aliased=False)} - known
        assert not any(isinstance(value, Tensor) for value in keywords.values())
        if any(isinstance(one, Tensor) and id(one.untyped_storage()) in shared for one in results):
            found.add(step.node.operation)
    return found


def _storages(arguments: Sequence[Any], step: Step, *, aliased: bool) -> list[Any]:
    """Storages of the tensors among a step's arguments; with `aliased`, of those that a result may share."""
    given = zip(arguments, step.operation.parameters.values(), strict=False)
    tensors = [
        one
        for value, parameter in given
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, Tensor) and (parameter.aliased or not aliased)
    ]
    return [one.untyped_storage() for one in tensors]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_gives_the_modules_features_bit_by_bit(tmp_path: Path, name: str) -> None:
    network = built(name)
    graph = loaded(export(network, tmp_path / "a.pt2"))
    assert differences(network, graph, "fp32") == [0.0] * (len(BATCHES) * len(graph.spec.stages))
    assert differences(network, graph, "bf16") == [0.0] * (len(BATCHES) * len(graph.spec.stages))
    assert expect_alone(graph, clips_of(3)) < 1e-5
    assert unsaid(graph) == set()
    for parameter in network.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    graph.to(memory_format=torch.channels_last_3d)
    assert max(differences(network, graph, "fp32")) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_decomposed_network_gives_nearly_the_modules_features(tmp_path: Path, name: str) -> None:
    network = built(name)
    graph = loaded(export(network, tmp_path / "a.pt2", decomposed=True))
    for precision, tolerance in DECOMPOSED.items():
        assert max(differences(network, graph, precision)) <= tolerance
    assert unsaid(graph) == set()


class Family(nn.Module):
    """A backbone of ours that gives all its stages."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.net = backbone

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.net.forward_stages(x))


SMALL = (3, 16, 64, 64)  # clips whose last map has at least 2 x 2 places in each family


@pytest.mark.long
@pytest.mark.parametrize("name", AFFORDABLE)
def test_our_own_backbones_exported_give_their_own_stages_bit_by_bit(tmp_path: Path, name: str) -> None:
    backbone = build(name, seed=3)
    graph = loaded(export(Family(backbone).eval(), tmp_path / "a.pt2", clip=SMALL))
    decomposed = loaded(export(Family(backbone).eval(), tmp_path / "b.pt2", clip=SMALL, decomposed=True))
    clips = clips_of(3, SMALL)
    exact: list[Tensor] = []
    for precision, tolerance in DECOMPOSED.items():  # fp32 first
        with inference(CPU, precision):
            theirs = list(backbone.stages(clips, max_pooled=True).values())
            ours = list(graph.stages(clips, max_pooled=True).values())
            nearly = list(decomposed.stages(clips, max_pooled=True).values())
        assert all(map(torch.equal, ours, theirs))
        exact = exact or theirs
        for almost, b, a in zip(nearly, theirs, exact, strict=True):
            # Autocast knows no decomposed convolution, so that graph runs in float32, and 34 layers in bf16
            # are farther from float32 than the tolerance.
            assert distance(almost, b) <= max(tolerance, 1.05 * distance(b, a))
