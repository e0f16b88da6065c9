"""Compares an evaluation with the way of research scripts, on one corpus, in one run.

make bench                                     r3d_tiny and r3d; 64 rehearsal videos, standard-v1
python -m bench.versus --backbones r3d_tiny    some of the networks
python -m bench.versus --json                  the numbers for programs
python -m bench.versus --record                add a line for each network to docs/speed.md

(a) research scripts (bench/scripts.py), with 1 and 10 probe epochs
(b) ours, with nothing cached: the dataset is indexed, too
(c) ours, with another checkpoint of the same network on the same dataset
(d) the bare forward passes of the clips of (b), from memory
(e) decoding every frame of every video once

Controls are off. Each part runs in a process of its own. The bare forward runs before (b) and after (c), and
its mean counts, because the clock of a shared machine changes.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench import pages, scripts
from bench.rehearsal.videos import make
from vcp_core.backbones import build, skeleton
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets import load_dataset
from vcp_core.evaluation.evaluate import evaluate
from vcp_core.evaluation.machine import describe_device, pick_device
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.extraction import inference, ready
from vcp_core.features.reading import cores
from vcp_core.features.shards import BATCH_CLIPS
from vcp_core.video.decode import iter_frames

ROOT = Path(__file__).resolve().parents[1]
PROTOCOL = "standard-v1"
EPOCHS = (1, 10)
PRODUCT = 4096  # rows and columns of the matrices whose product shows what the machine can do
PAGE = ROOT / "docs" / "speed.md"
BEGIN = "<!-- python -m bench.versus --record -->\n"


def part_scripts(folder: Path, backbone: str, device: str) -> dict[str, Any]:
    """Run the passes of research scripts."""
    train, test = (sorted((folder / side).rglob("*.avi")) for side in ("train", "test"))
    return dataclasses.asdict(scripts.measure(train, test, build(backbone, seed=0), torch.device(device)))


def part_ours(folder: Path, backbone: str, device: str, seed: int) -> dict[str, Any]:
    """Evaluate a network. The second call of a run finds the dataset's index of the first."""
    with tempfile.TemporaryDirectory() as weights:
        checkpoint = Path(weights) / "model.pt"
        torch.save(build(backbone, seed=seed).state_dict(), checkpoint)
        begun = time.perf_counter()
        results = evaluate(checkpoint, folder, PROTOCOL, device=device, controls=False, progress=False)
        seconds = time.perf_counter() - begun
    assert results.timings is not None
    return {
        "seconds": seconds,
        "clips": results.provenance.num_clips,
        "scoring_s": results.timings.scoring_s,
        "forward_s": results.timings.forward_s,
    }


