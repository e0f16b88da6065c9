"""Formats and pickles, read in this process: the files here are our own, and the hostile ones never run."""

from __future__ import annotations

import argparse
import collections
import contextlib
import errno
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.errors import SECRET
from vcp_core.catalog.errors import (
    CheckpointError,
    DamagedCheckpoint,
    NotACheckpoint,
    StorageError,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    last_name,
)
from vcp_core.checkpoints import precheck, read
from vcp_core.checkpoints.arrays import PlainArray, PlainDtype
from vcp_core.checkpoints.read import MAX_DEPTH, _said, read_contents

WEIGHTS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.ones(2)}
both_formats = pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])


class Touch:
    """Pickles as a call that makes a file: the sign that a pickle was run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.touch, (self.marker,)


class Import:
    """Pickles as a call of any global."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def save(thing: object, path: Path, *, as_zip: bool = True) -> Path:
    torch.save(thing, path, _use_new_zipfile_serialization=as_zip)
    return path


@both_formats
def test_tensors_are_found_at_any_depth_beside_ordinary_objects(tmp_path: Path, as_zip: bool) -> None:
    path = save(
        {
            "state_dict": collections.OrderedDict(WEIGHTS),
            "args": argparse.Namespace(lr=0.1, root=pathlib.PurePosixPath("/data")),
            "best": np.float64(61.5),
            "history": np.arange(3),
            "dtype": np.dtype("float32"),
            "log": collections.defaultdict(list, {"loss": [1.0]}),
            "optimizer": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
            "models": [{"bias": torch.nn.Parameter(torch.zeros(3))}],
            b"bytes": torch.zeros(1),
            7: torch.zeros(1),
        },
        tmp_path / "checkpoint",
        as_zip=as_zip,
    )
    contents = read_contents(path)
    assert contents.format == ("torch zip" if as_zip else "torch legacy")
    assert set(contents.tensors) == {
        "state_dict.conv.weight", "state_dict.conv.bias", "models.0.bias", "bytes", "7"
    }  # fmt: skip
    assert torch.equal(contents.tensors["state_dict.conv.weight"], WEIGHTS["conv.weight"])
    assert "state_dict" in contents.containers


def test_safetensors_are_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "weights.pth.tar")
    contents = read_contents(tmp_path / "weights.pth.tar")
    assert contents.format == "safetensors"
    assert set(contents.tensors) == set(WEIGHTS)


@both_formats
def test_a_pickle_that_would_run_code_is_refused_by_name_and_never_run(tmp_path: Path, as_zip: bool) -> None:
    marker = tmp_path / "marker"
    path = save({"state_dict": WEIGHTS, "x": Touch(marker)}, tmp_path / "evil.pt", as_zip=as_zip)
    with pytest.raises(UnsafeCheckpoint, match=r"pathlib\.\S*touch|builtins\.getattr"):
        read_contents(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # it is not a dud: what it does when it is run
    assert marker.exists()


@both_formats
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (eval, "builtins.eval"),
        (getattr, "builtins.getattr"),
        (__import__("os").system, "posix.system"),
        (__import__("subprocess").Popen, "subprocess.Popen"),
        (torch.hub.load, "torch.hub.load"),
        (torch.load, "torch.serialization.load"),
    ],
)
def test_any_other_global_is_refused_by_its_name(
    tmp_path: Path, function: Any, name: str, as_zip: bool
) -> None:
    path = save({"x": Import(function, "1")}, tmp_path / "evil.pt", as_zip=as_zip)
    with pytest.raises(UnsafeCheckpoint, match=f"asks for {name} .*None of its code was run.*state_dict"):
        read_contents(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_plain_pickle_is_refused_with_all_that_it_asks_for(tmp_path: Path, protocol: int) -> None:
    path, marker = tmp_path / "evil.pth", tmp_path / "marker"
    path.write_bytes(pickle.dumps([Touch(marker), Import(eval, "1"), Import(exec, "1")], protocol))
    with pytest.raises(UnsafeCheckpoint, match=r"builtins\.eval, builtins\.exec"):
        read_contents(path)
    assert not marker.exists()


def test_torch_files_of_a_later_pickle_protocol_are_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "four.pt", pickle_protocol=4)
    with pytest.raises(NotACheckpoint, match=r"protocol 4.*state_dict"):
        read_contents(tmp_path / "four.pt")
    torch.save({"x": Import(eval, "1")}, tmp_path / "evil.pt", pickle_protocol=4)
    with pytest.raises(UnsafeCheckpoint, match=r"builtins\.eval"):
        read_contents(tmp_path / "evil.pt")


