"""`vcpbench reproduce`: run an evaluation again here, and compare its scores with the published ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from vcpbench_client.commands.options import option_groups

from stack.commands import options
from stack.commands.common import Tell, console, load, messages, plainly, print_json, progress_bars
from stack.commands.local import of_split
from stack.commands.training import Watched
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.paths import cache_dir

if TYPE_CHECKING:
    from vcp_core.datasets import Dataset
    from vcp_core.results.reproduction import Agreement
    from vcp_core.results.types import Provenance, Results

DIFFERENT = 1  # exit code if the evaluation ran, and its scores differ from the published ones
SHOWN = 12  # rows of the table of deviations


class CannotReproduce(VcpbenchError):
    """The checkpoint, the videos or the conditions of the evaluation are not here."""


@plainly
@option_groups()
def reproduce(
    what: Annotated[
        str,
        typer.Argument(
            metavar="EVALUATION|FILE", help="An evaluation's id, or a file of results that a command wrote."
        ),
    ],
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="The checkpoint's file. Default: the file that the results name, or the server's copy."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", help="The same dataset on this machine, if it is not where the results say."
        ),
    ] = None,
    files: options.DatasetFiles,
    device: options.DeviceOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Run an evaluation again here, and compare every score with the published one.

    Exit codes: 0 if the scores are reproduced, 1 if they differ, 2 if the evaluation could not be run.

    On the same kind of machine, with as many threads, every digit must be equal. Elsewhere the scores may
    differ by the tolerance that is printed. A finetuned network is finetuned again only if device and threads
    are the same.

    **Examples**

    `vcpbench reproduce 0d9c2c0e-5b9c-4d0e-9d6b-1b0c5f5f3c11`

    `vcpbench reproduce scores.json --checkpoint model.pt --dataset ucf101:/data/UCF101`

    `vcpbench reproduce runs/ucf101/recognition.json`
    """
    from vcp_core.results.reproduction import agreement

    published = _published(what)
    found: dict[str, Agreement] = {}
    with (
        _file(what, checkpoint, next(iter(published.values()))) as file,
        progress_bars(quiet=as_json) as bars,
    ):
        for name, one in published.items():
            tell = of_split(name, bars) if name else bars
            loaded = _dataset(one, dataset, files, tell)
            found[name] = agreement(one, _again(one, file, loaded, device, tell))
    verdicts = {name: _verdict(one) for name, one in found.items()}
    reproduced = all(one.reproduced for one in found.values())
    if as_json:
        one_or_all = verdicts.get("", {"reproduced": reproduced, "splits": verdicts})
        print_json(json.dumps(one_or_all, indent=1))
    else:
        for name, agreed in found.items():
            _show(agreed, f"split {name}: " if name else "")
    if not reproduced:
        raise typer.Exit(DIFFERENT)


def _verdict(found: Agreement) -> dict[str, Any]:
    return {"reproduced": found.reproduced, "equal": found.equal, **dataclasses.asdict(found)}


def _dataset(published: Results, dataset: str | None, files: options.DatasetFiles, tell: Tell) -> Dataset:
    """Load the same videos from the place that the options or the results' own command name."""
    command = _command(published)
    if dataset is None:
        dataset = str(command["dataset"])
        if "what" in command and dataset not in DATASETS:  # a server's command names the place only as PLACE
            raise CannotReproduce(
                f"The results do not say where the videos are here. Say so: {published.provenance.reproduce}"
            )
        of_command = set(files)
    else:  # Keep groups and suffixes, which do not depend on the place. The table and the lists are places.
        of_command = {"test_groups", "suffixes"}
    known: dict[str, Any] = {
        name: given or (command.get(name) if name in of_command else None) for name, given in files.items()
    }
    split = published.provenance.dataset["split"]
    # A folder's split says how its two sides were made. The other options decide that, so pass none.
    official = any(split in spec.splits for spec in DATASETS.values())
    loaded = load(dataset, split=split if official else "1", tell=tell, **known)
    if loaded.fingerprint != published.provenance.dataset["fingerprint"]:
        raise CannotReproduce(
            f"{dataset} here has fingerprint {loaded.fingerprint[:12]}, the evaluation's videos have "
            f"{published.provenance.dataset['fingerprint'][:12]}. So files, labels or sides differ. "
            "Say where the same videos are: --dataset (and --csv, --test-groups, --lists as they were)."
        )
    return loaded


