"""The board: sorted, filtered, paged, ranked; the same as CSV; never two protocols on one."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, insert, select
from vcpbench_client import papers
from vcpbench_client.answers import read

from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetState,
    Evaluation,
    EvaluationState,
    Model,
    Origin,
    ScoreRow,
)
from records.repositories import checkpoints, datasets
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset
from tests.service.kit import problem_of, statements
from vcp_core.catalog.protocols import PROTOCOLS

MAP, TEMPORAL = "retrieval.map", "cloze.temporal"


def board(api: Served, **query: Any) -> dict[str, Any]:
    answer = api.client.get(
        "/v1/leaderboard", params={"dataset": "gestures", "protocol": "quick-v1", **query}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def names(api: Served, **query: Any) -> list[str]:
    return [row["model"] for row in board(api, **query)["rows"]]


@pytest.fixture
def filled(api: Served) -> Served:
    """Six evaluations of four models: two equal, one without the metric, one of another team."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        for model, team, step, values in (
            ("a", "default", 1, {HEADLINE: 50.0, MAP: 9.0}),
            ("a", "default", 2, {HEADLINE: 70.0, MAP: 8.0}),
            ("b", "default", None, {HEADLINE: 70.0}),
            ("c", "default", 5, {MAP: 7.0}),
            ("deep_c", "others", 4, {HEADLINE: 90.0, TEMPORAL: 33.0}),
            ("deep%c", "others", 3, {HEADLINE: 10.0}),
        ):
            done(
                session,
                ready_checkpoint(session, model, team=team, step=step, run=f"run-{model}"),
                dataset,
                values,
            )
    return api


def test_the_best_come_first_equals_share_a_rank_and_those_without_the_metric_come_last(
    filled: Served,
) -> None:
    found = board(filled)
    places = [(row["model"], row["step"], row["rank"]) for row in found["rows"]]
    assert places == [
        ("deep_c", 4, 1), ("a", 2, 2), ("b", None, 2), ("a", 1, 4), ("deep%c", 3, 5), ("c", 5, None),
    ]  # fmt: skip
    assert (found["total"], found["sort"]) == (6, "-recognition.top1")
    assert found["dataset"] == {"name": "gestures", "fingerprint": "fingerprint of gestures"}
    assert found["rows"][0]["scores"].keys() == {HEADLINE}
    assert found["rows"][0]["scores"][HEADLINE]["low"] == 89.0


def test_it_is_sorted_the_other_way_by_any_metric_and_by_facts(filled: Served) -> None:
    assert names(filled, sort=HEADLINE) == ["deep%c", "a", "a", "b", "deep_c", "c"]
    assert names(filled, sort=f"-{MAP}")[:3] == ["a", "a", "c"]
    assert names(filled, sort=MAP)[:3] == ["c", "a", "a"]
    assert names(filled, sort="created_at") == ["a", "a", "b", "c", "deep_c", "deep%c"]
    assert names(filled, sort="-model")[0] == "deep_c"
    assert [row["step"] for row in board(filled, sort="-step")["rows"]] == [5, 4, 3, 2, 1, None]
    assert {row["rank"] for row in board(filled, sort="step")["rows"]} == {None}


def test_it_is_filtered(filled: Served) -> None:
    assert names(filled, team="others") == ["deep_c", "deep%c"]
    assert names(filled, model="C") == ["deep_c", "deep%c", "c"]
    assert names(filled, model="%") == ["deep%c"]
    assert names(filled, model="_") == ["deep_c"]
    assert names(filled, run="run-a") == ["a", "a"]
    assert names(filled, backbone="c3d") == []
    assert names(filled, backbone="r3d_tiny", team="nobody") == []
    assert [row["rank"] for row in board(filled, team="others")["rows"]] == [1, 2]  # among those shown


def test_only_every_models_newest_checkpoint_is_shown(filled: Served) -> None:
    found = [(row["model"], row["step"]) for row in board(filled, latest=True)["rows"]]
    assert found == [("deep_c", 4), ("a", 2), ("b", None), ("deep%c", 3), ("c", 5)]
    assert board(filled, latest=True, limit=1)["total"] == 5


