"""A network as a graph scores what it scores as a family, and so does its control."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.graphs import export
from tests.datasets_on_disk import make_dataset
from tests.graphs.networks import Mixing
from tests.graphs.networks import export as export_bare
from vcp_core.backbones import build
from vcp_core.catalog.errors import GraphError
from vcp_core.catalog.protocols import Protocol, protocol_from
from vcp_core.checkpoints import load_checkpoint
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation.evaluate import evaluate
from vcp_core.results.types import Results
from vcp_core.samples import sample_path

pytestmark = [
    pytest.mark.slow,
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")),
]
LIGHT: Protocol = protocol_from(
    {
        "name": "light",
        "base": "quick-v1",
        "grid": {"num_clips": 1},
        "control": {"seeds": [0], "calibration_clips": 16},
    }
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def scores(results: Results) -> dict[str, tuple[float | None, ...]]:
    """Of each score: value, control and pixels, to the printed digits."""
    return {
        one.metric: tuple(None if n is None else round(n, 1) for n in (one.value, one.control, one.pixels))
        for result in results.benchmarks
        for one in result.scores
    }


def controls(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "controls").iterdir())


@pytest.mark.long
def test_the_sample_scores_the_same_as_a_graph_and_two_files_share_their_controls(
    dataset: Dataset, cache: Path, tmp_path: Path
) -> None:
    family = evaluate(sample_path(), dataset, LIGHT, device="cpu")
    known = controls(cache)
    for name, network in (
        ("sample", load_checkpoint(sample_path())[0]),
        ("other", build("r3d_tiny", seed=8)),
    ):
        export(network, tmp_path / f"{name}.pt2", declares=True)
    graph = evaluate(tmp_path / "sample.pt2", dataset, LIGHT, device="cpu")
    assert scores(graph) == scores(family)
    assert graph.provenance.backbone.startswith("graph-")
    assert graph.provenance.input_spec == family.provenance.input_spec
    added = [name for name in controls(cache) if name not in known]
    assert len(added) == 2  # random weights, and pixels, whose file holds the graph's name
    evaluate(tmp_path / "other.pt2", dataset, LIGHT, device="cpu")
    assert controls(cache) == sorted([*known, *added])


def test_a_network_that_mixes_the_clips_of_a_batch_is_refused(
    dataset: Dataset, cache: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    path = export_bare(Mixing().eval(), tmp_path / "a.pt2")
    declared = "stride=4,resize=40x54,mean=0.45,std=0.225"
    with pytest.raises(GraphError, match="if other clips are in its batch"):
        evaluate(path, dataset, LIGHT, input_spec=declared, device="cpu", controls=False)
