"""The functions of a worker's child process: they read and write files. Requests and answers are JSON lines.

The other end of the pipe is runner.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vcp_core.catalog.errors import DatasetError, VcpbenchError, VersionError
from worker.disk import full_disk_as_storage_error
from worker.walling import wall_in

Tell = Callable[[int, int], None]
TELL_EVERY_S = 0.5


def ingest(
    tell: Tell,
    *,
    path: str,
    out: str,
    backbone: str | None,
    prefix: str | None,
    variant: str | None,
    input_spec: str | None,
) -> dict[str, Any]:
    """Convert an uploaded file into canonical weights. The sandbox is a child process of this child."""
    from vcp_core.backbones import expect, skeleton
    from vcp_core.catalog.readings import resolve
    from vcp_core.checkpoints import ingest as in_sandbox

    report = in_sandbox(
        path, Path(out), backbone=backbone, prefix=prefix, variant=variant, input_spec=input_spec
    )
    if report.graph is None:  # the clips of a graph are fixed by its file
        usual = resolve(report.backbone, scheme=report.scheme, variant=variant)
        expect(skeleton(usual), input_spec)  # refuse an input that the network cannot take
    return {"report": report.as_dict(), "weights_sha256": _sha256(Path(out))}


def index(
    tell: Tell,
    *,
    source: dict[str, Any],
    name: str,
    out: str,
    known: str | None = None,
    findings: str | None = None,
) -> dict[str, Any]:
    """Read the videos of a dataset and write their manifest, and the findings about its files.

    Args:
        tell: Called with (videos done, videos in all).
        source: Arguments of `load_dataset`.
        name: Name of the registered dataset.
        out: The manifest.
        known: Findings of an earlier time, so that no file is decoded twice.
        findings: The findings of this time; empty if the user's cache keeps them.
    """
    import dataclasses

    from vcp_core.catalog.datasets import DATASETS
    from vcp_core.datasets import load_dataset
    from vcp_core.datasets.index import index_file
    from vcp_core.datasets.summary import summary

    # Behind walls, the cache is this process's own and empty. Elsewhere it is the user's, and is left alone.
    if known is not None and _behind_walls:
        with suppress(OSError, ValueError, KeyError, TypeError):  # without them, the videos are decoded again
            shutil.copyfile(known, index_file(json.loads(Path(known).read_bytes())["root"]))
    found = load_dataset(**source, progress=tell)
    if findings is not None:
        of_root = index_file(str(found.root.resolve()))
        shutil.copyfile(of_root if _behind_walls and of_root.exists() else os.devnull, findings)
    in_catalog = found.name in DATASETS and found.licence == DATASETS[found.name].licence
    dataset = dataclasses.replace(found, name=name)
    Path(out).write_text(dataset.to_json(), encoding="utf-8")
    return {
        "fingerprint": dataset.fingerprint,
        # A folder's name proves nothing, and it would tell where the folder lies. The licence proves more:
        # only the readers of the catalog's datasets give it.
        "own_name": found.name if in_catalog else None,
        "summary": summary(dataset),
    }


def describe(tell: Tell, *, device: str) -> dict[str, Any]:
    """Return the device's name. Raise an error if the device does not exist, or does not compute."""
    import torch

    from vcp_core.backbones import build
    from vcp_core.evaluation.machine import describe_device, pick_device
    from vcp_core.features.extraction import inference, ready

    chosen = pick_device(device)
    network = ready(build("r3d_tiny"), chosen)
    with inference(chosen, "fp32"):
        network(torch.zeros((1, *network.spec.clip_shape), device=chosen)).cpu()
    return {"device": describe_device(chosen)}


def size(tell: Tell, *, plan: dict[str, Any], fit_values: int) -> dict[str, Any]:
    """Check how large an evaluation is, and say what its plan comes to."""
    from vcp_core.catalog.ceilings import PLAN_BYTES
    from worker import planning

    with planning.limited_memory(PLAN_BYTES):
        return planning.size(_evaluation_plan(**plan, at_home=False), fit_values)


