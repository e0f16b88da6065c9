"""Each family against its public implementation: keys, shapes and features (PROTOCOL 9)."""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vcp_core.backbones import build, key_shapes, skeleton
from vcp_core.backbones.i3d import pad_same
from vcp_core.backbones.r2plus1d import intermediate_channels
from vcp_core.backbones.slow import pool_stem
from vcp_core.backbones.slowfast import SlowFast
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.readings import resolve

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "vectors"
VECTORS = {
    "c3d": "vcop-c3d",
    "r3d": "vcop-r3d",
    "r3d_18": "torchvision-r3d_18",
    "r3d_18_hara": "hara-r3d_18",
    "r3d_18_hara_a": "hara-r3d_18_a",
    "r3d_50_hara": "hara-r3d_50",
    "r2plus1d_18_hara": "hara-r2plus1d_18",
    "r2d3d_18": "dpc-r2d3d_18",
    "r2d3d_50": "coclr-r2d3d_50",
    "c3d_nobn": "jfzhang95-c3d",
    "s3dg_milnce": "milnce-s3dg",
    "r3d_18_jfzhang95": "jfzhang95-r3d_18",
    "r2plus1d_18_jfzhang95": "jfzhang95-r2plus1d_18",
    "slowfast_r50": "pytorchvideo-slowfast_r50",
    "x3d_m": "pytorchvideo-x3d_m",
}
HEAD = {"fc.weight", "fc.bias"}  # torchvision's classifier; a backbone has none
# PROTOCOL 9, of the largest feature. Measured on a CPU: c3d 3.1e-7, r3d 1.3e-7, r3d_18 5.4e-8, which is what
# the vectors' six decimals leave (5e-7 absolute).
RELATIVE_TOLERANCE = 1e-4


def recipe_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """A weight by the recipe of PROTOCOL 9."""
    z = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        value = np.zeros(shape)
    elif name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(z)
    elif name.endswith(("running_mean", "bias")):
        value = 0.1 * z
    elif len(shape) >= 2:
        value = z * np.sqrt(2 / np.prod(shape[1:]))
    else:
        value = 1 + 0.1 * z
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


@pytest.mark.parametrize("name", list(VECTORS))
def test_keys_and_features_are_those_of_the_public_implementation(name: str) -> None:
    vector: dict[str, Any] = json.loads((FOLDER / f"{VECTORS[name]}.json").read_text())
    if "keys" in vector:
        keys = {key: tuple(shape) for key, shape in vector["keys"].items()}
        assert key_shapes(name) == {key: shape for key, shape in keys.items() if key not in HEAD}

    backbone = build(name)
    backbone.load_state_dict({key: recipe_weight(key, shape) for key, shape in key_shapes(name).items()})
    generator = np.random.Generator(np.random.PCG64(7))
    clips_BCTHW = torch.from_numpy(generator.random(vector["input_shape"], dtype=np.float32))
    with torch.inference_mode():
        feature_D = backbone(clips_BCTHW)[0].numpy()

    expected_D = np.asarray(vector["feature"])
    error_D = np.abs(feature_D - expected_D)
    relative = error_D.max() / np.abs(expected_D).max()
    print(f"{name}: largest error {relative:.1e} of the largest feature, {error_D.max():.1e} absolute")
    assert relative < RELATIVE_TOLERANCE
    # Number by number, too: 1e-4 of itself, or what six decimals and sums of float32 cannot say.
    unsaid = 1e-6 * max(1, np.abs(expected_D).max())
    assert (error_D <= RELATIVE_TOLERANCE * np.abs(expected_D) + unsaid).all()


def test_r2plus1d_has_r3ds_layout_with_every_convolution_split_in_two() -> None:
    factored = set()
    for key in key_shapes("r3d"):
        conv, found, _ = key.partition(".temporal_spatial_conv.weight")
        if not found:
            factored.add(key)
            continue
        factored |= {f"{conv}.spatial_conv.weight", f"{conv}.temporal_conv.weight"}
        norms = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        factored |= {f"{conv}.bn.{entry}" for entry in norms}
    assert set(key_shapes("r2plus1d")) == factored