def part_forward(backbone: str, device: str, num_clips: int) -> dict[str, Any]:
    """Forward as many clips as an evaluation does, from the host's memory."""
    network = ready(build(backbone, seed=0), torch.device(device))
    channels, *size = network.spec.clip_shape
    batch = BATCH_CLIPS[torch.device(device).type]
    pixels_BTHWC = torch.randint(0, 256, (batch, *size, channels), dtype=torch.uint8)
    clips_BCTHW = pixels_BTHWC.permute(0, 4, 1, 2, 3)

    def forward(clips_BCTHW: Tensor) -> None:
        for features_BD in network.stages(clips_BCTHW.to(device)).values():
            features_BD.cpu()  # waits for a GPU

    with inference(torch.device(device), "fp32"):
        forward(clips_BCTHW)
        begun = time.perf_counter()
        for _ in range(num_clips // batch):
            forward(clips_BCTHW)
        if num_clips % batch:
            forward(clips_BCTHW[: num_clips % batch])
        seconds = time.perf_counter() - begun
    with FlopCounterMode(display=False) as counter:
        skeleton(backbone).stages(torch.empty((1, channels, *size), device="meta"))
    giga = counter.get_total_flops() / 1e9
    return {"seconds": seconds, "gflop_s": giga * num_clips / seconds, "product_gflop_s": _product(device)}


def _product(device: str) -> float:
    """Billions of operations a second in a product of two matrices: what a machine can do at most."""
    rows_NN = torch.rand((PRODUCT, PRODUCT), device=device)
    rates = []
    for _ in range(4):
        begun = time.perf_counter()
        (rows_NN @ rows_NN)[0, 0].item()  # waits for a GPU
        rates.append(2 * PRODUCT**3 / 1e9 / (time.perf_counter() - begun))
    return max(rates)


def part_decode(folder: Path) -> dict[str, Any]:
    """Decode every frame of the corpus."""
    begun = time.perf_counter()
    frames = sum(1 for path in folder.rglob("*.avi") for _ in iter_frames(path))
    return {"seconds": time.perf_counter() - begun, "frames": frames}


def part_clips(folder: Path, backbone: str) -> dict[str, Any]:
    """Count the clips that an evaluation forwards."""
    plan = EvaluationPlan(
        dataset=load_dataset(folder), protocol=PROTOCOLS[PROTOCOL], spec=BACKBONES[backbone]
    )
    return {"clips": plan.num_clips}


def run_part(name: str, environment: dict[str, str], *arguments: object) -> dict[str, Any]:
    """Run a part in a process of its own, and add its CPU seconds and its peak of memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "bench.versus", "--part", name, *map(str, arguments)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if run.returncode:
        raise SystemExit(run.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1]) | {"cpu_s": cpu_s}
    print(f"  {name} {' '.join(map(str, arguments[1:]))}: {json.dumps(result)}", file=sys.stderr, flush=True)
    return result


def measure(folder: Path, backbone: str, device: str) -> dict[str, Any]:
    """Run all parts for one network."""
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as other:
        environment = {**os.environ, "VCPBENCH_CACHE": cache}
        what = (folder, backbone, device)
        # To count clips indexes the dataset, too. (b) must not find that index.
        clips = run_part("clips", {**os.environ, "VCPBENCH_CACHE": other}, *what)["clips"]
        before = run_part("forward", environment, *what, clips)
        cold = run_part("ours", environment, *what, 0)
        again = run_part("ours", environment, *what, 1)
        after = run_part("forward", environment, *what, clips)
        theirs = run_part("scripts", environment, *what)
        decode = run_part("decode", environment, *what)
    forward = {name: (before[name] + after[name]) / 2 for name in ("seconds", "gflop_s", "product_gflop_s")}
    return {"scripts": theirs, "cold": cold, "again": again, "forward": forward, "decode": decode}


def table(backbone: str, found: dict[str, Any]) -> str:
    """The lines of one network."""
    cold, again, forward, decode = (found[name] for name in ("cold", "again", "forward", "decode"))
    theirs = found["scripts"]
    lines = [f"{backbone}: {cold['clips']:,} clips, {decode['frames']:,} frames"]
    for epochs in EPOCHS:
        seconds, clips = _cost(theirs).of(epochs)
        times, more = seconds / cold["seconds"], clips / cold["clips"]
        lines.append(
            f"  (a) scripts, {epochs:>2} epochs {seconds:8.1f} s {clips:6,} clips; "
            f"over (b): time x {times:.2f}, clips x {more:.2f}, so {times / more:.2f} a clip"
        )
    for letter, name, part in (("b", "ours, cold", cold), ("c", "ours, again", again)):
        over = part["seconds"] / forward["seconds"]
        lines.append(
            f"  ({letter}) {name:<18}{part['seconds']:8.1f} s, x {over:.2f} of (d); scoring "
            f"{part['scoring_s']:.1f} s; {part['cpu_s']:.0f} s of CPU; {part['peak_mib']:,} MiB at most"
        )
    lines.append(
        f"  (d) bare forward      {forward['seconds']:8.1f} s; {forward['gflop_s']:.0f} billion operations "
        f"a second, of {forward['product_gflop_s']:.0f} in a product of matrices"
    )
    lines.append(f"  (e) decoding          {decode['seconds']:8.1f} s")
    lines.append(
        f"  memory of (a)         {theirs['peak_mib']:8,} MiB and {theirs['child_mib']:,} MiB a loader"
    )
    return "\n".join(lines)


def record(backbone: str, found: dict[str, Any], device: str) -> str:
    """The line of one network in docs/speed.md."""
    cold, again, forward = (found[name] for name in ("cold", "again", "forward"))
    clips = cold["clips"]
    ratios = []
    for epochs in EPOCHS:
        seconds, theirs = _cost(found["scripts"]).of(epochs)
        ratios += [f"{seconds / cold['seconds']:.2f}", f"{theirs / clips:.2f}"]
    ratios += [f"{part['seconds'] / forward['seconds']:.2f}" for part in (cold, again)]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)  # noqa: S607
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    machine = f"{describe_device(torch.device(device))}, {cores()} cores"
    cells = (today, commit.stdout.strip(), f"`{backbone}`", machine, *ratios, f"{cold['peak_mib']:,} MiB")
    return f"| {' | '.join(cells)} |\n"


def _cost(theirs: dict[str, Any]) -> scripts.Cost:
    return scripts.Cost(**{field.name: theirs[field.name] for field in dataclasses.fields(scripts.Cost)})


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["r3d_tiny", "r3d"])
    parser.add_argument("--classes", type=int, default=8, help="of the corpus, with eight videos each")
    parser.add_argument("--device", help="cpu, cuda; a GPU if there is one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", action="store_true", help=f"add the ratios to docs/{PAGE.name}")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        name, folder, backbone, device, *numbers = arguments.part
        parts: dict[str, Any] = {
            "scripts": lambda: part_scripts(Path(folder), backbone, device),
            "ours": lambda: part_ours(Path(folder), backbone, device, int(numbers[0])),
            "forward": lambda: part_forward(backbone, device, int(numbers[0])),
            "decode": lambda: part_decode(Path(folder)),
            "clips": lambda: part_clips(Path(folder), backbone),
        }
        result = parts[name]()
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        result["child_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as made:
        make(Path(made), arguments.classes)
        device = str(pick_device(arguments.device))
        found = {backbone: measure(Path(made), backbone, device) for backbone in arguments.backbones}
    if arguments.record:
        pages.append("".join(record(*one, device) for one in found.items()), PAGE, BEGIN)
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(table(*one) for one in found.items()))


if __name__ == "__main__":
    main()
