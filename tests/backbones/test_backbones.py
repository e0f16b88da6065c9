"""What holds for every backbone of the catalog; a new entry is tested here without being told."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from tests.affordable import AFFORDABLE
from vcp_core.backbones import Backbone, allocate, build, key_shapes, skeleton
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.normalisation import Normalisation

pytestmark = pytest.mark.slow

# Small clips: every network here takes clips of any size, and its own size takes seconds on a CPU.
SMALL_CLIP = (3, 8, 32, 32)

every_backbone = pytest.mark.parametrize("name", list(BACKBONES))
every_affordable_backbone = pytest.mark.parametrize("name", AFFORDABLE)


@pytest.fixture(scope="module", params=AFFORDABLE)
def network(request: pytest.FixtureRequest) -> Backbone:
    """One network at a time, with the default seed; tests only read it."""
    return build(cast(str, request.param))


def clips(dtype: torch.dtype = torch.float32, *, batch: int = 2) -> Tensor:
    pixels = torch.randint(0, 256, (batch, *SMALL_CLIP), generator=torch.Generator().manual_seed(7))
    return pixels.to(torch.uint8) if dtype == torch.uint8 else pixels.to(dtype) / 255


def assert_alike(found_BD: Tensor, expected_BD: Tensor) -> None:
    """Compare whole features: a hundred layers of random weights amplify rounding in single numbers."""
    assert (found_BD - expected_BD).norm() < 1e-4 * expected_BD.norm()


@every_backbone
def test_the_spec_tells_the_truth(name: str) -> None:
    backbone, spec = skeleton(name), BACKBONES[name]
    assert backbone.spec is spec
    assert sum(parameter.numel() for parameter in backbone.parameters()) == spec.num_parameters
    stages_BD = backbone.stages(torch.empty((2, *SMALL_CLIP), device="meta"))
    assert tuple(stages_BD) == spec.stages
    assert [tuple(feats_BD.shape) for feats_BD in stages_BD.values()] == [(2, d) for d in spec.stage_dims]


@every_backbone
def test_a_clip_of_the_native_shape_gives_one_feature_vector(name: str) -> None:
    # On the meta device: shapes go through every layer, and no number is computed.
    clip_BCTHW = torch.empty((1, *BACKBONES[name].clip_shape), dtype=torch.uint8, device="meta")
    feats_BD = skeleton(name)(clip_BCTHW)
    assert feats_BD.shape == (1, BACKBONES[name].feature_dim)
    assert feats_BD.dtype == torch.float32


@every_backbone
def test_the_length_of_the_max_pooled_feature_is_known_without_building_the_network(name: str) -> None:
    spec = BACKBONES[name]
    stages_BD = skeleton(name).stages(torch.empty(1, *spec.clip_shape, device="meta"), max_pooled=True)
    assert stages_BD[spec.max_pooled_stage].shape == (1, spec.max_pooled_dim)


def test_the_last_stage_is_the_feature(network: Backbone) -> None:
    with torch.inference_mode():
        feats_BD = network.features(clips())
        assert torch.equal(feats_BD, network.stages(clips())[network.spec.stages[-1]])
    assert torch.isfinite(feats_BD).all()


def test_a_state_dict_survives_the_round_trip(network: Backbone) -> None:
    other = allocate(network.spec.name)
    state = network.state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == key_shapes(network.spec.name)
    other.load_state_dict(state, strict=True)
    with torch.inference_mode():
        assert torch.equal(network(clips()), other(clips()))


def test_another_seed_gives_other_weights_and_no_seed_moves_the_global_generator(network: Backbone) -> None:
    before = torch.get_rng_state()
    other = build(network.spec.name, seed=1).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    for key, weights in network.state_dict().items():
        assert weights.dim() <= 1 or not torch.equal(weights, other[key]), key


def test_the_same_seed_initialises_every_weight_the_same_and_batch_norm_is_fresh(network: Backbone) -> None:
    backbone = allocate(network.spec.name)
    with torch.no_grad():
        for tensor in backbone.state_dict().values():
            tensor.fill_(9)
    torch.manual_seed(5)  # which is not read
    backbone.initialise(torch.Generator().manual_seed(0))
    expected = network.state_dict()
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, expected[key]), key
    assert not backbone.training
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.running_var is not None
            assert module.running_var.eq(1).all()
            assert module.weight.eq(1).all()


def test_bytes_are_scaled_and_normalised_as_the_checkpoints_expect(network: Backbone) -> None:
    pixels_BCTHW = clips(torch.uint8)
    norm = network.normalisation or Normalisation(mean=(0, 0, 0), std=(1, 1, 1))
    prepared_BCTHW = pixels_BCTHW.double() / 255
    for channel in range(3):
        prepared_BCTHW[:, channel] -= norm.mean[channel]
        prepared_BCTHW[:, channel] /= norm.std[channel]
    if network.spec.bgr:
        prepared_BCTHW = prepared_BCTHW.flip(1)
    with torch.inference_mode():
        found, expected = network(pixels_BCTHW), network(prepared_BCTHW.float())
    assert_alike(found, expected)


def test_the_channels_last_layout_gives_the_same_features(network: Backbone) -> None:
    pixels_BCTHW = clips(torch.uint8)
    strided = allocate(network.spec.name)
    strided.load_state_dict(network.state_dict())
    strided.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    with torch.inference_mode():
        expected_BD = network(pixels_BCTHW)
        found_BD = strided(pixels_BCTHW.contiguous(memory_format=torch.channels_last_3d))
    assert_alike(found_BD, expected_BD)


@every_affordable_backbone
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


class Small(Backbone):
    """A network of one module, whose map is its input's."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(BACKBONES["r3d_tiny"])
        self.block = module

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        return [x_BCTHW]


