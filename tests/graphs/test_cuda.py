"""On a GPU: exported networks give the module's features there, too, and nearly those of the CPU.

    python -m pytest -s tests/graphs/test_cuda.py

prints the differences that it measures.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.graphs.networks import NETWORKS, built, export
from tests.graphs.test_networks import clips_of, loaded, outputs, pooled
from vcp_core.features.extraction import inference
from vcp_core.graphs.backbone import Graph

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    # What torch says about a machine's GPU is none of ours to mend.
    pytest.mark.filterwarnings("default"),
]
CUDA = torch.device("cuda")
RELATIVE_TOLERANCE = 1e-4  # of the largest feature, between the CPU and the GPU; PROTOCOL 9


def features(network: nn.Module, clips: Tensor, precision: str) -> list[Tensor]:
    """The features of each stage, from a graph or from the module that it was exported from."""
    with inference(clips.device, precision):
        if isinstance(network, Graph):
            return [stage.cpu() for stage in network.stages(clips).values()]
        return [pooled(stage).cpu() for stage in outputs(network, clips.clone())]


def largest(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest difference of any stage, in parts of its largest feature."""
    pairs = zip(ours, theirs, strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_gives_the_modules_features_on_a_gpu(tmp_path: Path, name: str) -> None:
    network = built(name)
    graph = loaded(export(network, tmp_path / "a.pt2"))
    clips = clips_of(3)
    on_cpu = features(graph, clips, "fp32")
    graph.to(device=CUDA)
    network.to(device=CUDA)
    clips = clips.to(CUDA)
    found = {
        precision: largest(features(graph, clips, precision), features(network, clips, precision))
        for precision in ("fp32", "bf16")
    }
    beside_cpu = largest(features(graph, clips, "fp32"), on_cpu)
    print(f"{name}: module {found}, CPU {beside_cpu:.1e}")
    assert found == {"fp32": 0.0, "bf16": 0.0}
    assert beside_cpu <= RELATIVE_TOLERANCE
