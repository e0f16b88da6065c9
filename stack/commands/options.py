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
    typer.Option(help="Prefix of the network's keys if the file holds several: 'teacher.'; '.' for none."),
]
VariantOption = Annotated[
    str | None,
    typer.Option(
        "--variant",
        help="Form of the network, if no tensor shows it: 'tclr' (dilated layer4, BGR), 'bgr', ...",
    ),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input-spec",
        help="Input of the network, if not the backbone's own: 'frames=8,stride=4,crop=224,...'",
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
ProtocolOption = Annotated[
    str, typer.Option("--protocol", "-p", help="standard-v1, standard-bf16-v1, quick-v1, ... or a TOML file.")
]
SplitOption = Annotated[str, typer.Option("--split", help="Which split of UCF101 or HMDB51.")]
SplitsOption = Annotated[
    str, typer.Option("--split", help="Which split of UCF101 or HMDB51; '1,2,3' gives their mean.")
]
PretrainedOnOption = Annotated[
    str | None,
    typer.Option(
        "--pretrained-on",
        help="Training data of the checkpoint: ucf101:1 or ucf101:1,2 (splits), kinetics400, none, ...",
    ),
]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", help="Table of the videos: columns path,label and optionally group,split."),
]
TestGroupsOption = Annotated[
    list[str] | None,
    typer.Option("--test-groups", help="A group of the test side; repeat for several."),
]
SuffixOption = Annotated[
    list[str] | None,
    typer.Option("--suffix", help="A further suffix of video files, such as .xyz; repeat for several."),
]

HomeOption = Annotated[
    Path | None,
    typer.Option(help="Folder of all data. Default: VCPBENCH_HOME, else the user's data folder."),
]
ListsOption = Annotated[
    Path | None,
    typer.Option("--lists", help="Folder of UCF101's or HMDB51's lists, if not beside the videos."),
]
CheckpointArgument = Annotated[
    Path, typer.Argument(help="The checkpoint: .pt, .pth, .tar, .ckpt, .safetensors or .pt2 (torch.export).")
]
BackboneOption = Annotated[
    str | None, typer.Option(help="Architecture; recognised from the file if left out.")
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1. Default: a GPU if there is one.")]


class Network(TypedDict):
    """Options that name the network of a file, its architecture, its form and its input."""

    backbone: BackboneOption
    prefix: PrefixOption
    variant: VariantOption
    input_spec: InputOption


class DatasetFiles(TypedDict):
    """Options that select the videos of a dataset: further arguments of `load`."""

    csv: CsvOption
    test_groups: TestGroupsOption
    suffixes: SuffixOption
    lists: ListsOption
