"""Compares weight gradients of a small 3D convolution on the CPU in bf16 and in fp32.

python -m bench.gradients
"""

from __future__ import annotations

import torch
from torch import Tensor

from vcp_core.evaluation.machine import describe_device

# Clips, channels, and the map's time, height and width before each stage of r3d_tiny but the first.
MAPS = ((24, 16, (16, 56, 56)), (24, 32, (8, 28, 28)), (24, 64, (4, 14, 14)), (24, 128, (2, 7, 7)))


def gradients(clips: int, channels: int, size: tuple[int, int, int], *, bf16: bool) -> tuple[Tensor, Tensor]:
    """Gradients of a 3 x 3 x 3 convolution's weight and input, for one fixed upstream gradient."""
    generator = torch.Generator().manual_seed(0)
    conv = torch.nn.Conv3d(channels, channels, 3, padding=1, bias=False)
    torch.nn.init.normal_(conv.weight, std=0.05, generator=generator)
    x = torch.randn(clips, channels, *size, generator=generator).requires_grad_()
    upstream = torch.randn(clips, channels, *size, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        y = conv(x)
    y.float().backward(upstream)
    assert conv.weight.grad is not None
    assert x.grad is not None
    return conv.weight.grad, x.grad


def main() -> None:
    """Print the relative difference for every size of map."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {describe_device(torch.device('cpu'))}")
    for clips, channels, size in MAPS:
        exact = gradients(clips, channels, size, bf16=False)
        rounded = gradients(clips, channels, size, bf16=True)
        pairs = zip(("weight", "input"), exact, rounded, strict=True)
        said = ", ".join(f"{name} {float((a - b).norm() / a.norm()):9.2g}" for name, a, b in pairs)
        print(f"{channels:4d} channels, map {size}: relative difference of the gradients: {said}")


if __name__ == "__main__":
    main()
