"""Measures the parts of an evaluation's time, for one checkpoint on the playground.

python -m bench.evaluation                          r3d_tiny, playground, quick-v1
python -m bench.evaluation --checkpoint model.pt --dataset playground-64 --protocol standard-v1
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import torch

from vcp_core.backbones import build
from vcp_core.datasets import load_dataset
from vcp_core.evaluation.evaluate import evaluate


def main() -> None:
    """Evaluate once without controls, and print wall time by part and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a weights file; random r3d_tiny if left out")
    parser.add_argument("--dataset", default="playground")
    parser.add_argument("--protocol", default="quick-v1")
    parser.add_argument("--device", default=None)
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.dataset)  # made and indexed before the clock starts
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.checkpoint
        if checkpoint is None:
            checkpoint = Path(folder) / "r3d_tiny.pt"
            torch.save(build("r3d_tiny", seed=0).state_dict(), checkpoint)
        results = evaluate(checkpoint, dataset, arguments.protocol, device=arguments.device, controls=False)
    times = results.timings
    assert times is not None
    inside = times.wait_s + times.forward_s + times.scoring_s
    clips = results.provenance.num_clips
    rows = [
        ("decode: the network waited", times.wait_s),
        ("forward", times.forward_s),
        ("scoring", times.scoring_s),
        ("overhead: sandbox, assembly, files", times.total_s - inside),
        ("total", times.total_s),
    ]
    print(f"{results.provenance.backbone}, {dataset.name}, {results.provenance.protocol_name}, ", end="")
    print(f"{len(dataset.videos)} videos, {clips} clips, {results.provenance.device}")
    for name, seconds in rows:
        print(f"  {name:<36}{seconds:8.2f} s {100 * seconds / times.total_s:5.1f} %")
    print(f"  decoding threads, overlapped        {times.decode_s:8.2f} s")
    print(f"  total / forward                     {times.total_s / times.forward_s:8.2f}")
    print(f"  forward of one clip                 {1000 * times.forward_s / clips:8.2f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"  peak memory                         {peak:8.0f} MiB (sandbox child {child:.0f} MiB)")


if __name__ == "__main__":
    main()
