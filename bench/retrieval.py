"""Measures time and memory of ranking many queries. Files are memory-mapped, so memory must stay bounded.

--predict measures all steps from stored features: the index of the bank, the means of the videos, the
ranking, the predictions, and the scores beside three controls and pixels.
--score measures only the last step, with simulated answers. It shows the memory at full size within minutes.

python -m bench.retrieval --predict --queries 200  200 test videos against 400,000 training videos of 3 clips
python -m bench.retrieval --score                  scores of 100,000 queries, without groups
python -m bench.retrieval                          2,000 queries against 400,000 gallery rows of 512 numbers
python -m bench.retrieval --predict --queries 100000   full size; 17 minutes on two idle cores
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vcp_core.benchmarks import retrieval
from vcp_core.benchmarks.grid import grid_clips
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import FeatureBank, ShardFeatures
from vcp_core.features.shards import SHARD_CLIPS
from vcp_core.probes.ranking import NUM_NEIGHBOURS, retrieval_ranks
from vcp_core.results.types import Predictions
from vcp_core.scoring.scores import score_benchmark

PROTOCOL, SPEC = PROTOCOLS["quick-v1"], BACKBONES["r3d"]
SEEDS = PROTOCOLS["standard-v1"].control.seeds
NUM_CLASSES = 400  # as Kinetics-400
KS = (1, 5, 10, 20, 50)
FULL_QUERIES = 100_000
CHUNK_ROWS = 10_000
LIMIT_GIB = 2.0
OBJECTS = 4.5  # memory of answers, in lengths of their text: 1,320 bytes a query, whose text has 320


def written(
    path: Path, num_rows: int, num_columns: int, seed: int
) -> tuple[np.memmap[tuple[int, ...], np.dtype[np.float32]], npt.NDArray[np.int64]]:
    """Write random rows around their class's centre to a file, and return them with their classes."""
    rng = np.random.Generator(np.random.PCG64(seed))
    centres = np.random.Generator(np.random.PCG64(0)).standard_normal((NUM_CLASSES, num_columns))
    labels = rng.integers(0, NUM_CLASSES, num_rows)
    rows: np.memmap[tuple[int, ...], np.dtype[np.float32]] = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=(num_rows, num_columns)
    )
    for start in range(0, num_rows, CHUNK_ROWS):
        span = slice(start, min(start + CHUNK_ROWS, num_rows))
        noise = rng.standard_normal((span.stop - start, num_columns))
        rows[span] = centres[labels[span]] + 6 * noise
    rows.flush()
    return np.lib.format.open_memmap(path, mode="r"), labels


def peak_gib() -> float:
    """The largest resident size of this process so far, including mapped pages of files."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def resident_gib() -> float:
    """The resident size of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 30)


def extracted(folder: Path, num_gallery: int, num_queries: int, num_columns: int) -> Dataset:
    """Make videos of both sides, and write features of their grid clips in shards of the usual size."""
    rng = np.random.Generator(np.random.PCG64(1))
    centres = np.random.Generator(np.random.PCG64(0)).standard_normal((NUM_CLASSES, num_columns))
    videos = tuple(
        Video(
            id=f"class{i % NUM_CLASSES:03d}/{i:07d}.mp4",
            label=f"class{i % NUM_CLASSES:03d}",
            split="train" if i < num_gallery else "test",
            group=None,
            sha256="",
            num_frames=100,
        )
        for i in range(num_gallery + num_queries)
    )
    dataset = Dataset(name="made up", split_name="1", root=folder, videos=videos)
    per_shard = SHARD_CLIPS // PROTOCOL.grid.num_clips
    for number, start in enumerate(range(0, len(videos), per_shard)):
        part = dataset.videos[start : start + per_shard]
        clips = [clip for video in part for clip in grid_clips(video, PROTOCOL, SPEC)]
        labels = np.array([int(clip.video_id[5:8]) for clip in clips])
        rows = (centres[labels] + 10 * rng.standard_normal((len(clips), num_columns))).astype(np.float32)
        shard = ShardFeatures(clips=tuple(clips), stages={SPEC.stages[-1]: rows})
        shard.save(folder / f"{number:06d}.safetensors")
    return dataset


