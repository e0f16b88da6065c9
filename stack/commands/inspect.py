"""`vcpbench inspect`: show what a checkpoint file holds, without running code from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stack.commands.common import JsonFlag, PrefixOption, console, plainly, print_json


@plainly
def inspect(
    file: Annotated[Path, typer.Argument(help="The checkpoint: .pt, .pth, .tar, .ckpt or .safetensors.")],
    backbone: Annotated[
        str | None, typer.Option(help="Architecture; recognised from the file if left out.")
    ] = None,
    prefix: PrefixOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say which backbone a file holds, how its keys were matched, and which keys are left over.

    **Examples**

    `vcpbench inspect model.pth.tar`

    `vcpbench inspect dino.pt --prefix teacher.`

    `vcpbench inspect model.pt --json`
    """
    from vcp_core.checkpoints import inspect_checkpoint

    report = inspect_checkpoint(file, backbone=backbone, prefix=prefix)
    if as_json:
        print_json(json.dumps(report.as_dict(), indent=1))
    else:
        console.print(report.explain(), highlight=False, markup=False, soft_wrap=True)
