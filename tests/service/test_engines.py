"""Results of two engines: on boards of their own, never compared, and asked for again."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from sqlalchemy import select, update

from records import flow
from records.models import (
    BenchmarkRow,
    CheckpointState,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    ProtocolRow,
)
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset, score
from tests.service.kit import problem_of
from tests.service.test_comparisons import answers
from tests.web.read import Page
from vcp_core.catalog import versions
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.protocols import PROTOCOLS

BOARD = {"dataset": "gestures", "protocol": "quick-v1"}
HTML = {"Accept": "text/html"}
OLD = versions.engine()


@pytest.fixture
def old(api: Served, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Two evaluations that were done before this version, of checkpoints a and b."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        ids = [
            done(
                session,
                ready_checkpoint(session, name),
                dataset,
                {HEADLINE: value},
                predictions=[answers(seed, 0.5)],
            ).id
            for seed, (name, value) in enumerate({"a": 40.0, "b": 60.0}.items())
        ]
    monkeypatch.setattr(versions, "SCORING_VERSION", "next")
    return ids


def board(api: Served, **more: str) -> dict[str, Any]:
    answer = api.client.get("/v1/leaderboard", params={**BOARD, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def models(found: dict[str, Any]) -> list[str]:
    return [row["model"] for row in found["rows"]]


def ask(api: Served, checkpoint: str = "a@latest") -> Any:
    return api.client.post("/v1/evaluations", json={"checkpoint": checkpoint, **BOARD})


def score_now(api: Served, evaluation_id: str, value: float) -> None:
    """As a worker would."""
    with api.database.session() as session:
        flow.lock(session)
        session.add(score(UUID(evaluation_id), HEADLINE, value))
        predictions = answers(3, 0.7).model_dump(mode="json")
        row = BenchmarkRow(
            evaluation_id=UUID(evaluation_id), benchmark="recognition", predictions=predictions
        )
        session.add(row)
        flow.scored(session, session.get_one(Evaluation, UUID(evaluation_id)))


def test_older_results_stay_on_a_board_of_their_own_that_says_so(api: Served, old: list[UUID]) -> None:
    alone = board(api)
    assert (alone["older"], alone["engine"], models(alone)) == (True, OLD, ["b", "a"])
    assert "Older: another version" in Page.of(api.client.get("/", headers=HTML)).text
    asked = ask(api)
    assert asked.status_code == 201
    assert (asked.json()["older"], asked.json()["engine"]) == (False, versions.engine())
    assert models(board(api)) == ["b", "a"]  # until something newer is done
    score_now(api, asked.json()["id"], 90.0)
    new = board(api)
    assert (new["older"], new["engine"], models(new)) == (False, versions.engine(), ["a"])
    kept = board(api, engine=OLD)
    assert (kept["older"], models(kept)) == (True, ["b", "a"])
    assert (
        "No engine 'x'"
        in problem_of(api.client.get("/v1/leaderboard", params={**BOARD, "engine": "x"}), 404)["detail"]
    )
    page = Page.of(api.client.get("/", params=BOARD, headers=HTML))
    assert "Older:" not in page.text
    (link,) = page.links("older results (2)")
    there = Page.of(api.client.get(link, headers=HTML))
    assert "Older: another version" in there.text
    (csv,) = [one for one in there.links("CSV")]
    assert len(api.client.get(csv).text.splitlines()) == 3
    shown = api.client.get(f"/v1/evaluations/{old[0]}").json()
    assert (shown["older"], shown["engine"]) == (True, OLD)
    of_model = Page.of(api.client.get("/models/default/b", headers=HTML))
    assert "gestures under quick-v1 older" in of_model.text
    assert f"engine={quote(OLD, safe='')}" in of_model.links("gestures under quick-v1")[0]


def test_results_of_two_engines_are_not_compared(api: Served, old: list[UUID]) -> None:
    new = ask(api).json()["id"]
    score_now(api, new, 90.0)
    pair = {"first": str(old[0]), "second": new}
    said = problem_of(api.client.get("/v1/comparisons", params=pair), 409)["detail"]
    assert "version of vcpbench" in said
    assert OLD in said
    pair = {"first": str(old[0]), "second": str(old[1])}
    assert api.client.get("/v1/comparisons", params=pair).status_code == 202


def test_a_benchmark_that_is_added_is_another_engine(
    api: Served, old: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions.engine()
    monkeypatch.setattr(versions, "BENCHMARKS", [*BENCHMARKS, "speed"])
    assert versions.engine() == f"{before},speed"
    assert ask(api).status_code == 201
    assert ask(api).status_code == 200


def again(api: Served, **more: str) -> Any:
    return api.client.post("/v1/reevaluations", json={**BOARD, **more})


def test_an_older_board_is_asked_for_again_when_nothing_else_waits(api: Served, old: list[UUID]) -> None:
    with api.database.session() as session:
        gone = ready_checkpoint(session, "c")
        dataset = session.get_one(Evaluation, old[0]).dataset
        lost = done(session, gone, dataset, {HEADLINE: 1.0}, engine=OLD).id
        gone.state = CheckpointState.REJECTED
    found = again(api)
    assert found.status_code == 202, found.text
    out = found.json()
    assert (len(out["asked"]), out["there"]) == (2, [])
    assert out["left_out"] == {str(lost): "its checkpoint is rejected"}
    with api.database.session() as session:
        jobs = session.scalars(select(Job).where(Job.kind == JobKind.PLAN)).all()
        assert {job.priority for job in jobs} == {-1}
        asked = [session.get_one(Evaluation, UUID(one)) for one in out["asked"]]
        assert [one.checkpoint.model.name for one in asked if one.checkpoint.model] == ["a", "b"]
        assert {one.engine for one in asked} == {versions.engine()}
    twice = again(api).json()
    assert (twice["asked"], twice["there"]) == ([], out["asked"])
    assert ask(api).json()["id"] == out["asked"][0]
    with api.database.session() as session:  # somebody waits for the first now
        query = select(Job.priority).where(Job.kind == JobKind.PLAN).order_by(Job.created_at)
        assert session.scalars(query).all() == [0, -1]
    assert models(board(api, engine=OLD)) == ["b", "a", "c"]


def test_only_an_older_board_is_asked_for_again_and_only_by_an_administrator(
    api: Served, old: list[UUID]
) -> None:
    with api.client_of("default") as client:
        problem_of(client.post("/v1/reevaluations", json=BOARD), 403)
    assert "made that board" in problem_of(again(api, engine=versions.engine()), 409)["detail"]
    assert "No results by 'x'" in problem_of(again(api, engine="x"), 404)["detail"]
    assert "No results" in problem_of(again(api, protocol="standard-v1"), 404)["detail"]
    assert "No results" in problem_of(again(api, dataset="nothing"), 404)["detail"]


def test_what_waits_across_an_update_is_made_by_the_new_version(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        one = ready_checkpoint(session, "one", state=CheckpointState.INGESTING)
        two = ready_checkpoint(session, "two", state=CheckpointState.INGESTING)
        found = {
            name: done(session, weights, dataset, {}, state=EvaluationState.WAITING, results=None).id
            for name, weights in (("one", one), ("two", two))
        }
    monkeypatch.setattr(versions, "SCORING_VERSION", "next")
    newer = ask(api, "two@latest").json()["id"]
    for weights in (one, two):
        with api.database.session() as session:
            flow.lock(session)
            row = session.merge(weights)
            row.state = CheckpointState.READY
            flow.checkpoint_ended(session, row)
    first = api.client.get(f"/v1/evaluations/{found['one']}").json()
    assert (first["state"], first["engine"]) == ("planning", versions.engine())
    second = api.client.get(f"/v1/evaluations/{found['two']}").json()
    assert second["state"] == "cancelled"
    assert f"the same as evaluation {newer}" in second["reason"]
    assert "after an update" in second["reason"]


def test_protocols_of_other_versions_are_shown_and_not_run(api: Served, old: list[UUID]) -> None:
    quick = PROTOCOLS["quick-v1"]
    other = {**quick.model_dump(mode="json"), "frames": "planes-of-old-1"}
    with api.database.session() as session:  # as an installation has them that is older than this version
        session.execute(update(ProtocolRow).values(name="kept"))
        session.add(ProtocolRow(hash="1" * 64, name="quick-v1", content=other))
        session.add(ProtocolRow(hash="2" * 64, name="strange", content={"name": "strange", "depth": 3}))
    shown = {one["name"]: one for one in api.client.get("/v1/protocols").json()["items"]}
    assert (shown["quick-v1"]["hash"], shown["quick-v1"]["older"]) == (quick.hash, False)
    assert (shown["quick-v1-11111111"]["hash"], shown["quick-v1-11111111"]["older"]) == ("1" * 64, True)
    assert (shown["strange"]["numbers"], shown["strange"]["older"]) == ({"name": "strange", "depth": 3}, True)
    said = problem_of(
        api.client.post("/v1/evaluations", json={"checkpoint": "a@latest", **BOARD, "protocol": "strange"}),
        409,
    )["detail"]
    assert "another version of vcpbench" in said


def test_the_catalogs_protocol_keeps_its_name_and_an_older_one_gets_a_longer(api: Served) -> None:
    old = {**PROTOCOLS["quick-v1"].model_dump(mode="json"), "frames": "planes-of-old-1"}
    with api.database.session() as session:
        session.add(ProtocolRow(hash="1" * 64, name="quick-v1", content=old))
    assert api.client.get("/v1/protocols/quick-v1").json()["hash"] == PROTOCOLS["quick-v1"].hash
    kept = api.client.get("/v1/protocols/quick-v1-11111111").json()
    assert (kept["hash"], kept["older"], kept["numbers"]["frames"]) == ("1" * 64, True, "planes-of-old-1")