def _again(published: Results, file: Path, dataset: Dataset, device: str | None, tell: Tell) -> Results:
    """Measure the same results again."""
    from vcp_core.evaluation.evaluate import evaluate

    origin = published.provenance
    network = {
        "backbone": None if origin.checkpoint.get("graph") else origin.backbone,
        "prefix": _prefix(origin.checkpoint),
        "variant": origin.variant,
        "input_spec": origin.input_spec,
    }
    controls = any(result.controls for result in published.benchmarks)
    if _finetuned(published):
        return _finetuned_again(published, file, dataset, device, tell, control=controls, **network)
    return evaluate(
        file,
        dataset,
        origin.protocol,
        benchmarks=tuple(result.benchmark for result in published.benchmarks),
        device=device,
        controls=controls,
        progress=tell,
        **network,
    )


def _finetuned(published: Results) -> bool:
    """Whether `vcpbench finetune` wrote the results."""
    answered = [result.predictions for result in published.benchmarks if result.predictions]
    return any("finetune" in predictions.columns for predictions in answered)


def _finetuned_again(
    published: Results, file: Path, dataset: Dataset, device: str | None, tell: Tell, **options: Any
) -> Results:
    """Finetune again in a folder of the cache.

    An interrupted run goes on in this folder. The folder is deleted once the run is done.
    """
    from vcp_core.pretraining import FinetuneConfig, Machine, finetune

    if several := re.match(r"(\d+) x ", published.provenance.device):
        raise CannotReproduce(
            f"{several[1]} processes finetuned the network together. One process would train it differently, "
            f"so its scores would prove nothing. To train again: {published.provenance.reproduce}"
        )
    _refuse_another_way(published.provenance, device)
    config = FinetuneConfig.of(published.provenance.protocol)
    name = hashlib.sha256(published.to_json().encode()).hexdigest()[:16]
    folder = cache_dir() / "reproduced" / name
    watcher = Watched(tell, config.epochs)
    again = finetune(
        file, dataset, folder, config, machine=Machine(device=device), watcher=watcher, **options
    )
    shutil.rmtree(folder)
    return again.results


def _refuse_another_way(origin: Provenance, device: str | None) -> None:
    """Refuse to train on another device or with another number of threads, before hours are spent.

    The tolerance holds for frozen features. It says nothing about another training.
    """
    from vcp_core.evaluation.machine import (
        blas_threads,
        describe_device,
        network_threads,
        pick_device,
        versions,
    )
    from vcp_core.results.reproduction import conditions, differing

    chosen, before = pick_device(device), conditions(origin)
    threads = network_threads(chosen)
    here: dict[str, int | str] = {
        "device": describe_device(chosen),
        **threads,
        **blas_threads(),
        **versions(),
    }
    found = differing(before, here)
    decisive = [found[name] for name in ("device", "network_threads") if name in found and name in before]
    if decisive:
        number = before.get("network_threads")
        hint = f" OMP_NUM_THREADS={number} sets the same number of threads." if threads and number else ""
        raise CannotReproduce(
            f"The network was finetuned under other conditions ({'; '.join(decisive)}). The weights would "
            f"differ from the first step on, so the scores would prove nothing.{hint} To train all the same: "
            f"{origin.reproduce}"
        )
    if found:
        messages.print(
            "Some conditions differ from the published run, so the weights may differ from the first step on:"
        )
        for condition in found.values():
            messages.print(f"  {condition}", style="dim", highlight=False, markup=False)


