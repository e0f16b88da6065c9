"""The pixel baseline (PROTOCOL 4): coarse pixels of a clip instead of a network's features.

It has no weights, so no checkpoint can be of it. It has a backbone's interface, so that the same code gives
it the same clips and the same probes as the network that it is compared with.
"""

from __future__ import annotations

from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.specs import PIXEL_PARTS, PIXEL_SIDE, BackboneSpec, pixels_like


class Pixels(Backbone):
    """Mean RGB of 8 x 8 fields over each of the clip's sub-clips.

    Args:
        like: The catalog's entry of the network whose clips it takes.
        parts: Number of sub-clips, at most the number of frames.
    """

    def __init__(self, like: BackboneSpec, *, parts: int = PIXEL_PARTS) -> None:
        super().__init__(pixels_like(like, parts=parts))
        self._parts = self.spec.feature_dim // (3 * PIXEL_SIDE**2)

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """One map of size 1 x 1 x 1, which pooling leaves unchanged."""
        fields_BCTHW = nn.functional.adaptive_avg_pool3d(x_BCTHW, (self._parts, PIXEL_SIDE, PIXEL_SIDE))
        return [fields_BCTHW.flatten(start_dim=1)[..., None, None, None]]

    def stages(self, clips_BCTHW: Tensor, *, max_pooled: bool = False) -> dict[str, Tensor]:
        """As `Backbone.stages`. Max-pooling cannot change a map of size 1, so both features are equal."""
        found = super().stages(clips_BCTHW)
        if max_pooled:
            found[self.spec.max_pooled_stage] = found[self.spec.stages[-1]]
        return found
