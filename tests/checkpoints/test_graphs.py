"""A program of torch.export goes through the sandbox like every other checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.graphs import export
from tests.graphs.networks import Stem
from tests.graphs.networks import export as export_bare
from vcp_core.backbones import Backbone, build
from vcp_core.backbones.folding import folded
from vcp_core.catalog.errors import CheckpointMismatch, GraphError, InputError, VcpbenchError
from vcp_core.checkpoints import CheckpointReport, ingest, load_checkpoint
from vcp_core.checkpoints.child import ingest_here
from vcp_core.features.extraction import inference
from vcp_core.graphs import Graph

pytestmark = [
    pytest.mark.slow,
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")),
]
INPUT = "stride=2,resize=40x54,mean=0.45,std=0.225"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def family() -> Backbone:
    return build("r3d_tiny", seed=3)


@pytest.fixture(scope="module")
def tiny(family: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """r3d_tiny as `vcpbench export` writes it."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.pt2"
    export(family, path, declares=True)
    return path


def test_a_graph_is_the_network_that_was_exported(tiny: Path, family: Backbone) -> None:
    network, report = load_checkpoint(tiny)
    assert isinstance(network, Graph)
    assert report.graph is not None
    assert report.backbone == network.spec.name == f"graph-{report.graph.structure[:8]}"
    assert (report.format, report.scheme) == ("torch export", "torch.export")
    for fact in ("stages", "stage_dims", "clip_shape", "stride", "resize", "normalisation", "num_parameters"):
        assert getattr(network.spec, fact) == getattr(family.spec, fact)
    assert network.spec.max_pooled_dim == family.spec.max_pooled_dim
    clips = torch.randint(0, 256, (2, 3, 16, 56, 56), dtype=torch.uint8)
    with inference(CPU, "fp32"):
        assert torch.equal(network(clips), family(clips))
        torch.testing.assert_close(folded(network)(clips), family(clips), rtol=1e-5, atol=1e-6)


def test_the_report_of_a_graph_says_what_it_is(tiny: Path, tmp_path: Path) -> None:
    report = ingest(tiny, tmp_path / "out.safetensors")
    assert CheckpointReport.from_json(report.to_json()) == report
    lines = dict(line.split(maxsplit=1) for line in report.explain().splitlines())
    assert report.graph is not None
    assert lines["structure"] == report.graph.structure
    assert lines["stages"] == "conv1 16, conv2 16, conv3 32, conv4 64, conv5 128"
    assert lines["program"].endswith("MiB at most")
    assert "Batch norms get the statistics of training clips." in lines["control"]
    assert lines["assumed"] == "channels red, green, blue (torch.export archive)"


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({}, InputError, "says stride, resize, mean, std. Declare them.*`vcpbench export`"),
        ({"input_spec": "stride=1"}, InputError, "says resize, mean, std"),
        ({"input_spec": f"{INPUT},crop=64"}, InputError, "contradicts the file"),
        ({"backbone": "r3d"}, CheckpointMismatch, "Leave out --backbone r3d"),
        ({"prefix": "teacher."}, CheckpointMismatch, r"Leave out --prefix teacher\."),
    ],
    ids=["no input", "a part of an input", "another input", "a backbone", "a prefix"],
)
def test_what_a_graph_lacks_or_cannot_take_is_said(
    tmp_path: Path, said: dict[str, str], error: type[VcpbenchError], words: str
) -> None:
    path = export_bare(Stem().eval(), tmp_path / "a.pt2")
    choices = {name: said.get(name) for name in ("backbone", "prefix")}
    with pytest.raises(error, match=f"(?s){words}"):
        ingest_here(path, tmp_path / "out.safetensors", **choices).read_as(
            variant=None, input_spec=said.get("input_spec")
        )


def test_the_sandbox_leaves_nothing_behind_of_a_graph_whose_input_is_not_known(tmp_path: Path) -> None:
    path = export_bare(Stem().eval(), tmp_path / "a.pt2")
    with pytest.raises(InputError):
        ingest(path, tmp_path / "out.safetensors")
    assert [one.name for one in tmp_path.iterdir()] == ["a.pt2"]


def test_a_graph_without_a_declaration_is_read_with_the_users_own(tmp_path: Path) -> None:
    path = export_bare(Stem().eval(), tmp_path / "a.pt2")
    network, report = load_checkpoint(path, input_spec=INPUT, variant="bgr")
    assert report.input_spec == "frames=4,stride=2,resize=40x54,crop=32,mean=0.45,std=0.225"
    assert (network.spec.stages, report.assumed) == (("stage1",), ())


class Lookup(nn.Module):
    """An index that a bright clip makes larger than its table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.table[x.mean((1, 2, 3, 4)).mul(5).long()]


def test_an_index_out_of_range_is_the_files_fault(tmp_path: Path) -> None:
    path = export_bare(Lookup().eval(), tmp_path / "a.pt2")
    network, _ = load_checkpoint(path, input_spec="stride=1,resize=32x32,mean=0,std=1")
    dark = torch.zeros((2, 3, 4, 32, 32), dtype=torch.uint8)
    with inference(CPU, "fp32"):
        assert network(dark).shape == (2, 8)
        with pytest.raises(GraphError, match=r"operation \d+ \(aten\.index\.Tensor\) of its program fails"):
            network(dark + 255)
