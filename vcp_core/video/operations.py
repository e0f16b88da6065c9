"""The operations on a withheld clip: exact rearrangements of pixels and frames, on any device.

Legend: C channels, T frames, H height, W width.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from vcp_core.catalog.errors import OperationError, UnknownName
from vcp_core.catalog.options import NUM_SUBCLIPS, OPTIONS


def rotate(clip_CTHW: Tensor, degrees: str) -> Tensor:
    """Every frame turned counter-clockwise by "90", "180" or "270" degrees.

    Raises:
        OperationError: For frames that are not square (their shape would change).
    """
    if clip_CTHW.shape[-1] != clip_CTHW.shape[-2] and degrees != "180":
        raise OperationError(
            f"Rotation by {degrees} degrees keeps only square frames; "
            f"these are {clip_CTHW.shape[-2]} x {clip_CTHW.shape[-1]}."
        )
    return torch.rot90(clip_CTHW, int(degrees) // 90, dims=(-2, -1))


def permute_tiles(clip_CTHW: Tensor, permutation: str) -> Tensor:
    """Tile `permutation[i]` of a 2 x 2 grid, numbered row by row, moves to place i.

    Raises:
        OperationError: For frames of odd height or width.
    """
    height, width = clip_CTHW.shape[-2:]
    if height % 2 or width % 2:
        raise OperationError(f"2 x 2 tiles need an even height and width; these are {height} x {width}.")
    halves = clip_CTHW.chunk(2, dim=-2)
    tiles = [tile for half in halves for tile in half.chunk(2, dim=-1)]
    moved = [tiles[int(i)] for i in permutation]
    rows = [torch.cat(moved[:2], dim=-1), torch.cat(moved[2:], dim=-1)]
    return torch.cat(rows, dim=-2)


def exchange_subclips(clip_CTHW: Tensor, pair: str) -> Tensor:
    """Two of four sub-clips of equal length ("0-2": the first and the third) change places.

    Raises:
        OperationError: If the number of frames is not a multiple of four.
    """
    if clip_CTHW.shape[-3] % NUM_SUBCLIPS:
        raise OperationError(
            f"Four sub-clips need a multiple of 4 frames; this clip has {clip_CTHW.shape[-3]}."
        )
    i, j = map(int, pair.split("-"))
    parts = list(clip_CTHW.chunk(NUM_SUBCLIPS, dim=-3))
    parts[i], parts[j] = parts[j], parts[i]
    return torch.cat(parts, dim=-3)


@functools.cache
def _operation(option: str) -> Callable[[Tensor, str], Tensor] | None:
    where = OPTIONS[option].operation
    if where is None:
        return None
    module, _, function = where.partition(":")
    return cast("Callable[[Tensor, str], Tensor]", getattr(importlib.import_module(module), function))


def apply_option(
    clip_CTHW: Tensor, option: str, variant: str = "", *, remote_CTHW: Tensor | None = None
) -> Tensor:
    """Fill the blank: what `option` makes of the withheld clip.

    Args:
        clip_CTHW: The withheld clip, any dtype; leading dimensions may be added (B, C, T, H, W).
        option: A name of `vcp_core.catalog.options.OPTIONS`.
        variant: Which rotation ("90"), permutation ("1032") or exchange ("0-2"); see the options' page.
        remote_CTHW: For "remote": the clip of the same video that takes the blank's place.

    Returns:
        A clip of the same shape and dtype; its pixels are those of its source, rearranged.

    Raises:
        UnknownName: For an unknown option or variant.
        OperationError: If the clip's shape does not allow it, or "remote" comes without its clip.

    >>> clip = torch.arange(3 * 16 * 4 * 4).reshape(3, 16, 4, 4)
    >>> bool((apply_option(clip, "rotation", "180")[:, :, 0, 0] == clip[:, :, 3, 3]).all())
    True
    """
    spec, operation = OPTIONS[option], _operation(option)
    if operation is not None:
        if variant not in spec.variants:
            raise UnknownName(f"variant of {option}", variant, spec.variants)
        return operation(clip_CTHW, variant)
    if option == "original":
        return clip_CTHW
    if remote_CTHW is None or remote_CTHW.shape != clip_CTHW.shape:
        got = "none" if remote_CTHW is None else f"one of shape {tuple(remote_CTHW.shape)}"
        raise OperationError(
            f"{option!r} needs remote_CTHW, another clip of the video of shape {tuple(clip_CTHW.shape)}; "
            f"got {got}."
        )
    return remote_CTHW
