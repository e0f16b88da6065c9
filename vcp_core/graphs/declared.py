"""What `vcpbench export` writes into a file beside the program: its input, and the names of its stages.

A program shows neither. The entry is `extra/vcpbench.json`, of `torch.export.save(..., extra_files=...)`:

    {"version": 1, "input": {"stride": 2, "resize": "128x171", "mean": 0.45, ...}, "stages": ["layer1", ...]}

The words of `input` are those of `vcp_core.catalog.inputs`. A list stands for what the words write in one:
[128, 171] for "128x171", and three numbers for red, green and blue. All keys but `version` may be left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from vcp_core.catalog.errors import GraphError, InputError
from vcp_core.catalog.inputs import InputSpec
from vcp_core.catalog.names import printable
from vcp_core.graphs.archive import Archive
from vcp_core.graphs.documents import parse

ENTRY = "extra/vcpbench.json"
VERSION = 1
MAX_BYTES = 64 << 10
MAX_STAGES = 64
STAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")  # a module's name; metrics add @ and : to it


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a file declares.

    Attributes:
        input_spec: The input, in its one spelling; None if the file declares none.
        stages: Names of the outputs, first to last; empty if the file names none.
    """

    input_spec: str | None = None
    stages: tuple[str, ...] = ()


def read_declared(archive: Archive) -> Declared:
    """Read what a file declares.

    Raises:
        GraphError: If the entry is there, and is not as `vcpbench export` writes it.
        GraphTooLarge: If it is too large.
        DamagedCheckpoint: If it is no JSON.
    """
    if ENTRY not in archive.entries:
        return Declared()
    said = parse(archive.read(ENTRY, most_bytes=MAX_BYTES), ENTRY)
    if not isinstance(said, dict) or said.get("version") != VERSION or type(said["version"]) is not int:
        _refuse(f"is not of version {VERSION}")
    if unknown := sorted(said.keys() - {"version", "input", "stages"}):
        _refuse(f"has an unknown key ({printable(unknown[0])[:40]})")
    return Declared(input_spec=_input(said.get("input")), stages=_stages(said.get("stages")))


def _input(words: Any) -> str | None:
    if words is None or words == {}:
        return None
    if not isinstance(words, dict):
        _refuse("has an input that is no object of words")
    try:
        spec = InputSpec.parse(",".join(f"{word}={_value(word, value)}" for word, value in words.items()))
    except InputError as error:
        _refuse(f"has an input that is not valid: {printable(str(error))[:300].rstrip('.')}")
    return str(spec)


def _value(word: str, value: Any) -> str:
    many = value if isinstance(value, list) else [value]
    if not all(type(one) in (int, float, str) for one in many):
        _refuse(f"gives {printable(word)[:40]} a value that is neither a number nor a text")
    return ("x" if word == "resize" else "/").join(map(str, many))


def _stages(names: Any) -> tuple[str, ...]:
    if names is None:
        return ()
    if not isinstance(names, list) or not 0 < len(names) <= MAX_STAGES:
        _refuse(f"has stages that are no list of 1 to {MAX_STAGES} names")
    for name in names:
        if not isinstance(name, str) or not STAGE.fullmatch(name):
            _refuse(f"names a stage {printable(str(name))[:40]!r}; letters, digits and _ . - are allowed")
    if len(set(names)) < len(names):
        _refuse("names two stages alike")
    return tuple(names)


def _refuse(what: str) -> NoReturn:
    raise GraphError(
        f"{ENTRY} in it {what}. Export the network again with `vcpbench export`, or leave the entry out and "
        "declare the input with --input-spec.",
        reason="declared",
    )
