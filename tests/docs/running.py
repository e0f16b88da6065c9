"""Run blocks of a page: shell lines by bash or by forks of `vcpbench`, Python in this process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.datasets_on_disk import make_folder, write_ucf101
from tests.docs.examples import ROOT, Block
from tests.forked import VCPBENCH, run_vcpbench
from tests.patience import DEADLINE_S
from tests.videos import write_video
from vcp_core.backbones import build
from vcp_core.samples import sample_path

# What a page says, and what stands for it here.
SERVER, TOKEN_FILE = "http://127.0.0.1:8080", "TOKEN_FILE"
# Lines that other tests run: one stack serves all pages here, and the environment is there already.
LEFT_TO_OTHERS = {
    "make up": "tests/stack/test_up.py",
    "make down": "tests/stack/test_up.py",
    ". .venv/bin/activate": "every test",
}
QUICKEST = 'base = "quick-v1"\n[grid]\nnum_clips = 1\n[control]\nseeds = [0]\ncalibration_clips = 4\n'
_PROGRAMS = {"python": sys.executable, "vcpbench": VCPBENCH}


class ExampleFailed(AssertionError):
    """A block ends in an error; the text is what the block said."""


def furnish(root: Path) -> Path:
    """A folder with everything that pages speak of: checkpoints, videos, a data folder, programs."""
    root.mkdir(parents=True)
    torch.save(load_file(sample_path()), root / "model.pt")  # trained: the gate fails random weights
    for name, seed in (("before", 6), ("after", 7)):
        torch.save(build("r3d_tiny", seed=seed).state_dict(), root / f"{name}.pt")
    (root / "run").mkdir()
    for step in (1000, 2000):
        state = {"state_dict": build("r3d_tiny", seed=step).state_dict(), "global_step": step}
        torch.save(state, root / f"run/step={step}.ckpt")
    make_folder(root / "clips")
    (root / "quickest.toml").write_text(QUICKEST)
    write_ucf101(root / "data/ucf101")
    write_gestures(root / "data/gestures")
    programs = root / "bin"
    programs.mkdir()
    for name, program in _PROGRAMS.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(program)} "$@"\n')
        (programs / name).chmod(0o755)
    (root / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    return root


def write_gestures(root: Path) -> None:
    """Two gestures of three people: `group` says who is seen."""
    rows = ["path,label,group"]
    for seed, (label, group) in enumerate((label, group) for label in ("nod", "wave") for group in "123"):
        write_video(root / label / f"{group}.mp4", 100, seed=seed)
        rows.append(f"{label}/{group}.mp4,{label},P{group}")
    (root / "groups.csv").write_text("\n".join(rows) + "\n")


def copy_of(furnished: Path, root: Path) -> Path:
    """A folder of one page's own."""
    shutil.copytree(furnished, root, symlinks=True)
    return root


def environment(root: Path, more: Mapping[str, str]) -> dict[str, str]:
    """What a page's commands see; HOME is the page's own folder."""
    return {
        **os.environ,
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(root),
        "CURL_HOME": str(root),
        "COLUMNS": "120",
        **more,
    }


def meant(text: str, root: Path, server: tuple[str, Path] | None) -> str:
    """A block's text with what stands here for the places that the page makes up."""
    for name in ("ucf101", "UCF101"):
        text = text.replace(f"/data/{name}", str(root / "data/ucf101"))
    text = text.replace("/data/gestures", str(root / "data/gestures"))
    if server:
        text = text.replace(SERVER, server[0]).replace(TOKEN_FILE, str(server[1]))
    return text


def run_shell(block: Block, root: Path, server: tuple[str, Path] | None, env: Mapping[str, str]) -> None:
    """Run a block of `sh` in the folder.

    Raises:
        ExampleFailed: If a command of it fails.
    """
    text = meant(block.text, root, server)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    lines = [line for line in lines if line.split("#")[0].strip() not in LEFT_TO_OTHERS]
    if all(line.startswith("vcpbench ") and not set(line.split("#")[0]) & set("$|*>&;(`") for line in lines):
        for line in lines:
            words = shlex.split(line, comments=True)
            found = run_vcpbench(*words[1:], cwd=root, env=environment(root, env))
            _check(block, line, found)
        return
    # A reader has one terminal: what a block sets is there in the next one.
    kept = root / ".variables"
    kept.touch()
    names = re.findall(r"(?:^|; )([A-Z]+)=", "\n".join(lines), re.MULTILINE)
    keep = [f"declare -p {name} >> {shlex.quote(str(kept))}" for name in names]
    script = "\n".join(["set -euo pipefail", f". {shlex.quote(str(kept))}", *lines, *keep])
    found = subprocess.run(
        ["bash", "-c", script],
        cwd=root,
        env={**environment(root, env), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    _check(block, script, found)


def _check(block: Block, what: str, found: subprocess.CompletedProcess[str]) -> None:
    if found.returncode:
        raise ExampleFailed(
            f"{block} ends with {found.returncode}:\n{what}\n{found.stdout[-4000:]}\n{found.stderr[-4000:]}"
        )


def run_python(block: Block, root: Path, server: tuple[str, Path] | None, names: dict[str, object]) -> None:
    """Run a block of `python` in this process, with the names that earlier blocks of its page made."""
    # The code is the tree's own.
    exec(compile("\n" * block.line + meant(block.text, root, server), block.page, "exec"), names)
