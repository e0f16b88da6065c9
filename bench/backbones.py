"""Makes the tables of docs/backbones.md: backbones, their key schemes, and their variants.

python -m bench.backbones          prints the tables
python -m bench.backbones --write  puts them into docs/backbones.md
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import pages
from vcp_core.backbones import skeleton
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.keys import KeyScheme
from vcp_core.catalog.normalisation import Normalisation
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.catalog.variants import Variant

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"
BEGIN = "<!-- python -m bench.backbones -->\n"
HEAD = (
    "| backbone | parameters | GFLOP | frames x height x width | resized to | source | key names |",
    "|---|---:|---:|---|---|---|---|",
)
SCHEMES_HEAD = (
    "",
    "## What each key scheme states",
    "",
    "| key names | backbones | clips | pixels | epsilon | version | source |",
    "|---|---|---|---|---:|---:|---|",
)
VARIANTS_HEAD = (
    "",
    "## Variants",
    "",
    "| `--variant` | backbones | what differs from the usual form | source |",
    "|---|---|---|---|",
)
ORDINALS = {2: "2nd", 3: "3rd"}


def multiply_adds(name: str, *, frames: int | None = None) -> int:
    """Multiply-adds of all convolutions and matrix products for one clip, counted on the meta device.

    Args:
        name: The backbone.
        frames: Number of frames of the clip; the native number if left out.
    """
    channels, native, *size = BACKBONES[name].clip_shape
    clip_BCTHW = torch.empty((1, channels, frames or native, *size), device="meta")
    with FlopCounterMode(display=False) as counter:
        skeleton(name).forward_stages(clip_BCTHW)
    # Torch counts a multiplication and an addition as two.
    return int(counter.get_total_flops()) // 2


def row(spec: BackboneSpec) -> str:
    """One line of the table."""
    cells = (
        f"`{spec.name}`",
        f"{spec.num_parameters:,}",
        f"{multiply_adds(spec.name) / 1e9:.1f}",
        " x ".join(map(str, spec.clip_shape[1:]))
        + (f", every {ORDINALS.get(spec.stride, f'{spec.stride}th')} frame" if spec.stride > 1 else ""),
        " x ".join(map(str, spec.resize)),
        spec.source,
        ", ".join(scheme.name for scheme in spec.keys),
    )
    return _line(*cells)


def schemes() -> list[str]:
    """A line for each key scheme, with the backbones that it names."""
    of_scheme: dict[KeyScheme, list[str]] = {}
    for spec in BACKBONES.values():
        for scheme in spec.keys:
            of_scheme.setdefault(scheme, []).append(f"`{spec.name}`")
    return [
        _line(
            scheme.name,
            ", ".join(names),
            scheme.input or "as above",
            _pixels(scheme.normalisation) + (", blue first" if scheme.bgr else ""),
            "none" if scheme.epsilon is None else f"{scheme.epsilon:g}",
            str(scheme.version),
            scheme.source,
        )
        for scheme, names in of_scheme.items()
    ]


def variants() -> list[str]:
    """A line for each variant, with the backbones that have it."""
    of_variant: dict[Variant, list[str]] = {}
    for spec in BACKBONES.values():
        for variant in spec.variants:
            of_variant.setdefault(variant, []).append(f"`{spec.name}`")
    return [
        _line(
            f"`{variant.name}`",
            "all" if len(names) == len(BACKBONES) else ", ".join(names),
            variant.says,
            variant.source,
        )
        for variant, names in of_variant.items()
    ]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _pixels(norm: Normalisation | None) -> str:
    return "0 to 1, as they are" if norm is None else f"mean {_numbers(norm.mean)}, std {_numbers(norm.std)}"


def _numbers(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else " ".join(f"{value:g}" for value in values)


def table() -> str:
    """The tables, from the catalog and from counted operations."""
    lines = [*HEAD, *map(row, BACKBONES.values())]
    return "\n".join([*lines, *SCHEMES_HEAD, *schemes(), *VARIANTS_HEAD, *variants()]) + "\n"


def main() -> None:
    """Print the tables, or write them into their page."""
    pages.print_or_write(__doc__, table, PAGE, BEGIN)


if __name__ == "__main__":
    main()
