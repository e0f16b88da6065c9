"""How many multiply-adds an operation takes, from the shapes of its arguments and results.

Only layers, products and poolings are counted. They are nearly all of a video network's work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def multiply_adds(operation: str, arguments: Mapping[str, Any], result: Any) -> int:
    """Count the multiply-adds of one operation.

    Args:
        operation: Its name in the table.
        arguments: Its arguments by name. Tensors may be on the meta device.
        result: Its first result.

    >>> import torch
    >>> x, weight = torch.empty(2, 3, 4, 8, 8, device="meta"), torch.empty(16, 3, 1, 3, 3, device="meta")
    >>> result = torch.empty(2, 16, 4, 6, 6, device="meta")
    >>> multiply_adds("aten.conv3d.default", {"input": x, "weight": weight}, result)  # 27 for each number
    124416
    """
    base = operation.removeprefix("aten.").partition(".")[0]
    count = _COUNTS.get(base)
    return count(arguments, result) if count and isinstance(result, Tensor) else 0


def _convolution(arguments: Mapping[str, Any], result: Tensor) -> int:
    weight: Tensor = arguments["weight"]
    if arguments.get("transposed"):
        return _transposed(arguments, result)
    return result.numel() * weight[0].numel()


def _transposed(arguments: Mapping[str, Any], result: Tensor) -> int:
    source: Tensor = arguments["input"]
    return source.numel() * int(arguments["weight"][0].numel())


def _linear(arguments: Mapping[str, Any], result: Tensor) -> int:
    return result.numel() * int(arguments["input"].shape[-1])


def _product(first: str) -> Callable[[Mapping[str, Any], Tensor], int]:
    return lambda arguments, result: result.numel() * int(arguments[first].shape[-1])


def _attention(arguments: Mapping[str, Any], result: Tensor) -> int:
    query, key, value = (arguments[name] for name in ("query", "key", "value"))
    scores = math.prod(query.shape[:-1]) * key.shape[-2]
    return int(scores * (query.shape[-1] + value.shape[-1]))


def _einsum(arguments: Mapping[str, Any], result: Tensor) -> int:
    """The product of the sizes of all letters: an upper bound if three tensors or more are given."""
    sizes: dict[str, int] = {}
    terms = arguments["equation"].partition("->")[0].split(",")
    for letters, tensor in zip(terms, arguments["tensors"], strict=False):
        # From the end, because dots for more dimensions stand at the beginning.
        sizes.update(zip(reversed(letters.replace(" ", "")), reversed(tensor.shape), strict=False))
    named = math.prod(sizes.values())
    return max(named, result.numel())


def _pool(arguments: Mapping[str, Any], result: Tensor) -> int:
    source: Tensor = arguments["self"]
    kernel = arguments.get("kernel_size")
    if kernel is None:  # adaptive: each number is read about once
        return source.numel()
    rank = result.dim() - 2
    sides = [kernel] * rank if isinstance(kernel, int) else list(kernel)
    return result.numel() * math.prod(sides * (rank if len(sides) == 1 else 1))


_COUNTS: Mapping[str, Callable[[Mapping[str, Any], Tensor], int]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _convolution),
    **dict.fromkeys(("conv_transpose2d", "conv_transpose3d"), _transposed),
    "linear": _linear,
    "addmm": _product("mat1"),
    "baddbmm": _product("batch1"),
    **dict.fromkeys(("mm", "bmm", "matmul"), _product("self")),
    "scaled_dot_product_attention": _attention,
    "einsum": _einsum,
    **dict.fromkeys(
        (
            *(f"{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (1, 2, 3)),
            *(f"max_pool{rank}d_with_indices" for rank in (2, 3)),
            *(f"adaptive_{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (1, 2, 3)),
            *(f"_adaptive_avg_pool{rank}d" for rank in (2, 3)),
        ),
        _pool,
    ),
}
