"""Networks under their projects' names are recognised, with the projects' facts. Near misses are refused."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.checkpoints import published, vits
from tests.checkpoints.published import Shapes
from vcp_core.backbones import key_shapes, skeleton
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointMismatch, SeveralNetworks
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
    epsilon: float | None
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
PIXELS = {"PyTorchVideo": FACEBOOK, "SlowFast": FACEBOOK, "MMAction2": IMAGENET}
KINETICS = "mean=0.43216/0.394666/0.37645,std=0.22803/0.22145/0.216989"
VMZ_R2PLUS1D = f"frames=32,stride=1,resize=128x171,crop=112,{KINETICS}"
VMZ_CSN = f"frames=32,stride=2,resize=256x342,crop=224,{KINETICS}"
MMACTION2_CSN = f"frames=32,stride=2,resize=256x342,crop=224,{IMAGENET}"
COCLR = f"frames=32,stride=1,resize=146x195,crop=128,{IMAGENET}"
VIDEOMAE = f"frames=16,stride=4,resize=224x300,crop=224,{IMAGENET}"
VJEPA2 = f"frames=16,stride=4,resize=292x390,crop=256,{IMAGENET}"
# PyTorchVideo's model zoo counts 32.45, 28.04, 24.33, 22.21 and 28.11 million without Slow R101, for which
# MMAction2's page of SlowOnly counts 60.36 million.
BOTTLENECKS = (
    ("Slow R50", "slow_r50", 32_454_096, 8, ("PyTorchVideo", "SlowFast", "MMAction2")),
    ("Slow R101", "slow_r101", 60_359_120, 8, ("PyTorchVideo", "SlowFast", "MMAction2")),
    ("I3D R50", "i3d_r50", 28_043_472, 4, ("PyTorchVideo", "SlowFast")),
    ("C2D R50", "c2d_r50", 24_327_632, 4, ("PyTorchVideo", "SlowFast", "MMAction2")),
    ("CSN R101", "csn_r101", 22_213_776, 4, ("PyTorchVideo",)),
    ("R(2+1)D R50", "r2plus1d_r50", 28_107_600, 4, ("PyTorchVideo",)),
)
HARA = "frames=16,stride=1,resize=128x171,crop=112,mean=0.4345/0.4051/0.3775,std=0.2768/0.2713/0.2737"
BYTES = f"std={1 / 255}"  # values of 0 to 255
C3D = "frames=16,stride=1,resize=128x171,crop=112"
JFZHANG95_MEAN = f"mean={102 / 255}/{98 / 255}/{90 / 255}"
ACTIVITYNET = f"mean={114.7748 / 255}/{107.7354 / 255}/{99.475 / 255}"
# Parameters of Hara's networks with 700 classes, counted in his code.
HARA_NETWORKS = (
    ("R3D-10", "r3d_10_hara", 512, 14_758_524, functools.partial(published.hara, 10)),
    ("R3D-18", "r3d_18_hara", 512, 33_563_004, functools.partial(published.hara, 18)),
    ("R3D-34", "r3d_34_hara", 512, 63_872_636, functools.partial(published.hara, 34)),
    ("R3D-50", "r3d_50_hara", 2048, 47_633_276, functools.partial(published.hara, 50)),
    ("R3D-101", "r3d_101_hara", 2048, 86_679_420, functools.partial(published.hara, 101)),
    ("R3D-152", "r3d_152_hara", 2048, 118_838_140, functools.partial(published.hara, 152)),
    ("R3D-200", "r3d_200_hara", 2048, 128_037_756, functools.partial(published.hara, 200)),
    ("R(2+1)D-18", "r2plus1d_18_hara", 512, 33_575_064, functools.partial(published.hara_r2plus1d, 18)),
    ("R(2+1)D-34", "r2plus1d_34_hara", 512, 63_901_400, functools.partial(published.hara_r2plus1d, 34)),
    ("R(2+1)D-50", "r2plus1d_50_hara", 2048, 47_650_082, functools.partial(published.hara_r2plus1d, 50)),
)
R101 = (3, 4, 23, 3)
# PyTorchVideo's model zoo counts 34.57, 34.48, 62.83 and 53.77 million for its four. MMAction2's page counts
# 34.6, 34.5 and 62.9 million for its own, whose fusions have no normalisations.
SLOWFAST: tuple[tuple[str, str, int, int, int, tuple[str, ...], dict[str, Any]], ...] = (
    ("R50 8x8", "slowfast_r50", 34_566_488, 32, 8, ("PyTorchVideo", "SlowFast"), {"fusion_t": 7}),
    ("R50 8x8 with norms", "slowfast_r50", 34_566_488, 32, 8, ("MMAction2",), {"fusion_t": 7}),
    ("R50 4x16", "slowfast_r50_4x16", 34_480_216, 32, 4, ("PyTorchVideo", "SlowFast"), {"fusion_t": 5}),
    ("R101 8x8", "slowfast_r101", 62_826_968, 32, 8, ("PyTorchVideo", "SlowFast"),
     {"fusion_t": 5, "depths": R101}),
    ("R101 16x8", "slowfast_r101_16x8", 53_774_808, 64, 16, ("PyTorchVideo", "SlowFast"),
     {"fusion_t": 5, "depths": R101, "temporal": 6}),
    ("R50 8x8", "slowfast_r50_mmaction2", 34_565_560, 32, 8, ("MMAction2",),
     {"fusion_t": 7, "fusion_norm": False}),
    ("R50 4x16", "slowfast_r50_4x16_mmaction2", 34_479_288, 32, 4, ("MMAction2",),
     {"fusion_t": 5, "fusion_norm": False}),
    ("R101 8x8", "slowfast_r101_mmaction2", 62_912_312, 32, 8, ("MMAction2",),
     {"fusion_t": 7, "fusion_norm": False, "depths": R101}),
)  # fmt: skip
# PyTorchVideo's model zoo counts 3.79 and 6.15 million. PySlowFast's first shortcut has a normalisation more.
X3D_M, X3D_L = "frames=16,stride=5,resize=256x342,crop=224", "frames=16,stride=5,resize=356x475,crop=312"
X3D = (
    ("M", "x3d_m", 3_794_274, X3D_M, 7, ("PyTorchVideo",), (3, 5, 11, 7)),
    ("L", "x3d_l", 6_153_384, X3D_L, 10, ("PyTorchVideo",), (5, 10, 25, 15)),
    ("M", "x3d_m_slowfast", 3_794_322, X3D_M, 7, ("SlowFast", "MMAction2"), (3, 5, 11, 7)),
    ("L", "x3d_l_slowfast", 6_153_432, X3D_L, 10, ("SlowFast",), (5, 10, 25, 15)),
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
    # MMAction2's page of CSN: 33.02 million for ip-CSN-152, with a normalisation between its convolutions.
    "MMAction2's ip-CSN-152": Case(
        under("state_dict.backbone.", lambda: published.csn("MMAction2", mixing=True)), "ip_csn_152",
        "MMAction2", 1e-3, MMACTION2_CSN, 819_600, 33_016_592, (2048, 4, 7, 7)),
    "MMAction2's I3D R50": Case(
        under("state_dict.backbone.", lambda: published.bottlenecks("I3D R50", "MMAction2")), "i3d_r50",
        "MMAction2", 1e-5, f"frames=32,stride=2,resize=256x342,crop=224,{IMAGENET}",
        819_600, 28_043_472, (2048, 4, 7, 7)),
    **{
        f"{names}'s {network}": Case(
            under("model_state.", functools.partial(published.bottlenecks, network, names)), backbone, names,
            1e-5, f"{CLIPS.get(network, EIGHT)},{PIXELS[names]}",
            819_600, total, (2048, frames, 7, 7))
        for network, backbone, total, frames, projects in BOTTLENECKS
        for names in projects
    },
    **{
        f"Hara's {network}": Case(
            under("state_dict.", shapes), backbone, "Hara", 1e-5, HARA,
            700 * (width + 1), total, (width, 1, 4, 4))
        for network, backbone, width, total, shapes in HARA_NETWORKS
    },
    **{
        f"Hara's R3D-{depth} of 2018": Case(
            under("state_dict.module.", functools.partial(published.hara, depth, shortcut="A", classes=400)),
            f"r3d_{depth}_hara_a", "Hara's CVPR2018", 1e-5,
            f"frames=16,stride=1,resize=128x171,crop=112,{ACTIVITYNET},{BYTES}",
            205_200, total, (512, 1, 4, 4))
        for depth, total in ((10, 14_430_800), (18, 33_235_280), (34, 63_544_912))
    },
    "RSPNet's ResNet-18": Case(
        under("model.encoder_q.encoder.", functools.partial(published.hara, 18, classes=1)), "r3d_18_hara",
        "Hara", 1e-5, HARA, 513, 33_204_417, (512, 1, 4, 4)),
    "BE's R3D-18": Case(
        under("state_dict.module.", functools.partial(published.hara, 18, head="id_head.2", classes=128)),
        "r3d_18_hara", "Hara", 1e-5, HARA, 65_664, 33_269_568, (512, 1, 4, 4)),
    "DPC's R2D3D-18": Case(
        under("state_dict.module.backbone.", functools.partial(published.dpc, 18)), "r2d3d_18", "DPC", 1e-5,
        f"frames=8,stride=3,resize=146x195,crop=128,{IMAGENET}", 0, 14_057_536, (256, 2, 4, 4)),
    "MemDPC's R2D3D-34": Case(
        under("state_dict.module.backbone.", functools.partial(published.dpc, 34)), "r2d3d_34", "DPC", 1e-5,
        f"frames=8,stride=3,resize=256x342,crop=224,{IMAGENET}", 0, 32_422_208, (256, 2, 7, 7)),
    "CoCLR's R2D3D-50": Case(
        under("state_dict.module.encoder_q.0.", published.coclr_r50), "r2d3d_50", "CoCLR", 1e-5, COCLR,
        0, 31_672_128, (2048, 16, 4, 4)),
    # MMAction2's page of C3D: 78.4 million with fc6, fc7 and 101 classes.
    **{
        f"{names}'s C3D": Case(
            functools.partial(published.c3d, names), "c3d_nobn", names, None, f"{C3D},{mean},{BYTES}",
            50_753_637, 78_409_573, (512, 2, 7, 7))
        for names, mean in (
            ("jfzhang95", JFZHANG95_MEAN),
            ("jfzhang95's pretrained", JFZHANG95_MEAN),
            ("MMAction2", f"mean={104 / 255}/{117 / 255}/{128 / 255}"),
        )
    },
    "MIL-NCE's S3D-G": Case(
        published.milnce, "s3dg_milnce", "MIL-NCE", 1e-5,
        "frames=32,stride=1,resize=256x342,crop=224,mean=0,std=1", 22_065_336, 31_211_336, (1024, 4, 7, 7)),
    **{
        f"jfzhang95's {network}": Case(
            under("state_dict.", functools.partial(published.jfzhang95, factored=factored)), backbone,
            "jfzhang95", 1e-5, f"frames=16,stride=4,resize=128x171,crop=112,{JFZHANG95_MEAN},{BYTES}",
            51_813, total, (512, 2, 7, 7))
        for network, factored, backbone, total in (
            ("R3D-18", False, "r3d_18_jfzhang95", 33_227_557),
            ("R(2+1)D-18", True, "r2plus1d_18_jfzhang95", 33_226_750),
        )
    },
    # transformers counts 94,210,944 parameters in VideoMAEForPreTraining, and 86,534,800 with a head.
    "VideoMAE's ViT-B": Case(
        under("model.", lambda: vits.videomae("B", tuned=False)), "videomae_b", "VideoMAE", 1e-6,
        VIDEOMAE, 7_983_744, 94_210_944, (768, 8, 14, 14)),
    "VideoMAE's ViT-S fine-tuned": Case(
        under("module.", lambda: vits.videomae("S", tuned=True)), "videomae_s", "VideoMAE fine-tuned",
        1e-6, VIDEOMAE, 154_000, 22_033_936, (384, 8, 14, 14)),
    "VideoMAE's ViT-H fine-tuned": Case(
        under("module.", lambda: vits.videomae("H", tuned=True)), "videomae_h", "VideoMAE fine-tuned",
        1e-6, VIDEOMAE, 512_400, 632_119_440, (1280, 8, 14, 14)),
    "VideoMAE v2's ViT-g fine-tuned": Case(
        under("module.", lambda: vits.videomae("g", tuned=True, patch=14)), "videomae_g",
        "VideoMAE fine-tuned", 1e-6, VIDEOMAE, 563_600, 1_012_174_352, (1408, 8, 16, 16)),
    "transformers 4's VideoMAE-L": Case(
        lambda: vits.videomae_of_transformers("L", tuned=False, version=4), "videomae_l",
        "transformers 4", 1e-12, VIDEOMAE, 13_921_280, 317_782_016, (1024, 8, 14, 14)),
    "transformers 4's VideoMAE-B fine-tuned": Case(
        lambda: vits.videomae_of_transformers("B", tuned=True, version=4), "videomae_b",
        "transformers 4 fine-tuned", 1e-12, VIDEOMAE, 307_600, 86_534_800, (768, 8, 14, 14)),
    "transformers 5's VideoMAE-B": Case(
        lambda: vits.videomae_of_transformers("B", tuned=False, version=5), "videomae_b",
        "transformers 5", 1e-12, VIDEOMAE, 7_983_744, 94_210_944, (768, 8, 14, 14)),
    "transformers 5's VideoMAE-B fine-tuned": Case(
        lambda: vits.videomae_of_transformers("B", tuned=True, version=5), "videomae_b",
        "transformers 5 fine-tuned", 1e-12, VIDEOMAE, 307_600, 86_534_800, (768, 8, 14, 14)),
    "MMAction2's VideoMAE-B": Case(  # with a table of 1,204,224 sines
        under("state_dict.", lambda: vits.videomae_of_mmaction2("B")), "videomae_b", "MMAction2", 1e-6,
        VIDEOMAE, 307_600 + 1_204_224, 86_534_800 + 1_204_224, (768, 8, 14, 14)),
    "V-JEPA 2's ViT-g": Case(
        under("target_encoder.module.backbone.", lambda: vits.vjepa2("g")), "vjepa2_g", "V-JEPA 2", 1e-6,
        VJEPA2, 0, 1_012_173_952, (1408, 8, 16, 16)),
    "V-JEPA 2's ViT-H": Case(
        under("encoder.module.backbone.", lambda: vits.vjepa2("H")), "vjepa2_h", "V-JEPA 2", 1e-6,
        VJEPA2, 0, 631_648_000, (1280, 8, 16, 16)),
    "transformers' V-JEPA 2-L": Case(
        under("vjepa2.", lambda: vits.vjepa2_of_transformers("L")), "vjepa2_l", "transformers", 1e-6,
        VJEPA2, 0, 303_885_312, (1024, 8, 16, 16)),
    **{
        f"{names}'s SlowFast {network}": Case(
            under("model_state.", functools.partial(published.slowfast, names, **built)), backbone, names,
            1e-5, f"frames={frames},stride=2,resize=256x342,crop=224,{PIXELS[names]}",
            922_000, total, (2304, last, 7, 7))
        for network, backbone, total, frames, last, projects, built in SLOWFAST
        for names in projects
    },
    **{
        f"{names}'s X3D-{size}": Case(
            under("model_state.", functools.partial(published.x3d, names, depths)), backbone, names,
            1e-5, f"{clips},{FACEBOOK}", 1_704_336, total, (432, 16, pixels, pixels))
        for size, backbone, total, clips, pixels, projects, depths in X3D
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
    heads = resolve(CASES[name].backbone, scheme=CASES[name].scheme).facts.heads
    own = (key for key in shapes if len(shapes[key]) > 3 and not any(head in key for head in heads))
    weight = max(own, key=lambda key: math.prod(shapes[key]))
    left = {key: shape for key, shape in shapes.items() if key != weight}
    with pytest.raises(CheckpointMismatch, match="it holds no whole backbone"):
        choose(left)
    out_channels, in_channels, *kernel = shapes[weight]
    with pytest.raises(CheckpointMismatch, match="wrong shape: 1"):
        choose({**shapes, weight: (out_channels, in_channels + 8, *kernel)})


def test_ip_csn_without_a_normalisation_between_its_convolutions_is_another_network() -> None:
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


def without(shapes: Shapes, *parts: str) -> Shapes:
    return {name: shape for name, shape in shapes.items() if not any(part in name for part in parts)}


NEAR_MISSES = {
    "Hara's R3D-50 with shortcut A": (
        published.hara(50, shortcut="A"), r"closest is r3d_50_hara: .*missing: .*downsample"),
    "Hara's R3D-18 with blocks of other widths": (
        {**published.hara(18), "layer4.1.conv2.weight": (512, 1024, 3, 3, 3)},
        r"closest is r3d_18_hara: .*wrong shape: 1: layer4.1.conv2.weight"),
    "Hara's R3D-18 with a deeper layer": (
        {**published.hara(18), "layer4.2.conv1.weight": (512, 512, 3, 3, 3)},
        r"closest is r3d_18_hara: .*not in r3d_18_hara: 1: layer4.2.conv1.weight"),
    "a network of grey volumes, as MedicalNet's": (
        {**published.hara(10), "conv1.weight": (64, 1, 7, 7, 7)},
        r"conv1.weight is \(64, 1, 7, 7, 7\), not \(64, 3, 7, 7, 7\)"),
    "DPC's pretraining, which keeps no running means": (
        without(published.dpc(18), "running_", "num_batches"),
        r"closest is r2d3d_18: .*missing: .*running_mean"),
    "C3D with all batch normalisations but one": (
        without(key_shapes("c3d"), "bn3a"), r"closest is c3d: .*missing: all 4 of bn3a"),
    "S3D-G without space to depth": (
        {**published.milnce(), "conv1.conv1.weight": (64, 3, 3, 7, 7)},
        r"conv1.conv1.weight is \(64, 3, 3, 7, 7\), not \(64, 24, 2, 4, 4\)"),
    "C3D with one batch normalisation": (
        {**published.c3d("jfzhang95"), "bn1.weight": (64,)}, r"not in c3d_nobn: 1: bn1.weight"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(NEAR_MISSES))
def test_a_near_miss_is_refused_with_what_differs(name: str) -> None:
    shapes, reason = NEAR_MISSES[name]
    with pytest.raises(CheckpointMismatch, match=f"(?s){reason}"):
        choose(shapes)


def test_a_network_with_the_other_shortcut_is_not_taken_for_the_one_that_was_asked_for() -> None:
    with pytest.raises(CheckpointMismatch, match=r"(?s)layer2.0.downsample.*a whole r3d_18_hara: pass that"):
        choose(published.hara(18), backbone="r3d_18_hara_a")
    with pytest.raises(CheckpointMismatch, match=r"(?s)missing.*a whole r3d_18_hara_a: pass that"):
        choose(published.hara(18, shortcut="A"), backbone="r3d_18_hara")


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


def test_vjepa_has_a_table_of_positions_and_is_no_vjepa2() -> None:
    shapes = vits.vjepa2("L")
    with pytest.raises(CheckpointMismatch, match=r"not in vjepa2_l: 1: pos_embed"):
        choose({**shapes, "pos_embed": (1, 1568, 1024)})
    # V-JEPA 2 keeps a table of its own size, and does not use it.
    assert choose({**shapes, "pos_embed": (1, 8192, 1024)}).match.backbone == "vjepa2_l"


@pytest.mark.parametrize("stranger", ["pos_embed", "cls_token", "blocks.12.norm1.weight", "blocks.0.gamma_1"])
def test_another_kind_of_vit_is_not_taken_for_videomae(stranger: str) -> None:
    shapes = vits.videomae("B", tuned=True)
    with pytest.raises(CheckpointMismatch, match=rf"not in videomae_b: 1: {stranger}"):
        choose({**shapes, stranger: (1, 1568, 768)})


def test_the_encoder_and_its_average_are_two_networks() -> None:
    roles = ("encoder", "target_encoder")
    encoder = vits.vjepa2("L")
    shapes = {f"{role}.module.backbone.{key}": encoder[key] for role in roles for key in encoder}
    with pytest.raises(SeveralNetworks, match=r"--prefix target_encoder\.module\.backbone\."):
        choose(shapes)
    assert choose(shapes, prefix="target_encoder.module.backbone").match.backbone == "vjepa2_l"


@pytest.mark.slow
def test_queries_keys_and_values_are_joined_in_this_order(tmp_path: Path) -> None:
    tensors = filled(vits.videomae_of_transformers("S", tuned=True, version=5))
    save_file(tensors, tmp_path / "model.safetensors")
    network, report = load_checkpoint(tmp_path / "model.safetensors")
    assert (report.backbone, report.left_over) == ("videomae_s", {"classifier": 2})
    at = "videomae.encoder.layer.7.attention.attention"
    expected = torch.cat([tensors[f"{at}.{part}.weight"] for part in ("query", "key", "value")])
    assert torch.equal(network.state_dict()["blocks.7.attn.qkv.weight"], expected)


def test_pyslowfasts_x3d_needs_the_normalisation_that_pytorchvideos_first_shortcut_does_not_have() -> None:
    norm = "s2.pathway0_res0.branch1_bn."
    left = {name: shape for name, shape in published.x3d("SlowFast").items() if norm not in name}
    with pytest.raises(
        CheckpointMismatch, match=r"(?s)closest is x3d_m_slowfast.*missing: 4 of .*branch1_bn"
    ):
        choose(left)


@pytest.mark.parametrize("names", ["PyTorchVideo", "SlowFast", "MMAction2"])
def test_a_slowfast_of_another_form_is_refused(names: str) -> None:
    other_fusion = published.slowfast(names, fusion_t=3, fusion_norm=names != "MMAction2")
    with pytest.raises(CheckpointMismatch, match="wrong shape: 4"):
        choose(other_fusion)
    whole = published.slowfast(names, fusion_t=7)
    fast = ("multipathway_blocks.1.", "pathway1_", "fast_path.")
    slow_alone = {name: shape for name, shape in whole.items() if not any(word in name for word in fast)}
    with pytest.raises(CheckpointMismatch, match="it holds no whole backbone"):
        choose(slow_alone)


@pytest.mark.slow
def test_a_network_of_two_dimensions_is_read_with_the_pooling_that_its_user_names(tmp_path: Path) -> None:
    flat = filled(published.bottlenecks("C2D R50", "MMAction2"))
    save_file({f"backbone.{name}": weight for name, weight in flat.items()}, tmp_path / "c2d.safetensors")
    pooled, report = load_checkpoint(tmp_path / "c2d.safetensors")
    assert (report.backbone, report.scheme, report.variant) == ("c2d_r50", "MMAction2", None)
    assert "those of c2d_r50 in MMAction2" in report.explain()
    weight = pooled.state_dict()["blocks.3.res_blocks.0.branch2.conv_b.weight"]  # (128, 128, 1, 3, 3)
    assert weight.squeeze(2).equal(flat["layer2.0.conv2.conv.weight"])
    frames, _ = load_checkpoint(tmp_path / "c2d.safetensors", variant="tsn")
    clip_BCTHW = torch.zeros((1, 3, 2, 32, 32))
    with torch.inference_mode():
        # Stems of 16 x 16 pixels are pooled to 7 x 7 without padding, and to 8 x 8 with it.
        assert [tuple(stage.shape[2:]) for stage in pooled.forward_stages(clip_BCTHW)][1:3] == [
            (2, 7, 7), (1, 4, 4)]  # fmt: skip
        assert [tuple(stage.shape[2:]) for stage in frames.forward_stages(clip_BCTHW)][1:3] == [
            (2, 8, 8), (2, 4, 4)]  # fmt: skip
