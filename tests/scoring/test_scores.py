"""One definition of a score: whatever holds one has its fields, and works for every unit and direction."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any, Literal, get_args, get_type_hints

import pytest
from vcpbench_client import answers, tables

from records.models import ScoreRow
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.web.read import Page
from vcp_core.catalog import units
from vcp_core.catalog.scores import FIELDS, PARTS, Score
from vcp_core.results import reproduction
from vcp_core.scoring import splits
from vcp_core.scoring.comparison import Difference

RANK = "spectrum.rank"
PLAIN = Score(
    metric=RANK,
    value=37.425,
    low=31.525,
    high=43.625,
    unit="number",
    better="lower",
    num_videos=311,
    num_units=53,
    units="group",
    chance=61.125,
    control=47.775,
    lift=-10.35,
    lift_low=-17.225,
    lift_high=-3.775,
    pixels=9.125,
    above_pixels_low=22.325,
    above_pixels_high=34.625,
    headline=True,
)  # a plain number, less is better; no two numbers look alike


def types(kind: Any) -> dict[str, Any]:
    """Annotations as JSON tells them apart: a closed set of words is text."""
    return {name: str if hint in WORDS else hint for name, hint in get_type_hints(kind).items()}


WORDS = (units.Unit, units.Better, Literal["group", "video"])
DEFINED = {name: kind for name, kind in types(Score).items() if name in FIELDS}


def test_the_database_keeps_every_field() -> None:
    columns = {column.name: column for column in ScoreRow.__table__.columns}
    assert columns.keys() - {"evaluation_id", "benchmark"} == set(FIELDS)
    for name, kind in DEFINED.items():
        assert columns[name].nullable == (type(None) in get_args(kind)), name
        assert columns[name].type.python_type in (kind, *get_args(kind)), name


def test_the_client_reads_every_field() -> None:
    assert types(answers.Score) == DEFINED
    required = {name for name, field in Score.model_fields.items() if field.is_required()}
    assert required == {
        one.name for one in dataclasses.fields(answers.Score) if one.default is dataclasses.MISSING
    }
    for one in dataclasses.fields(answers.Score):
        if one.name not in required:
            assert one.default == Score.model_fields[one.name].default


def test_the_client_reads_every_field_of_a_difference() -> None:
    assert {one.name for one in dataclasses.fields(answers.Difference)} == set(Difference.model_fields)


def test_a_mean_over_splits_has_every_field_and_the_splits_values() -> None:
    assert set(splits.MeanScore.model_fields) == {*FIELDS, "by_split"}


def test_a_reproduction_compares_every_number() -> None:
    parts = (*reproduction.MULTIPLES, *reproduction.GIVEN, *reproduction.NAMES)
    assert sorted(parts) == sorted(FIELDS)


def test_a_plain_number_may_differ_by_a_share_of_itself_between_devices() -> None:
    for value, tolerable in ((37.7, True), (37.9, False)):
        other = PLAIN.model_copy(update={"value": value})
        (found,) = reproduction._deviations(RANK, PLAIN, other)
        assert (found.field, found.unit, found.tolerable) == ("value", "number", tolerable)


def test_the_client_writes_numbers_as_pages_do() -> None:
    numbers = (0.0, -0.04, 0.012345, 2.3026, -37.42, 99.96, 1234.5, None)
    for unit in get_args(units.Unit):
        for sign in ("", "+"):
            for value in numbers:
                assert tables.written(value, unit, sign) == units.written(value, unit, sign)
    ends = (-2.0, -1.0, 0.0, 1.0, 2.0)
    for better in get_args(units.Better):
        for low in ends:
            for high in (end for end in ends if end >= low):
                assert tables.verdict(low, high, better) == units.verdict(low, high, better)


@pytest.fixture
def plain(api: Served) -> Served:
    """A board with a plain number of which less is better: 37.4 and two others, one within its interval."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        evaluation = done(session, ready_checkpoint(session, "best"), dataset, {})
        session.add(ScoreRow(evaluation_id=evaluation.id, benchmark="spectrum", **PLAIN.model_dump()))
        for model, value in (("near", 43.5), ("far", 43.7)):
            evaluation = done(session, ready_checkpoint(session, model), dataset, {})
            other = PLAIN.model_copy(update={"value": value, "low": value - 1, "high": value + 1})
            session.add(ScoreRow(evaluation_id=evaluation.id, benchmark="spectrum", **other.model_dump()))
    return api


