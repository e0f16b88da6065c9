"""Which of several whole networks is used; by names and shapes, no file and no process is needed for that."""

from __future__ import annotations

import pytest

from vcp_core.backbones import key_shapes
from vcp_core.catalog.errors import CheckpointMismatch, SeveralNetworks
from vcp_core.checkpoints.networks import AVERAGES, Choice, choose

Shapes = dict[str, tuple[int, ...]]
TINY = key_shapes("r3d_tiny")


def at(*prefixes: str, backbone: str = "r3d_tiny") -> Shapes:
    """A file with that backbone under each prefix."""
    return {prefix + key: shape for prefix in prefixes for key, shape in key_shapes(backbone).items()}


def used(choice: Choice) -> tuple[str, tuple[str, ...]]:
    return choice.network.name, choice.others


@pytest.mark.parametrize(
    ("trained", "other"),
    [
        ("student.", "teacher."),
        ("encoder_q.", "encoder_k."),
        ("state_dict.", "ema."),
        ("base_encoder.", "momentum_encoder."),
        ("online_network.", "target_network."),
        ("state_dict.module.", "state_dict_ema.module."),
        ("model_state.backbone.", "model_state.backbone_hist."),
        ("model.modelStudent.", "model.modelTeacher."),
        ("state_dict.backbone.", "state_dict.encoder_k.module.0."),
        ("current.", "average."),
        ("model.", "avg."),
        ("model.", "mean."),
        ("net.", "netEMA."),
        ("model.", "extra_state.ema."),
        ("online_model.", "ema_model."),
        ("", "shadow."),
    ],
)
def test_of_a_trained_network_and_an_average_that_is_named_as_one_the_trained_one_is_used(
    trained: str, other: str
) -> None:
    choice = choose(at(other, trained))
    assert used(choice) == (trained or ".", (other,))
    assert choice.why.startswith(f"gradients trained it, as the names say: {other!r} is named as ")


def test_words_that_all_names_share_say_nothing_of_the_difference() -> None:
    choice = choose(at("ema_trainer.model.", "ema_trainer.ema_model."))
    assert used(choice) == ("ema_trainer.model.", ("ema_trainer.ema_model.",))
    with pytest.raises(SeveralNetworks):
        choose(at("ema.a.", "ema.b."))


def test_mmengine_swaps_the_two_when_it_saves() -> None:
    trained, average = "ema_state_dict.module.backbone.", "state_dict.backbone."
    for sign in ({"ema_state_dict.steps": ()}, {}):
        choice = choose(at(trained, average) | sign, words={"ema_state_dict", "meta.mmengine_version"})
        assert used(choice) == (trained, (average,))
        assert choice.why == (
            "gradients trained it. MMEngine's EMAHook saves the trained network under 'ema_state_dict', the "
            "average under 'state_dict'"
        )


def test_another_trainers_ema_state_dict_is_the_average() -> None:
    assert used(choose(at("state_dict.", "ema_state_dict."), words={"ema_state_dict", "state_dict"})) == (
        "state_dict.",
        ("ema_state_dict.",),
    )


def test_lightnings_weight_averaging_swaps_the_two_when_it_saves() -> None:
    there = {"state_dict", "current_model_state", "averaging_state"}
    trained, average = "current_model_state.model.", "state_dict.model."
    choice = choose(at(trained, average), words=there)
    assert used(choice) == (trained, (average,))
    assert "Lightning's WeightAveraging" in choice.why


def test_a_teacher_within_what_a_swapping_trainer_trained_is_still_a_teacher() -> None:
    there = {"state_dict", "current_model_state", "averaging_state"}
    names = [
        f"{place}.{who}." for place in ("state_dict", "current_model_state") for who in ("teacher", "student")
    ]
    assert choose(at(*names), words=there).network.name == "current_model_state.student."


def test_what_all_names_in_the_trained_place_share_says_nothing_there_either() -> None:
    there = {"state_dict", "current_model_state", "averaging_state"}
    choice = choose(at("state_dict.mean_net.", "current_model_state.mean_net."), words=there)
    assert choice.network.name == "current_model_state.mean_net."


@pytest.mark.parametrize(
    "prefixes",
    [
        ("a.", "b."),
        ("model.", "best_model."),
        ("models.0.", "models.1."),
        ("", "copy."),
        ("ema_fast.", "ema_slow."),
        ("student_a.", "student_b.", "teacher."),
        ("rgb.", "flow.", "ema."),
        ("k400.", "ucf101."),
        ("r3d_k400.", "r3d_ssv2."),
        ("source.", "target."),
        ("k.", "v."),
        ("sampler.", "net."),
    ],
)
def test_where_nothing_is_known_the_file_is_refused_and_each_choice_works(prefixes: tuple[str, ...]) -> None:
    with pytest.raises(SeveralNetworks) as caught:
        choose(at(*prefixes))
    choices = caught.value.choices
    assert sorted(choices) == sorted(prefix or "." for prefix in prefixes)
    for name in choices:
        assert f"--prefix {name}  (r3d_tiny" in str(caught.value)
        choice = choose(at(*prefixes), prefix=name)
        assert choice.network.name == name
        assert sorted((name, *choice.others)) == sorted(choices)
        assert choice.why.startswith("as --prefix asked")


