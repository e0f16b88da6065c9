"""Networks in many styles, each a few lines, that people could export. Clips are (B, 3, 4, 32, 32)."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import Tensor, nn

CLIP = (3, 4, 32, 32)


def export(module: nn.Module, path: Path, *, decomposed: bool = False, clip: tuple[int, ...] = CLIP) -> Path:
    """Export a module as its author would, with a free number of clips."""
    path.write_bytes(exported_bytes(module, decomposed=decomposed, clip=clip))
    return path


def exported_bytes(module: nn.Module, *, decomposed: bool = False, clip: tuple[int, ...] = CLIP) -> bytes:
    clips = torch.randn(2, *clip)
    free = ({0: torch.export.Dim("clips", min=1, max=4096)},)
    program = torch.export.export(module, (clips,), dynamic_shapes=free)
    if decomposed:
        program = program.run_decompositions()
    held = io.BytesIO()
    torch.export.save(program, held)
    return held.getvalue()


class Stem(nn.Module):
    """A convolution, a batch norm and a ReLU."""

    def __init__(self, width: int = 8, stride: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, width, 3, stride=(1, stride, stride), padding=1, bias=False)
        self.norm = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.norm(self.conv(x)))
        return out


class Mixing(nn.Module):
    """Each clip loses a tenth of the average over its batch, which no server takes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()

    def forward(self, x: Tensor) -> Tensor:
        """The map."""
        x = self.stem(x)
        return x - 0.1 * x.mean(dim=0, keepdim=True)


class Functional(nn.Module):
    """Layers as functions of parameters of its own, instead of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(8, 3, 3, 3, 3) * 0.1)
        self.scale, self.shift = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))
        self.register_buffer("mean", torch.randn(8) * 0.1)
        self.register_buffer("var", torch.rand(8) + 0.5)
        self.project = nn.Parameter(torch.randn(8, 12) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv3d(x, self.kernel, stride=2, padding=1)
        x = F.batch_norm(x, self.mean, self.var, self.scale, self.shift)
        x = F.hardswish(F.adaptive_avg_pool3d(x, (2, 2, 2)))
        return F.dropout(x.mean((2, 3, 4)), 0.5, training=self.training) @ self.project


class FramesAsImages(nn.Module):
    """2D convolutions on frames: shapes are moved as einops moves them, and sizes are products."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.mix = nn.Conv1d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, t, h, w = x.shape
        x = F.silu(self.norm(self.conv(x.permute(0, 2, 1, 3, 4).reshape(b * t, c, h, w))))
        _, d, h, w = x.shape
        x = x.reshape(b, t, d, h, w).permute(0, 3, 4, 2, 1).reshape(b * h * w, d, t)
        return self.mix(x).view(b, h, w, d, t).permute(0, 3, 4, 1, 2).contiguous()


class TemporalShift(nn.Module):
    """Channels from the next and the last frame, written into slices in place (arXiv:1811.08383)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out = torch.zeros_like(x)
        out[:, :2, :-1] = x[:, :2, 1:]
        out[:, 2:4, 1:] = x[:, 2:4, :-1]
        out[:, 4:] = x[:, 4:]
        return out


class SqueezeExcite(nn.Module):
    """Channels are weighted by what a small network says of their averages (arXiv:1709.01507)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down, self.up = Stem(), nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        s = torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=(2, 3, 4))))))
        return x * s[:, :, None, None, None]


class Depthwise(nn.Module):
    """Inverted bottlenecks with grouped convolutions, as in X3D and MoViNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.wide, self.n1 = nn.Conv3d(8, 24, 1, bias=False), nn.BatchNorm3d(24)
        self.deep, self.n2 = nn.Conv3d(24, 24, 3, padding=1, groups=24, bias=False), nn.BatchNorm3d(24)
        self.thin, self.n3 = nn.Conv3d(24, 8, 1, bias=False), nn.BatchNorm3d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = F.hardtanh(self.n1(self.wide(x)), 0.0, 6.0)
        y = F.relu6(self.n2(self.deep(F.pad(y, (0, 0, 0, 0, 0, 0)))), inplace=True)
        return x + self.n3(self.thin(y))


class Gates(nn.Module):
    """Self-gating as in S3D-G, with a group norm and a learned slope."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3d(3, 8, 3, padding="same"), nn.GroupNorm(2, 8)
        self.gate, self.act = nn.Conv3d(8, 8, 1), nn.PReLU(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.conv(x)))
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool3d(x, 1)))
        return F.avg_pool3d(F.max_pool3d(x, (1, 2, 2)), (2, 2, 2))


