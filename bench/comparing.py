"""Measures the page of many compared evaluations, and the smallest p-values that videos can give.

python -m bench.comparing             20 checkpoints of a run: server time, and equality with pairwise numbers
python -m bench.comparing --number 50 the most that may be compared
python -m bench.comparing --least     if every answer changes to right: p, and Holm's over 19 and 1,225 pairs
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx

from records import migrate
from records.db import Database
from records.settings import Settings
from stack.engines import start_engines
from tests.served import serve
from tests.service.finished import compare_waiting, ready_dataset
from tests.web import played
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.results.types import Predictions
from vcp_core.scoring.comparison import compare

REPEATS = 9


def fill(database: Database, number: int) -> list[str]:
    """Insert checkpoints of one run, each a little better than the one before, on 120 videos."""
    with database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        made = [
            played.finished(session, dataset, "run", seed=n, skill=0.1 + 0.7 * n / number, step=1000 * n)
            for n in range(number)
        ]
        return [str(one.id) for one in made]


def server_ms(answer: httpx.Response) -> float:
    """The service's own time of a response, from its header."""
    found = re.search(r"dur=([\d.]+)", answer.headers["Server-Timing"])
    assert found is not None
    return float(found[1])


def measure(client: httpx.Client, database: Database, ids: list[str]) -> None:
    """Print the server time of the kept page, and whether its numbers are those of two alone."""
    asked = {"evaluations": ids, "baseline": ids[0]}
    path = f"/compare?{urlencode([*(('evaluation', one) for one in ids), ('baseline', ids[0])])}"
    assert client.post("/v1/comparisons", json=asked).status_code == 202
    begun = time.perf_counter()
    compare_waiting(database)
    pairs = len(ids) * (len(ids) - 1) // 2
    took_s = time.perf_counter() - begun
    each = f"{1000 * took_s / pairs:.0f} ms each"
    print(f"{len(ids)} evaluations, {pairs} pairs compared in {took_s:.1f} s ({each})")
    answers = [client.get(path, headers={"Accept": "text/html"}) for _ in range(REPEATS + 1)]
    times = [server_ms(one.raise_for_status()) for one in answers]
    print(f"page, kept: server ms first {times[0]:.0f}, least {min(times[1:]):.0f}, ", end="")
    print(f"median {statistics.median(times[1:]):.0f}, {len(answers[0].content) / 1000:.0f} kB")
    found = client.post("/v1/comparisons", json=asked).json()
    wrong = num_numbers = 0
    predictions = [played.answers(n, 0.1 + 0.7 * n / len(ids)) for n in range(len(ids))]
    for one in found["with_baseline"]:
        place = ids.index(one["evaluation"])
        alone = compare(predictions[0], predictions[place], PROTOCOLS["quick-v1"])
        for kept, other in zip(one["differences"], alone, strict=True):
            num_numbers += 1
            wrong += any(kept[name] != value for name, value in other.model_dump().items())
    print(f"{num_numbers} differences from the baseline; {wrong} are not exactly those of two compared alone")


def least(num_videos: int) -> float:
    """The p-value if the first network is always wrong and the second always right."""
    columns = {"video": [f"{n:05}" for n in range(num_videos)], "group": [None] * num_videos}
    columns |= {"label": ["a"] * num_videos}
    wrong, right = (
        Predictions(
            benchmark="recognition",
            answers=("a", "b"),
            columns={**columns, "linear": [[answer]] * num_videos},
        )
        for answer in ("b", "a")
    )
    return compare({"recognition": wrong}, {"recognition": right}, PROTOCOLS["quick-v1"])[0].p_value


def main() -> None:
    """Print one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--least", action="store_true")
    arguments = parser.parse_args()
    if arguments.least:
        print("videos   least p   x 19      x 1,225")
        for number in (6, 12, 18, 24, 30, 36, 120):
            p = least(number)
            print(f"{number:>6}   {p:.1e}   {min(1, 19 * p):.1e}   {min(1, 1225 * p):.1e}")
        return
    with tempfile.TemporaryDirectory() as folder, start_engines(Path(folder), durable=False) as engines:
        migrate.upgrade(engines.database_url)
        settings = Settings.model_validate(
            {
                "database_url": engines.database_url,
                "broker_url": engines.broker_url,
                "store_url": f"file://{folder}/objects",
            }
        )
        with serve(settings) as served:
            measure(served.client, served.database, fill(served.database, arguments.number))


if __name__ == "__main__":
    main()