def cut(
    tell: Tell, *, plan: dict[str, Any], held: str, space: str, shard_clips: int, out: str
) -> dict[str, Any]:
    """Write the shards of the clips that no existing shard holds."""
    from vcp_core.catalog.ceilings import PLAN_BYTES
    from worker import planning

    with planning.limited_memory(PLAN_BYTES):
        made = _evaluation_plan(**plan, at_home=False)
        on_videos = _counting(tell, len(made.dataset.videos))
        return planning.cut_to_file(made, Path(held), space, shard_clips, Path(out), on_videos=on_videos)


def calibrate(
    tell: Tell, *, plan: dict[str, Any], seed: int, like: str | None, device: str, out: str
) -> dict[str, Any]:
    """Write the canonical weights of the random-weights control of this seed.

    Args:
        tell: Called with (clips done, clips in all).
        plan: As for `_evaluation_plan`.
        seed: Seed of the weights.
        like: For a graph: the canonical file of a network of this structure.
        device: The device to run on.
        out: The canonical file.
    """
    from vcp_core.checkpoints.canonical import write_network
    from vcp_core.evaluation.machine import describe_device, pick_device
    from vcp_core.evaluation.running import control_network

    made, chosen = _evaluation_plan(**plan), pick_device(device)
    on_clips = _counting(tell, made.calibration.num_clips)
    own = None if like is None else _read(like, plan)
    write_network(Path(out), control_network(made, seed, like=own, device=chosen, on_clips=on_clips))
    return {"weights_sha256": _sha256(Path(out)), "device": describe_device(chosen)}


def extract(
    tell: Tell,
    *,
    plan: dict[str, Any],
    clips: list[Any],
    weights: str | None,
    alone: bool,
    device: str,
    out: str,
) -> dict[str, Any]:
    """Forward a shard's clips and write one features file. Without weights, write the pixel baseline's."""
    from vcp_core.evaluation.machine import describe_device, describe_forward, pick_device
    from vcp_core.evaluation.running import pixel_network, shard_features
    from vcp_core.features.reading import Counters
    from vcp_core.features.shards import Clip, Shard

    made = _evaluation_plan(**plan)
    by_id = {video.id: video for video in made.dataset.videos}
    shard = Shard(
        number=0,
        videos=tuple(
            (by_id[video_id], tuple(Clip(video_id, *clip) for clip in wanted))
            for video_id, _, wanted in clips
        ),
    )
    for video, _ in shard.videos:  # before anything is decoded, and with words for an operator
        if _sha256(made.dataset.path(video)) != video.sha256:
            raise DatasetError(
                f"{made.dataset.name}: {video.id} has changed since the dataset was registered. Register it "
                "again."
            )
    chosen, counters = pick_device(device), Counters()
    for features in shard_features(
        made,
        pixel_network(made) if weights is None else _network(weights, plan, chosen),
        [shard],
        device=chosen,
        counters=counters,
        alone=alone,
        on_clips=_counting(tell, shard.num_clips),
    ):
        features.save(Path(out))
    return {
        "device": describe_device(chosen),
        "counts": {
            "decoded_frames": counters.decoded_frames,
            "forwarded_clips": counters.forwarded_clips,
            "decode_s": counters.decode_s,
            "wait_s": counters.wait_s,
            "forward_s": counters.forward_s,
        },
        "machine": describe_forward(chosen),
    }


