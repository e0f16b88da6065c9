"""Networks under their projects' names are recognised, with the projects' facts. Near misses are refused."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.checkpoints import published
from tests.checkpoints.published import Shapes
from vcp_core.backbones import skeleton
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointMismatch
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.readings import resolve
from vcp_core.checkpoints import load_checkpoint
from vcp_core.checkpoints.networks import choose


class Case(NamedTuple):
    """A network as its users save it.

    Attributes:
        shapes: Names and shapes, with whatever stands before the names.
        backbone: The backbone that must be found.
        scheme: The naming scheme.
        epsilon: The project's epsilon.
        input: The project's input, in full.
        head: Parameters of the head, which are not the backbone's.
        total: Parameters that the source counts, head included.
        last: Shape of the last stage's map for one clip of this input.
    """

    shapes: Callable[[], Shapes]
    backbone: str
    scheme: str
    epsilon: float
    input: str
    head: int
    total: int
    last: tuple[int, ...]


def under(prefix: str, shapes: Callable[[], Shapes]) -> Callable[[], Shapes]:
    return lambda: {prefix + name: shape for name, shape in shapes().items()}


IMAGENET = "mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
HALVES = "mean=0.5,std=0.5"
EIGHT = "frames=8,stride=8,resize=256x342,crop=224"
CLIPS = {
    "CSN R101": "frames=32,stride=2,resize=256x342,crop=224",
    "R(2+1)D R50": "frames=16,stride=4,resize=256x342,crop=224",
}
FACEBOOK = "mean=0.45,std=0.225"
KINETICS = "mean=0.43216/0.394666/0.37645,std=0.22803/0.22145/0.216989"
VMZ_R2PLUS1D = f"frames=32,stride=1,resize=128x171,crop=112,{KINETICS}"
VMZ_CSN = f"frames=32,stride=2,resize=256x342,crop=224,{KINETICS}"
MMACTION2_CSN = f"frames=32,stride=2,resize=256x342,crop=224,{IMAGENET}"
COCLR = f"frames=32,stride=1,resize=146x195,crop=128,{IMAGENET}"
# PyTorchVideo's model zoo counts 32.45, 28.04, 24.33, 22.21 and 28.11 million without Slow R101, for which
# MMAction2's page of SlowOnly counts 60.36 million.
BOTTLENECKS = (
    ("Slow R50", "slow_r50", 32_454_096, 8, ("PyTorchVideo", "SlowFast", "MMAction2")),
    ("Slow R101", "slow_r101", 60_359_120, 8, ("PyTorchVideo", "SlowFast", "MMAction2")),
    ("I3D R50", "i3d_r50", 28_043_472, 4, ("PyTorchVideo", "SlowFast")),
    ("C2D R50", "c2d_r50", 24_327_632, 4, ("PyTorchVideo", "SlowFast")),
    ("CSN R101", "csn_r101", 22_213_776, 4, ("PyTorchVideo",)),
    ("R(2+1)D R50", "r2plus1d_r50", 28_107_600, 4, ("PyTorchVideo",)),
)
CASES = {
    "CoCLR's S3D": Case(
        under("state_dict.module.encoder_q.0.", published.coclr), "s3d", "CoCLR", 1e-5, COCLR,
        0, 7_910_048, (1024, 4, 4, 4)),
    "CoCLR's S3D without its stages": Case(
        under("backbone.", lambda: published.coclr(stages=False)), "s3d", "CoCLR", 1e-5, COCLR,
        0, 7_910_048, (1024, 4, 4, 4)),
    "CoCLR's S3D without its modules": Case(
        under("backbone.", lambda: published.coclr(modules=False)), "s3d", "CoCLR's stages", 1e-5, COCLR,
        0, 7_910_048, (1024, 4, 4, 4)),
    "ViCC's S3D": Case(
        under("module.base.", published.coclr), "s3d", "CoCLR", 1e-5, COCLR, 0, 7_910_048, (1024, 4, 4, 4)),
    "kylemin's S3D": Case(
        under("module.", published.kylemin), "s3d", "kylemin", 1e-3,
        f"frames=32,stride=1,resize=256x342,crop=224,{HALVES}", 410_000, 8_320_048, (1024, 4, 7, 7)),
    "hassony2's I3D": Case(
        published.hassony2, "i3d", "hassony2", 1e-3,
        f"frames=16,stride=1,resize=256x342,crop=224,{HALVES}", 410_000, 12_697_264, (1024, 2, 7, 7)),
    # Counted by the rule of arXiv:1711.11248, section 3.5, whose table 1 has 33.3 million for 18 layers.
    "IG65M's R(2+1)D-34": Case(
        published.vmz_r2plus1d, "r2plus1d_34", "VMZ", 1e-3, VMZ_R2PLUS1D,
        205_200, 63_697_175, (512, 4, 7, 7)),
    "TSP's R(2+1)D-34": Case(
        under("model.features.", published.vmz_r2plus1d), "r2plus1d_34", "VMZ", 1e-3, VMZ_R2PLUS1D,
        205_200, 63_697_175, (512, 4, 7, 7)),
    "XDC's R(2+1)D-18": Case(
        lambda: published.vmz_r2plus1d((2, 2, 2, 2)), "r2plus1d_18_xdc", "XDC", 1e-3, VMZ_R2PLUS1D,
        205_200, 33_370_839, (512, 4, 7, 7)),
    # MMAction2's page of CSN: 29.70 million for ir-CSN-152 with 400 classes.
    "VMZ's ir-CSN-152": Case(
        lambda: published.csn("VMZ", mixing=False), "ir_csn_152", "VMZ", 1e-3, VMZ_CSN,
        819_600, 29_703_568, (2048, 4, 7, 7)),
    "MMAction2's ir-CSN-152": Case(
        under("state_dict.backbone.", lambda: published.csn("MMAction2", mixing=False)), "ir_csn_152",
        "MMAction2", 1e-3, MMACTION2_CSN, 819_600, 29_703_568, (2048, 4, 7, 7)),
    "VMZ's ip-CSN-152": Case(
        lambda: published.csn("VMZ", mixing=True), "ip_csn_152", "VMZ", 1e-3, VMZ_CSN,
        819_600, 33_016_592, (2048, 4, 7, 7)),
    **{
        f"{names}'s {network}": Case(
            under("model_state.", functools.partial(published.bottlenecks, network, names)), backbone, names,
            1e-5, f"{CLIPS.get(network, EIGHT)},{IMAGENET if names == 'MMAction2' else FACEBOOK}",
            819_600, total, (2048, frames, 7, 7))
        for network, backbone, total, frames, projects in BOTTLENECKS
        for names in projects
    },
}  # fmt: skip
every_case = pytest.mark.parametrize("name", list(CASES))


def numbers(shapes: Shapes) -> int:
    """Parameters: everything but what batch normalisations count and average."""
    unread = ("running_mean", "running_var", "num_batches_tracked")
    return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(unread))


def one_set(shapes: Shapes) -> Shapes:
    """Without the second names of CoCLR's tensors."""
    both = any("Conv_1a" in name for name in shapes)
    return {name: shape for name, shape in shapes.items() if not (both and ".block" in name)}


