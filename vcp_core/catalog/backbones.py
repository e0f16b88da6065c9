"""Facts about every backbone. Adding one: an entry here, a builder in vcp_core/backbones/<family>.py."""

from __future__ import annotations

from dataclasses import dataclass

from vcp_core.catalog.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Per-channel (RGB) mean and standard deviation, for pixel values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"Normalisation wants 3 means and 3 positive stds, got {self.mean}, {self.std}.")


KINETICS = Normalisation(  # torchvision's video models; PROTOCOL 2
    mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989)
)


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """What is known about a backbone without building it.

    Attributes:
        name: The name users type.
        family: The file in vcp_core/backbones/, and the naming scheme of its keys.
        stages: Stage names, first to last; the last one's pooled output is the feature.
        stage_dims: Channels of each stage, as many as `stages`.
        clip_shape: Native input (channels, frames, height, width).
        resize: Frame size before the centre crop (height, width).
        normalisation: What the family's checkpoints expect; None is pixel values in [0, 1] as they are.
        num_parameters: Of the backbone without any head.
        source: Paper or repository that defines the family.
        builder: `module:function`, a callable without arguments that returns the network.
    """

    name: str
    family: str
    stages: tuple[str, ...]
    stage_dims: tuple[int, ...]
    clip_shape: tuple[int, int, int, int] = (3, 16, 112, 112)
    resize: tuple[int, int] = (128, 171)
    normalisation: Normalisation | None = None
    num_parameters: int
    source: str
    builder: str

    def __post_init__(self) -> None:
        if len(self.stages) != len(self.stage_dims) or not self.stages:
            raise ValueError(f"{self.name}: {len(self.stages)} stages but {len(self.stage_dims)} dimensions.")

    @property
    def feature_dim(self) -> int:
        """Length of the feature vector."""
        return self.stage_dims[-1]

    @property
    def max_pooled_stage(self) -> str:
        """Under which name the last stage's max-pooled map is kept beside the stages' averages."""
        return f"{self.stages[-1]}:max"

    @property
    def clip_frames(self) -> int:
        """Frames of one clip."""
        return self.clip_shape[1]


VCOP = "Xu et al., CVPR 2019 (VCOP)"  # whose variants these are: batch-norm in C3D, one block per stage
BACKBONES = Registry(
    "backbone",
    BackboneSpec(
        name="c3d",
        family="c3d",
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 128, 256, 512, 512),
        num_parameters=27_661_440,
        source=f"arXiv:1412.0767; {VCOP}",
        builder="vcp_core.backbones.c3d:c3d",
    ),
    BackboneSpec(
        name="r3d",
        family="r3d",
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=14_361_792,
        source=f"arXiv:1711.11248; {VCOP}",
        builder="vcp_core.backbones.r3d:r3d",
    ),
    BackboneSpec(
        name="r2plus1d",
        family="r2plus1d",
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(64, 64, 128, 256, 512),
        num_parameters=14_365_303,
        source=f"arXiv:1711.11248; {VCOP}",
        builder="vcp_core.backbones.r2plus1d:r2plus1d",
    ),
    BackboneSpec(
        name="r3d_18",
        family="resnet3d",
        stages=("stem", "layer1", "layer2", "layer3", "layer4"),
        stage_dims=(64, 64, 128, 256, 512),
        normalisation=KINETICS,
        num_parameters=33_166_272,
        source="arXiv:1711.11248; torchvision",
        builder="vcp_core.backbones.resnet3d:r3d_18",
    ),
    BackboneSpec(
        name="r3d_tiny",
        family="r3d",
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        stage_dims=(16, 16, 32, 64, 128),
        num_parameters=903_984,
        source="vcpbench: r3d at a quarter of its width, for demos and tests",
        builder="vcp_core.backbones.r3d:r3d_tiny",
    ),
)
