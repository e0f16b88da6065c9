"""Measures the time per clip of a training step and a forward pass, by layout, precision and kernels.

python -m bench.training                  r3d_tiny on this machine's CPU
python -m bench.training --device cuda --backbones r3d_tiny r3d

Training and evaluation use "deterministic" kernels. With "benchmarked", on GPUs only, cuDNN chooses freely.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import torch
from torch import Tensor

from vcp_core.backbones import build
from vcp_core.pretraining.network import ClipsNetwork

LAYOUTS = {"channels_last_3d": torch.channels_last_3d, "contiguous": torch.contiguous_format}
KERNELS = {
    "deterministic": {"benchmark": False, "deterministic": True},
    "benchmarked": {"benchmark": True, "deterministic": False},
}
QUESTIONS, CLIPS = 5, 3  # options and clips of a tuple


def milliseconds(work: Callable[[], object], device: torch.device, *, least_s: float) -> float:
    """Mean time of a round, over at least `least_s` seconds and after two warm-up rounds."""
    rounds, begun = -2, 0.0
    while rounds < 2 or time.perf_counter() - begun < least_s:
        if rounds == 0:
            begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        rounds += 1
    return 1000 * (time.perf_counter() - begun) / rounds


def measure(
    name: str, clips_NTHWC: Tensor, layout: str, precision: str, *, least_s: float
) -> tuple[float, float]:
    """Milliseconds a clip of a training step and of a forward pass."""
    device, num_clips = clips_NTHWC.device, len(clips_NTHWC)
    network = ClipsNetwork(build(name, seed=0), num_clips=CLIPS, num_answers=QUESTIONS, seed=0)
    network = network.to(device=device, memory_format=LAYOUTS[layout])  # type: ignore[call-overload]
    places_BK = torch.arange(num_clips // CLIPS * CLIPS, device=device).reshape(-1, CLIPS)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    clips_BCTHW = clips_NTHWC.permute(0, 4, 1, 2, 3).contiguous(memory_format=LAYOUTS[layout])

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    def step() -> None:
        network.train()
        with autocast():
            features_ND = network.backbone(clips_BCTHW)
            loss = network.head(features_ND[places_BK].flatten(1)).float().logsumexp(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def forward() -> None:
        network.eval()
        with torch.inference_mode(), autocast():
            network.backbone(clips_BCTHW)

    took_step, took_forward = (milliseconds(work, device, least_s=least_s) for work in (step, forward))
    return took_step / num_clips, took_forward / num_clips


def main() -> None:
    """Print a line per backbone, kernels, layout and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbones", nargs="+", default=["r3d_tiny"])
    parser.add_argument("--clips", type=int, default=56, help="clips of a step: 8 tuples of 7 clips")
    parser.add_argument("--seconds", type=float, default=1.0, help="least duration of every measurement")
    wanted = parser.parse_args()
    device = torch.device(wanted.device)
    kernels = KERNELS if device.type == "cuda" else ["deterministic"]
    # bf16 does not train on a CPU: docs/decisions/2026-11-23-training.md.
    precisions = ("fp32", "bf16") if device.type == "cuda" else ("fp32",)
    print("milliseconds a clip")
    print(f"{'backbone':<10}{'kernels':<15}{'layout':<18}{'precision':<11}{'training':>9}{'forward':>9}")
    for name in wanted.backbones:
        channels, *size = build(name, seed=0).spec.clip_shape
        clips = torch.randint(0, 256, (wanted.clips, *size, channels), dtype=torch.uint8, device=device)
        for chosen, layout, precision in itertools.product(kernels, LAYOUTS, precisions):
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, **KERNELS[chosen]):
                step, forward = measure(name, clips, layout, precision, least_s=wanted.seconds)
            print(f"{name:<10}{chosen:<15}{layout:<18}{precision:<11}{step:>9.3f}{forward:>9.3f}", flush=True)


if __name__ == "__main__":
    main()
