"""The networks, built from the catalog's facts: one family per file, with that family's key names."""

from __future__ import annotations

import functools
import importlib
from typing import cast

import torch

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.backbones import BACKBONES

__all__ = ["Backbone", "allocate", "build", "key_shapes", "skeleton"]


def build(name: str, *, seed: int | None = None) -> Backbone:
    """A backbone with random weights, by its family's own initialisation, in eval mode on the CPU.

    Args:
        name: A name of the catalog.
        seed: Of the initialisation; 0 if left out. Torch's global generator is neither read nor moved.

    Raises:
        UnknownName: If there is no such backbone.
    """
    backbone = allocate(name)
    backbone.initialise(torch.Generator().manual_seed(0 if seed is None else seed))
    return backbone


def allocate(name: str) -> Backbone:
    """A backbone in eval mode on the CPU whose weights are whatever memory held; fill all of them.

    Raises:
        UnknownName: If there is no such backbone.
    """
    return skeleton(name).to_empty(device="cpu")


def key_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Shape of every entry of the backbone's state dict, by key; no weight is ever allocated for it.

    Raises:
        UnknownName: If there is no such backbone.
    """
    return dict(_key_shapes(name))


@functools.cache
def _key_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in skeleton(name).state_dict().items()}


def skeleton(name: str) -> Backbone:
    """A backbone in eval mode on the meta device: shapes without numbers, and without their memory.

    Raises:
        UnknownName: If there is no such backbone.
    """
    module, _, function = BACKBONES[name].builder.partition(":")
    with torch.device("meta"):
        return cast(Backbone, getattr(importlib.import_module(module), function)()).eval()
