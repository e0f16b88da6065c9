"""Read the tensors of a foreign file, and never run its code. Only the sandbox's child calls this."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

import safetensors
import torch
from torch import Tensor

from vcp_core.catalog.errors import (
    CheckpointError,
    DamagedCheckpoint,
    NotACheckpoint,
    Private,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    VcpbenchError,
)
from vcp_core.checkpoints.archives import (
    broken_entry,
    expect_bounded,
    is_as_torch_wrote_it,
    packed_as_torch_does,
)
from vcp_core.checkpoints.arrays import ARRAYS
from vcp_core.checkpoints.formats import RE_SAVE, Format, identify
from vcp_core.checkpoints.names import MAX_CHARACTERS, expect_short
from vcp_core.checkpoints.pickles import MAX_GLOBAL, ZIPS, Survey, survey, with_long_global
from vcp_core.checkpoints.placeholders import HARMLESS, Refused
from vcp_core.checkpoints.report import listed, printable
from vcp_core.checkpoints.scripted import FROZEN, NOTE, holds_weights, stand_ins_of
from vcp_core.checkpoints.trainers import MAX_TEXT, Value

MAX_TENSORS = 50_000  # the largest video networks have a few thousand, their optimizers three times that
MAX_DEPTH = 12  # of nested dictionaries and lists
MAX_VALUES, VALUES_DEPTH = 1_000, 4  # numbers and texts beside the tensors; trainers' are near the top
UNPACKED = 1 << 30, 4  # a compressed archive may unpack to 1 GiB, or to 4 times its size if that is more

# The words of torch's readers for a file that ends too early.
_CUT_OFF = re.compile(r"unexpected EOF|Ran out of input|pickle data was truncated|file not found|read past")
_NO_MEMORY = re.compile(r"can't allocate memory|Cannot allocate memory")
_REFUSED = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)")  # only the text of torch's error names it
_STAND_INS = HARMLESS | ARRAYS
CAFFE2 = (
    "a Caffe2 file of PySlowFast ('blobs' of NumPy arrays), whose names and layouts are Caffe2's. The same "
    "networks are in PyTorchVideo's model zoo as .pyth files (SLOW_8x8_R50.pyth, SLOWFAST_8x8_R50.pyth, "
    "I3D_8x8_R50.pyth, C2D_8x8_R50.pyth): pytorchvideo.readthedocs.io, Model Zoo. Pass one of these."
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The tensors of a file.

    Attributes:
        format: The format of the file, by its bytes.
        tensors: The tensors by path: dictionaries and keys joined by dots ("state_dict.module.conv1.weight").
        containers: Paths of the dictionaries.
        values: Whole numbers and short texts besides the tensors, by path ("meta.epoch").
        skipped: Paths of tensors that do not hold plain numbers (sparse, quantised, meta).
        notes: Sentences about anything unusual in how the file was read.
    """

    format: Format
    tensors: dict[str, Tensor] = field(default_factory=dict)
    containers: set[str] = field(default_factory=set)
    values: dict[str, Value] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_contents(path: Path, scratch: Path | None = None) -> Contents:
    """Read all tensors of a checkpoint file, on the CPU.

    Args:
        path: The file.
        scratch: The folder for the copy of an archive that another program packed again.

    Raises:
        NotACheckpoint: If the file is of another format, or holds no tensors.
        DamagedCheckpoint: If the file is truncated, or a checksum in it is wrong.
        UnreadableCheckpoint: If the reader of the file's format fails in another way.
        UnsafeCheckpoint: If the file asks for a global that is not known to be harmless. Nothing was run.
        StorageError: If there is no room to unpack the file.

    >>> from vcp_core.samples import sample_path
    >>> contents = read_contents(sample_path())
    >>> contents.format, len(contents.tensors), tuple(contents.tensors["head.weight"].shape)
    ('safetensors', 74, (5, 384))
    """
    with _utf8(path) as path:
        file_format = identify(path)
        contents = Contents(format=file_format)
        if file_format == "torch export":
            raise NotACheckpoint("a program of torch.export. `vcp_core.graphs.read_graph` reads these.")
        if file_format == "pickle":
            _refuse_plain_pickle(path)
        elif file_format == "safetensors":
            _load_safetensors(path, contents)
        else:
            _load_torch(path, contents, scratch)
    if "" in contents.tensors:
        raise NotACheckpoint(
            "one tensor without a name. It may be a part of a distributed checkpoint: join its folder with "
            "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pt`."
        )
    if not contents.tensors:
        if file_format == "torchscript":
            raise NotACheckpoint(FROZEN)
        raise NotACheckpoint(f"it holds no tensors. {RE_SAVE}")
    return contents


