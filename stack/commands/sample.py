"""`vcpbench sample`: copy out the checkpoint that comes with vcpbench."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from stack.commands.common import console, plainly


@plainly
def sample(
    out: Annotated[
        str,
        typer.Option("--out", "-o", help="File or folder. A slash at the end means a folder, which is made."),
    ] = ".",
) -> None:
    """Copy out the checkpoint that comes with vcpbench: r3d_tiny, pretrained by VCP on the playground.

    **Examples**

    `vcpbench sample`

    `vcpbench sample --out models/`

    `vcpbench sample --out /tmp/sample.safetensors && vcpbench local /tmp/sample.safetensors`
    """
    from vcp_core.catalog.files import whole
    from vcp_core.samples import SAMPLE, sample_path

    target = Path(out)  # Path drops a slash at the end, so look for the slash in `out`
    if out.endswith("/") or target.is_dir():
        target /= SAMPLE
    with whole(target) as part:
        shutil.copyfile(sample_path(), part)
    console.print(str(target), highlight=False, markup=False, soft_wrap=True)
