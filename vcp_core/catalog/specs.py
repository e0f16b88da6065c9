"""What is known of a network without building it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vcp_core.catalog.keys import VCPBENCH, KeyScheme
from vcp_core.catalog.normalisation import Normalisation
from vcp_core.catalog.variants import BGR, Variant


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

    >>> from vcp_core.catalog.backbones import BACKBONES
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
            or (own := self.keys[0]).renames
            or own.pieces
            or own.flat
            or own.input
            or own.arguments
            or len({scheme.name for scheme in self.keys}) < len(self.keys)
        ):
            raise ValueError(
                f"{self.name}: the first key scheme must be our own names (no renames, pieces or flat "
                "weights) with the input and arguments of this entry. No two key schemes may share a name."
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
    def epsilon(self) -> float | None:
        """Epsilon of the network's batch or layer normalisations. None if it has none."""
        return self.facts.epsilon

    @property
    def bgr(self) -> bool:
        """Whether the network expects the channels in the order blue, green, red."""
        said = self.variant.bgr if self.variant is not None else None
        return self.facts.bgr if said is None else said

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

        >>> from vcp_core.catalog.backbones import BACKBONES
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


GRAPH = "graph"  # the family of all graphs (`vcp_core.catalog.graphs`), which no catalog lists
PIXELS = "pixels"  # the name of the pixel baseline, which is no backbone
PIXEL_SIDE = 8  # fields across a frame, and fields down it
PIXEL_PARTS = 4  # parts of a clip, each averaged over its frames (docs/decisions/2026-11-23-pixels.md)


def pixels_like(spec: BackboneSpec, *, parts: int = PIXEL_PARTS) -> BackboneSpec:
    """Describe the pixel baseline on the clips of `spec`: one stage of `parts` x 3 x 8 x 8 numbers.

    >>> from vcp_core.catalog.backbones import BACKBONES
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
