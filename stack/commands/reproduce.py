"""`vcpbench reproduce`: run an evaluation again, and compare."""

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

DIFFERENT = 1  # exit code: it ran, and the scores are not those that were published
SHOWN = 12  # deviations of a table


class CannotReproduce(VcpbenchError):
    """What the evaluation was made of is not here."""


@plainly
@option_groups()
def reproduce(
    what: Annotated[
        str,
        typer.Argument(
            metavar="EVALUATION|FILE", help="An evaluation's id, or results that a command once wrote."
        ),
    ],
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Its file; fetched from the server, or found by the results' command.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Where its videos are here, if not as it says.")
    ] = None,
    files: options.DatasetFiles,
    device: options.DeviceOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Run an evaluation again here, and compare every score with what was published.

    Exit code 0: reproduced (to the last digit on the same kind of machine with as many threads, else within
    the tolerance that is printed); 1: not; 2: it could not be run. What was finetuned is finetuned again only
    where device and threads are the same.

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
    """The same videos, where the caller or the results' own command says that they are."""
    command = _command(published)
    if dataset is None:
        dataset = str(command["dataset"])
        if "what" in command and dataset not in DATASETS:  # a server's command, which says PLACE
            raise CannotReproduce(f"Where are its videos here? Say so: {published.provenance.reproduce}")
        of_command = set(files)
    else:  # groups and suffixes hold wherever the videos lie; the table and the lists are places
        of_command = {"test_groups", "suffixes"}
    known: dict[str, Any] = {
        name: given or (command.get(name) if name in of_command else None) for name, given in files.items()
    }
    split = published.provenance.dataset["split"]
    # A folder's says how its two sides were made, which the other options decide.
    official = any(split in spec.splits for spec in DATASETS.values())
    loaded = load(dataset, split=split if official else "1", tell=tell, **known)
    if loaded.fingerprint != published.provenance.dataset["fingerprint"]:
        raise CannotReproduce(
            f"{dataset} here has fingerprint {loaded.fingerprint[:12]}, the evaluation's videos have "
            f"{published.provenance.dataset['fingerprint'][:12]}: other files, labels or sides. "
            "Say where the same videos are: --dataset (and --csv, --test-groups, --lists as they were)."
        )
    return loaded


def _again(published: Results, file: Path, dataset: Dataset, device: str | None, tell: Tell) -> Results:
    """The same results, measured now."""
    from vcp_core.evaluation.evaluate import evaluate

    origin = published.provenance
    network = {
        "backbone": origin.backbone,
        "prefix": _prefix(origin.checkpoint),
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
    """Whether `vcpbench finetune` gave them."""
    answered = [result.predictions for result in published.benchmarks if result.predictions]
    return any("finetune" in predictions.columns for predictions in answered)


def _finetuned_again(
    published: Results, file: Path, dataset: Dataset, device: str | None, tell: Tell, **options: Any
) -> Results:
    """Trained in a folder of the cache, where an interrupted one goes on; it goes when it is done."""
    from vcp_core.pretraining import FinetuneConfig, Machine, finetune

    if several := re.match(r"(\d+) x ", published.provenance.device):
        raise CannotReproduce(
            f"{several[1]} processes finetuned it together, and this would be one: another trajectory, whose "
            f"scores say nothing about it. Its own command does it again: {published.provenance.reproduce}"
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
    """Before hours are spent on it: the tolerance is one of frozen features, not of another training."""
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
        hint = f" OMP_NUM_THREADS={number} gives it as many threads." if threads and number else ""
        raise CannotReproduce(
            f"It was finetuned otherwise ({'; '.join(decisive)}): weights take another way from the first "
            f"step on, and scores would say nothing about those.{hint} Its own command trains again all the "
            f"same: {origin.reproduce}"
        )
    if found:
        messages.print("Not as it was finetuned, so weights may take another way from the first step on:")
        for condition in found.values():
            messages.print(f"  {condition}", style="dim", highlight=False, markup=False)


def _published(what: str) -> dict[str, Results]:
    """Results by split; by the empty name where they are of one alone."""
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
    """The options of the command that made the results, read as that command reads them."""
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
    """Which network it was, where the file has several."""
    return (report.get("prefix") or None) if report.get("others") else None


@contextmanager
def _file(what: str, given: Path | None, published: Results) -> Iterator[Path]:
    """The checkpoint: what was given, what the results' command names, or what the server keeps."""
    command = _command(published)
    wanted = published.provenance.checkpoint.get("sha256")
    if wanted is None:
        raise CannotReproduce(
            "Random weights and pixels have no file. Reproduce an evaluation that is compared with them: "
            "they are measured again with it."
        )
    named = Path(command["file"]) if command.get("file") else None
    path = given or (named if named is not None and named.is_file() else None)
    if path is not None:
        if _sha256(path) != wanted:
            raise CannotReproduce(f"{path} is not the checkpoint: its SHA-256 is not {wanted}.")
        yield path
        return
    if Path(what).exists():
        raise CannotReproduce(f"Where is the checkpoint of SHA-256 {wanted}? Say so: --checkpoint FILE.")
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
        for heading in ("percent", "was", "is", "may differ by"):
            table.add_column(heading, justify="left" if heading == "percent" else "right", no_wrap=True)
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
            "Device, threads and versions are the same, so these scores should be, too.", style="red"
        )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
