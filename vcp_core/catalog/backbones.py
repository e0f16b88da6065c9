"""Facts about every backbone. To add one, add an entry here and a class in vcp_core/backbones/<family>.py."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vcp_core.catalog.keys import (
    COCLR,
    COCLR_STAGES,
    HASSONY2,
    KYLEMIN,
    MMACTION2,
    MMACTION2_CSN,
    MMACTION2_R101,
    PYTORCH_I3D,
    PYTORCHVIDEO,
    PYTORCHVIDEO_POOLED,
    SLOWFAST,
    SLOWFAST_POOLED,
    TORCHVISION,
    TORCHVISION_S3D,
    VCOP,
    VCPBENCH,
    VCPBENCH_S3D,
    VMZ,
    XDC,
    KeyScheme,
)
from vcp_core.catalog.normalisation import Normalisation
from vcp_core.catalog.registry import Registry
from vcp_core.catalog.variants import BGR, POOL1, TCLR, Variant


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """The facts of a backbone that are known without building it.

    Attributes:
        name: The name that users type.
        family: The module in vcp_core/backbones/ that defines the network.
        keys: The key schemes that checkpoints of this network may have. The first one is also our own.
        stages: Stage names, first to last. The last stage's pooled output is the feature.
        stage_dims: Channels of each stage, as many as `stages`.
        clip_shape: Native input (channels, frames, height, width).
        stride: Distance from one frame of a clip to the next, in frames of the video.
        resize: Frame size before the centre crop (height, width), in pixels.
        last_strides: How many frames and how many pixels of a clip lie between neighbours in the last
            stage's map.
        num_parameters: Parameters of the backbone without any head.
        source: Paper or repository that defines the family.
        builder: `module:class`. Calling the class with this spec and `arguments` gives the network.
        arguments: Plain values that tell this network from others of the same class.
        variants: Further forms of the network, which no tensor shows and a user names.
        scheme: The key scheme whose facts hold; the first of `keys` if left out.
        variant: The variant that the user named, already applied; None for the usual form.
        declared: The words of the input that the user declared (`vcp_core.catalog.inputs`).

    An entry of the catalog leaves out the last three. `vcp_core.catalog.readings` fills them in for one
    checkpoint.

    >>> spec = BACKBONES["r3d"]
    >>> spec.feature_dim, spec.clip_shape, spec.source
    (512, (3, 16, 112, 112), 'arXiv:1711.11248; Xu et al., CVPR 2019 (VCOP)')
    """

    name: str
    family: str
    keys: tuple[KeyScheme, ...]
    stages: tuple[str, ...]
    stage_dims: tuple[int, ...]
    clip_shape: tuple[int, int, int, int] = (3, 16, 112, 112)
    stride: int = 1
    resize: tuple[int, int] = (128, 171)
    last_strides: tuple[int, int] = (8, 16)
    num_parameters: int
    source: str
    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    variants: tuple[Variant, ...] = (BGR,)
    scheme: KeyScheme | None = None
    variant: Variant | None = None
    declared: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        if len(self.stages) != len(self.stage_dims) or not self.stages:
            raise ValueError(f"{self.name}: {len(self.stages)} stages but {len(self.stage_dims)} dimensions.")
        if (
            not self.keys
            or self.keys[0].renames
            or self.keys[0].input
            or len({scheme.name for scheme in self.keys}) < len(self.keys)
        ):
            raise ValueError(
                f"{self.name}: the first key scheme must be our own names (no renames) "
                "with the input of this entry, and no two key schemes may share a name."
            )
        if self.scheme is None:
            object.__setattr__(self, "scheme", self.keys[0])

    @property
    def facts(self) -> KeyScheme:
        """The key scheme whose facts hold."""
        assert self.scheme is not None  # as `__post_init__` has set it
        return self.scheme

    @property
    def normalisation(self) -> Normalisation | None:
        """The normalisation that the network expects. None leaves pixel values in [0, 1] as they are."""
        return self.facts.normalisation

    @property
    def epsilon(self) -> float:
        """Epsilon of the network's batch normalisations."""
        return self.facts.epsilon

    @property
    def feature_dim(self) -> int:
        """Length of the feature vector."""
        return self.stage_dims[-1]

    @property
    def max_pooled_stage(self) -> str:
        """The name under which the last stage's max-pooled map is kept beside the stages' averages."""
        return f"{self.stages[-1]}:max"

    @property
    def max_pooled_dim(self) -> int:
        """Length of the max-pooled feature, for maps whose size is rounded up.

        >>> BACKBONES["r3d"].max_pooled_dim
        9216
        """
        if self.name == PIXELS:
            return self.feature_dim  # its map has one field
        every_frames, every_pixels = self.last_strides
        side = math.ceil(self.clip_shape[2] / every_pixels) // 2
        return self.feature_dim * math.ceil(self.clip_frames / every_frames) * side**2

    @property
    def clip_frames(self) -> int:
        """Frames of one clip."""
        return self.clip_shape[1]

    @property
    def clip_span(self) -> int:
        """Frames of the video from a clip's first to its last, both counted."""
        return (self.clip_frames - 1) * self.stride + 1


