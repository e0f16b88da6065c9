"""TorchScript archives: the weights by name, equal to a state dict's, and nothing of the program."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.wrapped import frozen, scripted, traced
from tests.hostile.attacks import shell
from tests.hostile.pickling import Call, dumped
from vcp_core.backbones import build
from vcp_core.catalog.errors import CheckpointError, NotACheckpoint, UnsafeCheckpoint
from vcp_core.checkpoints import ingest
from vcp_core.checkpoints.read import read_contents
from vcp_core.checkpoints.scripted import MAX_CLASSES, ScriptObject, stand_ins_of

# torch.jit warns that it is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Typed(nn.Module):
    """A module with attributes that torch.jit gives types of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))])
        self.shared = self.parts[0]
        self.sizes, self.names, self.extra = [1, 2], {"a": 1}, [torch.ones(2)]
        self.scale, self.done = 0.5, True

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x) * self.scale
        return x


def save(module: nn.Module, path: Path, *, clips: Tensor | None = None) -> Path:
    script = torch.jit.script(module) if clips is None else torch.jit.trace(module, clips)
    script.save(str(path))
    return path


@pytest.mark.parametrize("by_trace", [False, True], ids=["scripted", "traced"])
def test_the_weights_are_those_of_the_state_dict(tmp_path: Path, by_trace: bool) -> None:
    module = Typed().eval()
    path = save(module, tmp_path / "a.pt", clips=torch.ones(4, 2) if by_trace else None)
    contents = read_contents(path)
    assert contents.format == "torchscript"
    state = module.state_dict()
    for name, tensor in state.items():
        assert torch.equal(contents.tensors[name], tensor), name
    assert {name for name in contents.tensors if name not in state} <= {"extra.0"}


@pytest.mark.slow
def test_a_scripted_backbone_is_read_as_its_state_dict(tmp_path: Path) -> None:
    network = build("r3d_tiny", seed=3)
    traced(tmp_path / "a.pt", seed=3)
    torch.save(network.state_dict(), tmp_path / "b.pt")
    report = ingest(tmp_path / "a.pt", tmp_path / "a.safetensors")
    ingest(tmp_path / "b.pt", tmp_path / "b.safetensors")
    assert (report.format, report.backbone, report.num_keys) == ("torchscript", "r3d_tiny", 60)
    assert "its code was not read" in " ".join(report.notes)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_frozen_archive_has_no_names_and_is_refused(tmp_path: Path) -> None:
    frozen(tmp_path / "a.pt")
    with pytest.raises(NotACheckpoint, match=r"it was frozen \(torch.jit.freeze.*state_dict\(\)"):
        read_contents(tmp_path / "a.pt")


def changed(path: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    """Write an archive of torch.jit again, with other bytes in some entries."""
    held = io.BytesIO()
    scripted(path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(held, "w") as new:
        folder = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            data = change(name.partition("/")[2], old.read(name))
            if data is not None:
                new.writestr(name, data)
        for name, data in more.items():
            new.writestr(f"{folder}/{name}", data)
    path.write_bytes(held.getvalue())
    return path


PROGRAMS: dict[str, Callable[[str, bytes], bytes | None]] = {
    "code that is no code": lambda name, data: b"import os" if name.startswith("code/") else data,
    "no code": lambda name, data: None if name.startswith("code/") and "debug" not in name else data,
    "constants that would run": lambda name, data: (
        dumped(Call(os.system, "touch canary")) if name == "constants.pkl" else data
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_but_the_attributes_is_opened(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sound = read_contents(changed(tmp_path / "b.pt", lambda name, data: data))
    found = read_contents(changed(tmp_path / "a.pt", PROGRAMS[name]))
    assert found.tensors.keys() == sound.tensors.keys() == {"weight", "bias"}
    assert not (tmp_path / "canary").exists()


def classes(number: int) -> bytes:
    """A pickle that asks for many classes of TorchScript."""
    asked = b"".join(b"c__torch__.a%d\nNet\n0" % n for n in range(number))
    return pickle.PROTO + b"\x02" + asked + b"N."


HOSTILE: dict[str, tuple[bytes, type[CheckpointError], str]] = {
    "a call": (dumped(Call(os.system, shell("canary"))), UnsafeCheckpoint, "posix.system|os.system"),
    "a call with a class of the archive": (
        pickle.PROTO + b"\x02c__torch__.a\nNet\n(cos\nsystem\nX\x0c\x00\x00\x00touch canarytR.",
        UnsafeCheckpoint,
        "os.system",
    ),
    "too many classes": (classes(MAX_CLASSES + 1), NotACheckpoint, "a TorchScript archive of 2,001 classes"),
    "a class with a long name": (
        pickle.PROTO + b"\x02c__torch__." + b"a" * 2_000 + b"\nNet\n.",
        UnsafeCheckpoint,
        "asks for __torch__.aaa",
    ),
    "an attribute that is the object itself": (
        pickle.PROTO + b"\x02c__torch__.a\nNet\n)\x81q\x01}X\x01\x00\x00\x00ah\x01sb.",
        NotACheckpoint,
        "without named weights",
    ),
    "attributes that are no dictionary": (
        pickle.PROTO + b"\x02c__torch__.a\nNet\n)\x81K\x01b.",
        NotACheckpoint,
        "without named weights",
    ),
    "the method of a class": (
        pickle.PROTO + b"\x02c__torch__.a\nNet.__init__.__globals__\n.",
        NotACheckpoint,
        "without named weights",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_runs(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickled, error, words = HOSTILE[name]
    path = changed(tmp_path / "a.pt", lambda name, data: pickled if name == "data.pkl" else data)
    with pytest.raises(error, match=words):
        read_contents(path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.pt"]


def test_a_class_of_torchscript_is_nothing_in_any_other_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as made:
        made.writestr("a/data.pkl", pickle.PROTO + b"\x02c__torch__.a\nNet\n)\x81.")
        made.writestr("a/version", "3\n")
    with pytest.raises(UnsafeCheckpoint, match=r"__torch__\.a\.Net"):
        read_contents(tmp_path / "a.pt")


def test_a_stand_in_keeps_attributes_and_runs_nothing() -> None:
    made = ScriptObject("whatever", 3)
    made.__setstate__((1, 2))
    assert dict(made) == {}
    made.__setstate__({"a": 1})
    assert dict(made) == {"a": 1}
    assert set(stand_ins_of(["__torch__.A", "os.system"])) & {"os.system"} == set()


@pytest.mark.parametrize("with_cfg", [False, True], ids=["blobs", "cfg before blobs"])
def test_a_caffe2_file_of_pyslowfast_is_refused_with_the_way_on(tmp_path: Path, with_cfg: bool) -> None:
    import numpy as np

    blobs = {"conv1_w": np.zeros((2, 3), np.float32), "res2_0_branch2a_w": np.ones(4, np.float32)}
    found = {**({"cfg": "NUM_GPUS: 8"} if with_cfg else {}), "blobs": blobs}
    (tmp_path / "SLOWFAST_8x8_R50.pkl").write_bytes(pickle.dumps(found, 2))
    with pytest.raises(
        NotACheckpoint, match=r"a Caffe2 file of PySlowFast.*PyTorchVideo's model zoo as \.pyth"
    ):
        read_contents(tmp_path / "SLOWFAST_8x8_R50.pkl")
