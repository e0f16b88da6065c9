"""What a checkpoint claims about itself is read with suspicion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vcp_core.checkpoints.origin import Origin, read_origin

CLAIM: dict[str, Any] = {
    "run": "r",
    "step": 3,
    "epoch": 1,
    "task": "pretrain",
    "backbone": "r3d",
    "dataset": "ucf101",
    "dataset_split": "1",
    "dataset_fingerprint": "ab",
}


def write(path: Path, claim: object, *, length: int | None = None) -> Path:
    header = json.dumps({"__metadata__": {"vcpbench": json.dumps(claim)}}).encode()
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header)
    return path


def test_a_whole_claim_is_read_and_what_it_says_besides_is_left_alone(tmp_path: Path) -> None:
    assert read_origin(write(tmp_path / "a", {**CLAIM, "config": {"lr": 1}})) == Origin(**CLAIM)


def test_what_a_finetuned_network_was_pretrained_on_before_is_read_where_it_is_said(tmp_path: Path) -> None:
    claim = {**CLAIM, "pretrained_on": "ucf101:1"}
    assert read_origin(write(tmp_path / "a", claim)) == Origin(**claim)
    assert read_origin(write(tmp_path / "b", {**CLAIM, "pretrained_on": None})) == Origin(**CLAIM)
    assert read_origin(write(tmp_path / "c", {**CLAIM, "pretrained_on": 7})) is None


@pytest.mark.parametrize(
    "nonsense",
    [
        {"run": ""},
        {"run": "x" * 1000},
        {"run": "\x1b[31m"},
        {"run": 7},
        {"step": -1},
        {"step": True},
        {"step": "3"},
        {"epoch": 1.5},
    ],
)
def test_a_claim_that_makes_no_sense_is_none(tmp_path: Path, nonsense: dict[str, Any]) -> None:
    assert read_origin(write(tmp_path / "a", CLAIM | nonsense)) is None


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 and a zip", b"\x05\0\0\0\0\0\0\0[[[[[", b"\x02\0\0\0\0\0\0\0{}"]
)
def test_a_file_that_claims_nothing_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_origin(tmp_path / "a") is None


def test_a_header_as_long_as_it_likes_is_not_read(tmp_path: Path) -> None:
    assert read_origin(write(tmp_path / "a", CLAIM, length=1 << 60)) is None
    assert read_origin(tmp_path / "missing") is None
