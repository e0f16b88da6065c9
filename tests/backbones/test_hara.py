"""Hara's 3D-ResNets, R2D3D, and C3D without batch normalisations: what names and shapes do not show."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vcp_core.backbones import build, skeleton
from vcp_core.backbones.hara import PaddedShortcut
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.readings import resolve


def maps(name: str) -> list[Tensor]:
    """Every stage's map for a clip of the native shape, on the meta device."""
    return skeleton(name).forward_stages(torch.empty((1, *BACKBONES[name].clip_shape), device="meta"))


@pytest.mark.parametrize(
    ("name", "frames", "pixels"),
    [
        ("r3d_18_hara", [16, 8, 4, 2, 1], [56, 28, 14, 7, 4]),
        ("r2plus1d_50_hara", [16, 8, 4, 2, 1], [56, 28, 14, 7, 4]),
        ("r2d3d_18", [8, 8, 8, 4, 2], [64, 32, 16, 8, 4]),
        ("r2d3d_50", [16, 16, 16, 16, 16], [64, 32, 16, 8, 4]),
        ("c3d_nobn", [16, 16, 8, 4, 2], [112, 56, 28, 14, 7]),
    ],
    ids=["Hara's R3D", "Hara's R(2+1)D", "DPC", "CoCLR", "C3D"],
)
def test_each_stage_keeps_so_many_frames_and_pixels(name: str, frames: list[int], pixels: list[int]) -> None:
    assert [x_BCTHW.shape[2] for x_BCTHW in maps(name)] == frames
    assert [x_BCTHW.shape[3] for x_BCTHW in maps(name)] == pixels


def test_shortcut_a_takes_every_second_place_and_adds_channels_of_zeros() -> None:
    x_BCTHW = torch.rand(2, 3, 5, 4, 7)
    found_BCTHW = PaddedShortcut(2, (2, 2))(x_BCTHW)
    assert found_BCTHW.shape == (2, 5, 3, 2, 4)
    for t, h, w in ((0, 0, 0), (2, 1, 3), (1, 0, 2)):
        assert torch.equal(found_BCTHW[:, :3, t, h, w], x_BCTHW[:, :, 2 * t, 2 * h, 2 * w])
    assert not found_BCTHW[:, 3:].any()


def test_r2plus1d_strides_in_space_first_and_then_in_time() -> None:
    strides = {
        name: tuple(module.stride)
        for name, module in skeleton("r2plus1d_50_hara").named_modules()
        if isinstance(module, nn.Conv3d) and name.startswith("layer2.0.")
    }
    assert strides == {
        "layer2.0.conv1": (1, 1, 1),
        "layer2.0.conv2_s": (1, 2, 2),
        "layer2.0.conv2_t": (2, 1, 1),
        "layer2.0.conv3": (1, 1, 1),
        "layer2.0.downsample.0": (2, 2, 2),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "negative"), [("r2d3d_18", True), ("r3d_18_hara", False)], ids=["DPC", "Hara"]
)
def test_only_dpcs_last_block_ends_without_a_relu(name: str, negative: bool) -> None:
    with torch.inference_mode():
        *others, last_BCTHW = build(name).forward_stages(torch.rand(1, 3, 8, 64, 64))
    assert (last_BCTHW.min() < 0) == negative
    assert all(x_BCTHW.min() >= 0 for x_BCTHW in others)


@pytest.mark.slow
def test_hara_draws_kaimings_normal_over_the_fan_out() -> None:
    for key, weights in build("r2plus1d_18_hara").state_dict().items():
        if weights.dim() == 5:
            fan_out = weights.shape[0] * weights[0, 0].numel()
            assert weights.std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05), key


@pytest.mark.slow
def test_c3d_without_normalisations_is_drawn_so_that_its_features_keep_their_size() -> None:
    network = build("c3d_nobn")
    for key, weights in network.state_dict().items():
        if weights.dim() == 5:
            assert weights.std() == pytest.approx((2 / weights[0].numel()) ** 0.5, rel=0.05), key
    with torch.inference_mode():
        first_BCTHW, *_, last_BCTHW = network.forward_stages(torch.rand(1, 3, 16, 64, 64))
    assert 0.1 < last_BCTHW.std() / first_BCTHW.std() < 10


@pytest.mark.slow
def test_c3d_reads_frames_blue_first_unless_mmaction2_or_the_user_says_otherwise() -> None:
    pixels_BCTHW = torch.randint(0, 256, (1, 3, 16, 32, 32), dtype=torch.uint8)
    means = torch.tensor([90.0, 98.0, 102.0]).view(3, 1, 1, 1)  # jfzhang95's, of blue, green and red
    bytes_BCTHW = pixels_BCTHW.float()
    network = build("c3d_nobn")
    with torch.inference_mode():
        expected_BD = network.features(bytes_BCTHW.flip(1) - means)
        assert torch.allclose(network.features(pixels_BCTHW), expected_BD, rtol=1e-3)
        other = build(resolve("c3d_nobn", variant="rgb"))
        expected_BD = network.features(bytes_BCTHW - means.flip(0))
        assert torch.allclose(other.features(pixels_BCTHW), expected_BD, rtol=1e-3)
        mmaction2 = build(resolve("c3d_nobn", scheme="MMAction2"))
        expected_BD = network.features(bytes_BCTHW - torch.tensor([104.0, 117.0, 128.0]).view(3, 1, 1, 1))
        assert torch.allclose(mmaction2.features(pixels_BCTHW), expected_BD, rtol=1e-3)