PIXELS = "pixels"  # the name of the pixel baseline, which is no backbone
PIXEL_SIDE = 8  # fields across a frame, and fields down it
PIXEL_PARTS = 4  # parts of a clip, each averaged over its frames (docs/decisions/2026-11-23-pixels.md)


def pixels_like(spec: BackboneSpec, *, parts: int = PIXEL_PARTS) -> BackboneSpec:
    """Describe the pixel baseline on the clips of `spec`: one stage of `parts` x 3 x 8 x 8 numbers.

    >>> pixels_like(BACKBONES["r3d"]).feature_dim
    768
    """
    parts = min(parts, spec.clip_frames)
    return dataclasses.replace(
        spec,
        name=PIXELS,
        family=PIXELS,
        keys=(VCPBENCH,),
        stages=(PIXELS,),
        stage_dims=(parts * 3 * PIXEL_SIDE**2,),
        num_parameters=0,
        source="PROTOCOL 4",
        builder="vcp_core.backbones.pixels:Pixels",
        arguments={},
        variants=(),
        scheme=None,
        variant=None,
        declared=frozenset(),
    )


# The VCOP code defines the variants of C3D, R3D and R(2+1)D below: batch-norm in C3D, one block per stage.
VCOP_PAPER = "Xu et al., CVPR 2019 (VCOP)"
BACKBONES = Registry(
    "backbone",
    BackboneSpec(
        name="c3d",
        family="c3d",
        keys=(VCOP,),
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 128, 256, 512, 512),
        num_parameters=27_661_440,
        source=f"arXiv:1412.0767; {VCOP_PAPER}",
        builder="vcp_core.backbones.c3d:C3D",
    ),
    BackboneSpec(
        name="r3d",
        family="r3d",
        keys=(VCOP,),
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=14_361_792,
        source=f"arXiv:1711.11248; {VCOP_PAPER}",
        builder="vcp_core.backbones.r3d:R3D",
    ),
    BackboneSpec(
        name="r2plus1d",
        family="r2plus1d",
        keys=(VCOP,),
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=14_365_303,
        source=f"arXiv:1711.11248; {VCOP_PAPER}",
        builder="vcp_core.backbones.r2plus1d:R2Plus1D",
    ),
    BackboneSpec(
        name="r3d_18_vcop",
        family="r3d",
        keys=(VCOP,),
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=33_166_272,
        source=f"arXiv:1711.11248; {VCOP_PAPER}, two blocks per stage",
        builder="vcp_core.backbones.r3d:R3D",
        arguments={"num_blocks": 2},
    ),
    BackboneSpec(
        name="r2plus1d_18_vcop",
        family="r2plus1d",
        keys=(VCOP,),
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=33_178_423,
        source=f"arXiv:1711.11248; {VCOP_PAPER}, two blocks per stage",
        builder="vcp_core.backbones.r2plus1d:R2Plus1D",
        arguments={"num_blocks": 2},
    ),
    BackboneSpec(
        name="r3d_18",
        family="resnet3d",
        keys=(TORCHVISION,),
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=33_166_272,
        source="arXiv:1711.11248; torchvision",
        builder="vcp_core.backbones.resnet3d:ResNet3D",
        arguments={"convolutions": ("full", "full", "full", "full")},
        variants=(BGR, TCLR),
    ),
    BackboneSpec(
        name="mc3_18",
        family="resnet3d",
        keys=(TORCHVISION,),
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 64, 128, 256, 512),
        last_strides=(1, 16),
        num_parameters=11_490_240,
        source="arXiv:1711.11248; torchvision",
        builder="vcp_core.backbones.resnet3d:ResNet3D",
        arguments={"convolutions": ("full", "spatial", "spatial", "spatial")},  # keeps all frames
    ),
    BackboneSpec(
        name="r2plus1d_18",
        family="resnet3d",
        keys=(TORCHVISION,),
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=31_300_125,
        source="arXiv:1711.11248; torchvision",
        builder="vcp_core.backbones.resnet3d:ResNet3D",
        arguments={"convolutions": ("factored", "factored", "factored", "factored"), "stem": "factored"},
    ),
    BackboneSpec(
        name="r2plus1d_34",
        family="resnet3d",
        keys=(VMZ,),
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 64, 128, 256, 512),
        clip_shape=(3, 32, 112, 112),
        num_parameters=63_491_975,
        source="arXiv:1711.11248; VMZ, IG65M (arXiv:1905.00561), TSP",
        builder="vcp_core.backbones.resnet3d:ResNet3D",
        arguments={
            "convolutions": ("factored", "factored", "factored", "factored"),
            "stem": "factored",
            "depths": (3, 4, 6, 3),
            "block": "basic, own middles",
        },
        variants=(BGR, POOL1),
    ),
    BackboneSpec(
        name="r2plus1d_18_xdc",
        family="resnet3d",
        keys=(XDC,),
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 64, 128, 256, 512),
        clip_shape=(3, 32, 112, 112),
        num_parameters=33_165_639,
        source="arXiv:1711.11248; XDC (arXiv:1911.12667)",
        builder="vcp_core.backbones.resnet3d:ResNet3D",
        arguments={
            "convolutions": ("factored", "factored", "factored", "factored"),
            "stem": "factored",
            "block": "basic, own middles",
        },
    ),
    BackboneSpec(
        name="ir_csn_152",
        family="resnet3d",
        keys=(VMZ, MMACTION2_CSN),
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 32, 224, 224),
        stride=2,
        resize=(256, 342),
        last_strides=(8, 32),
        num_parameters=28_883_968,
        source="arXiv:1904.02811; VMZ, MMAction2",
        builder="vcp_core.backbones.resnet3d:ResNet3D",
        arguments={
            "convolutions": ("depthwise", "depthwise", "depthwise", "depthwise"),
            "stem": "full, pooled",
            "depths": (3, 8, 36, 3),
            "block": "bottleneck",
        },
    ),
    BackboneSpec(
        name="ip_csn_152",
        family="resnet3d",
        keys=(VMZ,),
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 32, 224, 224),
        stride=2,
        resize=(256, 342),
        last_strides=(8, 32),
        num_parameters=32_196_992,
        source="arXiv:1904.02811; VMZ",
        builder="vcp_core.backbones.resnet3d:ResNet3D",
        arguments={
            "convolutions": ("depthwise after mixing",) * 4,
            "stem": "full, pooled",
            "depths": (3, 8, 36, 3),
            "block": "bottleneck",
        },
    ),
    BackboneSpec(
        name="s3d",
        family="s3d",
        keys=(VCPBENCH_S3D, TORCHVISION_S3D, COCLR, COCLR_STAGES, KYLEMIN),
        stages=("conv1", "conv2", "mixed3", "mixed4", "mixed5"),
        stage_dims=(64, 192, 480, 832, 1024),
        clip_shape=(3, 32, 224, 224),  # PROTOCOL 2; torchvision's weights were tested with 128
        resize=(256, 342),
        last_strides=(8, 32),
        num_parameters=7_910_048,
        source="arXiv:1712.04851; torchvision, CoCLR, kylemin/S3D",
        builder="vcp_core.backbones.s3d:S3D",
    ),
    BackboneSpec(
        name="i3d",
        family="i3d",
        keys=(PYTORCH_I3D, HASSONY2),
        stages=("Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_3c", "Mixed_4f", "Mixed_5c"),
        stage_dims=(64, 192, 480, 832, 1024),
        clip_shape=(3, 16, 224, 224),
        resize=(256, 342),
        last_strides=(8, 32),
        num_parameters=12_287_264,
        source="arXiv:1705.07750; piergiaj/pytorch-i3d, hassony2/kinetics_i3d_pytorch",
        builder="vcp_core.backbones.i3d:I3D",
    ),
    BackboneSpec(
        name="slow_r50",
        family="slow",
        keys=(PYTORCHVIDEO, SLOWFAST, MMACTION2),
        stages=("stem", "res2", "res3", "res4", "res5"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 8, 224, 224),
        stride=8,
        resize=(256, 342),
        last_strides=(1, 32),
        num_parameters=31_634_496,
        source="arXiv:1812.03982; PyTorchVideo, SlowFast, MMAction2",
        builder="vcp_core.backbones.slow:Slow",
    ),
    BackboneSpec(
        name="slow_r101",
        family="slow",
        keys=(PYTORCHVIDEO, SLOWFAST, MMACTION2_R101),
        stages=("stem", "res2", "res3", "res4", "res5"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 8, 224, 224),
        stride=8,
        resize=(256, 342),
        last_strides=(1, 32),
        num_parameters=59_539_520,
        source="arXiv:1812.03982; SlowFast, MMAction2",
        builder="vcp_core.backbones.slow:Slow",
        arguments={"depths": (3, 4, 23, 3)},
    ),
    BackboneSpec(
        name="i3d_r50",
        family="slow",
        keys=(PYTORCHVIDEO_POOLED, SLOWFAST_POOLED),
        stages=("stem", "res2", "res3", "res4", "res5"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 8, 224, 224),
        stride=8,
        resize=(256, 342),
        last_strides=(2, 32),
        num_parameters=27_223_872,
        source="arXiv:1711.07971; PyTorchVideo, SlowFast",
        builder="vcp_core.backbones.slow:Slow",
        arguments={"kernels_t": ((3,), (3, 1), (3, 1), (1, 3)), "stem_t": 5, "pools_t": True},
    ),
    BackboneSpec(
        name="c2d_r50",
        family="slow",
        keys=(PYTORCHVIDEO_POOLED, SLOWFAST_POOLED),
        stages=("stem", "res2", "res3", "res4", "res5"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 8, 224, 224),
        stride=8,
        resize=(256, 342),
        last_strides=(2, 32),
        num_parameters=23_508_032,
        source="arXiv:1711.07971; PyTorchVideo, SlowFast",
        builder="vcp_core.backbones.slow:Slow",
        arguments={"kernels_t": ((1,), (1,), (1,), (1,)), "pools_t": True},
    ),
    BackboneSpec(
        name="csn_r101",
        family="slow",
        keys=(PYTORCHVIDEO,),
        stages=("stem", "res2", "res3", "res4", "res5"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 32, 224, 224),
        stride=2,
        resize=(256, 342),
        last_strides=(8, 32),
        num_parameters=21_394_176,
        source="arXiv:1904.02811; PyTorchVideo",
        builder="vcp_core.backbones.slow:Slow",
        arguments={
            "depths": (3, 4, 23, 3),
            "kernels_t": ((1,), (1,), (1,), (1,)),
            "stem_t": 3,
            "middle": "depthwise",
            "strides": ((1, 1), (2, 2), (2, 2), (2, 2)),
        },
    ),
    BackboneSpec(
        name="r2plus1d_r50",
        family="slow",
        keys=(PYTORCHVIDEO,),
        stages=("stem", "res2", "res3", "res4", "res5"),
        stage_dims=(64, 256, 512, 1024, 2048),
        clip_shape=(3, 16, 224, 224),
        stride=4,
        resize=(256, 342),
        last_strides=(4, 32),
        num_parameters=27_288_000,
        source="arXiv:1711.11248; PyTorchVideo",
        builder="vcp_core.backbones.slow:Slow",
        arguments={
            "kernels_t": ((1,), (1,), (1,), (1,)),
            "middle": "time, then space",
            "strides": ((1, 2), (1, 2), (2, 2), (2, 2)),
            "pools_stem": False,
        },
    ),
    BackboneSpec(
        name="r3d_tiny",
        family="r3d",
        keys=(VCPBENCH,),
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(16, 16, 32, 64, 128),
        clip_shape=(3, 16, 56, 56),
        resize=(64, 86),
        num_parameters=903_984,
        source="vcpbench: r3d at a quarter of its width and half its frame size, for demos and tests",
        builder="vcp_core.backbones.r3d:R3D",
    ),
)
