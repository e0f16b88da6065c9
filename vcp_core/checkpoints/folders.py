"""Advice for people who pass a folder instead of a checkpoint file: which file to pass or to make.

The folder is recognised by the names in it. No file in it is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from vcp_core.checkpoints.archives import OBJECT
from vcp_core.checkpoints.formats import WEIGHTS
from vcp_core.checkpoints.report import listed

MAX_NAMES = 10_000  # the most names that are read; a folder of videos may have many more

Names = frozenset[str]


def _any(*patterns: str) -> Callable[[Names], bool]:
    """Make a test of a folder: for each pattern, at least one name must match."""
    return lambda names: all(any(fnmatch(name, pattern) for name in names) for pattern in patterns)


# The first match counts. Lightning's FSDP folders are distributed checkpoints with a `meta.pt`, so they come
# before the others.
KINDS: tuple[tuple[Callable[[Names], bool], str], ...] = (
    (
        _any("meta.pt", "*.distcp"),
        "a checkpoint that Lightning sharded over processes. Join it with "
        "`python -m lightning.pytorch.utilities.consolidate_checkpoint FOLDER` and pass the file it makes.",
    ),
    (
        _any("*.distcp"),
        "a distributed checkpoint, each file a part of it. Join it with "
        "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pt` and pass "
        "weights.pt.",
    ),
    (
        _any("pytorch_model_fsdp*"),
        "a checkpoint of Accelerate, sharded by FSDP. Join it with "
        "`accelerate merge-weights FOLDER/pytorch_model_fsdp_0 OUT` and pass the file in OUT.",
    ),
    (
        _any("zero_to_fp32.py"),
        "a DeepSpeed checkpoint, sharded by ZeRO. Join it with `python FOLDER/zero_to_fp32.py FOLDER OUT` "
        "and pass the file in OUT.",
    ),
    (
        _any("*mp_rank_00_model_states.pt"),
        "DeepSpeed's files of one step. Pass mp_rank_00_model_states.pt; if it is refused, ZeRO sharded the "
        "weights: join them with zero_to_fp32.py, which lies in the folder above.",
    ),
    (
        _any("global_step*"),
        "a folder of DeepSpeed's steps. Join one with zero_to_fp32.py, which DeepSpeed puts beside them.",
    ),
    (
        _any("mp_rank_*"),
        "a Megatron checkpoint, one folder for each tensor-parallel part. Convert it to one file with "
        "Megatron's tools/checkpoint/convert.py, and pass that.",
    ),
    (
        _any("manifest.ocdbt"),
        "an Orbax checkpoint of JAX. Convert its arrays to a PyTorch state dict, and pass that file.",
    ),
    (
        _any("_CHECKPOINT_METADATA"),
        "an Orbax checkpoint of JAX. Convert its arrays to a PyTorch state dict, and pass that file.",
    ),
    (
        _any("*.safetensors.index.json"),
        "weights in several files. Pass the folder to a `vcpbench` command, which joins them. Or join them: "
        '`python -c "import glob, safetensors.torch as s; s.save_file({k: v for f in '
        "glob.glob('FOLDER/*.safetensors') for k, v in s.load_file(f).items()}, 'weights.safetensors')\"` "
        "and pass weights.safetensors.",
    ),
    (
        _any("*.bin.index.json"),
        "weights in several files. Load the network where its code is at hand, and save it with "
        "torch.save(model.state_dict(), 'weights.pt').",
    ),
    (_any("model.safetensors"), "a Hugging Face folder. Pass model.safetensors in it."),
    (_any("pytorch_model.bin"), "a Hugging Face folder. Pass pytorch_model.bin in it."),
    (
        _any(OBJECT),
        "the contents of a checkpoint that a browser unpacked. Pack it again with "
        "`zip -0 -r weights.pt FOLDER` and pass weights.pt.",
    ),
    (_any("saved_model.pb"), "a TensorFlow SavedModel. Convert it to PyTorch first."),
    (_any("*.ckpt.index"), "a TensorFlow checkpoint. Convert it to PyTorch first."),
    (_any("*.data-00000-of-*"), "a TensorFlow checkpoint. Convert it to PyTorch first."),
)


def about_folder(folder: Path) -> str:
    """Say what a folder is, judged by the names in it, and what to pass instead.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "epoch-300.pth").touch()
    ...     print(about_folder(Path(folder)))
    a folder. Pass one of the files in it: epoch-300.pth.
    """
    names = frozenset(_names(folder))
    for fits, said in KINDS:
        if fits(names):
            return said
    inside = sorted(name for name in names if name.endswith(WEIGHTS))
    if inside:
        return f"a folder. Pass one of the files in it: {listed(inside)}."
    return "a folder. Pass the weights file in it."


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(MAX_NAMES), strict=False)]
    except OSError:  # without names the advice is general, which is better than an error here
        return []
