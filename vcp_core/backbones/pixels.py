"""The pixel baseline (PROTOCOL 4): what a clip is before any network, coarsely.

Not a backbone that a checkpoint can be: it has no weights. It goes the way of one, so that it meets the same
clips and the same probes as the network that it stands beside.
"""

from __future__ import annotations

from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.backbones import PIXEL_PARTS, PIXEL_SIDE, BackboneSpec, pixels_like


class Pixels(Backbone):
    """RGB of 8 x 8 fields, averaged over each of the clip's sub-clips.

    Args:
        like: The network whose clips it sees.
        parts: Sub-clips, at most as many as frames.
    """

    def __init__(self, like: BackboneSpec, *, parts: int = PIXEL_PARTS) -> None:
        super().__init__(pixels_like(like, parts=parts))
        self._parts = self.spec.feature_dim // (3 * PIXEL_SIDE**2)

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """One map of one place: averaging over it leaves it as it is."""
        fields_BCTHW = nn.functional.adaptive_avg_pool3d(x_BCTHW, (self._parts, PIXEL_SIDE, PIXEL_SIDE))
        return [fields_BCTHW.flatten(start_dim=1)[..., None, None, None]]

    def stages(self, clips_BCTHW: Tensor, *, max_pooled: bool = False) -> dict[str, Tensor]:
        """As every backbone's; the papers' feature of a single place is the same numbers."""
        found = super().stages(clips_BCTHW)
        if max_pooled:
            found[self.spec.max_pooled_stage] = found[self.spec.stages[-1]]
        return found