def test_a_name_that_says_trained_decides_among_more_than_two() -> None:
    coclr = choose(at("encoder_q.0.", "encoder_k.0.", "sampler.0."))
    assert used(coclr) == ("encoder_q.0.", ("sampler.0.", "encoder_k.0."))
    assert choose(at("student.", "teacher.", "net.")).network.name == "student."


def test_networks_of_the_same_weights_are_no_question() -> None:
    choice = choose(at("b.", "a.b.", "a."), equal=lambda first, second: True)
    assert used(choice) == ("a.", ("b.", "a.b."))
    assert choice.why == "the 3 whole networks of the file have the same weights, bit for bit"


def test_a_copy_of_the_trained_network_is_no_question_beside_an_average() -> None:
    choice = choose(
        at("model.", "model_copy.", "ema."),
        equal=lambda first, second: "ema." not in (first[:4], second[:4]),
    )
    assert used(choice) == ("model.", ("model_copy.", "ema."))


def test_two_backbones_in_one_file_are_a_question_unless_a_name_or_backbone_decides() -> None:
    both = at("video.", backbone="r3d_18") | at("small.")
    with pytest.raises(SeveralNetworks, match=r"--prefix video\.  \(r3d_18\)"):
        choose(both)
    assert choose(both, backbone="r3d_tiny").network.name == "small."
    assert choose(at("teacher.", backbone="r3d_18") | at("student.")).match.backbone == "r3d_tiny"


def test_networks_of_other_backbones_are_named_though_one_backbone_was_asked_for() -> None:
    both = at("student.") | at("teacher.", backbone="r3d_18")
    for backbone, name, other in (("r3d_18", "teacher.", "student."), ("r3d_tiny", "student.", "teacher.")):
        choice = choose(both, backbone=backbone)
        assert used(choice) == (name, (other,))
        assert choice.why.startswith(f"the only {backbone} of the file, as --backbone asked")


def test_an_average_alone_is_used_and_said_to_be_one() -> None:
    counted = choose(at("module.") | {"n_averaged": ()})
    assert used(counted) == ("module.", ())
    assert "an average of the weights: torch's AveragedModel left its 'n_averaged'" in counted.why
    assert "named as an average" in choose(at("model_ema.")).why
    assert "named as a teacher" in choose(at("teacher.")).why


def test_torchs_averaged_model_is_known_by_its_counter_whatever_it_is_called() -> None:
    choice = choose(at("a.", "b.module.") | {"b.n_averaged": ()})
    assert used(choice) == ("a.", ("b.module.",))


def test_mmcvs_second_copy_of_flat_names_is_told() -> None:
    shapes = at("state_dict.backbone.") | {
        f"state_dict.ema_backbone_{key.replace('.', '_')}": shape for key, shape in TINY.items()
    }
    assert "MMCV's EMAHook left a second copy" in choose(shapes).why
    assert "'state_dict.ema_backbone_conv1_" in choose(shapes).why


def test_the_end_of_a_prefix_names_a_network_unless_it_is_that_of_several() -> None:
    shapes = at("state_dict.student.", "state_dict.teacher.")
    for prefix in ("teacher", "teacher.", "state_dict.teacher."):
        assert used(choose(shapes, prefix=prefix)) == ("state_dict.teacher.", ("state_dict.student.",))
    assert "named as a teacher" in choose(shapes, prefix="teacher").why
    with pytest.raises(SeveralNetworks, match=r"whose names end with 'net'") as caught:
        choose(at("a.net.", "b.net."), prefix="net")
    assert caught.value.choices == ("a.net.", "b.net.")
    assert choose(at("net.", "b.net."), prefix="net").network.name == "net."


def test_a_prefix_under_which_there_is_nothing_is_refused_with_those_there_are() -> None:
    for prefix in ("", ".", "ema."):
        with pytest.raises(CheckpointMismatch, match=r"'student.' \(r3d_tiny\), 'teacher.' \(r3d_tiny\)"):
            choose(at("student.", "teacher."), prefix=prefix)


def test_very_many_networks_make_a_bounded_message() -> None:
    with pytest.raises(SeveralNetworks, match="and 10 more") as caught:
        choose(at(*(f"models.{number}." for number in range(30))))
    assert len(caught.value.choices) == 30


def test_no_word_means_two_things() -> None:
    assert all(word == word.lower() and word.isalpha() for word in AVERAGES)