def test_r2plus1d_splits_a_convolution_into_about_as_many_weights_as_it_had() -> None:
    whole, split = key_shapes("r3d"), key_shapes("r2plus1d")
    for key, shape in whole.items():
        conv, found, _ = key.partition(".temporal_spatial_conv.weight")
        if not found:
            continue
        out_channels, in_channels, t, h, w = shape
        spatial, temporal = split[f"{conv}.spatial_conv.weight"], split[f"{conv}.temporal_conv.weight"]
        middle = spatial[0]
        assert spatial == (middle, in_channels, 1, h, w)
        assert temporal == (out_channels, middle, t, 1, 1)
        # arXiv:1711.11248 section 3.5: the largest number of channels that does not exceed the whole.
        per_channel = h * w * in_channels + t * out_channels
        assert middle * per_channel <= int(np.prod(shape)) < (middle + 1) * per_channel


def test_intermediate_channels_of_the_first_convolution() -> None:
    assert intermediate_channels(3, 64, (3, 7, 7)) == 83  # 3 * 49 * 3 * 64 / (49 * 3 + 3 * 64), rounded down


def test_r2plus1d_strides_in_space_first_and_then_in_time() -> None:
    backbone = build("r2plus1d")
    strided = {
        name: tuple(module.stride)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Conv3d) and max(module.stride) > 1
    }
    for stage in ("conv3", "conv4", "conv5"):
        for conv in ("conv1", "downsampleconv"):
            assert strided.pop(f"{stage}.block1.{conv}.spatial_conv") == (1, 2, 2)
            assert strided.pop(f"{stage}.block1.{conv}.temporal_conv") == (2, 1, 1)
    assert strided == {"conv1.spatial_conv": (1, 2, 2)}


def test_r3d_tiny_is_r3d_at_a_quarter_of_its_width() -> None:
    assert list(key_shapes("r3d_tiny")) == list(key_shapes("r3d"))
    assert BACKBONES["r3d_tiny"].stage_dims == tuple(d // 4 for d in BACKBONES["r3d"].stage_dims)


@pytest.mark.parametrize("name", ["c3d", "r3d", "r2plus1d"])
def test_the_vcop_family_draws_torchs_default(name: str) -> None:
    for key, weights in build(name).state_dict().items():
        if weights.dim() == 5:
            bound = weights[0].numel() ** -0.5
            assert weights.abs().max() <= bound, key
            assert weights.std() == pytest.approx(bound / 3**0.5, rel=0.05), key


def test_the_torchvision_family_draws_kaimings_normal_over_the_fan_out() -> None:
    for key, weights in build("r3d_18").state_dict().items():
        if weights.dim() == 5:
            fan_out = weights.shape[0] * weights[0, 0].numel()
            assert weights.std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05), key


