"""The facts of Hara's 3D-ResNets, and of the networks that others build from his code."""

from __future__ import annotations

from typing import Any

from vcp_core.catalog.keys import COCLR_R50, DPC, HARA_2018, HARA_NAMES, KeyScheme
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.catalog.variants import BE, BGR, CVPR2018, RSPNET, Variant

BUILDER = "vcp_core.backbones.hara:HaraResNet"
STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
# Blocks of each layer, by depth (arXiv:1512.03385, table 1; 10 and 200 as in Hara's code).
DEPTHS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


def _hara(
    depth: int,
    num_parameters: int,
    *,
    kind: str = "r3d",
    shortcut: str = "B",
    scheme: KeyScheme = HARA_NAMES,
    variants: tuple[Variant, ...] = (BGR,),
) -> BackboneSpec:
    """Describe a network of Hara's code: an R3D or an R(2+1)D of this depth."""
    block, widens = ("basic", 1) if depth < 50 else ("bottleneck", 4)
    return BackboneSpec(
        name=f"{kind}_{depth}_hara" + ("_a" if shortcut == "A" else ""),
        family="hara",
        keys=(scheme,),
        stages=STAGES,
        stage_dims=(64, 64 * widens, 128 * widens, 256 * widens, 512 * widens),
        last_strides=(16, 32),
        num_parameters=num_parameters,
        source="arXiv:1711.09577, 2004.04968; kenshohara/3D-ResNets-PyTorch",
        builder=BUILDER,
        arguments={
            "depths": DEPTHS[depth],
            "blocks": (block,) * 4,
            "shortcut": shortcut,
            "factored": kind == "r2plus1d",
        },
        variants=variants,
    )


def _dpc(depth: int, num_parameters: int, **clips: Any) -> BackboneSpec:
    """Describe the backbone of DPC and MemDPC.

    They read 5 frames, of which 2 are left in the last map. A clip of 8 frames leaves 2, too.
    """
    return BackboneSpec(
        name=f"r2d3d_{depth}",
        family="hara",
        keys=(DPC,),
        stages=STAGES,
        stage_dims=(64, 64, 128, 256, 256),
        stride=3,
        last_strides=(4, 32),
        num_parameters=num_parameters,
        source="arXiv:1909.04656, 2008.01065; DPC, MemDPC",
        builder=BUILDER,
        arguments={
            "depths": DEPTHS[depth],
            "blocks": ("basic 2D", "basic 2D", "basic", "basic"),
            "strides": ((1, 1), (1, 2), (2, 2), (2, 2)),
            "stem": (1, 1),
            "pools_t": False,
            "last_relu": False,
        },
        **clips,
    )


HARA_BACKBONES = (
    _hara(10, 14_399_424, variants=(BGR, CVPR2018)),
    _hara(18, 33_203_904, variants=(BGR, CVPR2018, RSPNET, BE)),
    _hara(34, 63_513_536, variants=(BGR, CVPR2018)),
    _hara(50, 46_198_976, variants=(BGR, CVPR2018)),
    _hara(101, 85_245_120, variants=(BGR, CVPR2018)),
    _hara(152, 117_403_840, variants=(BGR, CVPR2018)),
    _hara(200, 126_603_456, variants=(BGR, CVPR2018)),
    # Published for 18 and 34 layers, in 2018.
    _hara(10, 14_225_600, shortcut="A", scheme=HARA_2018),
    _hara(18, 33_030_080, shortcut="A", scheme=HARA_2018),
    _hara(34, 63_339_712, shortcut="A", scheme=HARA_2018),
    _hara(18, 33_215_964, kind="r2plus1d"),
    _hara(34, 63_542_300, kind="r2plus1d"),
    _hara(50, 46_215_782, kind="r2plus1d"),
    _dpc(18, 14_057_536, clip_shape=(3, 8, 128, 128), resize=(146, 195)),
    _dpc(34, 32_422_208, clip_shape=(3, 8, 224, 224), resize=(256, 342)),
    BackboneSpec(
        name="r2d3d_50",
        family="hara",
        keys=(COCLR_R50,),
        stages=STAGES,
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 32, 128, 128),
        resize=(146, 195),
        last_strides=(2, 32),
        num_parameters=31_672_128,
        source="arXiv:2008.03800; CoCLR",
        builder=BUILDER,
        arguments={
            "depths": DEPTHS[50],
            "blocks": (*("bottleneck 2D",) * 2, *("bottleneck, time first",) * 2),
            "strides": ((1, 1), (1, 2), (1, 2), (1, 2)),
            "stem": (5, 2),
            "pools_t": False,
        },
    ),
)