@pytest.mark.parametrize("write", [torch.save, save_file])
def test_more_tensors_than_any_network_has_are_refused_in_either_format(
    tmp_path: Path, write: Callable[[dict[str, torch.Tensor], Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "MAX_TENSORS", 20)
    for number, says in ((20, None), (21, "more than 20 tensors")):
        write({f"x{i}": torch.zeros(1) for i in range(number)}, tmp_path / "many")
        with pytest.raises(NotACheckpoint, match=says) if says else contextlib.nullcontext():
            read_contents(tmp_path / "many")


def test_harmless_objects_come_out_as_nothing_at_all(tmp_path: Path) -> None:
    class Holder:
        def __reduce__(self) -> tuple[Any, ...]:
            return argparse.Namespace, (), {"weights": torch.zeros(3)}

    path = save({"w": torch.zeros(1), "held": Holder()}, tmp_path / "held.pt")
    assert set(read_contents(path).tensors) == {"w"}


@both_formats
def test_a_truncated_file_is_damaged_wherever_it_ends(tmp_path: Path, as_zip: bool) -> None:
    whole = save(WEIGHTS, tmp_path / "whole.pt", as_zip=as_zip).read_bytes()
    path = tmp_path / "part.pt"
    for length in (1, 3, 10, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpoint, match=r"truncated|cut off"):
            read_contents(path)


def test_a_truncated_safetensors_file_is_damaged_wherever_it_ends(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / "part.safetensors"
    for length in (20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpoint, match=r"truncated|cut off"):
            read_contents(path)


def flip_a_bit(path: Path) -> None:
    """In the middle of the file, among the weights."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_one_flipped_bit_among_the_weights_is_noticed(tmp_path: Path) -> None:
    path = save({"w": torch.zeros(10_000)}, tmp_path / "flipped.pt")
    flip_a_bit(path)
    with pytest.raises(DamagedCheckpoint, match="checksum"):
        read_contents(path)


def test_an_archive_that_someone_compressed_gives_the_same_weights(tmp_path: Path) -> None:
    path, packed = save(WEIGHTS, tmp_path / "plain.pt"), tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    found = read_contents(packed).tensors
    assert all(torch.equal(found[name], weights) for name, weights in WEIGHTS.items())


def packed_again(folder: Path) -> Path:
    """An archive without torch's outer folder, which has to be unpacked to be read."""
    path, packed = save(WEIGHTS, folder / "plain.pt"), folder / "packed.pt"
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(packed, "w") as archive:
        for name in plain.namelist():
            archive.writestr(name.partition("/")[2], plain.read(name))
    return packed


def test_an_archive_that_was_packed_again_is_unpacked_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, asked = packed_again(tmp_path), []

    def full(dir: Path | None) -> None:
        asked.append(dir)
        raise OSError(errno.ENOSPC, "No space left on device")

    assert set(read_contents(packed, tmp_path).tensors) == set(WEIGHTS)
    monkeypatch.setattr("vcp_core.checkpoints.archives.tempfile.TemporaryFile", full)
    with pytest.raises(StorageError, match="cannot take an unpacked copy: No space left"):
        read_contents(packed, tmp_path)
    assert asked == [tmp_path]


def test_an_archive_packed_in_a_way_that_is_not_read_here_is_not_called_corrupt(tmp_path: Path) -> None:
    path = save(WEIGHTS, tmp_path / "windows.pt")
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    deflate64 = data[: directory + 10] + b"\x09\x00" + data[directory + 12 :]
    path.write_bytes(deflate64)
    with pytest.raises(NotACheckpoint, match="compressed in a way that is not read here"):
        read_contents(path)


def test_a_flipped_bit_in_the_name_of_a_global_is_damage_and_no_code(tmp_path: Path) -> None:
    path = save(WEIGHTS, tmp_path / "flipped.pt")
    path.write_bytes(path.read_bytes().replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3", 1))
    with pytest.raises(DamagedCheckpoint, match="checksum"):
        read_contents(path)


def test_an_archive_whose_list_of_entries_makes_no_sense_is_corrupt(tmp_path: Path) -> None:
    path = save({"é": WEIGHTS["conv.bias"]}, tmp_path / "é.pt")
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    utf8 = data[: directory + 8] + b"\x00\x08" + data[directory + 10 : directory + 46] + b"\xff"
    path.write_bytes(utf8 + data[directory + 47 :])
    with pytest.raises(DamagedCheckpoint, match="list of entries makes no sense"):
        read_contents(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hello, I am a text\nof two lines", "plain text, beginning 'hello"),
        (b"<!DOCTYPE html><html>sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0", "an ONNX model. It may have lost the names"),
        (b"\x08\x01\x12" + bytes(100), "TensorFlow SavedModel"),
        (b"\x1f\x8b\x08" + bytes(50), "gzip"),
        (b"\x28\xb5\x2f\xfd" + bytes(50), "Zstandard"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "7-Zip"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(50), "RAR"),
        (b"--b\r\nContent-Disposition: form-data; name=f\r\n\r\nPK\x03\x04" + bytes(50), "web form"),
        (b"\x00\x01\x02\x03" * 20, "no format known"),
        (b"", "empty"),
    ],
)
def test_other_files_are_refused_with_what_they_look_like(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(data)
    with pytest.raises(NotACheckpoint, match=says):
        read_contents(path)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (("config.json", "model.weights.h5"), "Keras"),
        (("a.npy",), "NumPy"),
        (("readme.txt",), "without weights"),
    ],
)
def test_other_archives_are_told_apart(tmp_path: Path, entries: tuple[str, ...], says: str) -> None:
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as archive:
        for entry in entries:
            archive.writestr(entry, b"")
    with pytest.raises(NotACheckpoint, match=says):
        read_contents(tmp_path / "archive.pt")


def test_a_file_without_tensors_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(NotACheckpoint, match="no tensors"):
        read_contents(save({"epoch": 3}, tmp_path / "empty.pt"))


def test_a_dictionary_that_holds_itself_ends(tmp_path: Path) -> None:
    knot: dict[str, Any] = {"w": torch.zeros(1)}
    knot |= {f"again{number}": knot for number in range(50)}
    deep: Any = torch.zeros(1)
    for _ in range(2 * MAX_DEPTH):
        deep = [deep]
    contents = read_contents(save({"knot": knot, "deep": deep}, tmp_path / "knot.pt"))
    assert set(contents.tensors) == {"knot.w"}


def test_tensors_that_are_not_plain_numbers_are_left_out(tmp_path: Path) -> None:
    path = save({"w": torch.zeros(1), "sparse": torch.eye(2).to_sparse()}, tmp_path / "sparse.pt")
    contents = read_contents(path)
    assert (list(contents.tensors), contents.skipped) == (["w"], ["sparse"])


def test_a_reader_that_fails_on_a_whole_file_says_why_and_does_not_call_it_corrupt(tmp_path: Path) -> None:
    path = save(
        {"x": Import(torch._utils._rebuild_device_tensor_from_cpu_tensor, 1, 2, 3)}, tmp_path / "odd.pt"
    )
    with pytest.raises(
        UnreadableCheckpoint, match=r"cannot be read: .*in your own environment.*state_dict"
    ) as caught:
        read_contents(path)
    assert "corrupt" not in str(caught.value)
    save({"x": Import(torch._utils._rebuild_device_tensor_from_cpu_tensor, 1, 2, 3)}, path, as_zip=False)
    with pytest.raises(UnreadableCheckpoint):
        read_contents(path)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6, dtype=np.int32),
        np.float16([1, 2]),
        np.asfortranarray(np.eye(3)),
    ],
)
def test_a_tensor_that_came_through_numpy_has_its_numbers(tmp_path: Path, array: Any) -> None:
    rebuild = torch._utils._rebuild_device_tensor_from_numpy
    dtype = torch.from_numpy(array).dtype
    path = save({"w": Import(rebuild, array, dtype, "xla:0", False)}, tmp_path / "tpu.pt")
    assert torch.equal(read_contents(path).tensors["w"], torch.from_numpy(array))


