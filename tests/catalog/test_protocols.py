"""Protocols: named, hashed, read from files, refused when they make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vcp_core.catalog.errors import ProtocolError, UnknownName
from vcp_core.catalog.options import PAPERS_OPTIONS
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, load_protocol, protocol_from


def test_standard_v1_holds_the_numbers_of_the_protocol_page() -> None:
    standard = load_protocol("standard-v1")
    assert standard.grid.num_clips == 10
    assert (standard.cloze.gap, standard.cloze.remote_gap, standard.cloze.num_tuples) == (8, 16, 1)
    assert (standard.knn.k, standard.knn.temperature) == (20, 0.07)
    assert standard.retrieval.ks == (1, 5, 10, 20, 50)
    assert (standard.interval.level, standard.interval.num_resamples) == (0.95, 1000)
    assert (standard.control.seeds, standard.control.calibration_clips) == ((0, 1, 2), 256)


def test_paper_v1_is_standard_v1_with_the_papers_feature_and_their_finetuning() -> None:
    standard, paper = PROTOCOLS["standard-v1"], PROTOCOLS["paper-v1"]
    assert paper.retrieval.features == ("pooled", "max-pooled")
    tuned = paper.finetune
    assert tuned is not None
    assert (tuned.optimizer, tuned.momentum, tuned.weight_decay, tuned.lr) == ("sgd", 0.9, 5e-4, 1e-3)
    assert (tuned.batch, tuned.epochs, tuned.holdout_videos) == (8, 150, 800)
    assert round(tuned.holdout_most * 3570) == 400  # training videos of HMDB51
    update = {"name": "standard-v1", "retrieval": standard.retrieval, "finetune": None}
    assert paper.model_copy(update=update) == standard
    assert standard.finetune is None


def test_a_file_may_ask_for_finetuning_by_other_numbers() -> None:
    mine = protocol_from({"name": "a", "finetune": {"epochs": 20}})
    assert mine.finetune is not None
    assert (mine.finetune.epochs, mine.finetune.batch) == (20, 8)
    assert mine.hash != PROTOCOLS["standard-v1"].hash


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("standard-v1", "7ca1b482491be6cebc2cdc16979d3aeab76de8887ce0324d78c3310bbe9f5a1a"),
        ("quick-v1", "053e353067c29b056eefd79b0394a9ac199d1df34d0e152ff72b59f838f21846"),
        ("standard-bf16-v1", "4d1a2ce8ca3f16343b17637a29d721ed9c4319b8454daaab17835cd2ce4b75dc"),
        ("paper-v1", "be726fd9d77380dd693d122b29848258b1c7e7d812db9b9355814385ea9a2e3d"),
    ],
)
def test_published_protocols_never_change(name: str, digest: str) -> None:
    assert PROTOCOLS[name].hash == digest


def test_a_number_that_came_later_is_hashed_only_where_it_is_not_at_its_default() -> None:
    at_default = protocol_from({"name": "a", "retrieval": {"features": ["pooled"]}})
    assert at_default.hash == PROTOCOLS["standard-v1"].hash
    papers = protocol_from({"name": "a", "retrieval": {"features": ["max-pooled", "pooled"]}})
    assert papers.hash != PROTOCOLS["standard-v1"].hash
    other_order = protocol_from({"name": "a", "retrieval": {"features": ["pooled", "max-pooled"]}})
    assert papers.hash == other_order.hash
    assert '"features":["pooled","max-pooled"]' in papers.canonical_json


def test_the_options_that_cloze_asks_are_the_papers_unless_a_protocol_says_otherwise() -> None:
    assert all(protocol.cloze.options == PAPERS_OPTIONS for protocol in PROTOCOLS.values())
    same = protocol_from({"name": "a", "cloze": {"options": sorted(PAPERS_OPTIONS)}})
    assert same.hash == PROTOCOLS["standard-v1"].hash, "the order in which they are named means nothing"
    fewer = protocol_from({"name": "a", "cloze": {"options": ["adjacent", "original"]}})
    assert fewer.cloze.options == ("original", "adjacent")
    assert fewer.hash != same.hash
    for wrong, says in (
        (["original", "rotatoin"], "Did you mean 'rotation'"),
        (["original"], "'original' and others"),
        (["rotation", "adjacent"], "'original' and others"),
        (["original", "adjacent", "adjacent"], "each once"),
    ):
        with pytest.raises(ProtocolError, match=says):
            protocol_from({"name": "a", "cloze": {"options": wrong}})


def test_what_is_stored_of_a_protocol_gives_its_hash_back() -> None:
    for protocol in PROTOCOLS.values():
        assert Protocol.model_validate(protocol.model_dump(mode="json")).hash == protocol.hash
        for_years = {"name": protocol.name, **json.loads(protocol.canonical_json)}
        assert Protocol.model_validate(for_years) == protocol


def test_the_hash_follows_the_numbers_and_not_the_name() -> None:
    assert Protocol(name="a").hash == Protocol(name="b").hash
    assert Protocol(name="a").hash != Protocol(name="a", seed=1).hash


def test_a_file_changes_what_it_says_and_keeps_the_rest_of_its_base(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text('base = "quick-v1"\n[cloze]\ngap = 0\nremote_gap = 0\n')
    protocol = load_protocol(path)
    assert protocol.name == "short"
    assert (protocol.cloze.gap, protocol.cloze.remote_gap, protocol.cloze.stages) == (0, 0, "last")
    assert protocol.grid.num_clips == 3
    assert protocol.hash != PROTOCOLS["quick-v1"].hash


def test_a_whole_number_may_have_a_point_and_changes_no_hash(tmp_path: Path) -> None:
    pointed, plain = tmp_path / "a.toml", tmp_path / "b.toml"
    pointed.write_text("[retrieval]\nks = [1.0, 5.0]\n[knn]\nk = 5.0\n[finetune]\nlr = 1.0\n")
    plain.write_text("[retrieval]\nks = [1, 5]\n[knn]\nk = 5\n[finetune]\nlr = 1\n")
    assert load_protocol(pointed).hash == load_protocol(plain).hash


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[cloze]\ngap = -1\n", "cloze.gap = -1"),
        ("seed = true\n", "seed = true: it must be a whole number"),
        ('[knn]\nk = "5"\n', "knn.k = '5': it must be a whole number"),
        ("[knn]\nk = 5.5\n", "knn.k = 5.5: it must be a whole number"),
        ('[interval]\nlevel = "0.9"\n', "interval.level = '0.9': it must be a number"),
        ("[control]\npixels = 1\n", "control.pixels = 1: it must be true or false"),
        ("[retrieval]\nks = [true]\n", "p.toml: retrieval.ks.0 = true: it must be a whole number. See"),
        ("[cloze]\ngaps = 1\n", "a protocol has no number cloze.gaps"),
        ("[retrieval]\nks = [5, 1]\n", "must ascend"),
        ('[retrieval]\nfeatures = ["max-pooled"]\n', "must hold 'pooled'"),
        ('[retrieval]\nfeatures = ["pooled", "pooled"]\n', "each feature once"),
        ("[probe]\nl2 = []\n", "probe.l2"),
        ('precision = "fp8"\n', "precision = 'fp8'"),
        ("not toml", "is not valid TOML"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ProtocolError) as error:
        load_protocol(path)
    assert says in str(error.value)


def test_an_unknown_name_suggests_and_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'quick-v1'"):
        load_protocol("quick")
    with pytest.raises(ProtocolError, match=r"gone\.toml"):
        load_protocol(tmp_path / "gone.toml")


def test_a_protocol_for_other_frames_is_read_with_its_own_hash_and_not_run() -> None:
    quick = PROTOCOLS["quick-v1"]
    old = Protocol.model_validate({**quick.model_dump(mode="json"), "frames": "planes-of-old-1"})
    assert old.hash != quick.hash
    with pytest.raises(ProtocolError, match="is for frames of version 'planes-of-old-1'"):
        old.check()
    with pytest.raises(ProtocolError, match="is for frames of version"):
        protocol_from({"name": "x", "frames": "planes-of-old-1"})