def board(api: Served, suffix: str = "", sort: str = RANK) -> Any:
    asked = {"dataset": "gestures", "protocol": "quick-v1", "sort": sort}
    answer = api.client.get(f"/v1/leaderboard{suffix}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer


def page(api: Served, query: str = "") -> Page:
    asked = f"/?dataset=gestures&protocol=quick-v1{query}"
    return Page.of(api.client.get(asked, headers={"Accept": "text/html"}))


def test_json_csv_client_and_page_have_the_same_fields(plain: Served) -> None:
    expected = PLAIN.model_dump()
    (found, *_) = board(plain).json()["rows"]
    assert found["scores"][RANK] == expected
    (line, *_) = csv.DictReader(io.StringIO(board(plain, ".csv").text))
    cells = {name.removeprefix(f"{RANK}."): cell for name, cell in line.items() if name.startswith(RANK)}
    assert tuple(cells) == PARTS
    assert cells == {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in expected.items()
        if name != "metric"
    }
    read = answers.read(answers.Board, board(plain).json()).rows[0]
    assert answers.plain(read)["scores"][RANK] == expected  # what `vcpbench leaderboard --json` prints
    (row, *_) = page(plain, f"&sort={RANK}").rows()
    (cell,) = row.all("td", class_="value")
    told = f"{cell.text} {cell.attributes['title']}"
    for name in PARTS:
        value = expected[name]
        if name != "headline":  # which decides whether the column is there
            assert (
                units.written(value, PLAIN.unit) in told if isinstance(value, float) else str(value) in told
            )


def test_a_lower_number_is_better_where_the_metric_says_so(plain: Served) -> None:
    expected = {"best": (1, True), "near": (1, True), "far": (3, False)}
    for sort, order in ((RANK, ["best", "near", "far"]), (f"-{RANK}", ["far", "near", "best"])):
        rows = board(plain, sort=sort).json()["rows"]
        assert [row["model"] for row in rows] == order
        assert {row["model"]: (row["rank"], row["tied"]) for row in rows} == expected
    first = page(plain)  # no metric that is usual is there, so the first that is comes best first
    assert [next(next(row.all("th")).all("a")).text for row in first.rows()] == ["best", "near", "far"]
    (heading, *_) = first.root.all("th", class_="value")
    assert "sort=-spectrum.rank" in next(heading.all("a")).attributes["href"]  # once more: worst first
    assert "percent" not in first.text


def test_a_number_of_which_neither_way_is_better_has_no_rank(plain: Served) -> None:
    with plain.database.session() as session:
        for row in session.query(ScoreRow):
            row.better = "neither"
    rows = board(plain, sort=f"-{RANK}").json()["rows"]
    assert [(row["model"], row["rank"]) for row in rows] == [("far", None), ("near", None), ("best", None)]
    (cell,) = page(plain).rows()[0].all("td", class_="value")
    assert "neither way is better" in cell.attributes["title"]


@pytest.mark.parametrize(("unit", "drawn"), [(PLAIN.unit, 0), ("percent", 1)])
def test_only_a_percentage_is_drawn_on_a_scale_to_100(plain: Served, unit: str, drawn: int) -> None:
    with plain.database.session() as session:
        for one in session.query(ScoreRow):
            one.unit = unit
    (row, *_) = page(plain).rows()
    (cell,) = row.all("td", class_="value")
    assert len(list(cell.all("svg"))) == drawn


def test_a_terminals_table_names_units_where_they_differ() -> None:
    number = answers.read(answers.Score, PLAIN.model_dump())
    percent = answers.read(
        answers.Score, PLAIN.model_dump() | {"metric": "cloze.accuracy", "unit": "percent"}
    )
    table = tables.scores([number, percent], headline=False)
    assert table.columns[0].header == "metric"
    names = [str(cell) for cell in table.columns[0].cells]
    assert names == ["cloze", "  accuracy, %", "spectrum", "  rank"]
    assert tables.scores([percent], headline=False).columns[0].header == "percent"
    (lift,) = [
        cell for cell in table.columns[6].cells if str(cell).startswith("-10.3") or str(cell) == "-10.4"
    ][:1]
    assert lift.style == "green"  # less is better


def test_a_difference_of_a_lower_number_is_an_improvement() -> None:
    fell = answers.Difference(
        metric=RANK, first=40.0, second=30.0, difference=-10.0, low=-12.0, high=-8.0, better="lower"
    )
    assert tables.arrow(fell) == ("▲", "green")
    assert tables.arrow(dataclasses.replace(fell, better="higher")) == ("▼", "red")
    assert tables.arrow(dataclasses.replace(fell, better="neither")) == ("·", "dim")