def fit(
    tell: Tell, *, plan: dict[str, Any], features: list[str], parts: list[str], out: str
) -> dict[str, Any]:
    """Write the predictions of these parts of the benchmarks, and the facts that decide their last digits."""
    from vcp_core.evaluation.machine import blas_threads
    from vcp_core.evaluation.running import parts_of

    made = _evaluation_plan(**plan)
    total = sum(part.num_units for part in made.parts if str(part) in parts)
    found = parts_of(made, [Path(path) for path in features], parts, on_units=_counting(tell, total))
    predictions = {name: one.model_dump(mode="json") for name, one in found.items()}
    content = json.dumps({"machine": blas_threads(), "predictions": predictions})
    Path(out).write_text(content, encoding="utf-8")
    return {}


def score(
    tell: Tell,
    *,
    plan: dict[str, Any],
    features: list[str],
    fitted: str,
    controls: dict[str, str],
    pixels: str | None,
    warnings: list[str],
    out: str,
    **said: Any,
) -> dict[str, Any]:
    """Score against the controls' predictions. `said` goes into the provenance of the results.

    What `fitted` lacks is fitted here, from the features.
    """
    from vcp_core.evaluation.running import predictions_of, results_of

    made, done = _evaluation_plan(**plan), _predictions(fitted)
    left = sum(part.num_units for part in made.parts if str(part) not in done)
    on_units = _counting(tell, left + made.num_score_units)
    results = results_of(
        made,
        predictions_of(made, [Path(path) for path in features], done, on_units=on_units),
        {seed: _predictions(path) for seed, path in controls.items()},
        _predictions(pixels) if pixels else None,
        warnings=tuple(warnings),
        on_units=on_units,
        **said,
    )
    results.save(Path(out))
    return {}


def compare(
    tell: Tell, *, first: str, second: str, same: bool, protocol: dict[str, Any], version: str, out: str
) -> dict[str, Any]:
    """Compare the predictions of two evaluations, and write their differences."""
    from vcp_core.catalog.protocols import Protocol
    from vcp_core.scoring.stored_comparison import COMPARED_VERSION, compare_and_note

    _check_version("compares", version, COMPARED_VERSION)
    predictions = _predictions(first), _predictions(second)
    on_units = _counting(tell, len(predictions[0]))
    numbers = Protocol.model_validate(protocol)
    found = compare_and_note(*predictions, numbers, same=same, on_units=on_units)
    Path(out).write_text(found.model_dump_json(), encoding="utf-8")
    return {}


def media(
    tell: Tell, *, manifest: str, geometry: str, protocol: dict[str, Any] | None, group: int, out: str
) -> dict[str, Any]:
    """Write the previews of a group of videos, or of their questions, one behind the other.

    Args:
        tell: Called with (videos done, videos in all).
        manifest: The dataset.
        geometry: What the network sees (`vcp_core.catalog.previews`).
        protocol: The protocol of the questions; None for the videos themselves.
        group: Number of the group.
        out: The file.

    Returns:
        `sizes` are names and bytes of the previews, in the order of the file. `failed` are the errors of
        videos that cannot be shown any more, by key.
    """
    from vcp_core.catalog.protocols import Protocol
    from vcp_core.previews.making import videos_of, write_previews

    dataset = _dataset(manifest, at_home=True)
    numbers = None if protocol is None else Protocol.model_validate(protocol)
    videos = videos_of(dataset, group, has_questions=numbers is not None)
    on_videos = _counting(tell, len(videos))
    with Path(out).open("wb") as file:
        sizes, failed = write_previews(file, dataset, videos, geometry, numbers, on_videos=on_videos)
    return {"sizes": sizes, "failed": {key: error.as_dict() for key, error in failed.items()}}


def draw_map(
    tell: Tell,
    *,
    plan: dict[str, Any],
    features: list[str],
    predictions: str,
    like: str | None,
    version: str,
    out: str,
) -> dict[str, Any]:
    """Write the map of an evaluation's test videos; `like` is the map that it begins at."""
    from vcp_core.features.bank import FeatureBank
    from vcp_core.scoring.maps import MAP_VERSION, UNITS, VideoMap, map_of

    _check_version("draws maps", version, MAP_VERSION)
    made = _evaluation_plan(**plan, at_home=False)
    found = map_of(
        FeatureBank(Path(path) for path in features),
        made.dataset,
        made.protocol,
        made.spec,
        _predictions(predictions),
        like=VideoMap.model_validate_json(Path(like).read_text(encoding="utf-8")) if like else None,
        on_units=_counting(tell, UNITS),
    )
    Path(out).write_text(found.model_dump_json(), encoding="utf-8")
    return {}


