"""The pixel baseline: fields averaged, nothing learned, and the same clips as the network beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vcp_core.backbones.pixels import Pixels
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.specs import pixels_like

TINY = BACKBONES["r3d_tiny"]


def test_a_feature_is_the_mean_of_every_field_over_every_part_of_the_clip() -> None:
    clips = torch.randint(0, 256, (2, 3, 16, 56, 56), dtype=torch.uint8)
    found = Pixels(TINY).stages(clips, max_pooled=True)
    slow = torch.stack(
        [
            clips[:, channel, 4 * part : 4 * part + 4, 7 * row : 7 * row + 7, 7 * column : 7 * column + 7]
            .double()
            .mean(dim=(1, 2, 3))
            / 255
            for channel in range(3)
            for part in range(4)
            for row in range(8)
            for column in range(8)
        ],
        dim=1,
    )
    assert found.keys() == {"pixels", "pixels:max"}
    torch.testing.assert_close(found["pixels"].double(), slow, rtol=0, atol=1e-6)
    assert torch.equal(found["pixels:max"], found["pixels"])


@pytest.mark.parametrize("name", BACKBONES)
def test_it_meets_the_clips_of_the_network_beside_it(name: str) -> None:
    like = BACKBONES[name]
    spec = pixels_like(like)
    shape = (like.clip_shape, like.stride, like.resize, like.clip_span)
    assert (spec.clip_shape, spec.stride, spec.resize, spec.clip_span) == shape
    assert (spec.normalisation, spec.num_parameters) == (None, 0)
    clips = torch.zeros((1, *like.clip_shape), dtype=torch.uint8)
    assert Pixels(like).features(clips).shape == (1, spec.feature_dim)


def test_it_has_no_weights_and_is_no_backbone_that_a_checkpoint_can_be() -> None:
    assert not Pixels(TINY).state_dict()
    assert "pixels" not in BACKBONES


def test_a_clip_of_fewer_frames_than_parts_has_a_part_a_frame() -> None:
    short = replace(TINY, clip_shape=(3, 2, 56, 56))
    assert Pixels(short).features(torch.zeros((1, 3, 2, 56, 56))).shape == (1, 2 * 3 * 64)
