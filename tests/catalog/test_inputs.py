"""Declared inputs: read, spelt in one way, checked against the backbone that they are for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vcp_core.backbones import build, expect, skeleton
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import InputError
from vcp_core.catalog.inputs import EXAMPLE, InputSpec, input_of, with_input
from vcp_core.catalog.normalisation import KINETICS, Normalisation
from vcp_core.catalog.specs import pixels_like

colours = st.floats(0.001, 1) | st.tuples(*[st.floats(0.001, 1)] * 3)
words = st.fixed_dictionaries(
    {},
    optional={
        "frames": st.integers(1, 16).map(lambda n: 4 * n),
        "stride": st.integers(1, 64),
        "resize": st.tuples(st.integers(32, 640), st.integers(32, 640)),
        "crop": st.integers(16, 160).map(lambda n: 2 * n),
        "mean": colours.map(lambda value: value if isinstance(value, tuple) else (value,) * 3),
        "std": colours.map(lambda value: value if isinstance(value, tuple) else (value,) * 3),
    },
).filter(bool)


@given(words)
def test_what_is_written_is_read_again(said: dict[str, object]) -> None:
    spec = InputSpec(**said)  # type: ignore[arg-type]
    assert InputSpec.parse(str(spec)) == spec


def test_order_and_spaces_do_not_matter() -> None:
    jumbled = " std = 0.225, crop=224,frames=8 , mean=0.45/0.45/0.450,resize=256x340,stride=4"
    assert str(InputSpec.parse(jumbled)) == EXAMPLE


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbones_own_input_declares_itself(name: str) -> None:
    spec = BACKBONES[name]
    assert with_input(spec, input_of(spec)) == spec
    assert with_input(spec, None) is spec
    assert input_of(pixels_like(spec)).split(",")[:4] == input_of(spec).split(",")[:4]
    expect(skeleton(name), input_of(spec))


def test_what_is_left_out_stays_as_the_family_has_it() -> None:
    spec = with_input(BACKBONES["r3d_18"], "frames=32,std=0.5/0.25/0.125")
    assert (spec.clip_shape, spec.stride, spec.resize) == ((3, 32, 112, 112), 1, (128, 171))
    assert spec.normalisation == Normalisation(mean=KINETICS.mean, std=(0.5, 0.25, 0.125))
    assert with_input(spec, "mean=0,std=1").normalisation is None


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("", r"no ''\. Its words are frames, stride, resize, crop, mean, std\. An example is frames=8"),
        ("size=3", "no 'size=3'"),
        ("frames", "no 'frames'"),
        ("frames=", "no 'frames='"),
        ("frames=8,frames=16", "says frames twice. Say it once"),
        ("frames=6", "frames of an input spec must be a multiple of 4 from 4 to 64, not '6'"),
        ("frames=128", "not '128'"),
        ("frames=many", "not 'many'"),
        ("stride=0", "stride of an input spec must be a whole number from 1 to 64"),
        ("resize=128", "HEIGHTxWIDTH"),
        ("resize=128x171x3", "HEIGHTxWIDTH"),
        ("crop=113", "an even number"),
        ("mean=114.75", r"of pixel values in \[0, 1\]"),
        ("mean=nan", "not 'nan'"),
        ("std=0", "0.001 to 1"),
        ("std=0.2/0.2", "RED/GREEN/BLUE"),
        ("crop=224", "r3d: a crop of 224 x 224 does not fit into frames of 128 x 171. Declare a resize"),
        ("resize=100x171", "does not fit into frames of 100 x 171"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(declared: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        with_input(BACKBONES["r3d"], declared)


def test_clips_that_a_network_has_no_room_for_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"c3d has too many strides for clips of frames=4,.*Declare more frames"
    ):
        expect(skeleton("c3d"), "frames=4")
    with pytest.raises(InputError, match="or a larger crop"):
        expect(skeleton("i3d"), "crop=32")


def test_a_network_normalises_as_declared() -> None:
    clips = torch.randint(0, 256, (1, 3, 8, 48, 48), dtype=torch.uint8)
    plain = build("r3d_tiny", seed=0)
    declared = expect(build("r3d_tiny", seed=0), "frames=8,crop=48,mean=0.5,std=0.25")
    with torch.inference_mode():
        assert torch.equal(declared.features(clips), plain.features((clips.float() / 255 - 0.5) / 0.25))
        assert not torch.equal(declared.features(clips), plain.features(clips))
