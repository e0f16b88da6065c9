"""`vcpbench export`: make a .pt2 archive of a network of the user's own."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import plainly, print_json, say, show

if TYPE_CHECKING:
    from vcpbench_client.exporting.making import Exported


@plainly
def export(
    network: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="Your function without arguments that gives the network, a class, or a network.",
        ),
    ],
    *,
    frames: Annotated[int, typer.Option(help="Frames of a clip: a multiple of 4.")],
    crop: Annotated[int, typer.Option(help="Height and width of a clip, in pixels.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, such as model.pt2.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="File of weights (.pt, .pth, .safetensors). Left out: as the function made them."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Prefix of the network's keys in the file of weights, such as 'model.'.")
    ] = "",
    ignore_keys: Annotated[
        list[str] | None,
        typer.Option(
            help="Beginning of keys that are neither compared nor loaded, such as 'fc.': a head that no "
            "stage needs. Repeat for several."
        ),
    ] = None,
    stages: Annotated[
        str, typer.Option(help="Modules whose outputs are the stages, first to last; the whole if left out.")
    ] = "",
    stride: Annotated[
        int | None, typer.Option(help="Distance between frames of a clip, in frames of the video.")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(metavar="HEIGHTxWIDTH", help="Size of frames before the crop, in pixels.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Mean of pixel values in [0, 1] that is taken away: 0.45 or RED/GREEN/BLUE."),
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="Standard deviation that divides them then: 0.225 or RED/GREEN/BLUE.")
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Export a network of your own as a file that a server evaluates without your code.

    The command runs your code here. It cuts the network at the stages, exports it with torch.export, compares
    the file with the network, and says what a server would refuse. The file holds operations, weights and
    names of weights, and no path of yours.

    **Examples**

    `vcpbench export mynet.model:build --weights model.pt --stages layer1,layer2,layer3,layer4 --frames 16
    --crop 112 --stride 2 --resize 128x171 --mean 0.45 --std 0.225 --out model.pt2`

    `vcpbench export mynet.model:build --weights model.pt --ignore-keys fc. --stages layer4 --frames 16
    --crop 112 --out model.pt2`

    `vcpbench export wrapped:features --frames 8 --crop 224 --stride 4 --out model.pt2`
    """
    from vcpbench_client.answers import plain
    from vcpbench_client.errors import ExportError

    try:
        from vcpbench_client.exporting import building, making
        from vcpbench_client.exporting.inputs import Input, colour_of, size_of
        from vcpbench_client.exporting.weights import load_weights
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ExportError(error.msg) from None
    declared = Input(
        frames=frames,
        crop=crop,
        stride=stride,
        resize=None if resize is None else size_of(resize),
        mean=None if mean is None else colour_of("mean", mean),
        std=None if std is None else colour_of("std", std),
    )
    with contextlib.redirect_stdout(sys.stderr):  # what the user's code prints
        built = making.copied(building.build(network))
        said, kept = [f"no --weights: the weights are those that {network} gives"], list[str]()
        if weights is not None:
            said, kept = load_weights(built, weights, prefix=prefix, ignored=tuple(ignore_keys or ()))
        found = making.make(
            built,
            out,
            declared,
            stages=[name.strip() for name in stages.split(",") if name.strip()],
            first_values=kept,
            said=said,
            tell=lambda step: None if as_json else say(f"{step} ..."),
        )
    if as_json:
        print_json({**plain(found), "path": str(found.path)})
    else:
        _show(found)


def _show(found: Exported) -> None:
    size = f"{found.size_bytes / 1e6:.1f} MB, {found.num_operations} operations, {found.num_weights} weights"
    show(f"{found.path}: {size}")
    for name, shape in found.stages.items():
        kind = "map" if len(shape) > 1 else "feature"
        show(f"  {name}: a {kind} of {' x '.join(map(str, shape))}")
    show(f"  input: {','.join(f'{word}={value}' for word, value in found.input.items())}")
    equal = "bit by bit" if not found.difference else f"to {found.difference:.1e} of the largest feature"
    show(f"  The file gives the numbers of the network, {equal}.")
    if not found.is_read:
        show("  vcpbench is not installed here, so its strict reader did not look at the file.")
    for note in found.notes:
        say(f"! {note}", style="yellow")
    say(f"Evaluate it: vcpbench evaluate {found.path} --model NAME")
