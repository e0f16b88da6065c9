"""Forms of a network that its tensors do not show."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vcp_core.backbones import Backbone, allocate, build, key_shapes, skeleton
from vcp_core.backbones.resnet3d import ResNet3D
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.readings import resolve
from vcp_core.catalog.specs import BackboneSpec

FORMS = [(spec.name, variant.name) for spec in BACKBONES.values() for variant in spec.variants]
# A copy of R3D-18 at a sixteenth of its width: the forms differ in strides and channels, not in width.
NARROW: dict[str, Any] = {"stage_dims": (4, 4, 8, 16, 32)}


def narrow(variant: str | None) -> Backbone:
    spec: BackboneSpec = dataclasses.replace(resolve("r3d_18", variant=variant), **NARROW)
    network = ResNet3D(spec, **spec.arguments).eval()
    network.initialise(torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize(("backbone", "variant"), FORMS, ids=["-".join(pair) for pair in FORMS])
def test_a_variant_has_the_names_and_shapes_of_the_usual_form(backbone: str, variant: str) -> None:
    spec = resolve(backbone, variant=variant)
    network = skeleton(spec)
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == key_shapes(backbone)
    *_, last_BCTHW = network.forward_stages(torch.empty((1, *spec.clip_shape), device="meta"))
    _, frames, pixels = spec.clip_shape[:3]
    every_frames, every_pixels = spec.last_strides
    assert last_BCTHW.shape[2:4] == (-(-frames // every_frames), -(-pixels // every_pixels))


def tclrs_layer4(network: Backbone, x_BCTHW: Tensor) -> Tensor:
    """The slow, obvious twin: layer4's first convolution on frames of even and of odd number apart."""
    block = network.get_submodule("layer4.0")
    conv = block.get_submodule("conv1.0")
    assert isinstance(conv, nn.Conv3d)
    out_BCTHW = torch.empty(0)
    for first in (0, 1):  # a kernel that reaches over every second frame sees frames of one parity only
        part = nn.functional.conv3d(x_BCTHW[:, :, first::2], conv.weight, stride=(1, 2, 2), padding=(1, 1, 1))
        if first == 0:
            out_BCTHW = part.new_empty((*part.shape[:2], x_BCTHW.shape[2], *part.shape[3:]))
        out_BCTHW[:, :, first::2] = part
    out_BCTHW = block.get_submodule("conv1")[1:](out_BCTHW)  # type: ignore[operator]
    shortcut = block.get_submodule("downsample.0")
    assert isinstance(shortcut, nn.Conv3d)
    x_BCTHW = nn.functional.conv3d(x_BCTHW, shortcut.weight, stride=(1, 2, 2))
    x_BCTHW = block.get_submodule("downsample.1")(x_BCTHW)
    out_BCTHW = torch.relu(block.get_submodule("conv2")(out_BCTHW) + x_BCTHW)
    result: Tensor = network.get_submodule("layer4.1")(out_BCTHW)
    return result


def test_tclr_dilates_layer4_over_time_and_keeps_its_frames() -> None:
    network = narrow("tclr")
    clips_BCTHW = torch.rand((2, 3, 16, 32, 32))
    with torch.inference_mode():
        maps = network.forward_stages(clips_BCTHW)
        assert [x.shape[2] for x in maps] == [16, 16, 8, 4, 4]
        assert torch.allclose(maps[-1], tclrs_layer4(network, maps[-2]), atol=1e-5)


def test_tclr_expects_bgr_from_0_to_1_and_its_features_differ_from_the_usual_forms() -> None:
    clips_BCTHW = torch.randint(0, 256, (1, 3, 16, 32, 32), dtype=torch.uint8)
    network, usual = narrow("tclr"), narrow(None)
    with torch.inference_mode():
        prepared = network.features(clips_BCTHW.float().flip(1) / 255)
        assert torch.equal(network.features(clips_BCTHW), prepared)
        features, wrong = network.features(clips_BCTHW), usual.features(clips_BCTHW)
    assert (features - wrong).norm() > 0.05 * features.norm()


def test_bgr_turns_the_channels_after_the_normalisation() -> None:
    clips_BCTHW = torch.randint(0, 256, (1, 3, 16, 32, 32), dtype=torch.uint8)
    norm = BACKBONES["r3d_18"].normalisation
    assert norm is not None
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (norm.mean, norm.std))
    prepared = ((clips_BCTHW.float() / 255 - mean) / std).flip(1)
    with torch.inference_mode():
        assert torch.allclose(narrow("bgr").features(clips_BCTHW), narrow(None).features(prepared))


def test_random_weights_of_a_variant_are_those_of_the_usual_form() -> None:
    usual, tclr = build("r3d_18", seed=3), build(resolve("r3d_18", variant="tclr"), seed=3)
    for key, value in usual.state_dict().items():
        assert torch.equal(value, tclr.state_dict()[key]), key


@pytest.mark.parametrize(
    ("backbone", "scheme", "epsilon"),
    [("r3d_18", "torchvision", 1e-5), ("s3d", "torchvision", 1e-3), ("i3d", "pytorch-i3d", 1e-3)],
)
def test_batch_normalisations_have_the_schemes_epsilon(backbone: str, scheme: str, epsilon: float) -> None:
    network = allocate(resolve(backbone, scheme=scheme))
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm3d)]
    assert {layer.eps for layer in norms} == {epsilon}
