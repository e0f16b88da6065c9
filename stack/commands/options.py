"""The options that the commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DatasetArgument = Annotated[
    str,
    typer.Argument(
        help="A name (playground, playground-136, playground-344), ucf101:DIR, hmdb51:DIR, or a folder."
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        help="Which of several networks in the file, as 'teacher.'; '.' for keys with nothing before."
    ),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input-spec", help="What it takes in, if not its backbone's own: 'frames=8,stride=4,crop=224,...'"
    ),
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="A name (playground, playground-136, playground-344), ucf101:DIR, hmdb51:DIR, or a folder.",
    ),
]
SplitOption = Annotated[str, typer.Option("--split", help="Which split of UCF101 or HMDB51.")]
SplitsOption = Annotated[
    str, typer.Option("--split", help="Which split of UCF101 or HMDB51; '1,2,3' gives their mean.")
]
PretrainedOnOption = Annotated[
    str | None,
    typer.Option(
        "--pretrained-on",
        help="What it was trained on: ucf101:1 or ucf101:1,2 (splits), kinetics400, none, ...",
    ),
]
CsvOption = Annotated[
    Path | None, typer.Option("--csv", help="Columns path,label and optionally group,split.")
]
TestGroupsOption = Annotated[
    list[str] | None,
    typer.Option("--test-groups", help="Groups that make the test side; repeat for several."),
]
SuffixOption = Annotated[
    list[str] | None,
    typer.Option("--suffix", help="Of more videos of a folder, as .xyz; repeat for several."),
]

HomeOption = Annotated[
    Path | None,
    typer.Option(help="Folder of all data. Default: VCPBENCH_HOME, else the user's own place."),
]
ListsOption = Annotated[
    Path | None,
    typer.Option("--lists", help="Folder of UCF101's or HMDB51's lists, if not beside the videos."),
]
CheckpointArgument = Annotated[
    Path, typer.Argument(help="The checkpoint: .pt, .pth, .tar, .ckpt or .safetensors.")
]
BackboneOption = Annotated[str | None, typer.Option(help="Its architecture; found by itself if left out.")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU if there is one.")]


class Network(TypedDict):
    """Which network of a file is meant, and what it takes in."""

    backbone: BackboneOption
    prefix: PrefixOption
    input_spec: InputOption


class DatasetFiles(TypedDict):
    """What else says which videos a dataset has; further arguments of `load`."""

    csv: CsvOption
    test_groups: TestGroupsOption
    suffixes: SuffixOption
    lists: ListsOption
