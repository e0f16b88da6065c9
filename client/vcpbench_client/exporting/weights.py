"""Load a file of weights into a network, and name every key that does not fit."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vcpbench_client.errors import ExportError, FileError

CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net")
WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel, and of torch.compile
COUNTER = "num_batches_tracked"  # old files lack it, and no forward pass in eval mode reads it
SHOWN = 5


def load_weights(
    network: nn.Module, path: Path, *, prefix: str = "", ignored: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Load a file into a network in place.

    Args:
        network: The network.
        path: A file of torch.save or of safetensors. Only tensors are read (`weights_only=True`).
        prefix: The text before each key of the network in the file.
        ignored: Beginnings of keys that are neither compared nor loaded: heads that no stage needs.

    Returns:
        Sentences about how the keys were found, and the keys of the network that keep their first values.

    Raises:
        FileError: If the file cannot be read.
        ExportError: If its keys or shapes are not the network's.
    """
    said: list[str] = []
    tensors = _without_wrappers(_tensors(_unwrapped(_read(path), said)), said)
    if prefix:
        tensors = {
            name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
        }
        if not tensors:
            raise ExportError(f"{path}: no key begins with {prefix!r}.")
    own = network.state_dict()
    kept = [key for key in own if key.startswith(tuple(ignored))]
    wanted = {key: own[key].shape for key in own if key not in set(kept)}
    given = {name: tensor for name, tensor in tensors.items() if not name.startswith(tuple(ignored))}
    missing = [key for key in wanted if key not in given and not key.endswith(COUNTER)]
    unknown = [name for name in given if name not in own]
    wrong = [key for key, shape in wanted.items() if key in given and given[key].shape != shape]
    if missing or unknown or wrong:
        raise _mismatch(path, wanted, given, missing, unknown, wrong)
    network.load_state_dict({key: given[key] for key in wanted if key in given}, strict=False)
    if ignored:
        said.append(f"not loaded, as --ignore-keys asked: {_listed(kept)}")
    return said, kept


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:9] == b"{":
            return _safetensors(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileError(path, f" cannot be read: {error.strerror or error}.", path=path) from error
    except pickle.UnpicklingError as error:
        raise ExportError(
            f"{path} holds more than tensors, and is not opened. Save its weights with "
            "torch.save(model.state_dict(), 'weights.pt') and pass that file. Or load the file in your "
            "function, and leave out --weights."
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise FileError(path, f" is no whole file of weights ({first}).", path=path) from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise ExportError(f"{path} is a safetensors file. Run: pip install safetensors") from None
    found: dict[str, Tensor] = load_file(path)
    return found


def _unwrapped(found: Any, said: list[str]) -> Any:
    """Go into the dictionaries that trainers put around a state dict."""
    while isinstance(found, Mapping) and not any(isinstance(one, Tensor) for one in found.values()):
        name = next((name for name in CONTAINERS if isinstance(found.get(name), Mapping)), None)
        if name is None:
            break
        said.append(f"found under {name!r}")
        found = found[name]
    return found


def _tensors(found: Any) -> dict[str, Tensor]:
    pairs = found.items() if isinstance(found, Mapping) else ()
    tensors = {str(name): value for name, value in pairs if isinstance(value, Tensor)}
    if not tensors:
        keys = f" Its keys are {_listed(map(str, found))}." if isinstance(found, Mapping) else ""
        raise ExportError(f"The file of weights holds no state dict that was found.{keys}")
    return tensors


def _without_wrappers(tensors: dict[str, Tensor], said: list[str]) -> dict[str, Tensor]:
    for word in (*WRAPPERS, *WRAPPERS):  # one may be inside the other, either way
        if all(name.startswith(word) for name in tensors):
            said.append(f"without {word!r} before each key")
            tensors = {name.removeprefix(word): tensor for name, tensor in tensors.items()}
    return tensors


def _mismatch(
    path: Path,
    wanted: Mapping[str, torch.Size],
    given: Mapping[str, Tensor],
    missing: Sequence[str],
    unknown: Sequence[str],
    wrong: Sequence[str],
) -> ExportError:
    lines = [f"{path} does not fit the network."]
    if missing:
        lines.append(f"{len(missing)} of {len(wanted)} keys are missing: {_listed(missing)}.")
    if unknown:
        lines.append(f"{len(unknown)} keys are not the network's: {_listed(unknown)}.")
    if wrong:
        shapes = (f"{key} is {tuple(given[key].shape)}, not {tuple(wanted[key])}" for key in wrong)
        lines.append(f"{len(wrong)} keys have another shape: {_listed(shapes)}.")
    found = _prefix_of(wanted, given)
    if found:
        lines.append(f"The network's keys are there behind {found!r}: pass --prefix {found}")
    else:
        lines.append("If only a head differs that no stage needs, pass the beginning of its keys to "
                     "--ignore-keys.")  # fmt: skip
    return ExportError(" ".join(lines))


def _prefix_of(wanted: Iterable[str], given: Iterable[str]) -> str:
    """The text before all keys of the network in the file; empty if there is none."""
    keys, names = [key for key in wanted if not key.endswith(COUNTER)], set(given)
    if not keys:
        return ""
    candidates = {name.removesuffix(keys[0]) for name in names if name.endswith(f".{keys[0]}")}
    whole = [one for one in candidates if all(f"{one}{key}" in names for key in keys)]
    return min(whole, key=len, default="")


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}" if names else "none"
