"""Tensors out of a foreign file, and never code. Only the sandbox's child process calls this."""

from __future__ import annotations

import _compat_pickle
import contextlib
import pickle
import pickletools
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

from vcp_core.catalog.errors import CheckpointError, DamagedCheckpoint, NotACheckpoint, UnsafeCheckpoint
from vcp_core.checkpoints.formats import RE_SAVE, Format, identify
from vcp_core.checkpoints.placeholders import HARMLESS
from vcp_core.checkpoints.report import listed, printable

MAX_TENSORS = 50_000  # the largest video networks have a few thousand, their optimizers three times that
LEGACY_PICKLES = 5  # magic number, version, system, the object, keys of storages; then raw numbers follow
MAX_DEPTH = 12  # of nested dictionaries and lists


_TORCHS_OWN = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|torch(\.\w+)*\.(_\w+|\w*Storage|dtype)"
)
_REFUSED = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The tensors of a file.

    Attributes:
        format: As its bytes tell.
        tensors: By the path to each, dictionaries and keys joined by dots ("state_dict.module.conv1.weight").
        containers: Paths of the dictionaries themselves.
        skipped: Tensors that hold no plain numbers (sparse, quantised, meta).
    """

    format: Format
    tensors: dict[str, Tensor] = field(default_factory=dict)
    containers: set[str] = field(default_factory=set)
    skipped: list[str] = field(default_factory=list)


def read_contents(path: Path) -> Contents:
    """All tensors of a checkpoint file, on the CPU.

    Raises:
        NotACheckpoint: If the file is of another format, or holds no tensors.
        DamagedCheckpoint: If it is truncated or corrupt.
        UnsafeCheckpoint: If it asks for a global that is not known to be harmless; nothing of it was run.
    """
    file_format = identify(path)
    contents = Contents(format=file_format)
    if file_format == "pickle":
        _refuse_plain_pickle(path)
    elif file_format == "safetensors":
        _load_safetensors(path, contents)
    else:
        _flatten(_load_torch(path, file_format), contents)
        if file_format == "torch zip":
            _check_sums(path)
    if not contents.tensors:
        raise NotACheckpoint(f"it holds no tensors. {RE_SAVE}")
    return contents


def _load_safetensors(path: Path, contents: Contents) -> None:
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                _take(name, file.get_tensor(name), contents)
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error


def _load_torch(path: Path, file_format: Format) -> object:
    stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (stand_in, name) for name, stand_in in HARMLESS.items()
    ]
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings(action="ignore"):
            mapped = file_format == "torch zip" and _is_stored(path)  # an optimizer's gigabytes stay on disk
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        _refuse(path, file_format, error)
    except MemoryError as error:
        raise _too_large() from error
    # Hostile or broken bytes can make the reader fail in any way; whichever it is, this is what it means.
    except Exception as error:
        if "can't allocate memory" in str(error) or "Cannot allocate memory" in str(error):
            raise _too_large() from error
        raise _damaged(path, error) from error


def _is_stored(path: Path) -> bool:
    """Whether nothing is compressed: torch maps compressed bytes as if they were the numbers."""
    with zipfile.ZipFile(path) as archive:
        return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def _check_sums(path: Path) -> None:
    """Compare entries with their checksums, as torch does not: a flipped bit would be a wrong weight."""
    with zipfile.ZipFile(path) as archive:
        try:
            broken = archive.testzip()
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
            raise _damaged(path, error) from error
    if broken:
        raise DamagedCheckpoint(
            f"entry {printable(broken)} does not have the checksum it was saved with: corrupt. Copy it "
            "again. (If it was saved with torch.serialization.set_crc32_options(False): save it without.)"
        )


def _flatten(root: object, contents: Contents) -> None:
    waiting: list[tuple[str, object, int]] = [("", root, 0)]
    seen: set[int] = set()
    while waiting:
        path, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            _take(path, value, contents)
        elif isinstance(value, Mapping | list | tuple) and depth <= MAX_DEPTH and id(value) not in seen:
            seen.add(id(value))  # a pickle can hold a dictionary that holds itself
            if path and isinstance(value, Mapping):
                contents.containers.add(path)
            children = [(f"{path}.{key}" if path else key, child, depth + 1) for key, child in _items(value)]
            waiting.extend(reversed(children))


def _items(value: Mapping[Any, object] | list[object] | tuple[object, ...]) -> Iterator[tuple[str, object]]:
    for key, child in value.items() if isinstance(value, Mapping) else enumerate(value):
        yield key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key), child


def _take(path: str, tensor: Tensor, contents: Contents) -> None:
    if len(contents.tensors) == MAX_TENSORS:
        raise NotACheckpoint(f"more than {MAX_TENSORS:,} tensors: no network known here has so many.")
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if plain and not tensor.is_nested:
        contents.tensors.setdefault(path, tensor.detach())
    else:
        contents.skipped.append(path)


def _refuse(path: Path, file_format: Format, error: pickle.UnpicklingError) -> NoReturn:
    """Say why torch's weights-only reader stopped: a global by its name where there is one."""
    named = _REFUSED.search(str(error))
    if named:
        module, _, name = named[1].rpartition(".")
        raise _unsafe([_modern(module or "builtins", name)]) from error  # torch leaves builtins' module out
    protocol, names = _survey(path, file_format)
    if names:
        raise _unsafe(names) from error
    if protocol > 2:
        raise NotACheckpoint(
            f"pickled with protocol {protocol}; only 2 can be read safely. {RE_SAVE}"
        ) from error
    raise _damaged(path, error) from error


