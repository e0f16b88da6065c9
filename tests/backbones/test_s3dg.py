"""S3D-G of MIL-NCE: how it reads pixels, and its poolings."""

from __future__ import annotations

import itertools

import torch

from vcp_core.backbones import skeleton
from vcp_core.backbones.s3dg import pixels_to_channels, pool_padded


def test_each_of_eight_neighbouring_pixels_gives_three_channels() -> None:
    x_BCTHW = torch.rand(1, 3, 4, 6, 8)
    found_BCTHW = pixels_to_channels(x_BCTHW)
    assert found_BCTHW.shape == (1, 24, 2, 3, 4)
    for number, (t, h, w) in enumerate(itertools.product(range(2), repeat=3)):
        colours_BCTHW = found_BCTHW[:, 3 * number : 3 * number + 3]
        assert torch.equal(colours_BCTHW, x_BCTHW[:, :, t::2, h::2, w::2])


def test_a_pooling_adds_zeros_behind_each_side_and_none_before_it() -> None:
    x_BCTHW = torch.arange(-16.0, 0).reshape(1, 1, 1, 4, 4)
    found_BCTHW = pool_padded(x_BCTHW, (1, 3, 3), (1, 2, 2))
    assert found_BCTHW.flatten().tolist() == [-6, 0, 0, 0]
    found_BCTHW = pool_padded(x_BCTHW, (1, 2, 2), (1, 2, 2))
    assert found_BCTHW.flatten().tolist() == [-11, -9, -3, -1]


def test_s3dg_halves_frames_three_times_and_pixels_five_times() -> None:
    stages = skeleton("s3dg_milnce").forward_stages(torch.empty((1, 3, 32, 224, 224), device="meta"))
    shapes = [tuple(x_BCTHW.shape[2:4]) for x_BCTHW in stages]
    assert shapes == [(16, 112), (16, 56), (16, 28), (8, 14), (4, 7)]