@every_case
def test_a_network_under_its_projects_names_is_recognised_with_its_projects_facts(name: str) -> None:
    case = CASES[name]
    shapes = case.shapes()
    assert numbers(one_set(shapes)) == case.total
    choice = choose(shapes, equal=lambda first, second: True)
    assert (choice.match.backbone, choice.match.scheme.name) == (case.backbone, case.scheme)
    assert choice.others == ()
    spec = resolve(case.backbone, scheme=case.scheme)
    assert BACKBONES[case.backbone].num_parameters == case.total - case.head
    assert (spec.epsilon, input_of(spec)) == (case.epsilon, case.input)
    *_, last_BCTHW = skeleton(spec).forward_stages(torch.empty((1, *spec.clip_shape), device="meta"))
    assert tuple(last_BCTHW.shape[1:]) == case.last


@every_case
def test_a_network_that_lacks_one_tensor_or_has_another_shape_is_refused(name: str) -> None:
    shapes = one_set(CASES[name].shapes())
    weight = max((key for key in shapes if len(shapes[key]) == 5), key=lambda key: math.prod(shapes[key]))
    left = {key: shape for key, shape in shapes.items() if key != weight}
    with pytest.raises(CheckpointMismatch, match="it holds no whole backbone"):
        choose(left)
    out_channels, in_channels, *kernel = shapes[weight]
    with pytest.raises(CheckpointMismatch, match="wrong shape: 1"):
        choose({**shapes, weight: (out_channels, in_channels + 8, *kernel)})


def test_mmaction2s_ip_csn_has_no_normalisation_between_its_convolutions_and_is_another_network() -> None:
    left = {
        name: shape for name, shape in published.csn("VMZ", mixing=True).items() if ".conv2.0.1." not in name
    }
    with pytest.raises(CheckpointMismatch, match="it holds no whole backbone"):
        choose(left)


def test_depths_and_middle_widths_tell_the_r2plus1d_networks_apart() -> None:
    found = {name: choose(CASES[name].shapes()).match.backbone for name in CASES if "R(2+1)D-" in name}
    assert found == {name: CASES[name].backbone for name in found}
    with pytest.raises(CheckpointMismatch):
        choose(published.vmz_r2plus1d((3, 4, 6, 4)))


def test_s3d_with_gates_is_another_network() -> None:
    gates = {"Mixed_3b.gating_b0.fc.weight": (64, 64), "Mixed_3b.gating_b0.fc.bias": (64,)}
    with pytest.raises(CheckpointMismatch, match=r"not in s3d: 2: Mixed_3b.gating_b0"):
        choose({**published.coclr(stages=False), **gates})


def test_two_names_of_one_tensor_must_hold_the_same_bits() -> None:
    with pytest.raises(
        CheckpointMismatch, match=r"as CoCLR and as CoCLR's stages name it, with other values"
    ):
        choose(published.coclr(), equal=lambda first, second: "Mixed_4b" not in first)


def filled(shapes: Shapes) -> dict[str, Tensor]:
    """Small random weights, and variances of 1."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.ones(shape) if "running_var" in name else torch.randn(shape, generator=generator) / 50
        for name, shape in shapes.items()
        if "num_batches_tracked" not in name
    }


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["both", "modules", "stages"])
def test_each_of_coclrs_sets_of_names_gives_the_same_network(tmp_path: Path, kept: str) -> None:
    modules = filled(published.coclr(stages=False))
    stages = dict(zip(published.coclr(modules=False), published.coclr(stages=False), strict=True))
    twice = {name: modules[own].clone() for name, own in stages.items() if own in modules}
    tensors = {"both": modules | twice, "modules": modules, "stages": twice}[kept]
    save_file(tensors, tmp_path / "coclr.safetensors")
    network, report = load_checkpoint(tmp_path / "coclr.safetensors")
    assert (report.backbone, report.num_keys, report.left_over) == ("s3d", 5 * 77, {})  # 77 convolutions
    assert (network.spec.epsilon, network.spec.clip_shape) == (1e-5, (3, 32, 128, 128))
    last = network.state_dict()["blocks.14.branch3.1.0.weight"]
    assert torch.equal(last, modules["Mixed_5b.branch3.1.conv.weight"])
