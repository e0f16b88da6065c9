"""Measures batch sizes, layouts, precision and folding, and whether a clip's feature depends on its batch.

Folding puts a batch-norm layer into the weights of the convolution before it.

python -m bench.engine                  r3d_tiny and r3d on this machine's CPU
python -m bench.engine --device cuda
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from vcp_core.backbones import build
from vcp_core.backbones.base import Backbone
from vcp_core.backbones.folding import folded
from vcp_core.features.extraction import inference

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


def seconds_per_clip(network: Backbone, clips_BCTHW: Tensor, precision: str, repeats: int) -> float:
    """Shortest time per clip of `repeats` rounds, after one warm-up round."""
    device = clips_BCTHW.device
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        with inference(device, precision):
            network.features(clips_BCTHW).sum().item()  # .item() waits for the device
        times.append(time.perf_counter() - begun)
    return min(times[1:]) / len(clips_BCTHW)


def depends_on_batch(network: Backbone, clips_BCTHW: Tensor, precision: str) -> bool:
    """Whether a clip's feature changes when it moves within the batch and its neighbours change."""
    with inference(clips_BCTHW.device, precision):
        alone = network.features(clips_BCTHW)
        others = torch.randint_like(clips_BCTHW, 0, 256)
        others[0] = clips_BCTHW[-1]
        return not torch.equal(network.features(others)[0], alone[-1])


def main() -> None:
    """Print milliseconds a clip by backbone, layout, precision and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbones", nargs="+", default=["r3d_tiny", "r3d"])
    parser.add_argument("--batches", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    print(f"{'backbone':<18}{'layout':<25}{'precision':<10}{'batch':>6}{'ms/clip':>9}  depends on batch")
    for name in arguments.backbones:
        network = build(name, seed=0).to(device).eval()
        channels, *size = network.spec.clip_shape
        for layout, memory_format in LAYOUTS.items():
            network = network.to(memory_format=memory_format)  # type: ignore[call-overload]
            for precision in ("fp32", "bf16"):
                for batch in arguments.batches:
                    shape = (batch, *size, channels)
                    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
                    clips = pixels.permute(0, 4, 1, 2, 3)
                    variants = {"": network, " folded": folded(network)}
                    for variant, one in variants.items():
                        took = 1000 * seconds_per_clip(one, clips, precision, arguments.repeats)
                        depends = depends_on_batch(one, clips, precision)
                        what = f"{name:<18}{layout + variant:<25}{precision:<10}"
                        print(f"{what}{batch:>6}{took:>9.1f}  {depends}", flush=True)


if __name__ == "__main__":
    main()