class Steps:
    """Prints time and peak memory after each step."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def __call__(self, step: str) -> None:
        """Print the time since the previous step, or since this object was made."""
        took = time.perf_counter() - self._begun
        print(f"  {step:<30}{took:8.1f} s, peak {peak_gib():5.2f} GiB", flush=True)
        self._begun = time.perf_counter()


def scored(found: Predictions, say: Steps) -> int:
    """Score as a worker does, with controls and pixels read from text; return the text's length.

    All have the same answers, because the cost does not depend on the answers.
    """
    text = found.model_dump_json()
    others = [Predictions.model_validate_json(text) for _ in (*SEEDS, "pixels")]
    say("controls and pixels read")
    *controls, pixels = others
    result = score_benchmark(
        "retrieval",
        found,
        {str(seed): control for seed, control in zip(SEEDS, controls, strict=True)},
        pixels=pixels,
        unavailable=None,
        protocol=PROTOCOL,
    )
    say(f"{len(result.scores)} scores")
    return len(text)


def made_up(num_gallery: int, num_queries: int) -> Predictions:
    """Simulated answers of retrieval, without a ranking; each query is a unit."""
    rng = np.random.Generator(np.random.PCG64(1))
    names = [f"class{i:03d}" for i in range(NUM_CLASSES)]
    first_N = rng.integers(1, 100, num_queries)  # where the first of the query's class was found
    columns: dict[str, list[object]] = {
        "video": [f"{names[i % NUM_CLASSES]}/{num_gallery + i:07d}.mp4" for i in range(num_queries)],
        "group": [None] * num_queries,
        "label": [names[i % NUM_CLASSES] for i in range(num_queries)],
        "average_precision": list(rng.random(num_queries)),
        "similarity": list(rng.random(num_queries).round(4)),
        "neighbours": [
            [f"{names[i % NUM_CLASSES]}/{i:07d}.mp4" for i in row]
            for row in rng.integers(0, num_gallery, (num_queries, NUM_NEIGHBOURS))
        ],
    }
    columns |= {f"hit_at_{k}": [bool(hit) for hit in first_N <= k] for k in KS}
    sizes = {name: len(range(i, num_gallery, NUM_CLASSES)) for i, name in enumerate(names)}
    return Predictions(
        benchmark="retrieval",
        answers=tuple(names),
        columns=columns,
        facts={"ks": list(KS), "gallery": sizes},
    )


def score_alone(num_gallery: int, num_queries: int) -> None:
    """Measure scoring alone. Exit with an error if its peak memory reaches `LIMIT_GIB`."""
    print(f"{num_queries:,} queries, {num_gallery:,} gallery videos")
    say = Steps()
    found = made_up(num_gallery, num_queries)
    say("answers made up")
    scored(found, say)
    if peak_gib() >= LIMIT_GIB:
        raise SystemExit(f"More than {LIMIT_GIB:.0f} GiB.")


def predict(folder: Path, num_gallery: int, num_queries: int, num_columns: int) -> None:
    """Go from stored features to scores, and print time and peak memory after each step."""
    say = Steps()
    dataset = extracted(folder, num_gallery, num_queries, num_columns)
    say("features written")
    bank = FeatureBank(folder.glob("*.safetensors"))
    say(f"index of {len(bank):,} clips")
    found = retrieval.predict(bank, dataset, PROTOCOL, SPEC, "pooled")
    say("means, ranking, predictions")
    hits = 100 * np.mean(found.column("hit_at_1"))
    print(
        f"  top-1 {hits:.1f} % of {num_queries:,} queries among {num_gallery:,}, {num_columns} numbers each"
    )
    del bank
    ranked, resident = peak_gib(), resident_gib()
    length = scored(found, say) / num_queries
    # A query has, while it is ranked, its feature in float32 and its answers; while it is scored, the answers
    # of the network, of three controls and of pixels, and the text of one of them.
    steps = ((ranked, 4 * num_columns + length), (resident, (5 * OBJECTS + 1) * length))
    most = max(gib + (FULL_QUERIES - num_queries) * kept / (1 << 30) for gib, kept in steps)
    if num_queries != FULL_QUERIES:
        print(f"  extrapolated, not measured: {FULL_QUERIES:,} queries have a peak of {most:.2f} GiB")
    if most >= LIMIT_GIB:
        raise SystemExit(f"More than {LIMIT_GIB:.0f} GiB.")


def main() -> None:
    """Rank, and print hits, the rate, and peak memory after a tenth of the queries and after all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--queries", type=int, help="default 2,000; with --score 100,000")
    parser.add_argument("--gallery", type=int, default=400_000)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="parent folder of the temporary files")
    parser.add_argument(
        "--predict", action="store_true", help="measure all steps from stored features to scores"
    )
    parser.add_argument("--score", action="store_true", help="measure scoring alone, with simulated answers")
    arguments = parser.parse_args()
    if arguments.score:
        return score_alone(arguments.gallery, arguments.queries or FULL_QUERIES)
    arguments.queries = arguments.queries or 2000
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.predict:
            return predict(Path(folder), arguments.gallery, arguments.queries, arguments.columns)
        gallery, gallery_labels = written(Path(folder) / "g.npy", arguments.gallery, arguments.columns, 1)
        queries, labels = written(Path(folder) / "q.npy", arguments.queries, arguments.columns, 2)
        print(
            f"{len(queries):,} queries, {len(gallery):,} gallery rows, {arguments.columns} numbers, float32"
        )
        print(f"  peak memory before ranking     {peak_gib():6.2f} GiB", flush=True)
        tenth = max(1, len(queries) // 10)
        retrieval_ranks(queries[:tenth], gallery, labels[:tenth], gallery_labels, ks=KS)
        print(f"  peak memory after a tenth      {peak_gib():6.2f} GiB", flush=True)
        begun = time.perf_counter()
        found = retrieval_ranks(queries, gallery, labels, gallery_labels, ks=KS)
        took = time.perf_counter() - begun
    print(f"  peak memory after all          {peak_gib():6.2f} GiB, mapped files included")
    hits = ", ".join(f"{100 * hit:.1f}" for hit in found.hits_NK.mean(axis=0))
    print(f"  hits at {KS}: {hits} %; mean average precision {100 * found.average_precision_N.mean():.1f} %")
    rate = len(queries) / took
    print(f"  {took:.1f} s, {rate:.1f} queries/s")
    if len(queries) != FULL_QUERIES:
        print(
            f"  extrapolated, not measured: {FULL_QUERIES:,} queries take {FULL_QUERIES / rate / 60:.0f} min"
        )
    if peak_gib() >= LIMIT_GIB:
        raise SystemExit(f"More than {LIMIT_GIB:.0f} GiB.")


if __name__ == "__main__":
    main()
