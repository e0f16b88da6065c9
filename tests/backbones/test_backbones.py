"""What holds for every backbone of the catalog; a new entry is tested here without being told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vcp_core.backbones import Backbone, build, key_shapes
from vcp_core.catalog.backbones import BACKBONES, Normalisation
from vcp_core.catalog.errors import UnknownName

# Small clips: every network here is fully convolutional, and its own size takes seconds on a CPU.
SMALL_CLIP = (3, 8, 32, 32)

every_backbone = pytest.mark.parametrize("name", list(BACKBONES))


def clips(dtype: torch.dtype = torch.float32, *, batch: int = 2) -> Tensor:
    pixels = torch.randint(0, 256, (batch, *SMALL_CLIP), generator=torch.Generator().manual_seed(7))
    return pixels.to(torch.uint8) if dtype == torch.uint8 else pixels.to(dtype) / 255


@every_backbone
def test_the_spec_tells_the_truth(name: str) -> None:
    backbone, spec = build(name), BACKBONES[name]
    assert backbone.spec is spec
    assert sum(parameter.numel() for parameter in backbone.parameters()) == spec.num_parameters
    with torch.inference_mode():
        stages_BD = backbone.stages(clips())
    assert tuple(stages_BD) == spec.stages
    assert [tuple(feats_BD.shape) for feats_BD in stages_BD.values()] == [(2, d) for d in spec.stage_dims]


@every_backbone
def test_a_clip_of_the_native_shape_gives_one_feature_vector(name: str) -> None:
    with torch.inference_mode():
        feats_BD = build(name)(torch.zeros((1, *BACKBONES[name].clip_shape), dtype=torch.uint8))
    assert feats_BD.shape == (1, BACKBONES[name].feature_dim)
    assert feats_BD.dtype == torch.float32
    assert torch.isfinite(feats_BD).all()


@every_backbone
def test_the_last_stage_is_the_feature(name: str) -> None:
    backbone = build(name)
    with torch.inference_mode():
        assert torch.equal(backbone.features(clips()), backbone.stages(clips())[backbone.spec.stages[-1]])


@every_backbone
def test_a_state_dict_survives_the_round_trip(name: str) -> None:
    one, two = build(name, seed=1), build(name, seed=2)
    state = one.state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == key_shapes(name)
    two.load_state_dict(state, strict=True)
    with torch.inference_mode():
        assert torch.equal(one(clips()), two(clips()))


@every_backbone
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name: str) -> None:
    one, again, other, default = (build(name, seed=seed) for seed in (1, 1, 0, None))
    for key, weights in one.state_dict().items():
        assert torch.equal(weights, again.state_dict()[key]), key
        assert torch.equal(other.state_dict()[key], default.state_dict()[key]), key
        if weights.dim() > 1:
            assert not torch.equal(weights, other.state_dict()[key]), key


@every_backbone
def test_building_neither_reads_nor_moves_the_global_generator(name: str) -> None:
    before = torch.get_rng_state()
    build(name, seed=5)
    assert torch.equal(before, torch.get_rng_state())


@every_backbone
def test_every_weight_is_initialised_and_batch_norm_is_fresh(name: str) -> None:
    backbone = build(name)
    with torch.no_grad():
        for tensor in backbone.state_dict().values():
            tensor.fill_(9)
    backbone.initialise(torch.Generator().manual_seed(0))
    expected = build(name, seed=0).state_dict()
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, expected[key]), key
    assert not backbone.training
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.running_var is not None
            assert module.running_var.eq(1).all()
            assert module.weight.eq(1).all()


@every_backbone
def test_bytes_are_scaled_and_normalised_as_the_checkpoints_expect(name: str) -> None:
    backbone, pixels_BCTHW = build(name), clips(torch.uint8)
    norm = backbone.normalisation or Normalisation(mean=(0, 0, 0), std=(1, 1, 1))
    prepared_BCTHW = pixels_BCTHW.double() / 255
    for channel in range(3):
        prepared_BCTHW[:, channel] -= norm.mean[channel]
        prepared_BCTHW[:, channel] /= norm.std[channel]
    with torch.inference_mode():
        torch.testing.assert_close(backbone(pixels_BCTHW), backbone(prepared_BCTHW.float()))


@every_backbone
def test_the_channels_last_layout_gives_the_same_features(name: str) -> None:
    backbone, pixels_BCTHW = build(name), clips(torch.uint8)
    with torch.inference_mode():
        expected_BD = backbone(pixels_BCTHW)
        backbone.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        found_BD = backbone(pixels_BCTHW.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(found_BD, expected_BD, rtol=1e-4, atol=1e-5)


@every_backbone
def test_gradients_reach_every_parameter(name: str) -> None:
    backbone = build(name).train()
    backbone(clips(batch=4)).square().sum().backward()
    assert [key for key, parameter in backbone.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(3, 8, 32, 32),
        torch.zeros(1, 8, 3, 32, 32),
        torch.zeros(1, 3, 8, 32, 32, dtype=torch.int64),
        torch.zeros(1, 3, 8, 32, 32, dtype=torch.bool),
    ],
    ids=["no batch", "frames before channels", "integers", "booleans"],
)
def test_clips_of_another_shape_or_type_are_refused_with_the_shape_expected(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, T, H, W\)"):
        build("r3d_tiny").features(wrong)


def test_an_unknown_backbone_is_refused_with_a_suggestion() -> None:
    for function in (build, key_shapes):
        with pytest.raises(UnknownName, match="Did you mean 'r3d_18'"):
            function("r3d18")


def test_changing_the_key_shapes_one_got_changes_nobody_elses() -> None:
    key_shapes("r3d_tiny").clear()
    assert key_shapes("r3d_tiny")


def test_a_layer_without_an_initialisation_rule_is_an_error_not_uninitialised_memory() -> None:
    class WithLinear(Backbone):
        def __init__(self) -> None:
            super().__init__(BACKBONES["r3d_tiny"])
            self.head = nn.Linear(2, 2)

        def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
            return [x_BCTHW]

    with pytest.raises(TypeError, match="head"):
        WithLinear().initialise(torch.Generator())
