"""A backbone with one linear layer on the features of an example's clips.

Legend: B examples, K clips of an example, N distinct clips, T frames, H height, W width, C channels,
D features, A answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.training import Head
from vcp_core.video.clips import Draws


def concat(features_BKD: Tensor) -> Tensor:
    """[before; shown; after], (B, K D): the paper's head.

    >>> concat(torch.tensor([[[1.0], [4.0], [6.0]]])).tolist()
    [[1.0, 4.0, 6.0]]
    """
    return features_BKD.flatten(1)


def relational(features_BKD: Tensor) -> Tensor:
    """[before; shown; after; |shown - before|; |shown - after|; |after - before|], (B, 6 D): PROTOCOL 4.

    >>> relational(torch.tensor([[[1.0], [4.0], [6.0]]])).tolist()
    [[1.0, 4.0, 6.0, 3.0, 2.0, 5.0]]
    """
    before_BD, shown_BD, after_BD = features_BKD.unbind(1)
    differences = [shown_BD - before_BD, shown_BD - after_BD, after_BD - before_BD]
    return torch.cat([features_BKD.flatten(1), *(difference.abs() for difference in differences)], dim=1)


_JOINS: dict[Head, tuple[Callable[[Tensor], Tensor], int]] = {
    "concat": (concat, 1),
    "relational": (relational, 2),
}


class ClipsNetwork(nn.Module):
    """A backbone and a linear layer: from clips to one logit per answer.

    Args:
        backbone: The backbone that is applied to each clip.
        num_clips: K.
        num_answers: A.
        head: How the clips' features are joined.
        seed: Seed of the linear layer's weights.
    """

    def __init__(
        self, backbone: Backbone, *, num_clips: int, num_answers: int, head: Head = "concat", seed: int
    ) -> None:
        super().__init__()
        self.backbone = backbone.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.num_clips = num_clips
        self._join, times = _JOINS[head]
        dimension = times * num_clips * backbone.spec.feature_dim
        # On the meta device torch's global generator draws nothing. The loop below draws the weights.
        self.head = nn.Linear(dimension, num_answers, device="meta").to_empty(device="cpu")
        generator = torch.Generator().manual_seed(Draws(seed, "head").below(1 << 62))
        bound = 1 / math.sqrt(dimension)  # torch's default for a linear layer
        for parameter in self.head.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, clips_NTHWC: Tensor, clip_indices_BK: Tensor) -> Tensor:
        """Compute the logits (B, A), float32, of examples.

        Args:
            clips_NTHWC: The distinct clips, uint8.
            clip_indices_BK: Indices of each example's clips, 0 to N - 1.
        """
        # Permuted to (N, C, T, H, W), this memory is torch's channels_last_3d.
        features_ND = self.backbone(clips_NTHWC.permute(0, 4, 1, 2, 3))
        features_BKD = features_ND[clip_indices_BK]
        return cast(Tensor, self.head(self._join(features_BKD))).float()

    def exported(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint: the backbone's own keys, and the linear layer's under `head.`."""
        state = {**self.backbone.state_dict(), **self.head.state_dict(prefix="head.")}
        return {key: value.detach().to("cpu").contiguous() for key, value in state.items()}

    def load_exported(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the result of `exported`."""
        heads = {key: value for key, value in tensors.items() if key.startswith("head.")}
        self.head.load_state_dict({key.removeprefix("head."): value for key, value in heads.items()})
        self.backbone.load_state_dict({key: tensors[key] for key in tensors if key not in heads})
