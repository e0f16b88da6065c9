"""Many evaluations compared by the client and by `vcpbench compare`."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from uuid import uuid4

import pytest
from rich.console import Console
from sqlalchemy import select, update
from vcpbench_client import Client
from vcpbench_client.comparing import ComparedMany, Matrix
from vcpbench_client.comparing_tables import LEVEL, differences, matrix
from vcpbench_client.errors import ApiError, NotCompared, TimedOut

from records.db import NOW
from records.models import Comparison, ComparisonState
from tests.client.conftest import Run
from tests.client.hands import Hands
from tests.patience import until, with_time_enough
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset
from tests.service.kit import in_thread
from tests.service.test_comparisons import answers
from vcp_core.catalog.errors import VcpbenchError

NUMBER = 4


@pytest.fixture
def four(api: Served) -> list[str]:
    """Evaluations of the models m0 to m3 on one board; m3 is right most often."""
    with api.database.session() as session:
        dataset = ready_dataset(session, "clips")
        return [
            str(
                done(
                    session,
                    ready_checkpoint(session, f"m{n}", step=100 * n),
                    dataset,
                    {HEADLINE: 20.0 * n},
                    predictions=[answers(n, 0.3 * n)],
                ).id
            )
            for n in range(NUMBER)
        ]


def lines_of(table: object) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=1000).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_many_are_compared_as_two_are_in_the_order_given(
    client: Client, hands: Hands, four: list[str]
) -> None:
    hands.work.clear()
    told: list[str] = []

    def tell(found: ComparedMany) -> None:
        told.append(found.state)
        hands.work.set()

    client.set_alias("champion", next(client.checkpoints(model="m2")).id)
    named = ["m3@latest", four[0][:8], "@champion", four[1]]
    found = client.compare_many(named, baseline="@champion", on_progress=tell)
    assert (told[0], told[-1]) == ("waiting", "done")
    assert found.baseline == four[2]
    assert [one.id for one in found.evaluations] == [four[3], four[0], four[2], four[1]]
    assert [one.evaluation for one in found.with_baseline] == [four[3], four[0], four[1]]
    for one in found.with_baseline:
        alone = {other.metric: other for other in client.compare(four[2], one.evaluation).differences}
        for difference in one.differences:
            other = alone[difference.metric]
            assert (difference.difference, difference.low, difference.high) == (
                other.difference,
                other.low,
                other.high,
            )
            assert difference.num_comparisons == NUMBER - 1
    assert {(len(one.pairs), one.num_comparisons) for one in found.matrices} == {(6, 6)}
    assert client.compare_many(named, baseline="@champion") == found  # it is kept


def test_what_cannot_be_compared_is_an_error_with_the_reason(
    api: Served, client: Client, hands: Hands, four: list[str]
) -> None:
    with pytest.raises(ApiError, match="named more than once"):
        client.compare_many([four[0], four[1], "m1@latest"])
    with pytest.raises(ApiError, match="is not among the 2 evaluations"):
        client.compare_many(four[:2], baseline=four[2])
    with pytest.raises(ApiError, match="No evaluation"):
        client.compare_many([four[0], str(uuid4())])
    hands.stop()

    def wait(seconds: str) -> str:
        with pytest.raises(TimedOut) as caught:
            client.compare_many(four, timeout_s=float(seconds))
        return str(caught.value)

    said = with_time_enough(wait, lambda said: "still waiting" in said, first_s=0.3)
    assert re.search(r"comparison of 4 evaluations with baseline \S+ is still waiting after", said)
    with api.database.session() as session:
        failed = {"state": ComparisonState.FAILED, "reason": VcpbenchError("no room"), "finished_at": NOW}
        session.execute(update(Comparison).values(**failed))
    with pytest.raises(
        NotCompared, match=r"4 evaluations with baseline .* could not be compared: no room"
    ) as it:
        client.compare_many(four)
    assert it.value.more["evaluations"] == four


def test_compare_shows_differences_from_the_baseline_and_all_pairs(
    api: Served, run: Run, hands: Hands, four: list[str]
) -> None:
    hands.work.clear()
    compared = in_thread(lambda: run("compare", "m0@latest", *four[1:], "--baseline", "m1@latest"))

    def asked() -> bool:
        with api.database.session() as session:
            return session.scalars(select(Comparison.id)).first() is not None

    until(asked)
    hands.work.set()
    found = compared()
    assert found.returncode == 0, found.stderr
    assert "comparing: 0 %" in found.stderr
    assert re.search(rf"^ 2 +m1 +100 +{four[1][:8]} +baseline$", found.stdout, re.MULTILINE)
    assert re.search(
        r"^   4 m3 300 +\d+\.\d +\+\d+\.\d +\+\d+\.\d \.\. \+\d+\.\d +\S+ +▲$", found.stdout, re.MULTILINE
    )
    assert f"All 6 pairs in {HEADLINE}: the row less the column" in found.stdout
    assert found.stderr.splitlines()[-1].endswith(f"&baseline={four[1]}")
    as_json = json.loads(run("compare", *four, "--json").stdout)
    assert (as_json["state"], as_json["baseline"], len(as_json["with_baseline"])) == ("done", four[0], 3)
    assert len(run("compare", *four, "--all").stdout) > len(run("compare", *four).stdout)
    two = run("compare", *four[:2])
    assert two.stdout.startswith("first   m0 0\nsecond  m1 100\n")
    turned = run("compare", *four[:2], "-b", four[1])
    assert (turned.returncode, "▼" in turned.stdout) == (0, True), turned.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(("m0@latest",), "1 evaluations are named. Name 2 to 50", id="one"),
        pytest.param(("m0@latest", "m1@latest", "m1@latest"), "named more than once", id="twice"),
        pytest.param(
            ("m0@latest", "m1@latest", "m2@latest", "--metric", "nope"),
            f"There is no matrix of 'nope'. There are: {HEADLINE}",
            id="metric",
        ),
        pytest.param(
            ("m0@latest", "m1@latest", "--metric", HEADLINE),
            "Two evaluations have none without --baseline",
            id="metric of two",
        ),
    ],
)
def test_compare_says_what_it_cannot_do(
    run: Run, hands: Hands, four: list[str], words: Sequence[str], says: str
) -> None:
    found = run("compare", *words, COLUMNS="200")
    assert (found.returncode, says in found.stderr) == (2, True), found.stderr


def test_the_matrix_holds_a_number_where_holms_p_tells_two_apart(
    client: Client, hands: Hands, four: list[str]
) -> None:
    found = client.compare_many(four)
    one: Matrix = found.matrices[0]
    places = {evaluation.id: place for place, evaluation in enumerate(found.evaluations)}
    heading, *rows = lines_of(matrix(found, one))
    assert heading.split() == ["1", "2", "3", "4"]
    cells = [row.split()[3:] for row in rows]  # behind number, model and step
    for pair in one.pairs:
        first, second = places[pair.first], places[pair.second]
        cell = cells[second][first - (first > second)]  # the diagonal is empty
        assert cell == (f"{pair.difference:+.1f}" if pair.p_adjusted < LEVEL else "·")


@pytest.mark.parametrize("width", [80, 62, 24])
def test_tables_of_many_fit_the_terminal(client: Client, hands: Hands, four: list[str], width: int) -> None:
    found = client.compare_many(four)
    if width >= 62:
        assert max(map(len, lines_of(differences(found, headline=True, width=width)))) <= width
    made = matrix(found, found.matrices[0], width=width)
    assert made is not None
    assert max(map(len, lines_of(made))) <= width
    assert matrix(found, found.matrices[0], width=5) is None
