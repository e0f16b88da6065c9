"""Writes checkpoint files in every wrapping that users have.

The original trainer's code writes a file where its package is installed. Otherwise the dictionary is made by
hand, with the keys that docs/decisions/2026-11-28-several-networks.md lists.
"""

from __future__ import annotations

import gzip
import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, distributed, nn

from bench.graphs import export
from vcp_core.backbones import build

State = dict[str, Tensor]
Write = Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Wrapping:
    """A kind of checkpoint.

    Attributes:
        group: The heading of the table that the checkpoint stands under.
        name: The name in the table.
        write: Writes the checkpoint at a path, as a file or a folder.
        file_name: The name of the file or folder.
        apart: Whether a process of its own must read the checkpoint. Either the file name matters, or modules
            that this process has imported would change the result.
    """

    group: str
    name: str
    write: Write
    file_name: str = "weights.pt"
    apart: bool = False


def weights(seed: int = 0) -> State:
    """The state dict of r3d_tiny."""
    return dict(build("r3d_tiny", seed=seed).state_dict())


def under(prefix: str, state: State) -> State:
    """The same tensors, with a prefix before each name."""
    return {prefix + key: value for key, value in state.items()}


def inside(word: str, state: State) -> State:
    """The same tensors, with a word after the first part of each name."""
    return {key.replace(".", f".{word}.", 1): value for key, value in state.items()}


def saved(make: Callable[[], Any], **options: Any) -> Write:
    """Make a writer that saves an object with `torch.save`."""
    return lambda path: torch.save(make(), path, **options)


def _lightning() -> dict[str, Any]:
    return {
        "pytorch-lightning_version": "2.6.0",
        "epoch": 1,
        "global_step": 2000,
        "state_dict": under("model.", weights()),
    }


def _weight_averaging() -> dict[str, Any]:
    trained = under("model.", weights())
    average = {"n_averaged": torch.tensor(10)}
    return _lightning() | {
        "state_dict": under("model.", weights(1)),
        "current_model_state": trained,
        "averaging_state": average,
    }


def _mmengine(*, ema: bool) -> dict[str, Any]:
    meta = {"epoch": 3, "iter": 300, "mmengine_version": "0.10.7", "experiment_name": "slowonly"}
    found: dict[str, Any] = {"meta": meta, "message_hub": {}, "state_dict": under("backbone.", weights())}
    if ema:
        trained = under("module.backbone.", weights(1))
        found["ema_state_dict"] = {"steps": torch.tensor(300), **trained}
    return found


def _averaged_model() -> dict[str, Tensor]:
    return dict(torch.optim.swa_utils.AveragedModel(build("r3d_tiny")).state_dict())


def _mmcv() -> dict[str, Any]:
    state = under("backbone.", weights())
    return {
        "state_dict": state
        | {f"ema_{k.replace('.', '_')}": v for k, v in under("backbone.", weights(1)).items()}
    }


class _OnTpu:
    """Pickles as a tensor of an XLA device does."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __reduce_ex__(self, protocol: Any) -> Any:
        rebuild = torch._utils._rebuild_device_tensor_from_numpy
        return rebuild, (self.tensor.numpy(), self.tensor.dtype, "xla:0", False)


def _entries() -> dict[str, bytes]:
    buffer = io.BytesIO()
    torch.save(weights(), buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def packed(
    folder: str, *, method: int = zipfile.ZIP_DEFLATED, finder: bool = False, slash: str = "/"
) -> Write:
    """Make a writer that packs the entries of a torch archive again, as other programs do."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            if finder:
                archive.writestr("__MACOSX/._archive", b"x")
            for name, content in _entries().items():
                entry = zipfile.ZipInfo("x")
                entry.filename = (folder + name).replace(
                    "/", slash
                )  # the constructor may turn backslashes into slashes
                entry.compress_type = method
                archive.writestr(entry, content)
            if finder:
                archive.writestr(f"{folder}.DS_Store", b"x")
                archive.writestr(f"__MACOSX/{folder}._data.pkl", b"x")

    return write