class Attention(nn.Module):
    """A small video transformer: tokens, positions, a class token, relative biases and layer scale."""

    def __init__(self, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.patch = nn.Conv3d(3, width, (2, 8, 8), stride=(2, 8, 8))
        self.cls, self.pos = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 33, width))
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.1))
        self.table = nn.Parameter(torch.randn(65, heads) * 0.1)
        self.register_buffer("index", torch.arange(33)[:, None] - torch.arange(33)[None] + 32)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), dim=1) + self.pos
        b, n, d = x.shape
        q, k, v = self.qkv(self.n1(x)).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(n, n, -1).permute(2, 0, 1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(d // self.heads) + bias
        x = x + self.gamma * self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(b, n, d))
        x = x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.down(F.gelu(self.up(self.n2(x))))
        return F.normalize(x[:, 0], dim=-1)


class TwoPaths(nn.Module):
    """A slow and a fast path with a lateral connection, as in SlowFast."""

    def __init__(self) -> None:
        super().__init__()
        self.slow, self.fast = Stem(12), Stem(4)
        self.lateral = nn.Conv3d(4, 8, (3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
        self.last = nn.Conv3d(20, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        slow, fast = self.slow(x[:, :, ::2]), self.fast(x)
        slow = self.last(torch.cat([slow, self.lateral(fast)], dim=1))
        return torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], dim=1)


class InPlace(nn.Module):
    """Results are changed in place wherever they can be."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = Stem(), nn.Conv3d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.conv(x)
        y += x
        y.mul_(0.5).clamp_(min=-1.0).sub_(0.1)
        y[:, 0].fill_(0.25)
        return torch.sigmoid_(y)


class Stages(nn.Module):
    """One output for each stage, as a tuple or a list; the last one is a feature."""

    def __init__(self, form: Callable[[list[Tensor]], object] = tuple) -> None:
        super().__init__()
        self.form = form
        self.stem, self.conv = Stem(), nn.Conv3d(8, 16, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> object:
        first = self.stem(x)
        second = F.leaky_relu(self.conv(first), 0.1)
        return self.form([first, second, second.amax((2, 3, 4))])


class NonLocal(nn.Module):
    """Products over all places by einsum, chunks, and buffers that no state dict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.qkv = Stem(), nn.Conv3d(8, 24, 1)
        self.register_buffer("window", torch.hann_window(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) * self.window[:, None, None]
        q, k, v = self.qkv(F.max_pool3d(x, 2)).flatten(2).chunk(3, dim=1)
        scores = torch.einsum("bcn,bcm->bnm", q, k) * 8**-0.5
        y = torch.einsum("bnm,bcm->bcn", torch.softmax(scores, -1), v)
        return F.interpolate(y.view(x.shape[0], 8, 2, 8, 8), scale_factor=2.0, mode="trilinear") + x


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "functional calls": Functional,
    "frames as images": FramesAsImages,
    "temporal shift": TemporalShift,
    "squeeze and excite": SqueezeExcite,
    "depthwise": Depthwise,
    "gates": Gates,
    "attention": Attention,
    "two paths": TwoPaths,
    "in place": InPlace,
    "a tuple of stages": Stages,
    "a list of stages": lambda: Stages(list),
    "non-local": NonLocal,
}


def built(name: str, *, seed: int = 0) -> nn.Module:
    """A network of the list in eval mode, with batch norms whose statistics are not the usual 0 and 1."""
    torch.manual_seed(seed)
    network = NETWORKS[name]().eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network