def test_it_is_sorted_by_when_they_ended_too(filled: Served) -> None:
    with filled.database.session() as session:
        for minute, row in enumerate(session.scalars(select(Evaluation).order_by(Evaluation.created_at))):
            row.finished_at = datetime(
                2026, 11, 20, 9, (minute * 5) % 6, tzinfo=UTC
            )  # backwards after the first
    assert [row["step"] for row in board(filled, sort="-finished_at")["rows"]] == [2, None, 5, 4, 3, 1]


def test_scores_within_the_interval_of_the_first_share_its_rank_whichever_way_it_is_sorted(
    api: Served,
) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        for model, value in (("a", 70.0), ("b", 69.5), ("c", 69.0), ("d", 68.9), ("e", 60.0)):
            done(session, ready_checkpoint(session, model), dataset, {HEADLINE: value})  # intervals of 1
    expected = {"a": (1, True), "b": (1, True), "c": (1, True), "d": (4, False), "e": (5, False)}
    for sort, order in ((f"-{HEADLINE}", "abcde"), (HEADLINE, "edcba")):
        rows, lines = board(api, sort=sort)["rows"], rows_of_csv(api, sort=sort)
        assert "".join(row["model"] for row in rows) == order
        assert {row["model"]: (row["rank"], row["tied"]) for row in rows} == expected
        assert {line["model"]: (int(line["rank"]), line["tied"] == "true") for line in lines} == expected
    (third,) = board(api, limit=1, offset=2)["rows"]
    assert (third["rank"], third["tied"]) == (1, True)  # whatever page it is on


def test_pages_follow_each_other(filled: Served) -> None:
    whole = board(filled)["rows"]
    pages = [row for offset in (0, 2, 4) for row in board(filled, limit=2, offset=offset)["rows"]]
    assert [row["evaluation"] for row in pages] == [row["evaluation"] for row in whole]
    assert board(filled, offset=6)["rows"] == []
    assert board(filled, offset=6)["total"] == 6


def test_equals_share_a_rank_across_pages(filled: Served) -> None:
    pages = [row for offset in range(6) for row in board(filled, limit=1, offset=offset)["rows"]]
    assert [row["rank"] for row in pages] == [1, 2, 2, 4, 5, None]


def test_a_page_without_the_metric_is_no_error(filled: Served) -> None:
    assert names(filled, limit=1, offset=5) == ["c"]
    assert names(filled, sort=f"-{TEMPORAL}", limit=1, offset=3)
    assert board(filled, metric=TEMPORAL, limit=1, offset=1)["rows"][0]["scores"] == {}


def test_columns_are_chosen(filled: Served) -> None:
    rows = board(filled, metric=[MAP, TEMPORAL])["rows"]
    assert [sorted(row["scores"]) for row in rows] == [[TEMPORAL], [MAP], [], [MAP], [], [MAP]]


def test_an_unknown_metric_brings_a_suggestion(filled: Served) -> None:
    for query in ({"sort": "-recognition.top11"}, {"metric": "recognition.top11"}):
        for path in ("/v1/leaderboard", "/v1/leaderboard.csv"):
            answer = filled.client.get(path, params={"dataset": "gestures", "protocol": "quick-v1", **query})
            assert "Did you mean 'recognition.top1'?" in problem_of(answer, 404)["detail"]


def test_a_dataset_without_results_says_so(api: Served) -> None:
    with api.database.session() as session:
        ready_dataset(session)
        indexing = ready_dataset(session, "sports")
        indexing.state, indexing.fingerprint = DatasetState.INDEXING, None
    assert board(api)["rows"] == []
    for name in ("sports", "playground-64"):  # one is being indexed, and nobody has used the other
        empty = api.client.get("/v1/leaderboard", params={"dataset": name})
        assert (empty.status_code, empty.json()["total"], empty.json()["rows"]) == (200, 0, [])
        assert empty.json()["dataset"] == {"name": name, "fingerprint": None}


