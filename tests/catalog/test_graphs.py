"""The facts of a graph: its name, its input, its keys, and what is assumed of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from vcp_core.catalog.errors import InputError
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.readings import assumed, reading_in_keys, resolve
from vcp_core.catalog.specs import pixels_like

FACTS = GraphFacts(
    structure="3f1c" + 60 * "0",
    kept="",
    clip_shape=(3, 16, 112, 112),
    stages=("layer1", "layer2"),
    stage_dims=(64, 512),
    last_strides=(8, 16),
    num_parameters=33_166_272,
    input_spec="stride=2,resize=128x171,mean=0.45,std=0.225",
    operations={"aten.conv3d.default": 20},
    multiply_adds=10**10,
    peak_bytes=10**8,
    uses={"kernel": 20, "kept": 1},
    calibration="convolutions",
)


def with_input(declared: str | None) -> GraphFacts:
    return dataclasses.replace(FACTS, input_spec=declared)


def test_facts_come_back_from_json() -> None:
    assert GraphFacts.from_dict(json.loads(json.dumps(FACTS.as_dict()))) == FACTS


def test_what_a_user_declares_wins_over_the_file() -> None:
    spec = resolve(FACTS, input_spec="stride=4,std=0.5")
    assert input_of(spec) == "frames=16,stride=4,resize=128x171,crop=112,mean=0.45,std=0.5"
    assert (spec.name, spec.stages, spec.feature_dim) == ("graph-3f1c0000", ("layer1", "layer2"), 512)


@pytest.mark.parametrize(
    ("in_file", "declared", "words"),
    [
        (None, None, "says stride, resize, mean, std. Declare them"),
        ("stride=2,mean=0.45", "std=0.225", "says resize. Declare them"),
        (FACTS.input_spec, "frames=8", "contradicts the file, which takes clips of frames=16,crop=112"),
        ("crop=224", None, "contradicts the file"),
        (FACTS.input_spec, "resize=64x64", "does not fit into frames of 64 x 64"),
        (FACTS.input_spec, "stride=0", "stride of an input spec"),
    ],
    ids=["nothing", "one word missing", "other frames", "another crop in the file", "too small", "no stride"],
)
def test_an_input_that_is_not_known_or_does_not_fit_is_refused(
    in_file: str | None, declared: str | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        resolve(with_input(in_file), input_spec=declared)


def test_frames_and_crop_may_be_declared_as_they_are() -> None:
    declared = "frames=16,stride=2,resize=128x171,crop=112,mean=0.45,std=0.225"
    assert resolve(with_input(None), input_spec=declared) == resolve(FACTS)


def test_only_the_order_of_the_channels_is_assumed() -> None:
    assert [one.fact for one in assumed(resolve(FACTS))] == ["channels"]
    assert assumed(resolve(FACTS, variant="bgr")) == ()


@pytest.mark.parametrize(
    "change",
    [{"structure": FACTS.structure[:8] + 56 * "1"}, {"kept": "ab"}, {"stages": ("a", "b")}],
    ids=["structure", "kept numbers", "stages"],
)
def test_keys_tell_graphs_apart_that_have_one_name(change: dict[str, Any]) -> None:
    other = dataclasses.replace(FACTS, **change)
    assert reading_in_keys(resolve(other)) != reading_in_keys(resolve(FACTS))
    assert other.name == FACTS.name
    assert pixels_like(resolve(other)) == pixels_like(resolve(FACTS))


def test_a_report_says_what_random_weights_get_and_keep() -> None:
    said = dict(FACTS.lines())
    assert said["stages"] == "layer1 64, layer2 512"
    assert said["control"] == (
        "random weights: kernel by torch's default (20 tensors), kept as in the file (1 tensor). The program "
        "has no normalisation. So each convolution with a bias is standardised for each channel on training "
        "clips."
    )
