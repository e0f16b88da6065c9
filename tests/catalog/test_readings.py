"""The facts of one checkpoint's network: key scheme, variant and declared input, and what stays assumed."""

from __future__ import annotations

import pytest

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.inputs import input_of, with_input
from vcp_core.catalog.normalisation import FACEBOOK, IMAGENET, KINETICS, Normalisation
from vcp_core.catalog.readings import (
    UNSEEN,
    UNSEEN_OF_CONVOLUTIONS,
    assumed,
    check_variant,
    reading_in_keys,
    renewed,
    resolve,
    version_of,
)
from vcp_core.catalog.specs import pixels_like

EVERY = [(spec.name, scheme.name) for spec in BACKBONES.values() for scheme in spec.keys]


@pytest.mark.parametrize(("backbone", "scheme"), EVERY, ids=["-".join(pair) for pair in EVERY])
def test_every_scheme_says_where_its_facts_come_from(backbone: str, scheme: str) -> None:
    spec = resolve(backbone, scheme=scheme)
    assert spec.facts.name == scheme
    assert spec.facts.source
    assert spec.epsilon is None or 0 < spec.epsilon < 1e-2
    norms, form = UNSEEN.get(spec.family, UNSEEN_OF_CONVOLUTIONS)
    found = {one.fact: one for one in assumed(spec)}
    epsilon = [f"{norms} epsilon"] if spec.epsilon else []
    assert list(found) == ["input", "normalisation", *epsilon, "channels", form]
    assert found["normalisation"].source == spec.facts.source
    assert all(one.value and one.source for one in found.values())


@pytest.mark.parametrize(
    ("scheme", "normalisation"),
    [("PyTorchVideo", FACEBOOK), ("SlowFast", FACEBOOK), ("MMAction2", IMAGENET), (None, FACEBOOK)],
)
def test_the_project_that_trained_decides_the_normalisation(
    scheme: str | None, normalisation: Normalisation
) -> None:
    assert resolve("slow_r50", scheme=scheme).normalisation == normalisation


def test_a_declared_input_overrides_the_schemes_and_the_variants_normalisation() -> None:
    declared = resolve("slow_r50", scheme="MMAction2", input_spec="mean=0.45,std=0.225")
    assert declared.normalisation == FACEBOOK
    assert "normalisation" not in {one.fact for one in assumed(declared)}
    half = resolve("slow_r50", scheme="MMAction2", input_spec="mean=0.45")
    assert half.normalisation == Normalisation(mean=FACEBOOK.mean, std=IMAGENET.std)
    (left,) = [one.value for one in assumed(half) if one.fact == "normalisation"]
    assert left == "std=0.229/0.224/0.225"
    kinetics = resolve("r3d_18", variant="tclr", input_spec=input_of(BACKBONES["r3d_18"]))
    assert kinetics.normalisation == KINETICS
    assert not {"input", "normalisation"} & {one.fact for one in assumed(kinetics)}


def test_a_variant_says_what_the_usual_form_leaves_assumed() -> None:
    tclr = resolve("r3d_18", variant="tclr")
    assert (tclr.normalisation, tclr.last_strides) == (None, (4, 16))
    assert tclr.max_pooled_dim == 512 * 4 * 3 * 3
    assert [one.fact for one in assumed(tclr)] == ["input", "normalisation", "batch-norm epsilon"]
    assert "TCLR" in assumed(tclr)[1].source
    bgr = resolve("r3d_18", variant="bgr")
    assert (bgr.normalisation, bgr.arguments) == (KINETICS, BACKBONES["r3d_18"].arguments)
    assert "strides, dilation and poolings" in {one.fact for one in assumed(bgr)}


def test_a_scheme_may_read_frames_blue_first_and_a_variant_overrides_it() -> None:
    usual = resolve("c3d_nobn")
    assert usual.bgr
    (channels,) = [one for one in assumed(usual) if one.fact == "channels"]
    assert (channels.value, channels.source) == ("blue, green, red", usual.facts.source)
    rgb = resolve("c3d_nobn", variant="rgb")
    assert not rgb.bgr
    assert "channels" not in {one.fact for one in assumed(rgb)}
    assert not resolve("c3d_nobn", scheme="MMAction2").bgr


def test_a_variant_may_have_clips_of_its_own_and_a_declared_input_overrides_them() -> None:
    usual, small = resolve("x3d_m"), resolve("x3d_m", variant="s")
    assert (usual.clip_shape, usual.stride) == ((3, 16, 224, 224), 5)
    assert (small.clip_shape, small.stride, small.resize) == ((3, 12, 160, 160), 6, (182, 243))
    assert small.normalisation == usual.normalisation
    (clips,) = [one for one in assumed(small) if one.fact == "input"]
    assert "X3D_S.yaml" in clips.source
    declared = resolve("x3d_m", variant="s", input_spec="frames=4")
    assert (declared.clip_shape, declared.stride, declared.declared) == ((3, 4, 160, 160), 6, {"frames"})


def test_a_scheme_may_have_arguments_of_its_own_and_says_so() -> None:
    usual, mmaction2 = resolve("slowfast_r50"), resolve("slowfast_r50", scheme="MMAction2")
    assert mmaction2.arguments == {**usual.arguments, "slow_frames": "every nth"}
    assert reading_in_keys(mmaction2) == ["MMAction2", "1", ""]
    last = assumed(mmaction2)[-1]
    assert (last.value, last.source) == ("those of slowfast_r50 in MMAction2", mmaction2.facts.source)
    assert assumed(usual)[-1].value == "the usual ones of slowfast_r50"


def test_a_wrong_name_lists_what_the_backbone_has() -> None:
    with pytest.raises(UnknownName, match=r"No variant of r3d_18 'TCLR'.*Known: bgr, tclr\."):
        resolve("r3d_18", variant="TCLR")
    with pytest.raises(UnknownName, match=r"No variant of r3d 'tclr'\. Known: bgr\."):
        check_variant("tclr", backbone="r3d")
    with pytest.raises(UnknownName, match=r"No variant 'hsv'.*Known: be, bgr, .*tclr"):
        check_variant("hsv")
    check_variant("tclr")
    with pytest.raises(UnknownName, match=r"No key scheme of r3d 'torchvision'\. Known: VCOP\."):
        resolve("r3d", scheme="torchvision")


@pytest.mark.parametrize(("backbone", "scheme"), EVERY, ids=["-".join(pair) for pair in EVERY])
def test_keys_of_features_name_a_reading_only_if_it_is_new(backbone: str, scheme: str) -> None:
    spec = resolve(backbone, scheme=scheme)
    usual = BACKBONES[backbone]
    moved = (spec.epsilon, spec.bgr, spec.arguments) != (usual.epsilon, usual.bgr, usual.arguments)
    new = spec.facts.version > 1 or moved
    expected = [scheme, str(spec.facts.version), ""] if new else []
    assert reading_in_keys(spec) == expected
    assert reading_in_keys(with_input(spec, "stride=2")) == expected
    bgr = resolve(backbone, scheme=scheme, variant="bgr")
    assert reading_in_keys(bgr) == [scheme, str(spec.facts.version), "bgr"]
    assert reading_in_keys(pixels_like(bgr)) == []


def test_only_mmaction2s_slow_network_has_new_facts_so_far() -> None:
    assert list(renewed()) == [("slow_r50", "MMAction2", 2)]
    assert version_of("slow_r50", "MMAction2") == 2
    assert version_of("slow_r50", None) == version_of("a network of another version", "x") == 1
