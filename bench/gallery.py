"""Time a page of answers at UCF101's size and at 20,000 videos, for the first time and from memory.

    python -m bench.gallery

Prints a table in Markdown: the stored text, the time to parse it, the memory of the compact form, and the
time to filter, sort and cut out a page. Answers are made up, with the columns of standard-v1 on five stages.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic_core import from_json

from service.answers.choosing import choose
from service.answers.stored import Stored, compact
from service.answers.wanted import Wanted
from vcp_core.catalog.options import OPTION_NAMES

NUM_CLASSES = 101  # of UCF101
SIZES = (3783, 20_000)  # test videos of UCF101's first split, and a large dataset
STAGES = (
    "relational",
    "concat",
    *(f"{head}@conv{n}" for n in range(1, 5) for head in ("relational", "concat")),
)
REPEATS = 5


def main() -> None:
    """Measure both sizes and all three benchmarks."""
    print("| answers | stored, MB | parsed for the first time, ms | kept, MB | a page from memory, ms |")
    print("|---|--:|--:|--:|--:|")
    for num_videos in SIZES:
        for name, made in (("cloze", cloze), ("recognition", recognition), ("retrieval", retrieval)):
            text = json.dumps(made(num_videos))
            parse_s, found = timed(functools.partial(parsed, text))
            assert found is not None
            part = next(iter(found.parts.values()))
            page_s, _ = timed(functools.partial(choose, found, part, Wanted(right=False), None))
            cells = [f"{name}, {num_videos:,} videos", f"{len(text) / 1e6:.1f}", f"{1e3 * parse_s:.0f}"]
            print(f"| {' | '.join([*cells, f'{size(found) / 1e6:.1f}', f'{1e3 * page_s:.1f}'])} |")


def parsed(text: str) -> Any:
    """Read stored answers as the service does."""
    return compact(from_json(text, cache_strings="all"))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """The shortest time of several, in seconds, and the result."""
    times, found = [], None
    for _ in range(REPEATS):
        begun = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - begun)
    return min(times), found


def size(found: Stored) -> int:
    """Bytes of the arrays, and of the names of videos."""
    parts = [value for part in found.parts.values() for value in vars(part).values()]
    arrays = [value for value in [*vars(found).values(), *parts] if isinstance(value, np.ndarray)]
    return sum(one.nbytes for one in arrays) + sum(len(name) + 57 for name in (*found.videos, *found.gallery))


def _asked(num_videos: int) -> tuple[list[str], dict[str, list[Any]]]:
    classes = [f"class{n:03}" for n in range(NUM_CLASSES)]
    labels = [classes[n % NUM_CLASSES] for n in range(num_videos)]
    videos = [f"{label}/v_{label}_g{n % 25:02}_c{n:05}.avi" for n, label in enumerate(labels)]
    groups = [f"{label}_g{n % 25:02}" for n, label in enumerate(labels)]
    return classes, {"video": videos, "group": groups, "label": labels}


def cloze(num_videos: int) -> dict[str, Any]:
    """Five options of each video, ten parts."""
    rng = np.random.default_rng(0)
    _, asked = _asked(num_videos)
    columns = {name: [one for one in asked[name] for _ in OPTION_NAMES] for name in ("video", "group")}
    num = len(columns["video"])
    columns |= {"tuple": [0] * num, "option": list(OPTION_NAMES) * num_videos}
    columns["variant"] = ["", "90", "1032", "before:21", "0-2"] * num_videos
    columns |= {name: [OPTION_NAMES[n] for n in rng.integers(0, 5, num)] for name in STAGES}
    columns |= {f"{name}.probability": rng.random(num).round(4).tolist() for name in STAGES[:2]}
    return {"answers": OPTION_NAMES, "columns": columns, "facts": {}}


def recognition(num_videos: int) -> dict[str, Any]:
    """Five classes for each video, two parts."""
    rng = np.random.default_rng(1)
    classes, columns = _asked(num_videos)
    for name in ("linear", "knn"):
        columns[name] = [[classes[n] for n in row] for row in rng.integers(0, NUM_CLASSES, (num_videos, 5))]
        columns[f"{name}.probability"] = rng.random((num_videos, 5)).round(4).tolist()
    return {"answers": classes, "columns": columns, "facts": {}}


def retrieval(num_videos: int) -> dict[str, Any]:
    """Ten neighbours for each video."""
    rng = np.random.default_rng(2)
    classes, columns = _asked(num_videos)
    names = [name.replace("_c", "_t") for name in columns["video"]]
    columns["average_precision"] = rng.random(num_videos).tolist()
    columns["neighbours"] = [[names[n] for n in row] for row in rng.integers(0, num_videos, (num_videos, 10))]
    columns["similarity"] = rng.random(num_videos).round(4).tolist()
    columns |= {f"hit_at_{k}": (rng.random(num_videos) < 0.3).tolist() for k in (1, 5, 10, 20, 50)}
    return {"answers": classes, "columns": columns, "facts": {"ks": [1, 5, 10, 20, 50]}}


if __name__ == "__main__":
    main()
