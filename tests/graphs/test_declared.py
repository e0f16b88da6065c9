"""What a file declares beside its program: read strictly, or refused with the reason."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.graphs.archives import parts
from vcp_core.catalog.errors import DamagedCheckpoint, GraphError, GraphTooLarge, VcpbenchError
from vcp_core.graphs.archive import Archive
from vcp_core.graphs.declared import ENTRY, Declared, read_declared

pytestmark = [
    pytest.mark.slow,
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")),
]


def declared(said: bytes) -> Declared:
    made = parts()
    made.entries[ENTRY] = said
    return read_declared(Archive(io.BytesIO(made.pack())))


def written(**said: Any) -> bytes:
    return json.dumps({"version": 1, **said}).encode()


def test_a_file_may_declare_nothing() -> None:
    assert read_declared(Archive(io.BytesIO(parts().pack()))) == Declared()
    assert declared(written()) == Declared()


@pytest.mark.parametrize(
    "words",
    [
        {"stride": 2, "resize": "128x171", "mean": "0.4/0.5/0.6", "std": 0.225},
        {"stride": "2", "resize": [128, 171], "mean": [0.4, 0.5, 0.6], "std": "0.225"},
    ],
    ids=["texts", "lists"],
)
def test_words_of_an_input_and_names_of_stages_are_read(words: dict[str, Any]) -> None:
    assert declared(written(input=words, stages=["layer1", "blocks.3"])) == Declared(
        input_spec="stride=2,resize=128x171,mean=0.4/0.5/0.6,std=0.225", stages=("layer1", "blocks.3")
    )


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (b"{", DamagedCheckpoint, "not JSON"),
        (b"[]", GraphError, "not of version 1"),
        (b'{"version": 2}', GraphError, "not of version 1"),
        (b'{"version": true}', GraphError, "not of version 1"),
        (written(code="import os"), GraphError, r"unknown key \(code\)"),
        (written(input=[1]), GraphError, "no object of words"),
        (written(input={"fps": 25}), GraphError, "An input spec has no 'fps=25'"),
        (written(input={"stride": 0}), GraphError, "stride of an input spec must be"),
        (written(input={"stride": True}), GraphError, "neither a number nor a text"),
        (written(input={"stride": {"a": 1}}), GraphError, "neither a number nor a text"),
        (written(input={"mean": [0.1, 0.2]}), GraphError, "mean of an input spec must be"),
        (written(stages="layer1"), GraphError, "no list of 1 to 64 names"),
        (written(stages=[]), GraphError, "no list of 1 to 64 names"),
        (written(stages=["a", "a"]), GraphError, "two stages alike"),
        (written(stages=["relational@layer1"]), GraphError, "names a stage 'relational@layer1'"),
        (written(stages=["a:max"]), GraphError, "names a stage"),
        (written(stages=["\u202e"]), GraphError, "names a stage"),
        (written(stages=[7]), GraphError, "names a stage"),
        (b" " * 100_000, GraphTooLarge, "at most 65,536 are read"),
    ],
    ids=[
        *("half", "a list", "another version", "a truth value", "a wrong key", "no object", "a wrong word"),
        *("no stride", "a true stride", "an object", "two colours", "one text", "no stage", "two alike"),
        *("an at sign", "a colon", "a mark of direction", "a number", "very large"),
    ],
)
def test_anything_else_is_refused(said: bytes, error: type[VcpbenchError], words: str) -> None:
    with pytest.raises(error, match=words):
        declared(said)
