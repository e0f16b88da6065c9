"""Vision transformers: against transformers' own, and against slow, obvious twins. Narrow ones run here."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.backbones.test_families import RELATIVE_TOLERANCE, recipe_weight
from vcp_core.backbones import Backbone, allocate, build, expect, skeleton
from vcp_core.backbones.vit import rotary_angles, rotated, sines
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import InputError
from vcp_core.catalog.readings import resolve
from vcp_core.catalog.specs import BackboneSpec

FOLDER = Path(__file__).parent / "vectors"
CPU = torch.device("cpu")
# As narrow as the networks of vectors/transformers-*.json.
NARROW: dict[str, Any] = {"depth": 4, "num_heads": 2, "mlp_dim": 96}
WIDTH = 48


def narrow(name: str, *, scheme: str | None = None) -> BackboneSpec:
    spec = resolve(name, scheme=scheme)
    return dataclasses.replace(spec, stage_dims=(WIDTH,) * 4, arguments={**spec.arguments, **NARROW})


@pytest.mark.parametrize(
    ("file", "name", "scheme"),
    [
        ("transformers-videomae", "videomae_l", "transformers 5"),
        ("transformers-videomae-tuned", "videomae_l", "transformers 5 fine-tuned"),
        ("transformers-vjepa2", "vjepa2_l", "transformers"),
    ],
)
def test_keys_and_features_are_those_of_transformers(file: str, name: str, scheme: str) -> None:
    vector: dict[str, Any] = json.loads((FOLDER / f"{file}.json").read_text())
    backbone = allocate(narrow(name, scheme=scheme))
    names = {key: backbone.spec.facts.names(key) for key in backbone.state_dict()}
    assert {one for several in names.values() for one in several} == set(vector["keys"])
    backbone.load_state_dict(
        {
            key: torch.cat([recipe_weight(one, tuple(vector["keys"][one])) for one in several])
            for key, several in names.items()
        }
    )
    generator = np.random.Generator(np.random.PCG64(7))
    clips_BCTHW = torch.from_numpy(generator.random(vector["input_shape"], dtype=np.float32))
    with torch.inference_mode():
        feature_D = backbone(clips_BCTHW)[0].numpy()
    expected_D = np.asarray(vector["feature"])
    assert np.abs(feature_D - expected_D).max() < RELATIVE_TOLERANCE * np.abs(expected_D).max()


def test_sines_are_those_of_the_papers_formula() -> None:
    # arXiv:1706.03762, section 3.5; the last token of VideoMAE's clips is number 1567.
    dim, number = 768, 1567
    expected = [
        (math.sin, math.cos)[feature % 2](number / 10_000 ** (2 * (feature // 2) / dim))
        for feature in range(dim)
    ]
    found = sines(number + 1, dim, device=CPU)[number].tolist()
    assert found == pytest.approx(expected, abs=1e-7)


def test_queries_are_rotated_by_frame_row_and_column() -> None:
    grid, head_dim = (2, 3, 4), 20  # 3 x 6 features are rotated, and 2 are not
    x = torch.randn(1, 1, 24, head_dim, generator=torch.Generator().manual_seed(0))
    angles_NE = rotary_angles(grid, head_dim, device=CPU)
    found = rotated(x, torch.stack((angles_NE.cos(), angles_NE.sin())))[0, 0]
    for token, place in enumerate(np.ndindex(*grid)):
        row = x[0, 0, token].tolist()
        expected = row.copy()
        for axis, position in enumerate(place):
            for feature in range(6):
                at = 6 * axis + feature
                # V-JEPA 2 gives features 0, 3 one speed, 1, 4 the next and 2, 5 the last.
                angle = position / 10_000 ** ((feature % 3) / 3)
                across = -row[at + 1] if feature % 2 == 0 else row[at - 1]
                expected[at] = row[at] * math.cos(angle) + across * math.sin(angle)
        assert found[token].tolist() == pytest.approx(expected, abs=1e-5)


def clips(*, frames: int = 8, side: int = 64) -> Tensor:
    return torch.rand((2, 3, frames, side, side), generator=torch.Generator().manual_seed(7))


def test_a_fine_tuned_networks_feature_is_the_norm_of_the_mean_and_not_the_mean_of_norms() -> None:
    pretrained = build(narrow("videomae_b"))
    tuned = allocate(narrow("videomae_b", scheme="VideoMAE fine-tuned"))
    norm = pretrained.get_submodule("norm")
    assert isinstance(norm, nn.LayerNorm)
    with torch.no_grad():
        norm.weight.normal_(1, 0.5)
        norm.bias.normal_()
    tuned.load_state_dict(pretrained.state_dict())
    before: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: before.extend(inputs))
    with torch.inference_mode():
        mean_of_norms_BD, norm_of_mean_BD = pretrained(clips()), tuned(clips())
        (tokens_BND,) = before
        assert torch.allclose(mean_of_norms_BD, norm(tokens_BND).mean(dim=1), atol=1e-5)
        assert torch.allclose(norm_of_mean_BD, norm(tokens_BND.mean(dim=1)), atol=1e-4)
    assert not torch.allclose(norm_of_mean_BD, mean_of_norms_BD, atol=0.1)


SIZES = [spec.name for spec in BACKBONES.values() if spec.family == "vit"]


@pytest.mark.parametrize("name", SIZES)
def test_stages_end_after_each_quarter_of_the_blocks_and_keep_all_tokens(name: str) -> None:
    spec = BACKBONES[name]
    maps = skeleton(name).forward_stages(torch.empty((1, *spec.clip_shape), device="meta"))
    side = spec.clip_shape[2] // spec.arguments["patch"]
    assert side in (14, 16)
    assert [tuple(x_BDTHW.shape) for x_BDTHW in maps] == [(1, spec.feature_dim, 8, side, side)] * 4
    quarters = [spec.arguments["depth"] * n // 4 for n in (1, 2, 3, 4)]
    assert [int(stage.removeprefix("block")) for stage in spec.stages] == quarters


def test_a_stage_is_its_blocks_output_and_the_last_one_is_normalised() -> None:
    backbone = build(narrow("vjepa2_l"))
    outputs: list[Tensor] = []
    for block in backbone.get_submodule("blocks").children():
        block.register_forward_hook(lambda _, __, x_BND: outputs.append(x_BND))
    with torch.inference_mode():
        stages_BD = list(backbone.stages(clips()).values())
        last_BND = backbone.get_submodule("norm")(outputs[-1])
    for stage_BD, x_BND in zip(stages_BD, [*outputs[:-1], last_BND], strict=True):
        assert torch.allclose(stage_BD, x_BND.mean(dim=1), atol=1e-6)


@pytest.mark.parametrize("name", ["videomae_b", "vjepa2_l"])
def test_a_network_takes_longer_and_larger_clips_than_its_own(name: str) -> None:
    declared = expect(build(narrow(name)), "frames=32,crop=240,resize=256x342")
    with torch.inference_mode():
        assert torch.isfinite(declared(clips(frames=32, side=240))).all()


def test_a_crop_that_patches_do_not_fill_is_refused() -> None:
    with pytest.raises(InputError, match=r"patches of 14 x 14 pixels\. .*a multiple of 14, not 240"):
        expect(skeleton("videomae_g"), "crop=240,resize=256x342")


@pytest.mark.parametrize("name", ["videomae_l", "vjepa2_l"])
def test_both_layouts_and_bytes_agree(name: str) -> None:
    backbone = build(narrow(name))
    pixels_BCTHW = (clips() * 255).to(torch.uint8)
    with torch.inference_mode():
        expected_BD = backbone(pixels_BCTHW)
        backbone.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        found_BD = backbone(pixels_BCTHW.contiguous(memory_format=torch.channels_last_3d))
    assert torch.allclose(found_BD, expected_BD, atol=1e-5)


def weights_of(backbone: Backbone, end: str) -> list[Tensor]:
    found = backbone.state_dict().items()
    return [weight for key, weight in found if key.endswith(end)]


def test_videomae_draws_xaviers_uniform_and_no_biases() -> None:
    backbone = build(narrow("videomae_b"))
    for weight in weights_of(backbone, "attn.qkv.weight"):
        bound = math.sqrt(6 / (WIDTH + 3 * WIDTH))
        assert 0.95 * bound < weight.abs().max() <= bound
    patches = backbone.state_dict()["patch_embed.proj.weight"]
    assert patches.abs().max() <= 1 / math.sqrt(patches[0].numel())  # torch's default
    for end in ("q_bias", "v_bias", "fc1.bias"):
        assert all(bias.eq(0).all() for bias in weights_of(backbone, end))


def test_vjepa2_draws_a_normal_and_scales_what_adds_to_the_tokens() -> None:
    backbone = build(narrow("vjepa2_l"))
    for end in ("attn.proj.weight", "mlp.fc2.weight"):
        for number, weight in enumerate(weights_of(backbone, end), start=1):
            assert weight.std() == pytest.approx(0.02 / math.sqrt(2 * number), rel=0.1)
    for end in ("qkv.weight", "fc1.weight", "patch_embed.proj.weight"):
        assert all(weight.std() == pytest.approx(0.02, rel=0.1) for weight in weights_of(backbone, end))
    assert all(bias.eq(0).all() for bias in weights_of(backbone, "qkv.bias"))


@pytest.mark.parametrize("name", ["videomae_l", "vjepa2_l"])
def test_bfloat16_gives_nearly_the_same_features(name: str) -> None:
    backbone = build(narrow(name))
    with torch.inference_mode():
        expected_BD = backbone(clips())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found_BD = backbone(clips())
    assert found_BD.dtype == torch.float32
    assert (found_BD - expected_BD).norm() < 0.02 * expected_BD.norm()
