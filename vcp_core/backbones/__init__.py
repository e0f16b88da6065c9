"""The networks, built from the catalog's facts: one family per file, with that family's key names.

base.py       the class that every backbone extends
c3d.py        C3D
r3d.py        R3D, as VCOP and VCP train it
r2plus1d.py   R(2+1)D, as VCOP and VCP train it
hara.py       Hara's 3D-ResNets and R(2+1)D, and R2D3D of DPC and CoCLR
resnet3d.py   torchvision's video ResNets, and VMZ's, XDC's and CSN, which are built from its classes
s3d.py        S3D
s3dg.py       S3D-G, as MIL-NCE trains it
i3d.py        I3D
jfzhang95.py  R3D and R(2+1)D, as jfzhang95 builds them
inception.py  the block widths that S3D and I3D share
slow.py       the Slow pathway of SlowFast, and I3D and C2D of its blocks
vit.py        the vision transformers of VideoMAE and V-JEPA 2
slowfast.py   SlowFast
x3d.py        X3D
pixels.py     the pixel baseline, which has no weights
folding.py    faster forms of these networks, for features
"""

from __future__ import annotations

import functools
import importlib
from typing import cast

import torch
from torch import nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import InputError
from vcp_core.catalog.inputs import input_of, with_input
from vcp_core.catalog.specs import BackboneSpec

__all__ = ["Backbone", "allocate", "build", "expect", "key_shapes", "skeleton"]

SMALLEST_MAP = 2  # height and width of the last stage, at least: the papers' retrieval feature pools 2 x 2


def build(which: str | BackboneSpec, *, seed: int | None = None) -> Backbone:
    """Build a backbone with random weights in eval mode on the CPU.

    The weights are drawn by the family's own initialisation.

    Args:
        which: A name of the catalog, or the facts of one checkpoint's network (`vcp_core.catalog.readings`).
        seed: Seed of the initialisation; 0 if left out. Torch's global generator stays as it is.

    Raises:
        UnknownName: If there is no such backbone.

    >>> backbone = build("r3d_tiny", seed=1)
    >>> backbone.training, backbone.spec.clip_shape
    (False, (3, 16, 56, 56))
    """
    backbone = allocate(which)
    backbone.initialise(torch.Generator().manual_seed(0 if seed is None else seed))
    return backbone


def allocate(which: str | BackboneSpec) -> Backbone:
    """Build a backbone in eval mode on the CPU with uninitialised weights. Load a whole state dict into it.

    Buffers that are not in the state dict are already computed.

    Raises:
        UnknownName: If there is no such backbone.

    >>> backbone = allocate("r3d_tiny")
    >>> backbone.load_state_dict(build("r3d_tiny", seed=1).state_dict())
    <All keys matched successfully>
    """
    backbone = skeleton(which)
    # `Module.to_empty` does the same, but imports torch's compiler, which takes a second.
    for module in backbone.modules():
        for key, parameter in list(module.named_parameters(recurse=False)):
            setattr(
                module, key, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu"))
            )
        for key, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, key, torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu"))
    backbone.fill_buffers()
    return backbone


def expect(backbone: Backbone, input_spec: str | None) -> Backbone:
    """Make a network take clips of a declared input.

    Args:
        backbone: The network. It is changed in place, and returned.
        input_spec: Such as "frames=8,stride=4,crop=224,resize=256x340" (`vcp_core.catalog.inputs`). None
            keeps the family's own input.

    Raises:
        InputError: If the declaration is invalid, or such clips are too small for the network.

    >>> expect(skeleton("r3d_tiny"), None).spec.clip_shape
    (3, 16, 56, 56)
    >>> try:
    ...     expect(skeleton("r3d_tiny"), "frames=8,crop=33")
    ... except InputError as error:
    ...     print(error)
    crop of an input spec must be an even number of pixels from 32 to 320, not '33'.
    """
    if input_spec is None:
        return backbone
    spec = with_input(backbone.spec, input_spec)
    clips_BCTHW = torch.empty((1, *spec.clip_shape), device="meta")
    try:
        *_, last_BCTHW = skeleton(spec).forward_stages(clips_BCTHW)
        smallest = min(last_BCTHW.shape[3:])
    except RuntimeError:  # torch raises it if a map is smaller than a kernel
        smallest = 0
    if smallest < SMALLEST_MAP:
        raise InputError(
            f"{spec.name} has too many strides for clips of {input_of(spec)}: nothing would be left of them "
            "in its last stage. Declare more frames, or a larger crop."
        )
    backbone.spec, backbone.normalisation = spec, spec.normalisation
    return backbone


def key_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """The shape of every entry of the backbone's state dict, by key. No weight is allocated for this.

    Raises:
        UnknownName: If there is no such backbone.

    >>> key_shapes("r3d_tiny")["conv1.temporal_spatial_conv.weight"]
    (16, 3, 3, 7, 7)
    """
    return dict(_key_shapes(name))


@functools.cache
def _key_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in skeleton(name).state_dict().items()}


def skeleton(which: str | BackboneSpec) -> Backbone:
    """Build a backbone in eval mode on the meta device: tensors have shapes, but no values and no memory.

    Args:
        which: As for `build`.

    Raises:
        UnknownName: If there is no such backbone.

    >>> weights = list(skeleton("r3d_18").parameters())
    >>> weights[0].device, sum(one.numel() for one in weights)
    (device(type='meta'), 33166272)
    """
    spec = BACKBONES[which] if isinstance(which, str) else which
    module, _, builder = spec.builder.partition(":")
    # Building a network on the CPU would allocate its weights and draw them, only to throw them away.
    with torch.device("meta"):
        made = getattr(importlib.import_module(module), builder)(spec, **spec.arguments)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm3d | nn.LayerNorm) and spec.epsilon is not None:
            layer.eps = spec.epsilon
    return cast(Backbone, made).eval()
