"""Recognising a backbone by names and shapes; no file and no process is needed for that."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import pytest

from vcp_core.backbones import key_shapes
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointMismatch, UnknownName
from vcp_core.checkpoints.match import keys_of
from vcp_core.checkpoints.names import WRAPPERS, is_unread
from vcp_core.checkpoints.networks import choose

Shapes = dict[str, tuple[int, ...]]
HEADS: Shapes = {"fc.weight": (400, 512), "head.mlp.0.bias": (128,), "queue": (128, 65536)}


def under(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_backbone_is_recognised_and_nothing_else_is_found(name: str) -> None:
    choice = choose(key_shapes(name) | HEADS)
    match = choice.match
    assert (match.backbone, match.prefix, choice.others, choice.why) == (name, "", (), "")
    assert match.num_keys == sum("num_batches_tracked" not in key for key in key_shapes(name))
    assert match.filled == ()


WORDS = ("module.", "model.", "net.", "backbone.", "encoder.", "encoder_q.", "base_network.", "state_dict.")


@pytest.mark.parametrize("prefix", ["".join(pair) for pair in itertools.permutations(WORDS, 2)])
def test_prefixes_are_found_in_any_order_and_number(prefix: str) -> None:
    match = choose(under(prefix, key_shapes("r3d_tiny")) | HEADS).match
    assert (match.backbone, match.prefix) == ("r3d_tiny", prefix)


def test_a_prefix_that_nobody_thought_of_is_found_too() -> None:
    prefix = "trainer.module._orig_mod.vidéo.0."
    assert choose(under(prefix, key_shapes("c3d"))).match.prefix == prefix


def test_step_counters_may_be_missing_and_are_reported() -> None:
    shapes = {k: s for k, s in key_shapes("r3d").items() if not k.endswith("num_batches_tracked")}
    match = choose(shapes).match
    assert match.complete
    assert len(match.filled) == 12
    assert all(key.endswith("num_batches_tracked") for key in match.filled)


def test_a_missing_stage_is_named_with_the_coverage_and_what_next() -> None:
    shapes = {k: s for k, s in key_shapes("r3d").items() if not k.startswith("conv5.")}
    with pytest.raises(CheckpointMismatch) as caught:
        choose(under("module.", shapes))
    text = str(caught.value)
    assert "closest is r3d: 45 of 60 keys under 'module.'" in text
    assert "all 15 of conv5" in text
    assert "and 12 more" in text
    assert "docs/adding/backbone.md" in text


def test_one_shape_off_is_named_with_both_shapes() -> None:
    shapes = key_shapes("r3d_18") | {"layer2.0.conv1.0.weight": (128, 64, 1, 3, 3)}
    with pytest.raises(CheckpointMismatch) as caught:
        choose(shapes)
    assert "closest is r3d_18: 99 of 100 keys" in str(caught.value)
    assert "layer2.0.conv1.0.weight is (128, 64, 1, 3, 3), not (128, 64, 3, 3, 3)" in str(caught.value)


def test_a_deeper_network_is_not_taken_for_the_shallower_one_whose_keys_it_has() -> None:
    deeper = key_shapes("r3d_18") | under("layer1.2.", {"conv1.0.weight": (64, 64, 3, 3, 3)})
    with pytest.raises(CheckpointMismatch, match=r"(?s)not in r3d_18: 1: layer1.2.conv1.0.weight.*deeper"):
        choose(deeper)
    with pytest.raises(CheckpointMismatch, match=r"conv3.blocks.0"):
        choose(key_shapes("r3d") | {"conv3.blocks.0.bn1.weight": (128,)})


def test_another_architecture_shows_its_names_and_those_known() -> None:
    with pytest.raises(
        CheckpointMismatch, match=r"none of its 2 tensors \(layers.0.attn.qkv.weight, cls_token\)"
    ):
        choose({"layers.0.attn.qkv.weight": (2304, 768), "cls_token": (1, 1, 768)})


def test_asking_for_the_wrong_backbone_says_which_one_it_is() -> None:
    with pytest.raises(CheckpointMismatch, match="holds a whole r3d: pass that"):
        choose(key_shapes("r3d"), backbone="c3d")
    assert choose(key_shapes("r3d"), backbone="r3d").match.backbone == "r3d"


def test_asking_for_an_unknown_backbone_suggests_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'r3d_18'"):
        choose({}, backbone="r3d18")


def test_names_from_a_file_reach_a_message_without_control_characters() -> None:
    with pytest.raises(CheckpointMismatch) as caught:
        choose({"\x1b[31mred\x07": (1,), "x" * 100_000: (1,)})
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_near_miss_under_the_prefix_asked_for_is_what_the_difference_is_about() -> None:
    shapes = under("a.", {k: s for k, s in key_shapes("r3d_tiny").items() if not k.startswith("conv5.")})
    with pytest.raises(CheckpointMismatch, match=r"45 of 60 keys under 'a.'"):
        choose(shapes, prefix="a")


INNER = ("module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_forward_module")


@pytest.mark.parametrize("word", INNER)
@pytest.mark.parametrize("place", ["before", "between", "after the first part", "everywhere"])
def test_words_of_wrappers_are_left_out_wherever_they_stand(word: str, place: str) -> None:
    def wrapped(key: str) -> str:
        parts = key.split(".")
        between = {
            "before": [word, *parts],
            "between": [*parts[:-1], word, parts[-1]],
            "after the first part": [parts[0], word, *parts[1:]],
            "everywhere": [inner for part in parts for inner in (word, part)],
        }
        return ".".join(between[place])

    shapes = {f"net.{wrapped(key)}": shape for key, shape in key_shapes("r3d").items()}
    match = choose(shapes | HEADS).match
    assert (match.backbone, match.num_keys) == ("r3d", 60)
    assert set(match.names.values()) == set(shapes)
    begins = place in ("before", "everywhere")
    assert match.prefix == (f"net.{word}." if begins else "net.")
    assert match.stripped == ({} if place == "before" else {word: 60})


SCHEMES = [(spec.name, scheme) for spec in BACKBONES.values() for scheme in spec.keys]


def test_no_word_of_a_wrapper_is_part_of_a_key() -> None:
    parts = {part for name, scheme in SCHEMES for key in keys_of(name, scheme) for part in key.split(".")}
    assert not parts & WRAPPERS.keys()


def test_the_keys_of_a_backbone_hold_at_least_as_many_numbers_as_its_entry_says() -> None:
    """So a file with fewer numbers cannot hold the backbone, and its keys need not be compared."""
    for name, scheme in SCHEMES:
        needed = (shape for key, shape in keys_of(name, scheme).items() if not is_unread(key))
        assert sum(map(math.prod, needed)) >= BACKBONES[name].num_parameters, (name, scheme.name)


def test_a_small_backbone_is_recognised_without_the_keys_of_larger_ones() -> None:
    """In a process of its own, because the keys are kept once they are listed."""
    code = (
        "from vcp_core.backbones import key_shapes\n"
        "from vcp_core.checkpoints.match import keys_of\n"
        "from vcp_core.checkpoints.networks import choose\n"
        "choose({f'net.{key}': shape for key, shape in key_shapes('r3d_tiny').items()})\n"
        "print(keys_of.cache_info().currsize)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"


def test_two_names_for_one_key_are_told_where_their_numbers_differ_and_taken_where_they_do_not() -> None:
    plain = key_shapes("r3d_tiny")
    compiled = {key.replace(".", "._orig_mod.", 1): shape for key, shape in plain.items()}
    with pytest.raises(CheckpointMismatch, match=r"there twice, with other values: 60: .*_orig_mod"):
        choose(plain | compiled)
    match = choose(plain | compiled, equal=lambda first, second: True).match
    assert set(match.names.values()) == set(plain)
    assert len(match.spare) == 60
    third = {key.replace(".", "._checkpoint_wrapped_module.", 1): shape for key, shape in plain.items()}
    match = choose(plain | compiled | third, equal=lambda first, second: True).match
    assert len(match.spare) == 120
    with pytest.raises(CheckpointMismatch, match="there twice, with other values: 60"):
        choose(plain | compiled | third, equal=lambda first, second: second not in third)


@pytest.mark.parametrize("shape", [(1,), (), (2, 2), (0,)], ids=["one", "scalar", "a matrix", "nothing"])
def test_step_counters_never_decide_whatever_they_are(shape: tuple[int, ...]) -> None:
    shapes = {k: shape if k.endswith("num_batches_tracked") else s for k, s in key_shapes("r3d").items()}
    assert choose(shapes).match.backbone == "r3d"
    stray = {"conv1.extra.num_batches_tracked": (), "conv1.total_ops": (1,), "conv2.total_params": (1,)}
    assert choose(shapes | stray).match.backbone == "r3d"


def test_step_counters_alone_are_no_network() -> None:
    with pytest.raises(CheckpointMismatch, match="none of its 1 tensors"):
        choose({"bn1.num_batches_tracked": ()})


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("conv1.parametrizations.weight.original0", "remove_parametrizations"),
        ("conv1.weight_g", "remove_weight_norm"),
        ("conv1.weight_mask", "prune.remove"),
        ("_fsdp_wrapped_module._flat_param", "FULL_STATE_DICT"),
    ],
)
def test_weights_that_are_stored_in_pieces_come_with_the_way_to_join_them(name: str, advice: str) -> None:
    with pytest.raises(CheckpointMismatch, match=advice):
        choose({name: (3,)})
    with pytest.raises(CheckpointMismatch, match=advice):
        choose(
            {k: s for k, s in key_shapes("r3d").items() if k != "conv1.weight"} | {name: (3,), "bn1.x": (1,)}
        )


def test_a_name_of_very_many_parts_costs_no_more_than_its_end() -> None:
    long = "a." * 200_000 + "conv1.weight"
    with pytest.raises(CheckpointMismatch):
        choose({long: (1,)} | {f"module.{'module.' * 50_000}x{i}": (1,) for i in range(20)})
