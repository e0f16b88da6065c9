"""Small files that were made to cost much: refused with a reason, at a bounded price.

Prices are processor time and not time by the clock, so a busy machine changes nothing. The bound is far above
what each file takes (under 2 s), and far below what it took before there were ceilings (95 s and more).
"""

from __future__ import annotations

import io
import pickle
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vcp_core.backbones import build, key_shapes
from vcp_core.catalog.errors import (
    CheckpointError,
    CheckpointMismatch,
    NotACheckpoint,
    SeveralNetworks,
    UnsafeCheckpoint,
)
from vcp_core.checkpoints import canonical
from vcp_core.checkpoints.child import ingest_here
from vcp_core.checkpoints.names import MAX_CHARACTERS, MAX_PARTS

MOST_CPU_S = 10.0
TINY = build("r3d_tiny", seed=4).state_dict()
ONE = torch.ones(1)


@contextmanager
def bounded() -> Iterator[None]:
    begun = time.process_time()
    yield
    assert time.process_time() - begun < MOST_CPU_S


def read(path: Path, state: object) -> Path:
    """Save and read it; the canonical file."""
    torch.save(state, path)
    ingest_here(path, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize(
    "prefix",
    ["." * 2_000_000, "module." * 300_000, "a." * 1_000_000, "a" * 1_000_000, "a." * MAX_PARTS],
    ids=["dots", "wrappers", "letters", "one part", "just too deep"],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_name_that_no_trainer_writes_is_refused_with_the_limit(
    tmp_path: Path, prefix: str, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    state = {**TINY, f"{prefix}.conv1.weight": ONE}
    if suffix == "pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    with bounded(), pytest.raises(NotACheckpoint, match="the name of one tensor has") as caught:
        ingest_here(path, tmp_path / "canonical.safetensors")
    assert any(f"at most {most:,} are read" in str(caught.value) for most in (MAX_CHARACTERS, MAX_PARTS))
    assert len(str(caught.value)) < 300


def test_a_name_as_long_and_deep_as_is_read_is_read(tmp_path: Path) -> None:
    parts, characters = max(name.count(".") + 1 for name in TINY), max(map(len, TINY))
    deepest = "a." * (MAX_PARTS - parts)
    longest = "b" * (MAX_CHARACTERS - characters - 1) + "."
    for prefix in (deepest, longest):
        assert read(tmp_path / "a.pt", {prefix + name: value for name, value in TINY.items()}).exists()


def test_a_long_key_of_many_numbers_costs_no_copy_for_each(tmp_path: Path) -> None:
    with bounded():
        assert read(tmp_path / "a.pt", {**TINY, "x" * 1_000_000: list(range(500_000))}).exists()


def test_a_long_key_of_a_dictionary_of_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotACheckpoint, match="the name of one tensor has 1,001 characters"):
        read(tmp_path / "a.pt", {"x" * 1_001: dict(TINY)})


@pytest.mark.parametrize("keys", [1, 10, 59])
def test_very_many_prefixes_with_some_keys_of_a_network_are_not_each_compared_with_all_names(
    tmp_path: Path, keys: int
) -> None:
    names = list(TINY)[:keys]
    state = {f"a{i}.{name}": ONE for i in range(45_000 // keys) for name in names}
    with bounded(), pytest.raises(CheckpointMismatch, match=r"no whole backbone|at most 64 are read"):
        read(tmp_path / "a.pt", state)


def test_very_many_whole_networks_are_refused(tmp_path: Path) -> None:
    state = {f"a{i}.{name}": value for i in range(600) for name, value in TINY.items()}
    with bounded(), pytest.raises(CheckpointMismatch, match=r"600 prefixes .* at most 64 are read"):
        read(tmp_path / "a.pt", state)


def test_networks_that_share_all_but_one_tensor_are_compared_within_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = [name for name in TINY if name.endswith("weight")][-1]
    state = {
        f"a{i}.{name}": value + i if name == last else value
        for i in range(12)
        for name, value in TINY.items()
    }
    with bounded(), pytest.raises(SeveralNetworks):
        read(tmp_path / "a.pt", state)
    for ceiling in ("MAX_COMPARISONS", "MAX_COMPARED"):
        with monkeypatch.context() as patch:
            patch.setattr(canonical, ceiling, 1000)
            with pytest.raises(CheckpointMismatch, match="telling its networks"):
                read(tmp_path / "a.pt", state)


def repeated(name: str) -> dict[str, Tensor]:
    """A whole network whose every weight is one stored number."""
    shapes = key_shapes(name)
    integers = {key for key in shapes if key.endswith("num_batches_tracked")}
    return {
        key: torch.zeros((), dtype=torch.int64) if key in integers else ONE.expand(shape)
        for key, shape in shapes.items()
    }


@pytest.mark.parametrize("name", ["r3d_tiny", "r3d_18"])
def test_weights_that_are_one_number_each_are_refused(tmp_path: Path, name: str) -> None:
    with bounded(), pytest.raises(CheckpointMismatch, match=r"elements, and the file stores 1 of them"):
        read(tmp_path / "a.pt", repeated(name))
    assert not (tmp_path / "a.safetensors").exists()


def test_weights_that_all_share_one_storage_are_refused(tmp_path: Path) -> None:
    shapes, store = key_shapes("r3d_18"), torch.ones(20_000)
    widest = {
        key: torch.as_strided(store, shapes[key], (0,) * (len(shapes[key]) - 1) + (1,))
        for key in shapes
        if not key.endswith("num_batches_tracked")
    }
    with bounded(), pytest.raises(CheckpointMismatch, match=r"elements, and the file stores 20,000"):
        read(tmp_path / "a.pt", widest)


def test_views_ties_and_inflated_kernels_of_real_networks_are_read(tmp_path: Path) -> None:
    whole = torch.cat([value.reshape(-1).float() for value in TINY.values()])
    views, begin = {}, 0
    for key, value in TINY.items():
        views[key] = whole[begin : begin + value.numel()].view(value.shape)  # all in one storage, by offsets
        begin += value.numel()
    tied = {**views, **{f"ema.{key}": value for key, value in views.items()}}
    assert read(tmp_path / "a.pt", tied).exists()
    inflated = dict(TINY)
    for key, value in TINY.items():
        if value.dim() == 5:
            inflated[key] = value[:, :, :1].clone().expand(value.shape)
        elif value.dim() == 1:
            inflated[key] = torch.ones(1).expand(value.shape)
    found = torch.load(tmp_path / "a.pt")  # the views are views in the file, too
    assert found["conv1.temporal_spatial_conv.weight"].untyped_storage().nbytes() == whole.nbytes
    assert read(tmp_path / "b.pt", inflated).exists()


def test_a_pickle_of_instructions_that_was_compressed_is_refused_before_it_is_unpacked(
    tmp_path: Path,
) -> None:
    held = io.BytesIO()
    torch.save(TINY, held)
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(held) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            bomb = pickle.PROTO + b"\x02" + (pickle.NONE + pickle.POP) * 5_000_000
            is_object = entry.filename.endswith("data.pkl")
            new.writestr(entry.filename, bomb if is_object else old.read(entry))
    assert path.stat().st_size < 4_000_000  # of which the weights are nearly all
    with bounded(), pytest.raises(CheckpointError, match="unpacks to far more bytes"):
        ingest_here(path, tmp_path / "canonical.safetensors")


@pytest.mark.parametrize("name", [b"a." * 500_000, b"torch" + b".a" * 500_000, b"torch." + b"_" * 1_000_000])
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_a_global_with_a_very_long_name_is_refused_before_torch_searches_it(
    tmp_path: Path, name: bytes, as_zip: bool
) -> None:
    held, path = io.BytesIO(), tmp_path / "a.pt"
    torch.save({"a": ONE}, held, _use_new_zipfile_serialization=as_zip)
    bomb = pickle.PROTO + b"\x02" + pickle.GLOBAL + name + b"\nb\n" + pickle.STOP
    if as_zip:
        with zipfile.ZipFile(held) as old, zipfile.ZipFile(path, "w") as new:
            for entry in old.infolist():
                new.writestr(entry.filename, bomb if entry.filename.endswith("data.pkl") else old.read(entry))
    else:
        held.seek(0)
        for _ in range(3):  # magic number, version, system; then the object
            pickle.load(held)
        path.write_bytes(held.getvalue()[: held.tell()] + bomb)
    with bounded(), pytest.raises(UnsafeCheckpoint, match="it asks for") as caught:
        ingest_here(path, tmp_path / "canonical.safetensors")
    assert len(str(caught.value)) < 600