def compare_many(
    tell: Tell,
    *,
    predictions: list[str],
    ids: list[str],
    baseline: int,
    same: list[list[int]],
    protocol: dict[str, Any],
    version: str,
    known: str,
    out: str,
) -> dict[str, Any]:
    """Compare many evaluations with the baseline and in all pairs, and write their differences.

    Args:
        tell: Called with (pairs done, pairs in all).
        predictions: For each evaluation, the file of its predictions.
        ids: Ids of the evaluations.
        baseline: Place of the baseline.
        same: Pairs of places with the same weights.
        protocol: The protocol of all.
        version: Version of the rules that the service goes by.
        known: File of the comparisons that were made before: pairs with the baseline, and the matrices.
        out: File of the new pairs with the baseline, and of the stored comparison.
    """
    from vcp_core.catalog.protocols import Protocol
    from vcp_core.scoring.stored_comparison import Compared
    from vcp_core.scoring.stored_many import MANY_VERSION, Matrix, compare_all

    _check_version("compares", version, MANY_VERSION)
    there = json.loads(Path(known).read_text(encoding="utf-8"))
    matrices = there["matrices"]
    made = compare_all(
        lambda place: _predictions(predictions[place]),
        ids,
        baseline,
        Protocol.model_validate(protocol),
        same={(one, other) for one, other in same},
        known={int(place): Compared.model_validate(one) for place, one in there["pairs"].items()},
        matrices=None if matrices is None else [Matrix.model_validate(one) for one in matrices],
        on_units=lambda num_pairs: _counting(tell, num_pairs),
    )
    pairs = {place: one.model_dump(mode="json") for place, one in made.pairs.items()}
    content = {"pairs": pairs, "many": made.many.model_dump(mode="json")}
    Path(out).write_text(json.dumps(content), encoding="utf-8")
    return {}


def _check_version(does: str, wanted: str, version: str) -> None:
    """Refuse to work by other rules than the service."""
    if wanted != version:
        raise VersionError(
            f"The service {does} by version {wanted} of the rules and this worker by {version}. "
            "Update both to one version of vcpbench."
        )


FUNCTIONS: Mapping[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (
        describe,
        ingest,
        index,
        size,
        cut,
        calibrate,
        extract,
        fit,
        score,
        compare,
        media,
        draw_map,
        compare_many,
    )
}
_behind_walls = False
_kept: dict[
    str, tuple[object, Any]
] = {}  # the last dataset and network: the next shard usually needs the same


def _dataset(manifest: str, *, at_home: bool) -> Any:
    """Read a dataset's manifest. Without `at_home`, the paths of its videos need not be this machine's."""
    from vcp_core.datasets.manifest import Dataset

    def load() -> Any:
        found = Dataset.from_json(Path(manifest).read_text(encoding="utf-8"))
        return _at_home(found) if at_home else found

    return _keep("dataset", (manifest, at_home), load)


def _at_home(dataset: Any) -> Any:
    """Point a built-in dataset at this machine's copy, and make the copy if it does not exist yet."""
    import dataclasses

    from vcp_core.catalog.datasets import DATASETS
    from vcp_core.datasets import load_dataset

    if dataset.name not in DATASETS or not DATASETS[dataset.name].built_in:
        return dataset
    here = load_dataset(dataset.name)
    if here.fingerprint != dataset.fingerprint:
        raise DatasetError(
            f"{dataset.name}: this machine makes other bytes than the one that registered it "
            "(another PyAV?). Use one image for all workers, or register it again."
        )
    return dataclasses.replace(dataset, root=here.root)