@pytest.mark.parametrize(
    "state",
    [
        (1, (1 << 40,), np.dtype("f8"), False, b"12345678"),
        (1, (1,), np.dtype("O"), False, [object]),
        (1, (-1, -1), np.dtype("f8"), False, b"12345678"),
        (1, (1,), np.dtype(">f8"), False, b"12345678"),
        "nonsense",
    ],
)
def test_an_array_whose_state_does_not_fit_it_stays_empty(state: Any) -> None:
    array = PlainArray((1 << 40,))
    if isinstance(state, tuple):
        dtype = PlainDtype(state[2].str.lstrip("<>|") if state[2].kind != "O" else "O8")
        dtype.__setstate__((3, state[2].byteorder))
        state = (*state[:2], dtype, *state[3:])
    array.__setstate__(state)
    assert array.size == 0


@pytest.mark.parametrize("name", ["model/data.pkl", "x/y/data.pkl", "data.pkl"])
def test_an_archive_that_unpacks_to_more_than_a_checkpoint_should_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "UNPACKED", (1000, 4))
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/x", b"")
        archive.writestr(name, bytes(1_000_000))
    with pytest.raises(CheckpointError, match="unpacks to far more"):
        read_contents(tmp_path / "bomb.pt")


def test_a_flipped_bit_in_an_archive_that_was_packed_again_is_noticed(tmp_path: Path) -> None:
    plain, path = save({"w": torch.rand(10_000)}, tmp_path / "plain.pt"), tmp_path / "flat.pt"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as flat:
        for entry in source.namelist():
            flat.writestr(entry.split("/", 1)[1], source.read(entry))
    flip_a_bit(path)
    with pytest.raises(DamagedCheckpoint, match="CRC"):
        read_contents(path)


