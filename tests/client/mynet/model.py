"""Small networks in three styles. Clips are (B, 3, T, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import Tensor, nn

CLASSES = 5


class Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv3d(width, out, 3, 2, 1, bias=False), nn.BatchNorm3d(out)
        self.conv2, self.bn2 = nn.Conv3d(out, out, 3, 1, 1, bias=False), nn.BatchNorm3d(out)
        self.shortcut, self.relu = nn.Conv3d(width, out, 1, 2), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        out: Tensor = self.relu(y)
        return out


class ResNet(nn.Module):
    """Stages `layer1` and `layer2`, and a head that fits clips of 32 x 32 pixels alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn, self.relu = nn.Conv3d(3, 8, 3, 2, 1), nn.BatchNorm3d(8), nn.ReLU(inplace=True)
        self.layer1, self.layer2 = nn.Sequential(Block(8, 8)), nn.Sequential(Block(8, 16))
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(16 * 4 * 4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.relu(self.bn(self.stem(x)))))
        out: Tensor = self.fc(self.drop(x.mean(2).flatten(1)))
        return out


class Attention(nn.Module):
    """A transformer of two blocks. Its feature is the mean of its tokens."""

    def __init__(self, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.patch = heads, nn.Conv3d(3, width, (2, 8, 8), (2, 8, 8))
        self.position = nn.Parameter(torch.randn(1, 32, width) * 0.02)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        for norm, layer in zip(self.norms, self.qkv, strict=True):
            b, n, d = x.shape
            q, k, v = layer(norm(x)).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
            scores = (q @ k.transpose(-2, -1) / math.sqrt(d // self.heads)).softmax(dim=-1)
            x = x + (scores @ v).transpose(1, 2).reshape(b, n, d)
        return x.mean(1)


class TwoPaths(nn.Module):
    """A slow and a fast path, which come together in `joined`."""

    def __init__(self) -> None:
        super().__init__()
        self.slow, self.fast = nn.Conv3d(3, 12, (1, 3, 3), 2, (0, 1, 1)), nn.Conv3d(3, 4, 3, (1, 2, 2), 1)
        self.lateral, self.joined = nn.Conv3d(4, 4, (3, 1, 1), (4, 1, 1), (1, 0, 0)), nn.Conv3d(16, 16, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        slow, fast = F.relu(self.slow(x[:, :, ::2])), F.relu(self.fast(x))
        slow = self.joined(torch.cat([slow, self.lateral(fast)], dim=1))
        return [slow.mean((2, 3, 4)), fast.mean((2, 3, 4))]


def resnet() -> nn.Module:
    """A network with batch norms, changes in place and a head."""
    print("building")  # as users' code does
    return ResNet()


def with_arguments(depth: int, *, width: int = 8) -> nn.Module:
    """A function that `vcpbench export` cannot call."""
    raise NotImplementedError


def broken() -> nn.Module:
    """A function that fails."""
    raise ValueError("no such depth")


def no_network() -> dict[str, Tensor]:
    """A function that gives weights instead of a network."""
    return ResNet().state_dict()


NETWORK = Attention()