def in_another_zip(path: Path) -> None:
    """Write a zip archive with a checkpoint file in it."""
    torch.save(weights(), path.with_name("inner.pt"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_name("inner.pt"), "run/model_100.pt")


def changed(write: Write, change: Callable[[bytes], bytes]) -> Write:
    """Make a writer that writes a file and then changes its bytes."""

    def both(path: Path) -> None:
        write(path)
        path.write_bytes(change(path.read_bytes()))

    return both


def flipped(data: bytes) -> bytes:
    """The same bytes with one bit of the numbers flipped."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def as_form(data: bytes) -> bytes:
    """A file as `curl -F` sends it."""
    head = b'--x1\r\nContent-Disposition: form-data; name="file"; filename="a.pt"\r\n\r\n'
    return head + data + b"\r\n--x1--\r\n"


def named(*names: str) -> Write:
    """Make a writer of a folder with empty files at these paths."""

    def write(path: Path) -> None:
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()

    return write


def distributed_checkpoint(path: Path) -> None:
    """Write a folder with torch.distributed.checkpoint."""
    from torch.distributed.checkpoint import state_dict_saver

    with warnings.catch_warnings(action="ignore"):
        state_dict_saver.save({"model": weights()}, checkpoint_id=path, no_dist=True)


def part_of_one(suffix: str) -> Write:
    """Make a writer of one file of a torch.distributed.checkpoint folder."""

    def write(path: Path) -> None:
        distributed_checkpoint(path.with_name("dcp"))
        (part,) = (one for one in path.with_name("dcp").iterdir() if one.name.endswith(suffix))
        part.rename(path)

    return write


def dtensors(path: Path) -> None:
    """Write a state dict with a DTensor of one process."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    with warnings.catch_warnings(action="ignore"):
        distributed.init_process_group("gloo", init_method=f"file://{path}.store", rank=0, world_size=1)
        try:
            mesh = init_device_mesh("cpu", (1,))
            state = weights()
            first = next(iter(state))
            torch.save({first: distribute_tensor(state[first], mesh, [Shard(0)])}, path)
        finally:
            distributed.destroy_process_group()


def scripted(path: Path) -> None:
    """Write a TorchScript archive of one layer."""
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(nn.Conv3d(3, 4, 1)).save(str(path))  # type: ignore[no-untyped-call]


def traced(path: Path, seed: int = 0) -> None:
    """Write a TorchScript archive of a backbone."""
    network = build("r3d_tiny", seed=seed)
    with warnings.catch_warnings(action="ignore"):
        clips = torch.zeros(1, *network.spec.clip_shape)
        torch.jit.trace(network, clips).save(str(path))  # type: ignore[no-untyped-call]


def frozen(path: Path) -> None:
    """Write a TorchScript archive whose weights are constants without names."""
    with warnings.catch_warnings(action="ignore"):
        script = torch.jit.script(nn.Conv3d(3, 4, 1).eval())
        torch.jit.freeze(script).save(str(path))


def caffe2(path: Path) -> None:
    """Write blobs as PySlowFast's zoo holds them for Caffe2."""
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": np.zeros((4, 3), np.float32)}}, 2))


def exported(path: Path) -> None:
    """Write a program of torch.export."""
    export(build("r3d_tiny", seed=0), path)


def exported_for_two_clips(path: Path) -> None:
    """Write a program of torch.export that takes batches of two clips alone."""
    with warnings.catch_warnings(action="ignore"):
        torch.export.save(torch.export.export(nn.Conv3d(3, 4, 1), (torch.ones(2, 3, 16, 56, 56),)), path)


def _inside_of_weights(word: str) -> State:
    return inside(word, weights())


def _numbers(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{key: value.numpy() for key, value in weights().items()})  # type: ignore[arg-type]


def _renamed(pattern: str, replacement: str) -> State:
    return {re.sub(pattern, replacement, key): value for key, value in weights().items()}


PLAIN, NAMES, SEVERAL = "How the file is saved", "Wrappers in the names", "Several networks in one file"
PACKED, FOLDERS, OTHERS = "Archives that were packed again", "Folders, and parts of one", "Other files"

WRAPPINGS: tuple[Wrapping, ...] = (
    Wrapping(group=PLAIN, name="`torch.save(model.state_dict())`", write=saved(weights)),
    Wrapping(
        group=PLAIN,
        name="the same, in torch's format before 1.6",
        write=saved(weights, _use_new_zipfile_serialization=False),
    ),
    Wrapping(group=PLAIN, name="safetensors", write=lambda path: save_file(weights(), path)),
    Wrapping(group=PLAIN, name="TorchScript, not frozen", write=traced),
    Wrapping(
        group=PLAIN,
        name="half precision",
        write=saved(lambda: {k: v.half() if v.is_floating_point() else v for k, v in weights().items()}),
    ),
    Wrapping(
        group=PLAIN,
        name="tensors of a TPU (XLA)",
        write=saved(lambda: {k: _OnTpu(v) for k, v in weights().items()}),
    ),
    Wrapping(
        group=PLAIN,
        name="without `num_batches_tracked`, or with one of another shape",
        write=saved(
            lambda: {
                k: v.reshape(1) if v.dim() == 0 else v for k, v in weights().items() if "bn1.num" not in k
            }
        ),
    ),
    Wrapping(
        group=PLAIN,
        name="with the counters of a profiler (`total_ops`)",
        write=saved(
            lambda: weights() | {"conv1.total_ops": torch.zeros(1), "bn1.total_params": torch.zeros(1)}
        ),
    ),
    Wrapping(
        group=PLAIN, name="Lightning's `.ckpt`", write=saved(_lightning), file_name="epoch=1-step=2000.ckpt"
    ),
    Wrapping(group=PLAIN, name="MMEngine and MMAction2", write=saved(lambda: _mmengine(ema=False))),
    Wrapping(
        group=PLAIN,
        name="SlowFast's `.pyth`",
        write=saved(lambda: {"epoch": 195, "cfg": "TRAIN:", "model_state": weights(), "optimizer_state": {}}),
    ),
    Wrapping(
        group=PLAIN,
        name="VCOP's `model_100.pt`; its number is not read, for it may count anything",
        write=saved(lambda: under("module.base_network.", weights())),
        file_name="model_100.pt",
        apart=True,
    ),
    Wrapping(
        group=NAMES,
        name="DataParallel of the whole: `module.`",
        write=saved(lambda: under("module.", weights())),
    ),
    *(
        Wrapping(
            group=NAMES,
            name=f"{who} of each stage: `conv1.{word}.`",
            write=saved(partial(_inside_of_weights, word)),
        )
        for word, who in (
            ("module", "DataParallel"),
            ("_orig_mod", "`torch.compile`"),
            ("_checkpoint_wrapped_module", "activation checkpointing"),
        )
    ),
    Wrapping(
        group=NAMES,
        name="FSDP, with a wrapped child each",
        write=saved(lambda: under("_fsdp_wrapped_module.", inside("_fsdp_wrapped_module", weights()))),
    ),
    Wrapping(
        group=NAMES,
        name="Lightning Fabric",
        write=saved(lambda: {"model": under("_forward_module.", weights())}),
    ),
    Wrapping(
        group=NAMES,
        name="the network and its compiled self, which share their weights",
        write=saved(lambda: (s := weights()) | inside("_orig_mod", s)),
    ),
    Wrapping(
        group=NAMES,
        name="two values for one key, with and without a wrapper's word",
        write=saved(lambda: weights() | inside("_orig_mod", weights(1))),
    ),
    Wrapping(
        group=NAMES,
        name="weight normalisation",
        write=saved(lambda: _renamed(r"^(conv1.*)\.weight$", r"\1.parametrizations.weight.original0")),
    ),
    Wrapping(group=SEVERAL, name="MMEngine's EMAHook", write=saved(lambda: _mmengine(ema=True))),
    Wrapping(group=SEVERAL, name="Lightning's WeightAveraging", write=saved(_weight_averaging)),
    Wrapping(
        group=SEVERAL,
        name="timm: `state_dict`, `state_dict_ema`",
        write=saved(lambda: {"epoch": 7, "state_dict": weights(), "state_dict_ema": weights(1)}),
    ),
    Wrapping(
        group=SEVERAL,
        name="MoCo: `encoder_q`, `encoder_k`",
        write=saved(
            lambda: {
                "state_dict": under("module.encoder_q.", weights()) | under("module.encoder_k.", weights(1))
            }
        ),
    ),
    Wrapping(
        group=SEVERAL,
        name="CoCLR: `encoder_q`, `encoder_k`, `sampler`",
        write=saved(
            lambda: (
                under("encoder_q.0.", weights())
                | under("encoder_k.0.", weights(1))
                | under("sampler.0.", weights(2))
            )
        ),
    ),
    Wrapping(
        group=SEVERAL,
        name="DINO: `student`, `teacher`",
        write=saved(lambda: {"student": weights(), "teacher": weights(1)}),
    ),
    Wrapping(
        group=SEVERAL,
        name="SlowFast's MoCo: `backbone`, `backbone_hist`",
        write=saved(
            lambda: {"model_state": under("backbone.", weights()) | under("backbone_hist.", weights(1))}
        ),
    ),
    Wrapping(
        group=SEVERAL,
        name="a network and an average by any name (`average`, `avg`, `mean`, `swa`, ...)",
        write=saved(lambda: {"model": weights(), "avg": weights(1)}),
    ),
    Wrapping(
        group=SEVERAL,
        name="`model` and torch's AveragedModel",
        write=saved(lambda: {"model": weights(1), "swa_model": _averaged_model()}),
    ),
    Wrapping(group=SEVERAL, name="torch's AveragedModel alone", write=saved(_averaged_model)),
    Wrapping(group=SEVERAL, name="MMCV's EMAHook", write=saved(_mmcv)),
    Wrapping(
        group=SEVERAL,
        name="the same weights twice",
        write=saved(lambda: {"model": weights(), "best": weights()}),
    ),
    Wrapping(
        group=SEVERAL,
        name="`model` and `best_model`",
        write=saved(lambda: {"model": weights(), "best_model": weights(1)}),
    ),
    Wrapping(group=SEVERAL, name="an ensemble", write=saved(lambda: {"models": [weights(), weights(1)]})),
    Wrapping(
        group=PACKED,
        name="by the Mac's Finder: `__MACOSX`, `.DS_Store`",
        write=packed("archive/", finder=True),
    ),
    Wrapping(group=PACKED, name="without its outer folder", write=packed("")),
    Wrapping(group=PACKED, name="in a folder of a folder", write=packed("downloads/archive/")),
    Wrapping(group=PACKED, name="with backslashes", write=packed("archive/", slash="\\")),
    Wrapping(group=PACKED, name="compressed with LZMA", write=packed("archive/", method=zipfile.ZIP_LZMA)),
    Wrapping(group=PACKED, name="a checkpoint file in a zip archive", write=in_another_zip),
    Wrapping(group=PACKED, name="compressed with gzip", write=changed(saved(weights), gzip.compress)),
    Wrapping(group=PACKED, name="a whole web form (`curl -F`)", write=changed(saved(weights), as_form)),
    Wrapping(
        group=FOLDERS, name="torch.distributed.checkpoint", write=distributed_checkpoint, file_name="step_100"
    ),
    Wrapping(group=FOLDERS, name="one `.distcp` of it", write=part_of_one(".distcp")),
    Wrapping(group=FOLDERS, name="its `.metadata`", write=part_of_one(".metadata")),
    Wrapping(group=FOLDERS, name="a state dict of DTensors", write=dtensors, apart=True),
    Wrapping(
        group=FOLDERS,
        name="DeepSpeed",
        write=named("latest", "zero_to_fp32.py", "global_step100/mp_rank_00_model_states.pt"),
        file_name="run",
    ),
    Wrapping(
        group=FOLDERS,
        name="Orbax (JAX)",
        write=named("_CHECKPOINT_METADATA", "manifest.ocdbt", "d/1"),
        file_name="100",
    ),
    Wrapping(
        group=FOLDERS,
        name="Hugging Face, one file",
        write=named("config.json", "model.safetensors"),
        file_name="checkpoint-100",
    ),
    Wrapping(
        group=FOLDERS,
        name="Hugging Face, several files",
        write=named("model.safetensors.index.json", "model-00001-of-00002.safetensors"),
        file_name="checkpoint-100",
    ),
    Wrapping(
        group=FOLDERS,
        name="one of these files",
        write=lambda path: save_file({k: v for k, v in weights().items() if k.startswith("conv1")}, path),
        file_name="model-00001-of-00002.safetensors",
        apart=True,
    ),
    Wrapping(
        group=FOLDERS,
        name="unpacked by a browser",
        write=named("data.pkl", "version", "data/0"),
        file_name="weights",
    ),
    Wrapping(group=OTHERS, name="`torch.save(model)`", write=saved(lambda: build("r3d_tiny"))),
    Wrapping(group=OTHERS, name="frozen TorchScript", write=frozen),
    Wrapping(group=OTHERS, name="PySlowFast's `.pkl` for Caffe2", write=caffe2),
    Wrapping(group=OTHERS, name="torch.export", write=exported, file_name="model.pt2"),
    Wrapping(
        group=OTHERS,
        name="torch.export for batches of two clips alone",
        write=exported_for_two_clips,
        file_name="model.pt2",
    ),
    Wrapping(group=OTHERS, name="NumPy's `.npz`", write=_numbers),
    Wrapping(group=OTHERS, name="pickled with protocol 4", write=saved(weights, pickle_protocol=4)),
    Wrapping(
        group=OTHERS, name="a file that is cut off", write=changed(saved(weights), lambda data: data[:-1000])
    ),
    Wrapping(group=OTHERS, name="a file with one bit flipped", write=changed(saved(weights), flipped)),
)
