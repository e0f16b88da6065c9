"""Compares scores under standard-bf16-v1 with scores under standard-v1: the difference beside the interval.

python -m bench.precision                                     the sample network on playground-344
python -m bench.precision --checkpoint FILE --dataset NAME    another network, or other videos
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from vcp_core import evaluate, load_dataset
from vcp_core.results.types import Results, Score
from vcp_core.samples import sample_path

PROTOCOLS = ("standard-v1", "standard-bf16-v1")
LIMIT = 0.1  # most of half an interval that a score may move, so that people may take either protocol


def scores(results: Results) -> dict[str, Score]:
    """All scores by name."""
    return {score.metric: score for result in results.benchmarks for score in result.scores}


def main() -> None:
    """Print every headline score and those that moved most. Exit with 1 if a headline moved too far."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, default=sample_path())
    parser.add_argument("--dataset", default="playground-344")
    parser.add_argument("--most", type=int, default=5, help="number of other scores to print")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.dataset)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VCPBENCH_CACHE"] = folder
        for protocol in PROTOCOLS:
            results = evaluate(arguments.checkpoint, dataset, protocol, controls=False)
            found.append(scores(results))
    print(f"{arguments.checkpoint.name} on {dataset.name}, {len(dataset.side('test'))} test videos")
    fp32, bf16 = found
    moves = {}
    for name, score in fp32.items():
        half = (score.high - score.low) / 2
        moves[name] = abs(bf16[name].value - score.value) / half
    headline = [name for name, score in fp32.items() if score.headline]
    others = sorted(set(moves) - set(headline), key=lambda name: -moves[name])[: arguments.most]
    print(f"{'score':<40}{'fp32':>8}{'bf16':>8}  95 % interval of fp32   moved by (half widths)")
    for name in (*headline, *others):
        one = fp32[name]
        interval = f"[{one.low:.1f}, {one.high:.1f}]"
        print(f"{name:<40}{one.value:>8.1f}{bf16[name].value:>8.1f}  {interval:<22} {moves[name]:.2f}")
    worst = max(moves[name] for name in headline)
    print(f"a headline score moved by at most {worst:.2f} half widths; limit {LIMIT}")
    raise SystemExit(worst > LIMIT)


if __name__ == "__main__":
    main()
