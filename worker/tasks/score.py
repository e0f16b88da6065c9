"""Score an evaluation from the features of its clips and the predictions of its controls."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from records import flow
from records.models import Evaluation, PartRow, Shard
from records.repositories import evaluations
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.specs import PIXELS
from vcp_core.results.types import Results
from worker.runner import Out
from worker.tasks.features import DamagedFeatures, extract_again, features_of
from worker.tasks.fit import STALL_S, with_shards
from worker.tasks.plan import plan_arguments
from worker.work import Work

MACHINE = ("batch_clips", "network_threads")  # keys of `Shard.counts` that describe the machine


class Needs(NamedTuple):
    """Everything that scoring reads from the database."""

    evaluation: Evaluation
    shards: list[Shard]
    parts: Sequence[PartRow]  # what fit jobs found
    controls: dict[str, dict[str, Any]]  # predictions by benchmark, by seed
    pixels: dict[str, Any] | None  # predictions by benchmark

    @property
    def is_fitted(self) -> bool:
        """Whether fit jobs did all parts. Otherwise this job fits the parts that are missing."""
        planned = {part for fit in self.evaluation.fits or () for part in fit["parts"]}
        return bool(planned) and planned == {row.part for row in self.parts}


def score(work: Work) -> None:
    """Join what was fitted, score every benchmark, and write the scores.

    The job fits by itself if the evaluation is small, or was planned before there were fit jobs.
    """
    needs = work.read(lambda session: _needs(session, work))
    evaluation = needs.evaluation
    out = work.folder / "results.json"
    try:
        paths = [] if needs.is_fitted else features_of(work, needs.shards)
    except DamagedFeatures as damaged:
        extract_again(work, evaluation, damaged)
        return
    work.in_child(
        "score",
        stall_s=STALL_S,
        plan=plan_arguments(work, evaluation),
        features=paths,
        fitted=work.to_file("fitted", {row.part: row.predictions for row in needs.parts}),
        controls={seed: work.to_file(f"control-{seed}", one) for seed, one in needs.controls.items()},
        pixels=None if needs.pixels is None else work.to_file(PIXELS, needs.pixels),
        checkpoint=evaluation.checkpoint.report,
        **_devices(needs.shards, needs.parts),
        reproduce=command_of(evaluation),
        pretrained_on=evaluation.checkpoint.pretrained_on,
        own_name=evaluation.dataset.own_name,
        out=Out(out),
    )
    results = Results.model_validate_json(out.read_text(encoding="utf-8"))
    # Make the rows before `conclude` takes the flow's lock: every other worker waits for that lock.
    scores, benchmarks = _score_values(evaluation, results), _benchmark_values(evaluation, results)
    rest = results.model_dump(mode="json", exclude={"benchmarks": {"__all__": {"predictions"}}})

    def write(session: Session) -> None:
        row = session.get_one(Evaluation, work.subject_id)
        evaluations.replace_scores(session, row.id, scores, benchmarks)
        row.results = rest
        flow.scored(session, row)

    work.conclude(write)


def _needs(session: Session, work: Work) -> Needs:
    evaluation, shards = with_shards(session, work)
    controls: dict[str, dict[str, Any]] = {}
    pixels = None
    for control in sorted(evaluation.controls, key=lambda control: control.checkpoint.seed or 0):
        found = evaluations.predictions(session, control.id)
        if control.checkpoint.is_pixels:
            pixels = found
        else:
            controls[str(control.checkpoint.seed)] = found
    return Needs(evaluation, shards, evaluations.parts(session, evaluation.id), controls, pixels)


def _devices(shards: Sequence[Shard], parts: Sequence[PartRow] = ()) -> dict[str, Any]:
    devices = sorted({shard.device or "unknown" for shard in shards})
    warning = "features were computed on several kinds of device, which differ in the last digits"
    counts = [shard.counts or {} for shard in shards]
    return {
        "device": "; ".join(devices),
        "machines": [
            *({name: one[name] for name in MACHINE if name in one} for one in counts),
            *(row.machine for row in parts),
        ],
        "warnings": [warning] if len(devices) > 1 else [],
    }


def command_of(evaluation: Evaluation) -> str | None:
    """Return the command that reproduces the scores; None for a control, which has no file.

    If dataset and protocol are built in, the command is `vcpbench local`. That command does not know the
    server's own names, so otherwise the command is `vcpbench reproduce`, which asks the server. PLACE, TABLE
    and LISTS then stand for paths that only the reader knows.
    """
    if evaluation.is_control:
        return None
    source, protocol = evaluation.dataset.source, evaluation.protocol
    name, folder = str(source["name_or_path"]).partition(":")[::2]
    built_in = name in DATASETS and DATASETS[name].built_in
    if built_in and protocol.name in PROTOCOLS and PROTOCOLS[protocol.name].hash == protocol.hash:
        words = ["vcpbench", "local", "FILE", "--dataset", name, "--protocol", protocol.name]
        named = () if evaluation.checkpoint.graph else ("backbone",)  # a graph's name comes from its file
        for flag in (*named, "prefix", "variant", "input_spec", "pretrained_on"):
            declared = getattr(evaluation.checkpoint, flag)
            words += [f"--{flag.replace('_', '-')}", declared] if declared else []
        return shlex.join(words)
    official = f"{name}:PLACE" if folder and name in DATASETS else "PLACE"
    words = ["vcpbench", "reproduce", str(evaluation.id), "--dataset", name if built_in else official]
    words += ["--csv", "TABLE"] if source.get("csv") else []
    for group in source.get("test_groups", ()):
        words += ["--test-groups", group]
    for suffix in source.get("suffixes", ()):
        words += ["--suffix", suffix]
    words += ["--lists", "LISTS"] if source.get("lists") else []
    return shlex.join(words)


def _score_values(evaluation: Evaluation, results: Results) -> list[dict[str, Any]]:
    return [
        {"evaluation_id": evaluation.id, "benchmark": result.benchmark, **found.model_dump()}
        for result in results.benchmarks
        for found in result.scores
    ]


def _benchmark_values(evaluation: Evaluation, results: Results) -> list[dict[str, Any]]:
    return [
        {
            "evaluation_id": evaluation.id,
            "benchmark": result.benchmark,
            "predictions": result.predictions.model_dump(mode="json"),
        }
        for result in results.benchmarks
        if result.predictions is not None
    ]
