"""`vcpbench inspect`: show what a checkpoint file holds, without running code from it."""

from __future__ import annotations

import json

from stack.commands import options
from stack.commands.common import console, one_file, plainly, print_json


@plainly
@one_file
def inspect(
    file: options.CheckpointArgument,
    backbone: options.BackboneOption = None,
    prefix: options.PrefixOption = None,
    variant: options.VariantOption = None,
    input_spec: options.InputOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Say which backbone a file holds, how its keys were matched, what is assumed, and what is left over.

    **Examples**

    `vcpbench inspect model.pth.tar`

    `vcpbench inspect dino.pt --prefix teacher.`

    `vcpbench inspect tclr.pt --variant tclr`

    `vcpbench inspect model.pt --json`
    """
    from vcp_core.checkpoints import inspect_checkpoint

    report = inspect_checkpoint(
        file, backbone=backbone, prefix=prefix, variant=variant, input_spec=input_spec
    )
    if as_json:
        print_json(json.dumps(report.as_dict(), indent=1))
    else:
        console.print(report.explain(), highlight=False, markup=False, soft_wrap=True)