def test_two_protocols_or_two_sets_of_videos_are_never_on_one_board(filled: Served) -> None:
    with filled.database.session() as session:
        dataset = datasets.named(session, "gestures")
        assert dataset is not None
        other = PROTOCOLS["standard-v1"]
        done(session, ready_checkpoint(session, "std"), dataset, {HEADLINE: 99.0}, protocol=other)
        done(session, ready_checkpoint(session, "sport"), ready_dataset(session, "sports"), {HEADLINE: 98.0})
        for state in EvaluationState:
            if state is not EvaluationState.DONE:
                done(session, ready_checkpoint(session, state), dataset, {HEADLINE: 97.0}, state=state)
    assert board(filled)["total"] == 6
    assert names(filled, protocol="standard-v1") == names(filled, protocol=other.hash) == ["std"]
    assert names(filled, dataset="sports") == ["sport"]


def register_again(api: Served, fingerprint: str) -> None:
    """Videos of this fingerprint have the name "gestures" from now on."""
    with api.database.session() as session:
        old = datasets.named(session, "gestures")
        assert old is not None
        old.retired_at = old.created_at
        session.flush()
        ready_dataset(session, "gestures", fingerprint)


def test_a_dataset_of_a_new_registration_keeps_the_board_of_the_same_videos(filled: Served) -> None:
    register_again(filled, "fingerprint of gestures")
    assert board(filled)["total"] == 6


def test_the_board_of_videos_that_lost_their_name_is_found_by_their_fingerprint(filled: Served) -> None:
    register_again(filled, "new videos")
    assert board(filled)["total"] == 0
    found = board(filled, dataset="fingerprint of gestures")
    assert found["dataset"] == {"name": "gestures", "fingerprint": "fingerprint of gestures"}
    assert found["total"] == 6
    assert board(filled, dataset="new videos")["dataset"]["fingerprint"] == "new videos"


def test_random_weights_stand_beside(filled: Served) -> None:
    with filled.database.session() as session:
        dataset = datasets.named(session, "gestures")
        assert dataset is not None
        control = ready_checkpoint(session, "control")
        control.model, control.origin, control.seed = None, Origin.CONTROL, 3
        done(session, control, dataset, {HEADLINE: 8.0}, is_control=True)
    found = board(filled)
    assert found["total"] == 6
    (row,) = found["controls"]
    assert (row["seed"], row["scores"][HEADLINE]["value"]) == (3, 8.0)


