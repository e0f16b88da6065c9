"""Maps over HTTP: asked for, waited for, refused."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import select

from records.models import EvaluationState, Job, MapRow
from service.limits import MAX_LIVE_MAPS
from tests import mapped
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import problem_of


@pytest.fixture
def ids(api: Served) -> list[str]:
    """Two evaluations of the same videos, one of others, and one that is not done."""
    dataset = mapped.videos(12)
    store = api.app.state.storage
    with api.database.session() as session:
        row = mapped.registered(session, store, dataset)
        both = [mapped.evaluated(session, store, dataset, row, name, seed=n) for n, name in enumerate("ab")]
        other = done(session, ready_checkpoint(session, "c"), ready_dataset(session, "others"), {})
        waiting = done(
            session, ready_checkpoint(session, "d"), row, {}, state=EvaluationState.WAITING, results=None
        )
        return [str(one.id) for one in (*both, other, waiting)]


def test_the_first_request_asks_for_one_job_and_later_ones_for_none(api: Served, ids: list[str]) -> None:
    for _ in range(2):
        answer = api.client.get(f"/v1/evaluations/{ids[0]}/map")
        assert answer.status_code == 202
        found = answer.json()
        assert (found["state"], found["evaluation"], found["map"]) == ("waiting", ids[0], None)
        assert "the map waits to be drawn: no worker takes the cpu queue" in found["waiting_for"]
    with api.database.session() as session:
        assert len(session.scalars(select(Job.id).where(Job.map_id.is_not(None))).all()) == 1


def test_a_map_against_another_waits_for_the_other_ones_map(api: Served, ids: list[str]) -> None:
    address = f"/v1/evaluations/{ids[1]}/map?against={ids[0]}"
    assert api.client.get(address).status_code == 202
    with api.database.session() as session:
        rows = session.scalars(select(MapRow)).all()
        assert [(str(row.evaluation_id), row.like_id) for row in rows] == [(ids[0], None)]


def test_names_find_maps(api: Served, ids: list[str]) -> None:
    assert api.client.get("/v1/evaluations/a@latest/map?against=b@latest").json()["against"] == ids[1]


def test_what_has_no_map_says_why(api: Served, ids: list[str]) -> None:
    assert "is waiting" in problem_of(api.client.get(f"/v1/evaluations/{ids[3]}/map"), 409)["detail"]
    other = api.client.get(f"/v1/evaluations/{ids[0]}/map?against={ids[2]}")
    assert "different videos" in problem_of(other, 409)["detail"]
    waiting = api.client.get(f"/v1/evaluations/{ids[0]}/map?against={ids[3]}")
    problem_of(waiting, 409)
    problem_of(api.client.get(f"/v1/evaluations/{uuid4()}/map"), 404)


def test_a_team_has_some_maps_under_way_and_no_more(api: Served) -> None:
    dataset = mapped.videos(12)
    with api.database.session() as session:
        row = mapped.registered(session, api.app.state.storage, dataset)
        ids = [
            str(done(session, ready_checkpoint(session, f"m{number}"), row, {}).id)
            for number in range(MAX_LIVE_MAPS + 1)
        ]
    for one in ids[:-1]:
        assert api.client.get(f"/v1/evaluations/{one}/map").status_code == 202
    problem = problem_of(api.client.get(f"/v1/evaluations/{ids[-1]}/map"), 429)
    assert (problem["limit"], problem["used"], problem["allowed"]) == (
        "maps under way",
        MAX_LIVE_MAPS,
        MAX_LIVE_MAPS,
    )
    assert api.client.get(f"/v1/evaluations/{ids[0]}/map").status_code == 202  # it is there already
    with api.client_of("vision") as vision:
        assert vision.get(f"/v1/evaluations/{ids[-1]}/map").status_code == 202