def _refuse_plain_pickle(path: Path) -> NoReturn:
    _, names = _survey(path, "pickle")
    if names:
        raise _unsafe(names)
    raise NotACheckpoint(f"a Python pickle that torch.save did not write. Nothing of it was run. {RE_SAVE}")


def _survey(path: Path, file_format: Format) -> tuple[int, list[str]]:
    """A pickle's protocol, and the globals it names that are not harmless; by parsing, nothing is run."""
    survey = _Survey()
    if file_format == "torch zip":
        with zipfile.ZipFile(path) as archive:
            entry = next(name for name in archive.namelist() if name.split("/")[-1] == "data.pkl")
            with archive.open(entry) as file:
                survey.parse(file)
    else:
        with path.open("rb") as file:
            for _ in range(LEGACY_PICKLES if file_format == "torch legacy" else 1):
                survey.parse(file)
    return survey.protocol, [n for n in survey.names if n not in HARMLESS and not _TORCHS_OWN.fullmatch(n)]


def _modern(module: str, name: str) -> str:
    """A global under the name that it has had since Python 3; protocol 2 writes the older one."""
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"


@dataclass
class _Survey:
    """Follows strings through a pickle as far as it takes to name the globals made of them."""

    protocol: int = 0
    names: dict[str, None] = field(default_factory=dict)

    def parse(self, file: IO[bytes]) -> None:
        """Read one pickle, or as much as makes sense."""
        strings, memo = ["", ""], dict[int, str]()
        # The parser raises ValueError, or anything at all, where broken bytes stop making sense.
        with contextlib.suppress(Exception):
            argument: Any
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "PROTO":
                    self.protocol = max(self.protocol, argument)
                elif opcode.name == "GLOBAL":
                    self.names[_modern(*argument.split(" ", 1))] = None
                elif opcode.name == "STACK_GLOBAL":
                    self.names[_modern(*strings)] = None
                elif opcode.name == "MEMOIZE" or opcode.name.endswith("PUT"):
                    memo[len(memo) if argument is None else argument] = strings[-1]
                elif opcode.name.endswith("GET"):
                    strings = [strings[-1], memo.get(argument, "")]
                elif isinstance(argument, str):
                    strings = [strings[-1], argument]


def _unsafe(names: list[str]) -> UnsafeCheckpoint:
    return UnsafeCheckpoint(
        f"it asks for {listed(names)} while it is read, which is code and not weights. Nothing of it "
        f"was run. If you trust it, load it yourself. {RE_SAVE}"
    )


def _too_large() -> CheckpointError:
    return CheckpointError(f"reading it takes more memory than a checkpoint of its size should. {RE_SAVE}")


def _damaged(path: Path, error: Exception) -> DamagedCheckpoint:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    size = path.stat().st_size
    return DamagedCheckpoint(f"truncated or corrupt at {size:,} bytes ({printable(reason)}). Copy it again.")