def test_an_archive_of_several_checkpoints_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.pt", "w") as archive:
        for name in ("a/data.pkl", "b/data.pkl"):
            archive.writestr(name, b"")
    with pytest.raises(NotACheckpoint, match="archive of 2 checkpoints"):
        read_contents(tmp_path / "two.pt")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((".metadata", "__0_0.distcp"), "dcp_to_torch"),
        (("meta.pt", ".metadata", "__0_0.distcp"), "consolidate_checkpoint"),
        (("latest", "zero_to_fp32.py", "global_step10/x"), "zero_to_fp32.py FOLDER OUT"),
        (("global_step10/x",), "DeepSpeed"),
        (("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"), "Pass mp_rank_00"),
        (("mp_rank_00/model_optim_rng.pt",), "Megatron"),
        (("pytorch_model_fsdp_0/__0_0.distcp", "random_states_0.pkl"), "accelerate merge-weights"),
        (("_CHECKPOINT_METADATA", "d/0"), "Orbax"),
        (("model.safetensors", "config.json"), "Pass model.safetensors"),
        (("pytorch_model.bin", "config.json"), "Pass pytorch_model.bin"),
        (("pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"), "several files"),
        (("data.pkl", "version", "data/0"), "zip -0 -r"),
        (("saved_model.pb", "variables/x"), "SavedModel"),
        (("model.ckpt.index", "model.ckpt.data-00000-of-00001"), "TensorFlow checkpoint"),
        (("b.pt", "a.ckpt", "log.txt"), "Pass one of the files in it: a.ckpt, b.pt"),
        (("log.txt",), "Pass the weights file in it"),
    ],
)
def test_a_folder_is_told_by_its_names(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(NotACheckpoint) as caught:
        precheck(tmp_path)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("globals_", "says"),
    [
        (("torch.distributed._shard.sharded_tensor.api ShardedTensor",), "FULL_STATE_DICT"),
        (("torch.distributed.tensor DTensor",), "full_state_dict=True"),
        (("torch_xla.utils.serialization TensorReference",), "torch_xla.core.xla_model.save"),
        (("mine Net", "torch.nn.modules.conv Conv3d"), "a whole module, as torch.save(model)"),
        (("transformers.training_args TrainingArguments",), "a Trainer's arguments"),
        (("mine Secret",), "If you trust it, load it yourself"),
    ],
)
def test_a_pickle_that_asks_for_known_classes_is_told_by_them(
    tmp_path: Path, globals_: tuple[str, ...], says: str
) -> None:
    asked = b"".join(b"c" + name.replace(" ", "\n").encode() + b"\n0" for name in globals_)
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + asked + b"N.")
        archive.writestr("a/version", b"3\n")
    with pytest.raises(UnsafeCheckpoint) as caught:
        read_contents(tmp_path / "a.pt")
    assert says in str(caught.value)
    assert "None of its code was run" in str(caught.value)


def test_an_encrypted_archive_is_refused_as_one(tmp_path: Path) -> None:
    data = bytearray(save({"w": torch.zeros(3)}, tmp_path / "a.pt").read_bytes())
    start = data.index(b"PK\x01\x02")
    data[start + 8] |= 1  # the flag in the central directory
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(NotACheckpoint, match="encrypted zip archive"):
        read_contents(tmp_path / "a.pt")


def test_where_a_copy_of_the_file_lies_is_not_told_with_a_librarys_words(tmp_path: Path) -> None:
    path = tmp_path / SECRET / "weights.pt"
    missing = FileNotFoundError(errno.ENOENT, "No such file", str(path))
    for error in (missing, ValueError(f"{path} is odd"), ValueError("odd")):
        told = DamagedCheckpoint("(", _said(error, path), ").").text(last_name)
        assert told == ("(odd)." if str(error) == "odd" else "(…).")
