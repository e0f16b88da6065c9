"""Recognising a backbone by names and shapes; no file and no process is needed for that."""

from __future__ import annotations

import itertools

import pytest

from vcp_core.backbones import key_shapes
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointMismatch, UnknownName
from vcp_core.checkpoints.match import find_backbone

Shapes = dict[str, tuple[int, ...]]
HEADS: Shapes = {"fc.weight": (400, 512), "head.mlp.0.bias": (128,), "queue": (128, 65536)}


def under(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_backbone_is_recognised_and_nothing_else_is_found(name: str) -> None:
    match, others = find_backbone(key_shapes(name) | HEADS)
    assert (match.backbone, match.prefix, others) == (name, "", ())
    assert match.num_keys == sum("num_batches_tracked" not in key for key in key_shapes(name))
    assert match.filled == ()


WORDS = ("module.", "model.", "net.", "backbone.", "encoder.", "encoder_q.", "base_network.", "state_dict.")


@pytest.mark.parametrize("prefix", ["".join(pair) for pair in itertools.permutations(WORDS, 2)])
def test_prefixes_are_found_in_any_order_and_number(prefix: str) -> None:
    match, _ = find_backbone(under(prefix, key_shapes("r3d_tiny")) | HEADS)
    assert (match.backbone, match.prefix) == ("r3d_tiny", prefix)


def test_a_prefix_that_nobody_thought_of_is_found_too() -> None:
    prefix = "trainer.module._orig_mod.vidéo.0."
    assert find_backbone(under(prefix, key_shapes("c3d")))[0].prefix == prefix


def test_step_counters_may_be_missing_and_are_reported() -> None:
    shapes = {k: s for k, s in key_shapes("r3d").items() if not k.endswith("num_batches_tracked")}
    match, _ = find_backbone(shapes)
    assert match.complete
    assert len(match.filled) == 12
    assert all(key.endswith("num_batches_tracked") for key in match.filled)


@pytest.mark.parametrize(
    ("trained", "averaged"),
    [
        ("student.", "teacher."),
        ("encoder_q.", "encoder_k."),
        ("state_dict.", "ema."),
        ("base_encoder.", "momentum_encoder."),
        ("online_network.", "target_network."),
        ("state_dict.module.", "state_dict_ema.module."),
    ],
)
def test_of_two_whole_networks_the_trained_one_is_used_and_the_averaged_one_reported(
    trained: str, averaged: str
) -> None:
    shapes = key_shapes("r3d_tiny")
    match, others = find_backbone(under(averaged, shapes) | under(trained, shapes))
    assert match.prefix == trained
    assert others == (averaged,)


def test_of_two_trained_networks_the_shorter_prefix_is_used() -> None:
    shapes = key_shapes("r3d_tiny")
    match, others = find_backbone(under("b.", shapes) | under("a.b.", shapes) | under("a.", shapes))
    assert match.prefix == "a."
    assert others == ("b.", "a.b.")


def test_a_larger_backbone_is_preferred_to_a_smaller_one_beside_it() -> None:
    match, others = find_backbone(
        under("ema.", key_shapes("r3d_18")) | under("small.", key_shapes("r3d_tiny"))
    )
    assert (match.backbone, others) == ("r3d_18", ("small.",))


def test_a_missing_stage_is_named_with_the_coverage_and_what_next() -> None:
    shapes = {k: s for k, s in key_shapes("r3d").items() if not k.startswith("conv5.")}
    with pytest.raises(CheckpointMismatch) as caught:
        find_backbone(under("module.", shapes))
    text = str(caught.value)
    assert "closest is r3d: 45 of 60 keys under 'module.'" in text
    assert "all 15 of conv5" in text
    assert "and 12 more" in text
    assert "docs/adding/backbone.md" in text


def test_one_shape_off_is_named_with_both_shapes() -> None:
    shapes = key_shapes("r3d_18") | {"layer2.0.conv1.0.weight": (128, 64, 1, 3, 3)}
    with pytest.raises(CheckpointMismatch) as caught:
        find_backbone(shapes)
    assert "closest is r3d_18: 99 of 100 keys" in str(caught.value)
    assert "layer2.0.conv1.0.weight is (128, 64, 1, 3, 3), not (128, 64, 3, 3, 3)" in str(caught.value)


def test_a_deeper_network_is_not_taken_for_the_shallower_one_whose_keys_it_has() -> None:
    deeper = key_shapes("r3d_18") | under("layer1.2.", {"conv1.0.weight": (64, 64, 3, 3, 3)})
    with pytest.raises(CheckpointMismatch, match=r"(?s)not in r3d_18: 1: layer1.2.conv1.0.weight.*deeper"):
        find_backbone(deeper)
    with pytest.raises(CheckpointMismatch, match=r"conv3.blocks.0"):
        find_backbone(key_shapes("r3d") | {"conv3.blocks.0.bn1.weight": (128,)})


def test_another_architecture_shows_its_names_and_those_known() -> None:
    with pytest.raises(
        CheckpointMismatch, match=r"none of its 2 tensors \(blocks.0.attn.qkv.weight, cls_token\)"
    ):
        find_backbone({"blocks.0.attn.qkv.weight": (2304, 768), "cls_token": (1, 1, 768)})


def test_asking_for_the_wrong_backbone_says_which_one_it_is() -> None:
    with pytest.raises(CheckpointMismatch, match="holds a whole r3d: pass that"):
        find_backbone(key_shapes("r3d"), backbone="c3d")
    assert find_backbone(key_shapes("r3d"), backbone="r3d")[0].backbone == "r3d"


def test_asking_for_an_unknown_backbone_suggests_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'r3d_18'"):
        find_backbone({}, backbone="r3d18")


def test_names_from_a_file_reach_a_message_without_control_characters() -> None:
    with pytest.raises(CheckpointMismatch) as caught:
        find_backbone({"\x1b[31mred\x07": (1,), "x" * 100_000: (1,)})
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_the_averaged_network_is_used_where_its_prefix_is_asked_for() -> None:
    shapes = under("state_dict.student.", key_shapes("r3d_tiny")) | under(
        "state_dict.teacher.", key_shapes("r3d_tiny")
    )
    for prefix in ("teacher", "teacher.", "state_dict.teacher."):
        match, others = find_backbone(shapes, prefix=prefix)
        assert (match.prefix, others) == ("state_dict.teacher.", ("state_dict.student.",))


def test_a_prefix_under_which_there_is_nothing_is_refused_with_those_there_are() -> None:
    shapes = under("student.", key_shapes("r3d_tiny")) | under("teacher.", key_shapes("r3d_tiny"))
    for prefix in ("", "ema."):
        with pytest.raises(CheckpointMismatch, match=r"'student.' \(r3d_tiny\), 'teacher.' \(r3d_tiny\)"):
            find_backbone(shapes, prefix=prefix)


def test_a_near_miss_under_the_prefix_asked_for_is_what_the_difference_is_about() -> None:
    shapes = under("a.", {k: s for k, s in key_shapes("r3d_tiny").items() if not k.startswith("conv5.")})
    with pytest.raises(CheckpointMismatch, match=r"45 of 60 keys under 'a.'"):
        find_backbone(shapes, prefix="a")
