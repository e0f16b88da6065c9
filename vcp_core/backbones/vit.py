"""Vision transformers for video: VideoMAE (arXiv:2203.12602, arXiv:2303.16727), V-JEPA 2 (arXiv:2506.09985).

A convolution makes each tubelet of 2 frames a token. Blocks of attention and an MLP then change all tokens.
VideoMAE adds sines of each token's number to it, and its keys have no bias. V-JEPA 2 rotates queries and keys
by angles that depend on the token's frame, row and column. Modules have the names that both projects give
them. Other names of the same weights are in catalog/keys.py.

Shapes: B clips, C channels, T frames, H height, W width, N tokens (T x H x W), D features, E features of a
head.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.errors import InputError
from vcp_core.catalog.specs import BackboneSpec

FRAMES = 2  # of a tubelet, in both projects
BASE = 10_000.0  # of the wavelengths of sines; as in arXiv:1706.03762, section 3.5


class Patches(nn.Module):
    """A convolution that gives one token for each tubelet of the clip."""

    def __init__(self, dim: int, pixels: int) -> None:
        super().__init__()
        size = (FRAMES, pixels, pixels)
        self.proj = nn.Conv3d(3, dim, size, stride=size)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """The tokens, still at their places: (B, D, T, H, W)."""
        return self.proj(x_BCTHW)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Attention of every token to all tokens, in several heads."""

    def __init__(self, dim: int, num_heads: int, *, bias: bool = True) -> None:
        super().__init__()
        self._num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BND: Tensor, rotation_2NE: Tensor | None = None) -> Tensor:
        """Every token's sum of values.

        Args:
            x_BND: The tokens.
            rotation_2NE: Cosines and sines of the angles by which queries and keys are rotated; None to leave
                them as they are.
        """
        parts = self.queries_keys_values(x_BND).reshape(*x_BND.shape[:2], 3, self._num_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind()  # each (B, heads, N, E)
        if rotation_2NE is not None:
            query, key = (rotated(x, rotation_2NE).type_as(value) for x in (query, key))
        summed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(summed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def queries_keys_values(self, x_BND: Tensor) -> Tensor:
        """Queries, keys and values one after another: (B, N, 3 D)."""
        return self.qkv(x_BND)  # type: ignore[no-any-return]


class AttentionWithoutKeyBias(Attention):
    """The same, where queries and values have a bias and keys have none."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__(dim, num_heads, bias=False)
        self.q_bias = nn.Parameter(torch.empty(dim))
        self.v_bias = nn.Parameter(torch.empty(dim))

    def initialise_own(self, generator: torch.Generator) -> None:
        """Set both biases to 0."""
        nn.init.zeros_(self.q_bias)
        nn.init.zeros_(self.v_bias)

    def queries_keys_values(self, x_BND: Tensor) -> Tensor:
        """Queries, keys and values one after another: (B, N, 3 D)."""
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        return nn.functional.linear(x_BND, self.qkv.weight, bias)


class MLP(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        """The layers' output, token by token."""
        return self.fc2(nn.functional.gelu(self.fc1(x_BND)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then an MLP. Each reads normalised tokens, and adds to them."""

    def __init__(self, dim: int, mlp_dim: int, attention: Attention) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, mlp_dim)

    def forward(self, x_BND: Tensor, rotation_2NE: Tensor | None) -> Tensor:
        """The changed tokens."""
        x_BND = x_BND + self.attn(self.norm1(x_BND), rotation_2NE)
        return x_BND + self.mlp(self.norm2(x_BND))  # type: ignore[no-any-return]


class ViT(Backbone):
    """Patches, blocks, and a normalisation at the end. The stages end after equal numbers of blocks.

    Args:
        spec: The backbone's entry in the catalog.
        attention: The attention of each block.
        mlp_dim: Width of the layer inside the MLPs.
        patch: Pixels of a patch's side.

    Raises:
        InputError: If the clip's side is no multiple of a patch's side.
    """

    def __init__(
        self, spec: BackboneSpec, *, attention: Sequence[Attention], mlp_dim: int, patch: int
    ) -> None:
        super().__init__(spec)
        crop = spec.clip_shape[2]
        if crop % patch:
            raise InputError(
                f"{spec.name} cuts frames into patches of {patch} x {patch} pixels. "
                f"Declare a crop that is a multiple of {patch}, not {crop}."
            )
        dim = spec.feature_dim
        self.patch_embed = Patches(dim, patch)
        self.blocks = nn.ModuleList(Block(dim, mlp_dim, one) for one in attention)
        self.norm = nn.LayerNorm(dim)

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Maps after a quarter, a half, three quarters and all of the blocks; only the last is normalised."""
        x_BDTHW = self.patch_embed(x_BCTHW)
        grid = x_BDTHW.shape[2:]
        # Under autocast a convolution gives bfloat16, in which the sum over all blocks would lose digits.
        x_BND, rotation_2NE = self.add_positions(x_BDTHW.flatten(2).transpose(1, 2).float(), grid)
        every = len(self.blocks) // len(self.spec.stages)
        ends = []
        for number, block in enumerate(self.blocks, start=1):
            x_BND = block(x_BND, rotation_2NE)
            if number % every == 0:
                ends.append(x_BND)
        ends[-1] = self.normalised(ends[-1])
        return [x_BND.transpose(1, 2).unflatten(2, grid) for x_BND in ends]

    @abstractmethod
    def add_positions(self, x_BND: Tensor, grid: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Tell the tokens of a grid (T, H, W) where they are: the tokens, and the rotation of `Attention`."""

    def normalised(self, x_BND: Tensor) -> Tensor:
        """The last block's tokens, so that their mean is the feature."""
        return self.norm(x_BND)  # type: ignore[no-any-return]


class VideoMAE(ViT):
    """The encoder of VideoMAE and VideoMAE v2.

    Args:
        spec: The backbone's entry in the catalog.
        depth: Number of blocks.
        num_heads: Heads of each attention.
        mlp_dim: As for `ViT`.
        patch: As for `ViT`.
        norm_of_mean: Whether the feature is the norm of the tokens' mean, as in fine-tuned networks, and not
            the mean of their norms.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        depth: int,
        num_heads: int,
        mlp_dim: int,
        patch: int = 16,
        norm_of_mean: bool = False,
    ) -> None:
        attention = [AttentionWithoutKeyBias(spec.feature_dim, num_heads) for _ in range(depth)]
        super().__init__(spec, attention=attention, mlp_dim=mlp_dim, patch=patch)
        self._norm_of_mean = norm_of_mean

    def add_positions(self, x_BND: Tensor, grid: Sequence[int]) -> tuple[Tensor, None]:
        """Add sines of each token's number."""
        return x_BND + sines(*x_BND.shape[1:], device=x_BND.device), None

    def normalised(self, x_BND: Tensor) -> Tensor:
        """The last block's tokens, so that their mean is the feature."""
        if not self._norm_of_mean:
            return super().normalised(x_BND)
        # The mean's own statistics normalise every token. The mean of these tokens is the norm of the mean,
        # and each token keeps its place in the map.
        variance_B11, mean_B11 = torch.var_mean(
            x_BND.mean(dim=1, keepdim=True), dim=-1, correction=0, keepdim=True
        )
        x_BND = (x_BND - mean_B11) * torch.rsqrt(variance_B11 + self.norm.eps)
        return x_BND * self.norm.weight + self.norm.bias

    def initialise_linear(self, linear: nn.Linear, generator: torch.Generator) -> None:
        """Xavier's uniform distribution, as for VideoMAE's pretraining; biases are 0."""
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)


class VJEPA2(ViT):
    """The encoder of V-JEPA 2.

    Args:
        spec: The backbone's entry in the catalog.
        depth: Number of blocks.
        num_heads: Heads of each attention.
        mlp_dim: As for `ViT`.
        patch: As for `ViT`.
    """

    def __init__(
        self, spec: BackboneSpec, *, depth: int, num_heads: int, mlp_dim: int, patch: int = 16
    ) -> None:
        attention = [Attention(spec.feature_dim, num_heads) for _ in range(depth)]
        super().__init__(spec, attention=attention, mlp_dim=mlp_dim, patch=patch)
        self._head_dim = spec.feature_dim // num_heads

    def add_positions(self, x_BND: Tensor, grid: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Leave the tokens as they are, and give the rotation of their places."""
        angles_NE = rotary_angles(grid, self._head_dim, device=x_BND.device)
        return x_BND, torch.stack((angles_NE.cos(), angles_NE.sin()))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights. The layers that add to the tokens are scaled down, the later the more."""
        super().initialise(generator)
        with torch.no_grad():
            for number, block in enumerate(self.blocks, start=1):
                assert isinstance(block, Block)
                for layer in (block.attn.proj, block.mlp.fc2):
                    layer.weight /= math.sqrt(2 * number)

    def initialise_conv(self, conv: nn.Conv3d, generator: torch.Generator) -> None:
        """As linear layers."""
        _draw_normal(conv, generator)

    def initialise_linear(self, linear: nn.Linear, generator: torch.Generator) -> None:
        """A normal distribution of 0.02; biases are 0."""
        _draw_normal(linear, generator)


def _draw_normal(layer: nn.Conv3d | nn.Linear, generator: torch.Generator) -> None:
    nn.init.trunc_normal_(layer.weight, std=0.02, generator=generator)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def sines(num_tokens: int, dim: int, *, device: torch.device) -> Tensor:
    """Sines and cosines of each token's number, in turn: (N, D), float32 (arXiv:1706.03762, section 3.5).

    >>> [round(number, 3) for number in sines(2, 4, device=torch.device("cpu"))[1].tolist()]
    [0.841, 0.54, 0.01, 1.0]
    """
    angles = _angles(num_tokens, dim // 2, device=device)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).float()


def rotary_angles(grid: Sequence[int], head_dim: int, *, device: torch.device) -> Tensor:
    """The angle of each feature of a head, for each token of a grid (T, H, W): (N, E), float32.

    Frame, row and column each decide about a third of the features. What is left stays as it is.

    >>> angles_NE = rotary_angles((1, 2, 2), 16, device=torch.device("cpu"))
    >>> [round(angle, 4) for angle in angles_NE[1].tolist()]  # the token of frame 0, row 0, column 1
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.01, 1.0, 0.01, 0.0, 0.0, 0.0, 0.0]
    """
    pairs = head_dim // 3 // 2
    parts = []
    for axis, size in enumerate(grid):
        shape = [1, 1, 1, pairs]
        shape[axis] = size
        # V-JEPA 2 repeats the list of angles, and not each angle. Its networks were trained so.
        angles = _angles(size, pairs, device=device).view(shape)
        parts += [angles.expand(*grid, pairs)] * 2
    left = torch.zeros((*grid, head_dim - 6 * pairs), device=device)
    return torch.cat((*parts, left), dim=-1).flatten(0, 2).float()


def _angles(num_positions: int, num_frequencies: int, *, device: torch.device) -> Tensor:
    """Angles of each position: (positions, frequencies). Frequencies fall from 1 to nearly 1 / `BASE`."""
    # In float64, as VideoMAE's NumPy computes them. In float32, angles of a thousand would be wrong by 1e-4.
    positions = torch.arange(num_positions, dtype=torch.float64, device=device)
    numbers = torch.arange(num_frequencies, dtype=torch.float64, device=device)
    return positions[:, None] * torch.exp(-math.log(BASE) * numbers / num_frequencies)


def rotated(x: Tensor, rotation_2NE: Tensor) -> Tensor:
    """Rotate features 0 and 1, 2 and 3, ... of queries or keys (B, heads, N, E), each by its own angle."""
    cos_NE, sin_NE = rotation_2NE
    even, odd = x.reshape(*x.shape[:-1], -1, 2).unbind(dim=-1)
    across = torch.stack((-odd, even), dim=-1).flatten(-2)
    return x * cos_NE + across * sin_NE  # type: ignore[no-any-return]