# Parameters that the sources count, and the shape of the 400-class head that they count with them.
PUBLISHED = {
    # torchvision's page "Video classification": num_params of the Kinetics-400 weights.
    "r3d_18": (33_371_472, 512),
    "mc3_18": (11_695_440, 512),
    "r2plus1d_18": (31_505_325, 512),
    "s3d": (8_320_048, 1024),
    # PyTorchVideo's model zoo: 32.45 million, Slow R50 8x8.
    "slow_r50": (32_454_096, 2048),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_parameters_are_as_many_as_the_source_counts_without_its_head(name: str) -> None:
    published, feature_dim = PUBLISHED[name]
    assert BACKBONES[name].feature_dim == feature_dim
    assert BACKBONES[name].num_parameters == published - 400 * (feature_dim + 1)


def test_the_18_layer_variants_have_two_blocks_in_every_stage_but_the_first() -> None:
    for shallow, deep in (("r3d", "r3d_18_vcop"), ("r2plus1d", "r2plus1d_18_vcop")):
        second = {key for key in key_shapes(deep) if ".blocks.0." in key}
        assert set(key_shapes(deep)) - second == set(key_shapes(shallow))
        assert {key.partition(".")[0] for key in second} == {"conv2", "conv3", "conv4", "conv5"}
        # A stage's second block is like its first, but for the shortcut's convolution.
        like = {key.replace("blocks.0", "block1") for key in second}
        assert {key for key in key_shapes(shallow) if ".block1." in key and "downsample" not in key} == like
    # The same network as torchvision's, whose keys alone are named otherwise.
    assert BACKBONES["r3d_18_vcop"].num_parameters == BACKBONES["r3d_18"].num_parameters


def strides(name: str) -> dict[str, tuple[int, ...]]:
    return {
        key: tuple(module.stride)
        for key, module in skeleton(name).named_modules()
        if isinstance(module, nn.Conv3d) and max(module.stride) > 1
    }


def test_mc3_18_keeps_all_frames_and_mixes_them_in_its_first_layer_only() -> None:
    stages = skeleton("mc3_18").forward_stages(torch.empty((1, 3, 16, 112, 112), device="meta"))
    assert [x_BCTHW.shape[2] for x_BCTHW in stages] == [16] * 5
    temporal = {key for key, shape in key_shapes("mc3_18").items() if len(shape) == 5 and shape[2] > 1}
    assert {key.partition(".")[0] for key in temporal} == {"stem", "layer1"}
    assert strides("mc3_18")["layer2.0.downsample.0"] == (1, 2, 2)


def test_torchvisions_r2plus1d_has_45_channels_in_its_stem_and_strides_in_space_first() -> None:
    assert key_shapes("r2plus1d_18")["stem.0.weight"] == (45, 3, 1, 7, 7)
    found = strides("r2plus1d_18")
    assert found["layer2.0.conv1.0.0"] == (1, 2, 2)
    assert found["layer2.0.conv1.0.3"] == (2, 1, 1)
    assert found["layer2.0.downsample.0"] == (2, 2, 2)
    # Both convolutions of a block have the channels between factors that its first one's widths give.
    assert key_shapes("r2plus1d_18")["layer2.0.conv2.0.0.weight"] == (230, 128, 1, 3, 3)


def test_s3d_halves_frames_three_times_and_pixels_five_times() -> None:
    stages = skeleton("s3d").forward_stages(torch.empty((1, 3, 16, 224, 224), device="meta"))
    shapes = [tuple(x_BCTHW.shape[2:]) for x_BCTHW in stages]
    assert shapes == [(8, 112, 112), (8, 56, 56), (8, 28, 28), (4, 14, 14), (2, 7, 7)]


def test_i3d_has_about_the_12_million_parameters_of_its_paper() -> None:
    assert round(BACKBONES["i3d"].num_parameters / 1e6) == 12  # arXiv:1705.07750, table 1


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(224, 7, 2), (15, 7, 2), (8, 3, 1), (7, 3, 2), (5, 2, 2)]
)
def test_tensorflows_padding_gives_the_size_over_the_stride_rounded_up(
    size: int, kernel: int, stride: int
) -> None:
    padded = pad_same(torch.ones(1, 1, size, size, size), (kernel,) * 3, (stride,) * 3)
    windows = (padded.shape[2] - kernel) // stride + 1
    assert windows == -(-size // stride)
    front = int((padded[0, 0, :, padded.shape[3] // 2, padded.shape[4] // 2] == 1).int().argmax())
    assert front == (padded.shape[2] - size) // 2  # what is odd goes behind


def test_i3d_strides_in_time_with_its_first_convolution_and_is_padded_for_odd_sizes() -> None:
    stages = skeleton("i3d").forward_stages(torch.empty((1, 3, 15, 111, 111), device="meta"))
    assert [tuple(x.shape[2:]) for x in stages] == [
        (8, 56, 56),
        (8, 28, 28),
        (8, 14, 14),
        (4, 7, 7),
        (2, 4, 4),
    ]


@pytest.mark.parametrize("name", ["s3d", "i3d"])
def test_networks_that_came_from_tensorflow_have_its_epsilon(name: str) -> None:
    norms = [module for module in skeleton(name).modules() if isinstance(module, nn.BatchNorm3d)]
    assert {module.eps for module in norms} == {1e-3}


def test_slow_keeps_every_frame_and_looks_over_time_in_its_last_two_stages_only() -> None:
    stages = skeleton("slow_r50").forward_stages(torch.empty((1, 3, 8, 64, 64), device="meta"))
    assert [x_BCTHW.shape[2] for x_BCTHW in stages] == [8] * 5
    shapes = {key: shape for key, shape in key_shapes("slow_r50").items() if len(shape) == 5}
    temporal = {key for key, shape in shapes.items() if shape[2] > 1}
    assert {key.split(".")[1] for key in temporal} == {"3", "4"}
    assert all(key.endswith("branch2.conv_a.weight") for key in temporal)
    assert strides("slow_r50")["blocks.2.res_blocks.0.branch2.conv_b"] == (1, 2, 2)


def test_x3d_keeps_every_frame_and_halves_pixels_with_its_depthwise_convolutions() -> None:
    stages = skeleton("x3d_m").forward_stages(torch.empty((1, 3, 16, 224, 224), device="meta"))
    assert [tuple(x.shape[2:]) for x in stages] == [(16, side, side) for side in (112, 56, 28, 14, 7, 7)]
    assert {name for name in strides("x3d_m") if "blocks.2." in name} == {
        "blocks.2.res_blocks.0.branch1_conv",
        "blocks.2.res_blocks.0.branch2.conv_b",
    }
    assert key_shapes("x3d_m")["blocks.0.conv.conv_t.weight"] == (24, 3, 1, 3, 3)
    assert key_shapes("x3d_m")["blocks.0.conv.conv_xy.weight"] == (24, 1, 5, 1, 1)


def test_every_second_block_of_x3d_has_a_gate() -> None:
    gated = {key.split(".norm_b")[0] for key in key_shapes("x3d_l") if ".norm_b.1." in key}
    blocks = {key.split(".norm_b")[0] for key in key_shapes("x3d_l") if ".norm_b." in key}
    assert gated == {name for name in blocks if int(name.split(".")[3]) % 2 == 0}


def narrow_slowfast(frames: int = 16, **arguments: Any) -> SlowFast:
    """SlowFast at an eighth of its width, with one block in each stage."""
    spec = dataclasses.replace(
        BACKBONES["slowfast_r50"], stage_dims=(9, 36, 72, 144, 288), clip_shape=(3, frames, 32, 32)
    )
    network = SlowFast(spec, depths=(1, 1, 1, 1), **arguments).eval()
    network.initialise(torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize(
    ("slow_frames", "places"), [("spread", (0, 5, 10, 15)), ("every nth", (0, 4, 8, 12))]
)
def test_slowfasts_feature_is_the_average_of_the_slow_pathway_and_that_of_the_fast_one(
    slow_frames: str, places: tuple[int, ...]
) -> None:
    network = narrow_slowfast(slow_frames=slow_frames)
    fast_BCTHW = torch.rand((2, 3, 16, 32, 32), generator=torch.Generator().manual_seed(7))
    slow_BCTHW = fast_BCTHW[:, :, list(places)]
    with torch.inference_mode():
        found_BD = network(fast_BCTHW)
        for number, pathways in enumerate(network.blocks):
            slow, fast = pathways.multipathway_blocks
            slow_BCTHW, fast_BCTHW = slow(slow_BCTHW), fast(fast_BCTHW)
            if number == 0:
                slow_BCTHW, fast_BCTHW = pool_stem(slow_BCTHW), pool_stem(fast_BCTHW)
            if number < 4:
                fusion = pathways.multipathway_fusion
                handed_BCTHW = torch.relu(fusion.norm(fusion.conv_fast_to_slow(fast_BCTHW)))
                slow_BCTHW = torch.cat((slow_BCTHW, handed_BCTHW), dim=1)
    assert (slow_BCTHW.shape, fast_BCTHW.shape) == ((2, 256, 4, 1, 1), (2, 32, 16, 1, 1))
    averages_BD = torch.cat((slow_BCTHW.mean((2, 3, 4)), fast_BCTHW.mean((2, 3, 4))), dim=1)
    assert torch.allclose(found_BD, averages_BD, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("frames", [4, 12, 20, 64])
def test_slowfast_takes_clips_whose_frames_are_no_multiple_of_its_ratio(frames: int) -> None:
    network = narrow_slowfast(every=8, fusion_t=5)
    with torch.inference_mode():
        *_, last_BCTHW = network.forward_stages(torch.rand((1, 3, frames, 32, 32)))
    assert tuple(last_BCTHW.shape[:3]) == (1, 288, -(-frames // 8))


def test_mmaction2s_fusions_have_neither_normalisation_nor_relu() -> None:
    network = narrow_slowfast(fusion_norm=False)
    fusion = network.get_submodule("blocks.1.multipathway_fusion")
    with torch.inference_mode():
        assert fusion(torch.rand((1, 4, 16, 2, 2))).min() < 0
    assert not any("fusion.norm" in key for key in network.state_dict())


def test_mmaction2s_i3d_strides_frames_in_its_stem_and_in_both_poolings() -> None:
    spec = resolve("i3d_r50", scheme="MMAction2")
    stages = skeleton(spec).forward_stages(torch.empty((1, *spec.clip_shape), device="meta"))
    assert [x_BCTHW.shape[2] for x_BCTHW in stages] == [16, 8, 4, 4, 4]
    assert spec.last_strides == (8, 32)