def _predictions(path: str) -> dict[str, Any]:
    from vcp_core.results.types import Predictions

    found = json.loads(Path(path).read_text(encoding="utf-8"))
    return {name: Predictions.model_validate(value) for name, value in found.items()}


def _evaluation_plan(
    *,
    manifest: str,
    protocol: dict[str, Any],
    backbone: str,
    graph: dict[str, Any] | None,
    scheme: str | None,
    variant: str | None,
    input_spec: str | None,
    of_pixels: bool,
    at_home: bool = True,
) -> Any:
    """Build the plan of the evaluation from the values of `worker.tasks.plan.plan_arguments`.

    With `at_home`, the videos can be read: a built-in dataset's are made if this machine lacks them.
    """
    from vcp_core.catalog.graphs import GraphFacts
    from vcp_core.catalog.protocols import Protocol
    from vcp_core.catalog.readings import resolve
    from vcp_core.evaluation.plan import EvaluationPlan

    network = GraphFacts.from_dict(graph) if graph else backbone
    spec = resolve(network, scheme=scheme, variant=variant, input_spec=input_spec)
    dataset, numbers = _dataset(manifest, at_home=at_home), Protocol.model_validate(protocol)
    plan = EvaluationPlan(dataset=dataset, protocol=numbers, spec=spec)
    return plan.pixels if of_pixels else plan


def _network(weights: str, plan: Mapping[str, Any], device: Any) -> Any:
    """Load the network of a plan's checkpoint, unless it is the last one that was loaded."""
    from vcp_core.features.extraction import ready

    said = {name: plan[name] for name in ("graph", "scheme", "variant", "input_spec")}
    return _keep("network", (weights, said, str(device)), lambda: ready(_read(weights, plan), device))


def _read(weights: str, plan: Mapping[str, Any]) -> Any:
    """Read the canonical file of a plan's network, or of one with the same facts."""
    from vcp_core.catalog.graphs import GraphFacts
    from vcp_core.checkpoints import read_canonical

    said = {name: plan[name] for name in ("scheme", "variant", "input_spec")}
    graph = plan["graph"] and GraphFacts.from_dict(plan["graph"])
    return read_canonical(Path(weights), graph=graph, **said)


def _keep(what: str, name: object, load: Callable[[], Any]) -> Any:
    if what not in _kept or _kept[what][0] != name:
        _kept[what] = (name, load())
    return _kept[what][1]


def _counting(tell: Tell, total: int) -> Callable[[int], None]:
    """Return a function that adds up finished clips or units of scoring, and reports the sum."""
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done += number
        tell(min(done, total), total)

    return count


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Build walls if the first line asks for them, and answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # standard output carries the answers, so prints of libraries go to standard error
    global _behind_walls
    walls = json.loads(sys.stdin.readline() or "null")
    if walls is not None:
        wall_in(**walls)
        _behind_walls = True
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    told = 0.0

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY_S or done == total:
            told = time.monotonic()
            say({"progress": [done, total]})

    while True:
        request = json.loads(requests.get())
        begun_ns = time.time_ns()
        answer = _answer(tell, **request)
        say({**answer, "took_ns": [begun_ns, time.time_ns()]})


def _answer(tell: Tell, *, do: str, **arguments: Any) -> dict[str, Any]:
    try:
        with full_disk_as_storage_error():
            return {"result": FUNCTIONS[do](tell, **arguments)}
    except VcpbenchError as error:
        return {"error": error.as_dict()}
    except Exception as error:  # the parent decides whether to try again; its log gets the traceback
        traceback.print_exc()
        return {"unforeseen": type(error).__name__}


def _listen(requests: queue.Queue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(1)  # the worker has ended, so nobody waits for this job


if __name__ == "__main__":
    main()
