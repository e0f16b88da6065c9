"""Check that a clip's features depend on the clip alone, and not on the batch that it is in."""

from __future__ import annotations

import torch
from torch import Tensor

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.errors import GraphError, NonFiniteFeatures

# Of the norm of a clip's features. Kernels are chosen by the shape of a batch, so digits differ: by 1e-6 for
# the networks in tests/graphs. A normalisation over the batch changes features by 1e-2 and more.
TOLERANCE = 1e-4


@torch.inference_mode()
def expect_alone(network: Backbone, clips_BCTHW: Tensor, *, tolerance: float = TOLERANCE) -> float:
    """Compare each clip's features in a batch with its features when it is the only clip.

    Args:
        network: The network, on the device of the clips.
        clips_BCTHW: Two or more clips that differ.
        tolerance: The most that features may differ by, in parts of their norm.

    Returns:
        The largest difference of any clip and stage, in parts of the features' norm.

    Raises:
        GraphError: If they differ by more.
        NonFiniteFeatures: If a feature is NaN or infinite.

    >>> from vcp_core.backbones import build
    >>> clips_BCTHW = torch.rand(2, 3, 16, 56, 56, generator=torch.Generator().manual_seed(0))
    >>> expect_alone(build("r3d_tiny"), clips_BCTHW) < 1e-5
    True
    """
    together = network.stages(clips_BCTHW)
    worst, where = 0.0, ""
    for at in range(len(clips_BCTHW)):
        for name, alone_BD in network.stages(clips_BCTHW[at : at + 1]).items():
            if not (alone_BD.isfinite().all() and together[name].isfinite().all()):
                raise NonFiniteFeatures(
                    f"NaN or infinity after {name}. The weights are finite, so activations overflow or a "
                    "normalisation divides by nothing; use another checkpoint."
                )
            norm = max(float(alone_BD.norm()), torch.finfo(torch.float32).tiny)
            differs = float((together[name][at] - alone_BD[0]).norm()) / norm
            if differs > worst:
                worst, where = differs, name
    if worst > tolerance:
        raise GraphError(
            f"a clip's features after {where} differ by {worst:.1e} of their norm if other clips are in its "
            f"batch, and by at most {tolerance:.0e} is allowed. A layer mixes the clips of a batch. Call "
            "model.eval() before torch.export.export, and average over no clips.",
            reason="batch",
            stage=where,
            difference=worst,
        )
    return worst
