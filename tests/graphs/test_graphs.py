"""Graphs as backbones: structure, random weights, calibration, folding, costs and canonical files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.graphs.archives import sound
from tests.graphs.networks import Attention, Functional, Mixing, Stem, built, export
from tests.graphs.test_networks import Family, loaded
from vcp_core.backbones import build
from vcp_core.backbones.folding import folded
from vcp_core.catalog.errors import DamagedCheckpoint, GraphError, InputError
from vcp_core.checkpoints.child import LATE
from vcp_core.features.extraction import inference, ready
from vcp_core.graphs import (
    GraphContents,
    build_graph,
    expect_alone,
    is_canonical_graph,
    read_canonical,
    read_graph,
    survey,
    uses,
    write_canonical,
)
from vcp_core.graphs.backbone import Graph

ROOT = Path(__file__).resolve().parents[2]
TINY = (3, 16, 56, 56)
CPU = torch.device("cpu")

pytestmark = [
    pytest.mark.slow,
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GraphContents:
    """r3d_tiny, exported with all its stages."""
    path = tmp_path_factory.mktemp("tiny") / "a.pt2"
    return read_graph(export(Family(build("r3d_tiny", seed=3)).eval(), path, clip=TINY))


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> GraphContents:
    return read_graph(export(built("attention"), tmp_path_factory.mktemp("attention") / "a.pt2"))


def graph_of(contents: GraphContents) -> Graph:
    """A graph with weights of its own, so that a test can change them."""
    return build_graph(contents.program, {key: value.clone() for key, value in contents.weights.items()})


def random_clips(number: int, *, seed: int = 0) -> Tensor:
    return torch.rand(number, *TINY, generator=torch.Generator().manual_seed(seed))


def test_two_files_of_one_structure_share_it_and_others_do_not(tmp_path: Path) -> None:
    class Renamed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = built("squeeze and excite", seed=1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net(x)
            return out

    first = read_graph(export(built("squeeze and excite"), tmp_path / "a.pt2")).program
    again = read_graph(export(Renamed().eval(), tmp_path / "b.pt2")).program
    other = read_graph(export(built("gates"), tmp_path / "c.pt2")).program
    assert first != again
    assert first.structure() == again.structure() != other.structure()


def test_random_weights_of_an_exported_family_are_the_familys_own(tiny: GraphContents) -> None:
    graph = graph_of(tiny)
    graph.initialise(torch.Generator().manual_seed(1))
    own = build("r3d_tiny", seed=1).state_dict()
    for weight, drawn in zip(tiny.program.weights, graph.weights(), strict=True):
        assert torch.equal(drawn, own[weight.name.removeprefix("net.")]), weight.name


def test_a_weight_is_drawn_by_its_use_whatever_its_name(attention: GraphContents) -> None:
    found = {name: used.use for name, used in uses(attention.program).items()}
    assert found == {
        "cls": "token",
        "pos": "token",
        "gamma": "layer scale",
        "table": "token",
        "index": "kept",
        **{f"{layer}.weight": "kernel" for layer in ("patch", "qkv", "out", "up", "down")},
        **{f"{layer}.bias": "bias" for layer in ("patch", "qkv", "out", "up", "down")},
        **{f"{norm}.weight": "scale" for norm in ("n1", "n2")},
        **{f"{norm}.bias": "shift" for norm in ("n1", "n2")},
    }
    graph = graph_of(attention)
    before = dict(zip(found, graph.weights(), strict=True))
    kept = {name: before[name].clone() for name in ("gamma", "index")}
    graph.initialise(torch.Generator().manual_seed(0))
    assert all(torch.equal(before[name], value) for name, value in kept.items())
    assert before["qkv.bias"].abs().max() == 0
    assert before["pos"].std() == pytest.approx(0.02, rel=0.1)
    bound = 16**-0.5  # torch's default for 16 inputs
    assert 0.9 * bound < float(before["qkv.weight"].abs().max()) <= bound


@pytest.mark.parametrize("decomposed", [False, True], ids=["exported", "decomposed"])
def test_parameters_of_functions_and_products_are_found(tmp_path: Path, decomposed: bool) -> None:
    contents = read_graph(export(Functional().eval(), tmp_path / "a.pt2", decomposed=decomposed))
    found = uses(contents.program)
    assert {name: used.use for name, used in found.items()} == {
        "kernel": "kernel",
        "scale": "scale",
        "shift": "shift",
        "project": "kernel",
        "mean": "running mean",
        "var": "running variance",
    }
    assert found["kernel"].fan_in == 3 * 27
    assert found["project"].fan_in == 8  # x @ project, of shape (8, 12)


def calibrated_family(seed: int, batches: list[Tensor]) -> nn.Module:
    """r3d_tiny with the statistics that `vcp_core.evaluation.controls.calibrate` would give it."""
    network = build("r3d_tiny", seed=seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    with inference(CPU, "fp32"):
        for clips in batches:
            network.stages(clips)
    return network.eval()


def calibrated(contents: GraphContents, seed: int, batches: list[Tensor]) -> Graph:
    graph = graph_of(contents)
    graph.initialise(torch.Generator().manual_seed(seed))
    with inference(CPU, "fp32"), graph.calibrating():
        for clips in batches:
            graph.stages(clips)
    return graph


BATCHES = [random_clips(4, seed=seed) for seed in (1, 2, 3)]


def test_calibration_gives_the_familys_own_control(tiny: GraphContents) -> None:
    theirs, ours = calibrated_family(7, BATCHES), calibrated(tiny, 7, BATCHES)
    clips = random_clips(3)
    with inference(CPU, "fp32"):
        assert torch.equal(ours(clips), theirs(clips))


@pytest.mark.parametrize("form", ["decomposed", "folded"])
def test_calibration_of_other_forms_gives_nearly_the_familys_own_control(tmp_path: Path, form: str) -> None:
    network = build("r3d_tiny", seed=3)
    module = Family(folded(network) if form == "folded" else network).eval()
    contents = read_graph(export(module, tmp_path / "a.pt2", clip=TINY, decomposed=form == "decomposed"))
    norms = [node for node in contents.program.nodes if "batch_norm" in node.operation]
    assert len(norms) == (0 if form == "folded" else 12)
    theirs, ours = calibrated_family(7, BATCHES), calibrated(contents, 7, BATCHES)
    clips = random_clips(3)
    with inference(CPU, "fp32"):
        torch.testing.assert_close(ours(clips), theirs(clips), rtol=1e-4, atol=1e-5)


def test_a_folded_graph_has_no_batch_norm_and_nearly_the_same_features(tiny: GraphContents) -> None:
    graph, clips = graph_of(tiny), random_clips(2)
    faster = graph.folded()
    assert not any("batch_norm" in node.operation for node in faster.program.nodes)
    assert len(faster.program.nodes) == len(graph.program.nodes) - 12
    with inference(CPU, "fp32"):
        for name, stage in faster.stages(clips).items():
            torch.testing.assert_close(stage, graph.stages(clips)[name], rtol=1e-5, atol=1e-6)
    assert faster.folded() is faster


def test_a_graph_is_a_backbone_of_the_engine_and_a_run_changes_no_weight(tiny: GraphContents) -> None:
    graph, clips = graph_of(tiny), random_clips(2)
    assert (graph.spec.stages, graph.spec.stage_dims) == (
        tuple(f"stage{number}" for number in range(1, 6)),
        (16, 16, 32, 64, 128),
    )
    versions = [weight._version for weight in graph.weights()]
    network = ready(graph, CPU)
    with inference(CPU, "bf16"):
        stages = network.stages(clips, max_pooled=True)
    assert [weight._version for weight in graph.weights()] == versions
    assert {stage.dtype for stage in stages.values()} == {torch.float32}
    assert stages["stage5:max"].shape == (2, graph.spec.max_pooled_dim)
    with pytest.raises(ValueError, match=r"expects clips of shape \(B, 3, 16, 56, 56\)"):
        network(clips[..., :28, :28])


def test_the_survey_counts_what_the_layers_do(tiny: GraphContents) -> None:
    counted = 0

    def count(module: nn.Conv3d, inputs: object, output: Tensor) -> None:
        nonlocal counted
        counted += output.numel() * module.weight[0].numel()

    network = build("r3d_tiny")
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(random_clips(1))
    found = survey(tiny.program)
    assert found.multiply_adds == counted
    first = 4 * 16 * 16 * 28 * 28  # bytes of the first stage's map
    assert 2 * first <= found.peak_bytes <= 4 * first
    assert found.written_bytes > found.peak_bytes


def test_a_layer_that_mixes_the_clips_of_a_batch_is_found(tmp_path: Path) -> None:
    graph = loaded(export(Mixing().eval(), tmp_path / "a.pt2"))
    with pytest.raises(GraphError, match=r"differ by .* of their norm if other clips are in its batch"):
        expect_alone(graph, torch.rand(3, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("clip", "declared", "words"),
    [
        ((3, 4, 32, 48), None, "square crops"),
        ((3, 6, 32, 32), None, "frames of an input spec must be a multiple of 4"),
        ((3, 4, 32, 32), "frames=8", "contradicts the file"),
        ((3, 4, 32, 32), "stride=0", "stride of an input spec"),
    ],
    ids=["wide clips", "six frames", "other frames", "no stride"],
)
def test_an_input_that_the_file_or_the_service_cannot_take_is_refused(
    tmp_path: Path, clip: tuple[int, ...], declared: str | None, words: str
) -> None:
    contents = read_graph(export(Stem().eval(), tmp_path / "a.pt2", clip=clip))
    with pytest.raises(InputError, match=words):
        build_graph(contents.program, contents.weights, input_spec=declared)


def test_what_the_file_does_not_say_is_declared(attention: GraphContents) -> None:
    graph = build_graph(
        attention.program, attention.weights, input_spec="stride=2,resize=40x54,mean=0.45,std=0.225"
    )
    assert (graph.spec.stride, graph.spec.resize, graph.spec.clip_frames) == (2, (40, 54), 4)
    assert graph.normalisation is not None
    assert graph.normalisation.mean == (0.45, 0.45, 0.45)
    white = torch.full((1, 3, 4, 32, 32), 255, dtype=torch.uint8)
    torch.testing.assert_close(graph(white), graph(torch.full(white.shape, (1 - 0.45) / 0.225)))


def test_a_canonical_file_is_the_same_each_time_and_damage_is_found(tmp_path: Path) -> None:
    source = tmp_path / "a.pt2"
    source.write_bytes(sound())
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for path in files:
        contents = read_graph(source)
        write_canonical(path, contents.program, contents.weights)
    data = files[0].read_bytes()
    assert data == files[1].read_bytes()
    assert is_canonical_graph(files[0])
    files[0].write_bytes(data.replace(b"aten.conv3d.default", b"aten.conv9d.default"))
    with pytest.raises(GraphError, match=r"conv9d\.default is not in the table"):
        read_canonical(files[0])
    files[1].write_bytes(data[:-1])
    with pytest.raises(DamagedCheckpoint, match="not whole"):
        read_canonical(files[1])


@pytest.mark.parametrize(
    ("prepared", "work"),
    [
        (
            "",
            "contents = read_graph(path); write_canonical(path.with_suffix('.st'), contents.program, "
            "contents.weights)",
        ),
        ("load_meta_kernels()", "survey(read_graph(path).program)"),
    ],
    ids=["reading", "a run without numbers"],
)
def test_nothing_is_imported_once_a_file_is_open(tmp_path: Path, prepared: str, work: str) -> None:
    path = export(Attention().eval(), tmp_path / "a.pt2")
    code = (
        "import sys; from pathlib import Path; from vcp_core.graphs import *; import safetensors.torch\n"
        f"{prepared}\npath = Path({str(path)!r}); before = set(sys.modules)\n{work}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    allowed = tuple(LATE)  # what the sandbox's child imports before it opens a file
    assert [name for name in run.stdout.split() if not name.startswith(allowed)] == []