@contextlib.contextmanager
def _utf8(path: Path) -> Iterator[Path]:
    """Give a path to the same file in UTF-8, because torch and safetensors take no other paths."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield Path(f"/dev/fd/{file.fileno()}")
    else:
        yield path


def _load_safetensors(path: Path, contents: Contents) -> None:
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                _take(name, file.get_tensor(name), contents)
            for name, value in (file.metadata() or {}).items():
                _note(name, int(value) if value.isdecimal() and len(value) < MAX_DIGITS else value, contents)
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error


MAX_DIGITS = 19  # of a number that fits 63 bits


def _load_torch(path: Path, contents: Contents, scratch: Path | None) -> None:
    as_zip, scripted = contents.format in ZIPS, contents.format == "torchscript"
    try:
        bounds = max(UNPACKED[0], UNPACKED[1] * path.stat().st_size)
        normal = as_zip and _is_normal(path)
        if normal or scripted:
            expect_bounded(path, bounds)  # first, because the next line may parse the whole pickle
        _refuse_long_global(path, contents.format)
        if scripted:
            stand_ins = _stand_ins(survey(path, contents.format), contents.format)
            with packed_as_torch_does(path, bounds, scratch, wants=holds_weights) as copy:
                _flatten(_weights_only(copy, mapped=False, stand_ins=stand_ins), contents)
            contents.notes.append(NOTE)
            _check_sums(path)
            return
        if as_zip and not normal:
            contents.notes.append(
                "the zip archive was packed again after torch wrote it; its checksums are right"
            )
            with packed_as_torch_does(path, bounds, scratch) as copy:
                _flatten(_weights_only(copy, mapped=False), contents)
            return
        _flatten(_weights_only(path, mapped=as_zip and _is_stored(path)), contents)
    except pickle.UnpicklingError as error:
        _refuse(path, contents.format, error)
    except VcpbenchError:
        raise
    except MemoryError as error:
        raise _too_large() from error
    # Any error: hostile or broken bytes can make torch's reader fail in every way.
    except Exception as error:
        raise _failure(path, contents.format, error) from error
    if as_zip:
        _check_sums(path)


def _weights_only(
    file: Path | IO[bytes], *, mapped: bool, stand_ins: Mapping[str, Callable[..., Any]] = _STAND_INS
) -> object:
    """Load the object in a file of `torch.save`. With `mapped`, unused gigabytes (optimizer) stay on disk."""
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (stand_in, name) for name, stand_in in stand_ins.items()
    ]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings(action="ignore"):
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)


def _is_normal(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return is_as_torch_wrote_it(archive)


def _is_stored(path: Path) -> bool:
    """Tell whether no entry is compressed. Torch would map compressed bytes as if they were weights."""
    with zipfile.ZipFile(path) as archive:
        return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def _check_sums(path: Path) -> None:
    """Check the checksums of all entries. Torch does not, and a flipped bit would be a wrong weight."""
    try:
        broken = broken_entry(path)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error
    if broken:
        raise DamagedCheckpoint(
            f"entry {printable(broken)} does not have the checksum it was saved with: corrupt. Copy the file "
            "again. (If it was saved with torch.serialization.set_crc32_options(False), save it without.)"
        )


def _flatten(root: object, contents: Contents) -> None:
    waiting: list[tuple[str, object, int]] = [("", root, 0)]
    seen: set[int] = set()
    while waiting:
        path, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            _take(path, value, contents)
        elif len(path) > MAX_CHARACTERS:  # each child's path would be a copy of it
            if isinstance(value, Mapping | list | tuple) and any(
                isinstance(child, Tensor) for _, child in _items(value)
            ):
                expect_short(path)
        # Not isinstance: a bool is an int in Python, and True is no count of steps.
        elif type(value) in (int, str) and depth <= VALUES_DEPTH:
            _note(path, value, contents)
        elif isinstance(value, Mapping | list | tuple) and depth <= MAX_DEPTH and id(value) not in seen:
            seen.add(id(value))  # a pickle can hold a dictionary that holds itself
            if path and isinstance(value, Mapping):
                contents.containers.add(path)
            children = [(f"{path}.{key}" if path else key, child, depth + 1) for key, child in _items(value)]
            # A stack: the first child is on top, so tensors keep the file's order.
            waiting.extend(reversed(children))


def _items(value: Mapping[Any, object] | list[object] | tuple[object, ...]) -> Iterator[tuple[str, object]]:
    for key, child in value.items() if isinstance(value, Mapping) else enumerate(value):
        yield key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key), child


def _take(path: str, tensor: Tensor, contents: Contents) -> None:
    if len(contents.tensors) == MAX_TENSORS:
        raise NotACheckpoint(f"more than {MAX_TENSORS:,} tensors: no network known here has so many.")
    expect_short(path)
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if plain and not tensor.is_nested and type(tensor) in (Tensor, torch.nn.Parameter):
        contents.tensors.setdefault(path, tensor.detach())  # keys 1 and "1" give one path
    else:
        contents.skipped.append(path)


def _note(path: str, value: object, contents: Contents) -> None:
    if (
        len(contents.values) < MAX_VALUES
        and len(path) <= MAX_TEXT
        and (isinstance(value, int) or (isinstance(value, str) and len(value) <= MAX_TEXT))
    ):
        contents.values.setdefault(path, value)


def _refuse(path: Path, file_format: Format, error: pickle.UnpicklingError) -> NoReturn:
    """Say why torch's weights-only reader stopped. If a global is the reason, name it."""
    if file_format in ZIPS:
        _check_sums(path)  # first, because a flipped bit can change the name of a harmless global
    found = survey(path, file_format)
    asked = found.asked(_stand_ins(found, file_format))
    named = _refused(error)
    if named:
        raise _unsafe([found.modern(named)], found) from error
    if asked:
        raise _unsafe(asked, found) from error
    if found.protocol > 2:
        raise NotACheckpoint(
            f"pickled with protocol {found.protocol}; only 2 can be read safely. {RE_SAVE}"
        ) from error
    raise _failure(path, file_format, error) from error