def rows_of_csv(api: Served, **query: Any) -> list[dict[str, str]]:
    answer = api.client.get(
        "/v1/leaderboard.csv", params={"dataset": "gestures", "protocol": "quick-v1", **query}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize(
    "query", [{}, {"sort": MAP, "metric": [MAP, HEADLINE]}, {"latest": True, "limit": 2}]
)
def test_tables_for_papers_are_those_that_the_command_writes(filled: Served, query: dict[str, Any]) -> None:
    where = {"dataset": "gestures", "protocol": "quick-v1", **query}
    found = read(papers.Board, board(filled, **query))
    for suffix, written in ((".md", papers.markdown(found)), (".tex", papers.latex(found))):
        answer = filled.client.get(f"/v1/leaderboard{suffix}", params=where)
        assert (answer.status_code, answer.text) == (200, written)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert f"| {found.rows[0].rank}" in papers.markdown(found)


@pytest.mark.parametrize(
    "query", [{}, {"sort": MAP, "metric": [MAP, HEADLINE]}, {"latest": True, "limit": 2}]
)
def test_the_csv_is_the_json_to_the_last_digit(filled: Served, query: dict[str, Any]) -> None:
    rows, cells = board(filled, **query)["rows"], rows_of_csv(filled, **query)
    assert len(rows) == len(cells)
    for row, line in zip(rows, cells, strict=True):
        for fact in (
            "rank",
            "tied",
            "model",
            "team",
            "backbone",
            "run",
            "step",
            "evaluation",
            "checkpoint",
            "sha256",
        ):
            text = str(row[fact]).lower() if fact == "tied" else str(row[fact])
            assert line[fact] == ("" if row[fact] is None else text)
        for metric in {name.rpartition(".")[0] for name in line if name.endswith(".value")}:
            for part in (
                "value",
                "low",
                "high",
                "lift",
                "lift_low",
                "lift_high",
                "chance",
                "control",
                "pixels",
            ):
                number = row["scores"].get(metric, {}).get(part)
                assert line[f"{metric}.{part}"] == ("" if number is None else repr(number))


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@SUM(A1)", "\tx", "\rx", 'a"b,c\nd', "\u00a0=x"])
def test_a_name_is_never_a_formula_in_a_spreadsheet(api: Served, name: str) -> None:
    with api.database.session() as session:
        done(
            session,
            ready_checkpoint(session, name, team=name, run=name),
            ready_dataset(session),
            {HEADLINE: -1.0},
        )
    (line,) = rows_of_csv(api)
    for fact in ("model", "team", "run"):
        assert line[fact].lstrip("'") == name
        assert line[fact][0] not in "=+-@\t\r"
    assert line["recognition.top1.value"] == "-1.0"  # numbers stay numbers


def test_a_board_of_two_thousand_takes_as_many_statements_as_one_of_two(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        done(session, ready_checkpoint(session, "first"), dataset, {HEADLINE: 1.0, MAP: 2.0})
        done(session, ready_checkpoint(session, "second"), dataset, {HEADLINE: 1.0, MAP: 2.0})
    counts = []
    for _ in range(2):
        with statements(api) as sent:
            board(api, limit=500)
            api.client.get("/v1/evaluations?limit=500")
            api.client.get("/v1/checkpoints?limit=500")
        counts.append(len(sent))
        if len(counts) == 1:
            _fill(api, 1998)
    assert counts[0] == counts[1] < 24
    assert board(api, limit=500, offset=1900)["total"] == 2000
    assert len(board(api, limit=500, offset=1900, sort=f"-{MAP}")["rows"]) == 100


def test_a_page_reads_the_order_of_a_board_once_and_the_facts_of_its_own_rows(filled: Served) -> None:
    with statements(filled) as sent:
        for offset in (4, 0):
            board(filled, limit=2, offset=offset)
            filled.client.get(f"/?dataset=gestures&protocol=quick-v1&limit=2&offset={offset}")
    assert not any(one.startswith("INSERT") for one, _ in sent)
    assert sum("NULLS LAST, evaluation.created_at" in one for one, _ in sent) == 1
    assert sum("checkpoint.sha256" in one and "ANY" in one for one, _ in sent) == 4


def test_a_result_that_comes_or_goes_changes_the_board_at_once(filled: Served) -> None:
    assert names(filled, limit=2) == ["deep_c", "a"]
    with filled.database.session() as session:
        dataset = datasets.named(session, "gestures")
        assert dataset is not None
        new = done(session, ready_checkpoint(session, "new"), dataset, {HEADLINE: 80.0}).id
    assert names(filled, limit=2) == ["deep_c", "new"]
    with filled.database.session() as session:
        session.execute(delete(ScoreRow).where(ScoreRow.evaluation_id == new))
        session.execute(delete(Evaluation).where(Evaluation.id == new))
    assert names(filled, limit=2) == ["deep_c", "a"]


def _fill(api: Served, number: int) -> None:
    with api.database.session() as session:
        dataset = datasets.named(session, "gestures")
        hash_ = session.scalars(select(Evaluation.protocol_hash)).first()
        assert dataset is not None
        model = checkpoints.model_of(session, "default", "many")
        weights = [
            {"model_id": model.id, "origin": Origin.UPLOAD, "state": CheckpointState.READY, "size_bytes": 1}
            for _ in range(number)
        ]
        made = session.scalars(insert(Checkpoint).returning(Checkpoint.id), weights).all()
        asked = [
            {
                "checkpoint_id": one, "dataset_id": dataset.id, "protocol_hash": hash_, "team": "default",
                "is_control": False, "state": EvaluationState.DONE, "finished_at": datetime.now(UTC),
            }
            for one in made
        ]  # fmt: skip
        ids = session.scalars(insert(Evaluation).returning(Evaluation.id), asked).all()
        scores = [
            {
                "evaluation_id": one, "metric": metric, "benchmark": "x", "value": place % 97,
                "low": 0.0, "high": 1.0, "num_videos": 1, "num_units": 1, "units": "video",
                "headline": metric == HEADLINE,
            }
            for place, one in enumerate(ids)
            for metric in (HEADLINE, MAP)
        ]  # fmt: skip
        session.execute(insert(ScoreRow), scores)
        assert session.get(Model, model.id) is not None
