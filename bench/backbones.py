"""Makes the table of docs/backbones.md: each backbone's size, cost, native input, source and key names.

python -m bench.backbones          prints the table
python -m bench.backbones --write  puts it into docs/backbones.md
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bench import pages
from vcp_core.backbones import skeleton
from vcp_core.catalog.backbones import BACKBONES, BackboneSpec

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"
BEGIN = "<!-- python -m bench.backbones -->\n"
HEAD = (
    "| backbone | parameters | GFLOP | frames x height x width | resized to | pixels | source | key names |",
    "|---|---:|---:|---|---|---|---|---|",
)


def multiply_adds(name: str, *, frames: int | None = None) -> int:
    """Multiply-adds of all convolutions and linear layers for one clip, counted on the meta device.

    Args:
        name: The backbone.
        frames: Number of frames of the clip; the native number if left out.
    """
    network, total = skeleton(name), 0

    def count(module: nn.Module, _: tuple[Tensor, ...], out_BCTHW: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv3d | nn.Linear)
        total += out_BCTHW.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            module.register_forward_hook(count)
    channels, native, *size = BACKBONES[name].clip_shape
    network.forward_stages(torch.empty((1, channels, frames or native, *size), device="meta"))
    return total


def row(spec: BackboneSpec) -> str:
    """One line of the table."""
    norm = spec.normalisation
    pixels = (
        f"mean {_numbers(norm.mean)}, std {_numbers(norm.std)}" if norm is not None else "0 to 1, as they are"
    )
    cells = (
        f"`{spec.name}`",
        f"{spec.num_parameters:,}",
        f"{multiply_adds(spec.name) / 1e9:.1f}",
        " x ".join(map(str, spec.clip_shape[1:]))
        + (f", every {spec.stride}th frame" if spec.stride > 1 else ""),
        " x ".join(map(str, spec.resize)),
        pixels,
        spec.source,
        ", ".join(scheme.name for scheme in spec.keys),
    )
    return f"| {' | '.join(cells)} |"


def _numbers(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else " ".join(f"{value:g}" for value in values)


def table() -> str:
    """The table, from the catalog and from counted operations."""
    return "\n".join([*HEAD, *map(row, BACKBONES.values())]) + "\n"


def main() -> None:
    """Print the table, or write it into its page."""
    pages.print_or_write(__doc__, table, PAGE, BEGIN)


if __name__ == "__main__":
    main()