class Token(nn.Module):
    """A parameter of its own, and no rule for it."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(3))


class DrawnToken(Token):
    """The same, with a rule."""

    def initialise_own(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.token, generator=generator)


class Sines(nn.Module):
    """A table that no checkpoint holds."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.empty(2, 3), persistent=False)


class FilledSines(Sines):
    """The same, computed."""

    def reset_buffers(self) -> None:
        torch.sin(torch.arange(6.0).reshape(2, 3), out=self.table)


class HalfFilledSines(Sines):
    """The same, of which a part stays as memory was."""

    def reset_buffers(self) -> None:
        self.table[0] = 0


def test_linear_layers_and_layer_norm_are_drawn_by_torchs_default_and_by_the_generator_alone() -> None:
    network = Small(nn.Sequential(nn.Linear(400, 300), nn.LayerNorm(300)))
    linear, norm = network.block
    before = torch.get_rng_state()
    drawn = []
    for _ in range(2):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(9)
        network.initialise(torch.Generator().manual_seed(3))
        drawn.append([parameter.detach().clone() for parameter in network.parameters()])
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(*pair) for pair in zip(*drawn, strict=True))
    for parameter in (linear.weight, linear.bias):  # uniform within 1 / sqrt(inputs), as torch draws them
        assert 0.9 / 20 < parameter.abs().max() <= 1 / 20
    assert norm.weight.eq(1).all()
    assert norm.bias.eq(0).all()


def test_a_parameter_without_an_initialisation_rule_is_an_error_not_uninitialised_memory() -> None:
    with pytest.raises(TypeError, match=r"initialise block .*initialise_own"):
        Small(Token()).initialise(torch.Generator())
    network = Small(DrawnToken())
    network.initialise(torch.Generator().manual_seed(0))
    assert torch.equal(network.block.token, torch.randn(3, generator=torch.Generator().manual_seed(0)))


def test_a_buffer_that_no_checkpoint_holds_is_computed_and_never_memory_as_it_was_found() -> None:
    with pytest.raises(TypeError, match=r"no method fills table of block .*reset_buffers"):
        Small(Sines()).fill_buffers()
    with pytest.raises(TypeError, match="computes all of it"):
        Small(HalfFilledSines()).fill_buffers()
    with torch.device("meta"):
        network = Small(FilledSines())
    network.to_empty(device="cpu")
    network.fill_buffers()
    assert torch.equal(network.block.table, torch.arange(6.0).reshape(2, 3).sin())
    assert network.state_dict() == {}


def test_a_buffer_of_the_state_dict_without_a_rule_is_an_error_when_weights_are_drawn() -> None:
    module = nn.Module()
    module.register_buffer("scale", torch.empty(1))
    with pytest.raises(TypeError, match="initialise block"):
        Small(module).initialise(torch.Generator())
    Small(module).fill_buffers()  # a checkpoint holds it


def test_what_is_allocated_has_its_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[str] = []
    monkeypatch.setattr(Backbone, "fill_buffers", lambda network: filled.append(network.spec.name))
    for name in ("r3d_tiny", "c3d"):
        allocate(name)
    assert filled == ["r3d_tiny", "c3d"]
