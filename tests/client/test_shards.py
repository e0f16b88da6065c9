"""Shards of safetensors as one file: every number in its place, and nothing of another folder."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save_file
from torch import Tensor
from vcpbench_client import Client
from vcpbench_client.errors import FileError
from vcpbench_client.shards import Joined, join

from records.settings import Settings
from tests.client.conftest import Run
from tests.service.kit import stored

INDEX = "model.safetensors.index.json"
TENSORS: dict[str, Tensor] = {
    "conv.weight": torch.arange(24.0).reshape(2, 3, 4),
    "conv.bias": torch.arange(2.0),
    "mask": torch.tensor([True, False, True]),  # 3 bytes: what follows would begin at no multiple of 4
    "half": torch.arange(5).half(),
    "steps": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}
SHARDS = (("mask", "half", "empty"), ("conv.weight", "steps"), ("conv.bias",))


def write_shards(folder: Path, tensors: dict[str, Tensor] = TENSORS, shards: Any = SHARDS) -> Path:
    """Write shards as Hugging Face names them, and return the index."""
    folder.mkdir(exist_ok=True)
    placed = {}
    for number, keys in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file({key: tensors[key] for key in keys}, folder / name)
        placed |= dict.fromkeys(keys, name)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": placed}))
    return folder / INDEX


def content(index: Path) -> bytes:
    with join(index) as file:
        return file.read()


def test_joined_shards_are_one_safetensors_file(tmp_path: Path) -> None:
    found = load(content(write_shards(tmp_path / "a")))
    assert found.keys() == TENSORS.keys()
    for key, tensor in TENSORS.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_every_tensor_begins_at_a_multiple_of_its_numbers_size(tmp_path: Path) -> None:
    data = content(write_shards(tmp_path / "a"))
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    for key, fact in header.items():
        if key != "__metadata__":
            assert fact["data_offsets"][0] % TENSORS[key].element_size() == 0


def test_the_same_shards_give_the_same_bytes_wherever_one_begins(tmp_path: Path) -> None:
    index = write_shards(tmp_path / "a")
    whole = content(index)
    with join(index) as file:
        for begin in range(0, len(whole), 37):
            file.seek(begin)
            assert file.read(50) == whole[begin : begin + 50]
        assert file.seek(0, os.SEEK_END) == len(whole)
        assert file.read(1) == b""


def test_files_are_closed_with_the_joined_one(tmp_path: Path) -> None:
    with join(write_shards(tmp_path / "a")) as file:
        joined = file.raw  # type: ignore[attr-defined]
        assert isinstance(joined, Joined)
        shards = {piece.file for piece in joined._pieces if not isinstance(piece.file, io.BytesIO)}
        assert len(shards) == 3
    assert all(one.closed for one in shards)


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Change what the index says."""

    def build(folder: Path) -> None:
        found = json.loads((folder / INDEX).read_text())
        change(found["weight_map"])
        (folder / INDEX).write_text(json.dumps(found))

    return build


def shard(number: int, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the bytes of a shard."""

    def build(folder: Path) -> None:
        path = folder / f"model-{number:05}-of-00003.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return build


def with_header(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + length :]

    return changed


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a shard is missing": (
        lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(),
        "the shard model-00002-of-00003.safetensors is missing",
    ),
    "a key in no shard": (edited(lambda found: found.update(more=found["mask"])), "lacks 'more'"),
    "a key that the index leaves out": (
        edited(lambda found: found.pop("mask")),
        "holds 'mask', which the index",
    ),
    "a key in two shards": (
        lambda folder: save_file(
            {"conv.bias": TENSORS["conv.bias"], "mask": TENSORS["mask"]},
            folder / "model-00003-of-00003.safetensors",
        ),
        "holds 'mask', which the index does not place there",
    ),
    "a path out of the folder": (
        edited(lambda found: found.update({"conv.bias": "../model-00003-of-00003.safetensors"})),
        "which leads out of its folder",
    ),
    "an absolute path": (
        edited(lambda found: found.update({"mask": "/etc/passwd"})),
        "leads out of its folder",
    ),
    "an empty index": (edited(lambda found: found.clear()), "it is empty"),
    "no index": (lambda folder: (folder / INDEX).write_text("[]") and None, "no index of safetensors"),
    "nested brackets": (
        lambda folder: (folder / INDEX).write_text("[" * 200_000) and None,
        "no index of safetensors",
    ),
    "cut off": (shard(2, lambda data: data[:-1]), "and its header speaks of"),
    "cut off in the header": (shard(2, lambda data: data[:20]), "cut off, or no safetensors file"),
    "empty": (shard(2, lambda data: b""), "cut off, or no safetensors file"),
    "no safetensors": (
        shard(2, lambda data: b"PK\x03\x04" + data),
        "cut off, or no safetensors|makes no sense",
    ),
    "bytes behind the end": (shard(2, lambda data: data + b"x"), "and its header speaks of"),
    "a shape of another size": (
        shard(2, with_header(lambda header: header["conv.weight"].update(shape=[2, 3, 5]))),
        "its header makes no sense",
    ),
    "a negative side": (
        shard(2, with_header(lambda header: header["conv.weight"].update(shape=[-2, -3, 4]))),
        "its header makes no sense",
    ),
    "overlapping tensors": (
        shard(2, with_header(lambda header: header["conv.weight"].update(data_offsets=[0, 96]))),
        "overlap, or leave gaps",
    ),
    "an unknown type": (
        shard(2, with_header(lambda header: header["steps"].update(dtype="F4"))),
        "of the type 'F4'",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_shards_that_do_not_fit_are_refused_by_name(tmp_path: Path, name: str) -> None:
    index = write_shards(tmp_path / "a")
    damage, words = DAMAGES[name]
    damage(tmp_path / "a")
    with pytest.raises(FileError, match=words):
        join(index)


@pytest.mark.parametrize("what", ["folder", "index"])
def test_shards_are_sent_as_one_file(client: Client, settings: Settings, tmp_path: Path, what: str) -> None:
    index = write_shards(tmp_path / "a")
    whole = content(index)
    steps: list[tuple[str, int, int]] = []
    found = client.upload(
        index if what == "index" else index.parent,
        "my-model",
        on_progress=lambda *step: steps.append(step),
        part_bytes=100,
    )
    assert (found.state, found.size_bytes) == ("ingesting", len(whole))
    assert stored(settings, whole)
    assert {stage for stage, *_ in steps} == {"hashing", "sending"}
    assert client.upload(index, "my-model") == found


def test_a_shard_that_changes_while_it_is_sent_is_noticed(client: Client, tmp_path: Path) -> None:
    index = write_shards(tmp_path / "a")

    def change(stage: str, done: int, total: int) -> None:
        if stage == "sending":
            path = tmp_path / "a" / "model-00003-of-00003.safetensors"
            path.write_bytes(path.read_bytes()[:-1] + b"\xff")
            os.utime(path, ns=(1, 1))

    with pytest.raises(FileError, match=r"changed while it was sent|became shorter"):
        client.upload(index, "my-model", on_progress=change, part_bytes=100)


def test_the_commands_say_what_is_wrong_with_a_folder(run: Run, tmp_path: Path) -> None:
    write_shards(tmp_path / "a")
    (tmp_path / "a" / "model-00001-of-00003.safetensors").unlink()
    (tmp_path / "nothing").mkdir()
    for folder, words in (
        ("a", "model-00001-of-00003.safetensors is missing"),
        ("nothing", "Pass the file of weights"),
    ):
        found = run("upload", folder, "-m", "mine")
        assert found.returncode == 2
        assert words in found.stderr
        assert "Traceback" not in found.stderr
