"""Measures the scoring of one network at UCF101's size, on made-up features.

python -m bench.rehearsal.scoring                        r3d: five stages, both heads, recognition, retrieval
python -m bench.rehearsal.scoring --widths slow_r50      r3d's clips with slow_r50's widths, up to 12,288
python -m bench.rehearsal.scoring --pixels               the pixel baseline of the same clips
python -m bench.rehearsal.scoring --part 0.1             a tenth of the videos
python -m bench.rehearsal.scoring --benchmarks recognition

Prints wall and CPU seconds and peak memory by benchmark. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.rehearsal.features import write_shards
from bench.rehearsal.manifest import like_ucf101
from vcp_core.benchmarks import predict
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.specs import pixels_like
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.bank import FeatureBank


def peak_mib() -> int:
    """Peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    """Print a line for each benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backbone", default="r3d")
    parser.add_argument("--widths", help="take the stages of this backbone, and the clips of --backbone")
    parser.add_argument("--pixels", action="store_true")
    parser.add_argument("--part", type=float, default=1.0)
    parser.add_argument("--protocol", default="standard-v1")
    parser.add_argument("--benchmarks", nargs="+", default=list(BENCHMARKS))
    arguments = parser.parse_args()
    spec = BACKBONES[arguments.backbone]
    spec = pixels_like(spec) if arguments.pixels else spec
    if arguments.widths:
        wide = BACKBONES[arguments.widths]
        spec = replace(
            spec, name=f"{spec.name} as wide as {wide.name}", stages=wide.stages, stage_dims=wide.stage_dims
        )
    dataset = like_ucf101(arguments.part)
    plan = EvaluationPlan(
        dataset=dataset,
        protocol=PROTOCOLS[arguments.protocol],
        spec=spec,
        benchmarks=tuple(arguments.benchmarks),
    )
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        dims = dict(zip(spec.stages, spec.stage_dims, strict=True))
        paths = write_shards(plan.shards, dims, Path(folder))
        print(
            f"{spec.name}: {len(dataset.videos):,} videos, {plan.num_clips:,} clips, {len(paths):,} shards, "
            f"made up in {time.perf_counter() - begun:.0f} s; {peak_mib():,} MiB",
            flush=True,
        )
        bank = FeatureBank(paths)
        whole, cpu = time.perf_counter(), time.process_time()
        for name, benchmark in plan.active.items():
            begun, used = time.perf_counter(), time.process_time()
            predictions = predict(benchmark, bank, dataset, plan.protocol, spec)
            took = time.perf_counter() - begun
            read = sum(part.num_values for part in plan.parts if part.benchmark == name)
            print(
                f"{name:<12}{took:8.1f} s{time.process_time() - used:9.1f} s of CPU"
                f"{peak_mib():8,} MiB at most, {read / took / 1e6:.1f} million numbers a second",
                flush=True,
            )
            for fit in predictions.fits:
                state = "converged" if fit.converged else f"gradient {fit.gradient_norm:.1e}"
                print(f"    {fit.name:<22}l2 {fit.l2:<8g}{fit.num_iterations:4d} iterations, {state}")
        print(f"all          {time.perf_counter() - whole:8.1f} s{time.process_time() - cpu:9.1f} s of CPU")


if __name__ == "__main__":
    main()
