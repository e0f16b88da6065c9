"""Measures what each built-in dataset can detect, and the time of the sample's evaluation under quick-v1.

python -m bench.first_look                                       all datasets: about 10 min on two cores
python -m bench.first_look --datasets playground-64,playground-136  only these
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

from bench.sample import METRICS, PROTOCOL
from vcp_core import evaluate, load_protocol
from vcp_core.catalog.datasets import DATASETS
from vcp_core.datasets import playground
from vcp_core.samples import sample_path
from vcp_core.statistics.power import detectable

BUILT_IN = tuple(spec.name for spec in DATASETS.values() if spec.built_in)


def main() -> None:
    """Print a line for each dataset, and one for each metric below it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", type=lambda text: text.split(","), default=BUILT_IN)
    protocol = load_protocol(PROTOCOL)
    for name in parser.parse_args().datasets:
        dataset = playground.load(name)
        test = dataset.side("test")
        with tempfile.TemporaryDirectory() as folder:  # a fresh cache, so that the controls are measured, too
            os.environ["VCPBENCH_CACHE"] = folder
            begun, cpu = time.perf_counter(), time.process_time()
            results = evaluate(sample_path(), dataset, protocol)
            wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
        groups = len({video.group for video in test})
        print(f"{name}: {len(test)} test videos in {groups} groups; {wall_s:.0f} s, {cpu_s:.0f} s of CPU")
        for metric, words in METRICS.items():
            score = results.score(metric)
            assert score.lift_low is not None
            assert score.lift_high is not None
            found = detectable(score.lift_low, score.lift_high)
            lift = f"{score.lift:+.1f} [{score.lift_low:+.1f}, {score.lift_high:+.1f}]"
            print(
                f"    {words:<26}{score.value:>6.1f}   lift {lift:<24} found in 80 % from {found:.0f} points"
            )


if __name__ == "__main__":
    main()