def _published(what: str) -> dict[str, Results]:
    """Read the published results, by split. Results of a single split have the empty name."""
    from pydantic import ValidationError

    from vcp_core.results.types import Results
    from vcp_core.scoring.splits import SCHEMA, SplitsMean

    if not Path(what).suffix and not Path(what).exists():
        return {"": Results.model_validate_json(_ask(lambda client: client.results_json(what)))}
    try:
        text = Path(what).read_text(encoding="utf-8")
        if f'"schema_name": "{SCHEMA}"' in text[:200]:
            return SplitsMean.model_validate_json(text).splits
        return {"": Results.model_validate_json(text)}
    except (OSError, UnicodeDecodeError) as error:
        raise CannotReproduce(f"{what} cannot be read: {error}.") from None
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        first = f" (at {where})" if where else ""
        raise CannotReproduce(f"{what} holds no results of this version{first}.") from None


def _ask(question: Any) -> Any:
    from vcpbench_client import Client, ClientError

    try:
        with Client() as client:
            return question(client)
    except ClientError as error:
        raise CannotReproduce(str(error)) from error


def _command(published: Results) -> dict[str, Any]:
    """The options of the command that made the results, parsed by that command's own parser."""
    from stack.commands.finetune import finetune
    from stack.commands.local import local

    commands: dict[str, Callable[..., None]] = {
        "local": local,
        "finetune": finetune,
        "reproduce": reproduce,
    }
    _, name, *words = [*shlex.split(published.provenance.reproduce or ""), "", ""]
    if name not in commands:
        return {"dataset": published.provenance.dataset["name"]}
    alone = typer.Typer()
    alone.command()(commands[name])
    return dict(typer.main.get_command(alone).make_context("again", words, resilient_parsing=True).params)


def _prefix(report: dict[str, Any]) -> str | None:
    """The prefix of the network that was evaluated, if the file holds several."""
    return (report.get("prefix") or None) if report.get("others") else None


@contextmanager
def _file(what: str, given: Path | None, published: Results) -> Iterator[Path]:
    """The checkpoint: the given file, else the file that the results name, else the server's copy."""
    command = _command(published)
    wanted = published.provenance.checkpoint.get("sha256")
    if wanted is None:
        raise CannotReproduce(
            "Random weights and pixels have no file. Reproduce an evaluation that is compared with them. "
            "They are then measured again, too."
        )
    named = Path(command["file"]) if command.get("file") else None
    path = given or (named if named is not None and named.is_file() else None)
    if path is not None:
        if _sha256(path) != wanted:
            raise CannotReproduce(f"{path} is not the checkpoint: its SHA-256 is not {wanted}.")
        yield path
        return
    if Path(what).exists():
        raise CannotReproduce(
            f"The checkpoint of SHA-256 {wanted} is not here. Say where it is: --checkpoint FILE."
        )
    with tempfile.TemporaryDirectory(prefix="vcpbench-") as folder:
        path = Path(folder) / "checkpoint"
        messages.print("Fetching the checkpoint from the server.")
        _ask(lambda client: client.download(client.evaluation(what).checkpoint.id, path))
        yield path


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CannotReproduce(f"{path} cannot be read: {error.strerror}.") from None


def _show(found: Agreement, whose: str = "") -> None:
    if found.equal:
        console.print(f"{whose}Reproduced: all {found.num_scores} scores are equal to the last digit.")
    else:
        verdict = "Reproduced within the tolerance" if found.reproduced else "NOT reproduced"
        console.print(f"{whose}{verdict}: {found.num_differing} of {found.num_scores} scores differ.")
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("score", "was", "is", "may differ by"):
            table.add_column(heading, justify="left" if heading == "score" else "right", no_wrap=True)
        for one in found.deviations[:SHOWN]:
            style = "" if one.tolerable else "red"
            name = one.metric if one.field == "value" else f"{one.metric}, {one.field.replace('_', ' ')}"
            table.add_row(name, _number(one.first), _number(one.second), f"{one.allowed:.2f}", style=style)
        console.print(table)
        if len(found.deviations) > SHOWN:
            console.print(f"and {len(found.deviations) - SHOWN} more, smaller", style="dim")
    for condition in found.conditions:
        console.print(f"  {condition}", style="dim", highlight=False, markup=False)
    if not found.reproduced and not found.conditions:
        console.print(
            "Device, threads and versions are the same, so the scores should be the same, too.", style="red"
        )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
