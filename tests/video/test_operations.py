"""The five options: every variant, exactly; seeded, shape kept, pixels conserved."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vcp_core.catalog.errors import OperationError, UnknownName
from vcp_core.catalog.options import EXCHANGES, OPTIONS, PERMUTATIONS, ROTATIONS
from vcp_core.video.operations import apply_option

VARIANTS = [(spec.name, variant) for spec in OPTIONS.values() for variant in spec.variants]


def make_clip(height: int = 12, width: int = 12) -> Tensor:
    return torch.arange(3 * 16 * height * width).reshape(3, 16, height, width)


def slow_twin(clip_CTHW: Tensor, option: str, variant: str) -> Tensor:
    """Pixel by pixel: where each one comes from."""
    result = torch.empty_like(clip_CTHW)
    _, frames, height, width = clip_CTHW.shape
    for t in range(frames):
        for y in range(height):
            for x in range(width):
                result[:, t, y, x] = clip_CTHW[:, *source(option, variant, t, y, x, height, width)]
    return result


def source(
    option: str, variant: str, t: int, y: int, x: int, height: int, width: int
) -> tuple[int, int, int]:
    if option == "rotation":  # counter-clockwise: the top row is what was the right column
        turned = {
            "90": (x, width - 1 - y),
            "180": (height - 1 - y, width - 1 - x),
            "270": (height - 1 - x, y),
        }
        return (t, *turned[variant])
    if option == "permutation":
        tile = int(variant[(y >= height // 2) * 2 + (x >= width // 2)])
        return t, tile // 2 * (height // 2) + y % (height // 2), tile % 2 * (width // 2) + x % (width // 2)
    if option == "adjacent":
        i, j = map(int, variant.split("-"))
        part = {i: j, j: i}.get(t // 4, t // 4)
        return part * 4 + t % 4, y, x
    return t, y, x


def test_there_are_3_rotations_23_permutations_and_6_exchanges() -> None:
    assert (len(ROTATIONS), len(PERMUTATIONS), len(EXCHANGES)) == (3, 23, 6)
    assert "0123" not in PERMUTATIONS
    moved = [sum(p[i] != str(i) for i in range(4)) for p in PERMUTATIONS]
    assert (moved.count(2), moved.count(3), moved.count(4)) == (6, 8, 9)


@pytest.mark.parametrize(("option", "variant"), VARIANTS)
def test_every_variant_equals_its_slow_twin(option: str, variant: str) -> None:
    clip = make_clip()
    assert torch.equal(apply_option(clip, option, variant), slow_twin(clip, option, variant))


@pytest.mark.parametrize(("option", "variant"), VARIANTS)
def test_every_variant_keeps_shape_and_pixels_and_leaves_its_input_alone(option: str, variant: str) -> None:
    clip = make_clip()
    changed = apply_option(clip, option, variant)
    assert changed.shape == clip.shape
    assert torch.equal(changed.flatten().sort().values, clip.flatten())
    assert torch.equal(clip, make_clip())
    assert torch.equal(changed, clip) == (option == "original")


def test_no_two_variants_do_the_same() -> None:
    results = [
        tuple(apply_option(make_clip(), option, variant).flatten().tolist()) for option, variant in VARIANTS
    ]
    assert len(set(results)) == len(VARIANTS)


def test_a_batch_of_clips_is_changed_clip_by_clip() -> None:
    batch = torch.stack([make_clip(), make_clip() + 1])
    for option, variant in VARIANTS:
        one_by_one = torch.stack([apply_option(clip, option, variant) for clip in batch])
        assert torch.equal(apply_option(batch, option, variant), one_by_one)


def test_remote_gives_the_other_clip_and_refuses_to_guess_one() -> None:
    clip, other = make_clip(), make_clip() + 7
    assert torch.equal(apply_option(clip, "remote", remote_CTHW=other), other)
    with pytest.raises(OperationError, match="remote_CTHW"):
        apply_option(clip, "remote")
    with pytest.raises(OperationError, match="shape"):
        apply_option(clip, "remote", remote_CTHW=other[:, :8])


def test_unknown_options_and_variants_are_told_with_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'rotation'"):
        apply_option(make_clip(), "rotatoin", "90")
    with pytest.raises(UnknownName, match="variant of rotation '45'"):
        apply_option(make_clip(), "rotation", "45")


@pytest.mark.parametrize(
    ("shape", "option", "variant"),
    [
        ((3, 16, 4, 6), "rotation", "90"),
        ((3, 16, 5, 5), "permutation", "1032"),
        ((3, 10, 4, 4), "adjacent", "0-1"),
    ],
)
def test_shapes_that_an_operation_cannot_keep_are_refused(
    shape: tuple[int, ...], option: str, variant: str
) -> None:
    with pytest.raises(OperationError):
        apply_option(torch.zeros(shape), option, variant)
