"""An evaluation of many shards: the cost of a shard does not grow with the number of shards."""

from __future__ import annotations

import pytest

from bench import finishing
from bench.finishing import CLAIM, EACH_SHARD, FINISH, PLAN, POLL, Cost
from records.db import Database

FEW, MANY = 40, 160


@pytest.fixture
def costs(database: Database) -> dict[int, dict[str, Cost]]:
    finishing.fill(database, 20_000)
    return finishing.measure(database, [FEW, MANY])


def test_the_cost_of_a_shard_does_not_grow_with_the_number_of_shards(
    costs: dict[int, dict[str, Cost]],
) -> None:
    print(finishing.table(costs))
    for kind in EACH_SHARD:
        few, many = (costs[number][kind].each() for number in (FEW, MANY))
        assert many["statements"] < few["statements"] + 0.1, kind
        # The end of a shard reads three rows for each shard that it looks at. Random ids decide how many
        # these are: 5.7 on average of 160 shards, and 14 once in 3,000 simulated runs. A join read all 160.
        assert many["rows"] < few["rows"] + 60, kind
    assert costs[MANY][CLAIM].most_rows < 40
    assert costs[MANY][FINISH].each()["rows"] < 80


def test_planning_takes_as_many_statements_for_many_shards_as_for_few(
    costs: dict[int, dict[str, Cost]],
) -> None:
    few, many = (costs[number][PLAN] for number in (FEW, MANY))
    assert many.statements == few.statements < 20
    assert many.rows < 2 * few.rows * MANY / FEW


def test_polling_reads_no_more_because_others_had_a_hundred_thousand_shards(database: Database) -> None:
    finishing.fill(database)
    found = finishing.measure(database, [FEW])
    assert found[FEW][POLL].most_rows < 40 * FEW


def test_growth_beyond_the_limits_is_said_in_words() -> None:
    def costs(rows: int) -> dict[str, Cost]:
        return {
            kind: Cost(times=1, statements=1, rows=rows, most_rows=rows) for kind in (*EACH_SHARD, PLAN, POLL)
        }

    assert finishing.missed({100: costs(10), 800: costs(12)}) == []
    said = finishing.missed({100: costs(10), 800: costs(80)})
    assert said == [
        f"{kind}: 8.0 times as many rows with 800 shards as with 100; at most 4.8" for kind in EACH_SHARD
    ]