def _stand_ins(found: Survey, file_format: Format) -> Mapping[str, Callable[..., Any]]:
    """Give the placeholders for the globals of a file."""
    return _STAND_INS | stand_ins_of(found.names) if file_format == "torchscript" else _STAND_INS


def _refused(error: pickle.UnpicklingError) -> str | None:
    """Name the global at which the reader stopped; None if it stopped for another reason."""
    if isinstance(error.__context__, Refused):  # torch raises every error anew, with its own text
        return error.__context__.name
    named = _REFUSED.search(str(error))
    return named[1] if named else None


def _refuse_plain_pickle(path: Path) -> NoReturn:
    found = survey(path, "pickle")
    if "blobs" in found.texts and any(name.startswith("numpy.") for name in found.names):
        raise NotACheckpoint(CAFFE2)
    asked = found.asked(_STAND_INS)
    if asked:
        raise _unsafe(asked, found)
    raise NotACheckpoint(
        f"a Python pickle that torch.save did not write. None of its code was run. {RE_SAVE}"
    )


def _refuse_long_global(path: Path, file_format: Format) -> None:
    try:
        found = with_long_global(path, file_format)
    except zipfile.BadZipFile:
        _check_sums(path)  # it names the entry
        raise
    if found is not None:
        raise _unsafe([name for name in found.names if len(name) > MAX_GLOBAL], found)


def _unsafe(names: list[str], found: Survey) -> UnsafeCheckpoint:
    what, advice = found.explanation(names)
    return UnsafeCheckpoint(
        f"{what}it asks for {listed(names)} while it is read. That is code and not weights. None of its "
        f"code was run. {advice}"
    )


def _too_large() -> CheckpointError:
    return CheckpointError(f"reading it takes more memory than a checkpoint of its size should. {RE_SAVE}")


def _failure(path: Path, file_format: Format, error: Exception) -> CheckpointError:
    """Turn a reader's failure into our error. The file counts as damaged only if something shows it."""
    if _NO_MEMORY.search(str(error)):
        return _too_large()
    if isinstance(error, EOFError | zipfile.BadZipFile | zlib.error) or _CUT_OFF.search(str(error)):
        return _damaged(path, error)
    if file_format in ZIPS:
        _check_sums(path)
    elif not survey(path, file_format).whole:
        return _damaged(path, error)
    return UnreadableCheckpoint(
        "cannot be read: ",
        _said(error, path),
        ". If it loads in your own environment, save its state_dict there "
        "with torch.save(model.state_dict(), 'weights.pt') and use that file.",
    )


def _damaged(path: Path, error: Exception) -> DamagedCheckpoint:
    size = path.stat().st_size
    said = _said(error, path)
    return DamagedCheckpoint(f"truncated or corrupt at {size:,} bytes (", said, "). Copy it again.")


def _said(error: Exception, path: Path) -> str | Private:
    """Give the first line of a library's message; for operators only, if the line holds the file's folder."""
    if isinstance(error, pickle.UnpicklingError) and isinstance(error.__context__, pickle.UnpicklingError):
        error = error.__context__  # torch puts a page of advice on how to run the pickle before the reason
    said = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if isinstance(error, KeyError):  # its text is the key alone
        said = f"there is no {said}"
    folder = os.fspath(path.parent)
    tells_where = folder in said or repr(folder)[1:-1] in said  # OSError quotes paths as repr does
    return Private(printable(said)) if tells_where else printable(said)
