"""A checkpoint or an evaluation by its id, the first characters of its id, or MODEL@latest; and for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event, text

from records.models import Checkpoint, CheckpointState, Evaluation, EvaluationState
from records.settings import Settings
from tests.served import Served, open_http, serve
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import declare, noise, problem_of, show
from tests.web import played

HTML = {"Accept": "text/html"}
IDS = [UUID(f"abcd{number}000-0000-4000-8000-000000000000") for number in range(8)]
OTHER = UUID("1234abcd-0000-4000-8000-000000000000")


@dataclass(frozen=True)
class Filled:
    """Two checkpoints of a model with an evaluation each; another team's; and one that is nobody else's."""

    api: Served
    old: Checkpoint
    new: Checkpoint
    of_old: Evaluation
    of_new: Evaluation
    theirs: Checkpoint
    secret: Checkpoint

    def get(self, path: str, client: httpx.Client | None = None) -> dict[str, Any]:
        answer = (client or self.api.client).get(f"/v1/{path}")
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json())


@pytest.fixture
def filled(api: Served) -> Filled:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        old = ready_checkpoint(session, "r3d", step=1, id=IDS[0])
        new = ready_checkpoint(session, "r3d", step=2, id=OTHER)
        theirs = ready_checkpoint(session, "c3d/rotation", team="vision", id=IDS[1])
        secret = ready_checkpoint(session, "secret", team="vision", id=IDS[2], state=CheckpointState.REJECTED)
        answers = [[played.recognition(seed, 0.5)] for seed in (1, 2)]
        of_old = done(session, old, dataset, {}, predictions=answers[0], id=IDS[3])
        of_new = done(session, new, dataset, {}, predictions=answers[1], id=IDS[4])
        return Filled(api, old, new, of_old, of_new, theirs, secret)


@pytest.fixture
def stranger(api: Served) -> Iterator[httpx.Client]:
    """A client of a team that owns nothing of it."""
    with api.client_of("others") as client:
        yield client


@pytest.fixture
def owner(api: Served) -> Iterator[httpx.Client]:
    """A client of team vision."""
    with api.client_of("vision") as client:
        yield client


def test_the_first_characters_of_an_id_are_enough(filled: Filled) -> None:
    whole = str(OTHER)
    for named in (
        whole,
        whole.upper(),
        whole.replace("-", ""),
        "1234",
        "1234A",
        "1234abcd",
        "1234abcd-",
        whole[:20],
    ):
        assert filled.get(f"checkpoints/{named}")["id"] == whole, named
    assert filled.get("evaluations/abcd4")["id"] == str(filled.of_new.id)
    assert filled.get("evaluations?checkpoint=1234")["total"] == 1
    assert filled.get("comparisons?first=abcd3&second=abcd40")["second"]["id"] == str(filled.of_new.id)


def test_the_newest_of_a_model_has_a_name_wherever_one_is_asked_for(filled: Filled) -> None:
    assert filled.get("checkpoints/r3d@latest")["id"] == str(filled.new.id)
    assert filled.get("evaluations/r3d@latest")["id"] == str(filled.of_new.id)
    assert filled.get("evaluations/default%2Fr3d@latest")["id"] == str(filled.of_new.id)
    assert filled.get("evaluations?checkpoint=r3d@latest")["items"][0]["id"] == str(filled.of_new.id)
    found = filled.get("comparisons?first=abcd3&second=r3d@latest")
    assert (found["first"]["id"], found["second"]["id"]) == (str(filled.of_old.id), str(filled.of_new.id))
    with filled.api.database.session() as session:
        again = ready_checkpoint(session, "r3d", step=3)
    assert filled.get("checkpoints/r3d@latest")["id"] == str(again.id)
    path = "/v1/evaluations/r3d@latest"
    detail = problem_of(filled.api.client.get(path), 404)["detail"]
    assert str(again.id) in detail
    assert "has no evaluation" in detail  # and not: that of an older checkpoint
    asked = {"checkpoint": str(again.id)[:8], "dataset": "gestures", "protocol": "quick-v1"}
    new = filled.api.client.post("/v1/evaluations", json=asked).json()
    assert new["checkpoint"]["id"] == str(again.id)
    assert filled.api.client.get(path).json()["id"] == new["id"]
    assert filled.api.client.post(f"{path}/cancel").json()["state"] == "cancelled"


def test_a_models_name_with_slashes_is_one(filled: Filled, owner: httpx.Client) -> None:
    for name in ("c3d/rotation@latest", "vision/c3d/rotation@latest", "c3d%2Frotation@latest"):
        assert filled.get(f"checkpoints/{name}", owner)["id"] == str(filled.theirs.id), name
    assert filled.get("checkpoints/vision/c3d/rotation@latest")["id"] == str(filled.theirs.id)


def test_thousands_of_slashes_are_not_thousands_of_questions(api: Served) -> None:
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    event.listen(api.database.engine, "before_cursor_execute", count)
    problem_of(api.client.get(f"/v1/checkpoints/{'a/' * 20_000}b@latest"), 404)
    event.remove(api.database.engine, "before_cursor_execute", count)
    assert 0 < asked < 10


def test_all_results_are_found_by_any_name(api: Served) -> None:
    with api.database.session() as session:
        row = played.finished(session, ready_dataset(session), "c3d/rotation", skill=0.5)
    whole = api.client.get(f"/v1/evaluations/{row.id}/results").text
    for name in (str(row.id)[:8], "c3d/rotation@latest", "default/c3d/rotation@latest"):
        assert api.client.get(f"/v1/evaluations/{name}/results").text == whole, name


def test_characters_that_several_ids_begin_with_are_answered_with_those(filled: Filled) -> None:
    found = problem_of(filled.api.client.get("/v1/checkpoints/abcd"), 409)
    assert found["candidates"] == [str(IDS[0]), str(IDS[1]), str(IDS[2])]
    assert f"{IDS[0]} (default/r3d at step 1)" in found["detail"]
    found = problem_of(filled.api.client.get("/v1/evaluations/ABCD"), 409)
    assert found["candidates"] == [str(IDS[3]), str(IDS[4])]
    assert f"{IDS[3]} (default/r3d on gestures under quick-v1)" in found["detail"]
    problem_of(filled.api.client.get("/v1/comparisons?first=abcd&second=abcd3"), 409)
    asked = {"checkpoint": "abcd", "dataset": "gestures"}
    problem_of(filled.api.client.post("/v1/evaluations", json=asked), 409)


def test_of_many_candidates_some_are_told_and_that_there_are_more(filled: Filled) -> None:
    with filled.api.database.session() as session:
        for number in range(4, 8):
            ready_checkpoint(session, "r3d", step=number, id=IDS[number])
    found = problem_of(filled.api.client.get("/v1/checkpoints/abcd"), 409)
    assert len(found["candidates"]) == 5
    assert "and more" in found["detail"]


def test_what_a_team_may_not_see_is_no_candidate(
    filled: Filled, stranger: httpx.Client, owner: httpx.Client
) -> None:
    candidates = [str(IDS[0]), str(IDS[1])]
    assert problem_of(stranger.get("/v1/checkpoints/abcd"), 409)["candidates"] == candidates
    problem_of(stranger.get("/v1/checkpoints/abcd2"), 404)
    problem_of(stranger.get("/v1/checkpoints/vision/secret@latest"), 404)
    assert owner.get("/v1/checkpoints/abcd2").json()["id"] == str(filled.secret.id)
    # An id that nothing but a hidden checkpoint begins so is as unknown as any other.
    same = {"X-Request-ID": "one-request"}
    hidden, unknown = (
        stranger.get(f"/v1/checkpoints/{text}", headers=same).text for text in ("abcd2", "abcd5")
    )
    assert hidden == unknown.replace("abcd5", "abcd2")


def test_a_team_evaluates_downloads_and_sends_its_own_only(
    filled: Filled, stranger: httpx.Client, owner: httpx.Client
) -> None:
    for named in ("abcd1", "vision/c3d/rotation@latest", str(IDS[1])):
        asked = {"checkpoint": named, "dataset": "gestures"}
        assert (
            "Team 'others' has no" in problem_of(stranger.post("/v1/evaluations", json=asked), 404)["detail"]
        )
        problem_of(stranger.get(f"/v1/checkpoints/{named}/content"), 404)
    # Of what is its own, "abcd" is two; the administrator's is three.
    assert problem_of(owner.get("/v1/checkpoints/abcd/content"), 409)["candidates"] == [
        str(IDS[1]),
        str(IDS[2]),
    ]
    assert (
        filled.api.client.post(
            "/v1/evaluations", json={"checkpoint": "abcd1", "dataset": "gestures"}
        ).status_code
        == 201
    )


def test_another_teams_evaluation_is_read_by_any_name_and_not_cancelled(
    filled: Filled, stranger: httpx.Client
) -> None:
    assert filled.get("evaluations/abcd4", stranger)["id"] == str(filled.of_new.id)
    assert filled.get("evaluations/default/r3d@latest", stranger)["id"] == str(filled.of_new.id)
    problem_of(stranger.post("/v1/evaluations/abcd4/cancel"), 403)


def test_a_model_of_another_team_is_named_with_its_team(filled: Filled, stranger: httpx.Client) -> None:
    detail = problem_of(stranger.get("/v1/evaluations/r3d@latest"), 404)["detail"]
    assert "Team 'others' has no checkpoint of a model 'r3d'. Did you mean default/r3d@latest?" in detail
    detail = problem_of(stranger.get("/v1/checkpoints/secret@latest"), 404)["detail"]
    assert "Did you mean" not in detail


def test_where_reading_is_public_a_model_is_named_with_its_team(filled: Filled, settings: Settings) -> None:
    with (
        serve(settings.model_copy(update={"public_read": True})) as public,
        open_http(public.url) as anyone,
    ):
        assert filled.get("checkpoints/default/r3d@latest", anyone)["id"] == str(filled.new.id)
        detail = problem_of(anyone.get("/v1/checkpoints/r3d@latest"), 404)["detail"]
        assert "Did you mean default/r3d@latest?" in detail
        assert problem_of(anyone.get("/v1/checkpoints/abcd"), 409)["candidates"] == [str(IDS[0]), str(IDS[1])]


@pytest.mark.parametrize(
    ("named", "status", "says"),
    [
        (
            "abc",
            422,
            "'abc' names no checkpoint. Write its id, or the first characters of its id (4 or more)",
        ),
        ("c3d", 422, "Or write MODEL@latest, or @ALIAS. Did you mean 'c3d@latest'?"),
        ("abcd-0000", 422, "names no checkpoint"),
        ("not-an-id", 422, "names no checkpoint"),
        ("r3d@newest", 422, "Or write MODEL@latest, or @ALIAS."),
        (f"{OTHER}0", 422, "names no checkpoint"),
        ("{1234}", 422, "names no checkpoint"),
        ("abcd9", 404, "No checkpoint has an id that begins with 'abcd9'. List them: GET /v1/checkpoints."),
        (str(IDS[7]), 404, f"No checkpoint {IDS[7]}."),
        (
            "r3dd@latest",
            404,
            "Team 'default' has no checkpoint of a model 'r3dd'. List them: GET /v1/models.",
        ),
    ],
)
def test_a_name_of_nothing_is_told_with_what_can_be_one(
    filled: Filled, named: str, status: int, says: str
) -> None:
    assert says in problem_of(filled.api.client.get(f"/v1/checkpoints/{quote(named)}"), status)["detail"]
    if status == 422:
        kind = says.replace("checkpoint", "evaluation")
        for path in (f"evaluations/{quote(named)}", f"comparisons?first={quote(named)}&second=abcd3"):
            assert kind in problem_of(filled.api.client.get(f"/v1/{path}"), 422)["detail"]


def test_bytes_are_sent_to_an_id_and_never_to_the_newest(api: Served) -> None:
    content = noise(100)
    declared = declare(api.client, content)
    one_more = declare(api.client, noise(100, seed=1))
    problem_of(api.client.put("/v1/checkpoints/tiny@latest/content", content=content), 422)
    short = next(
        declared["id"][:size] for size in range(4, 37) if not one_more["id"].startswith(declared["id"][:size])
    )
    answer = api.client.put(f"/v1/checkpoints/{short}/content", content=content)
    assert (answer.status_code, answer.json()["id"]) == (200, declared["id"])
    assert show(api.client, one_more["id"])["state"] == "declared"


def test_a_page_by_another_name_leads_to_the_address_that_lasts(filled: Filled) -> None:
    with filled.api.database.session() as session:
        running = played.ended(session, ready_dataset(session, "other"), EvaluationState.RUNNING)
    whole = str(running.id)
    for named in (whole[:13], whole.upper(), "model-running@latest", "default/model-running@latest"):
        answer = filled.api.client.get(f"/evaluations/{named}", headers=HTML)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/evaluations/{whole}"), named
        assert filled.api.client.get(answer.headers["Location"], headers=HTML).status_code == 200
        assert filled.api.client.get(f"/evaluations/{named}/progress").status_code == 200
    answer = filled.api.client.get("/evaluations/abcd", headers=HTML)
    assert answer.status_code == 409
    assert str(IDS[3]) in answer.text


def test_two_evaluations_are_compared_on_a_page_by_any_name(filled: Filled) -> None:
    found = filled.api.client.get("/compare?evaluation=abcd3&evaluation=r3d@latest", headers=HTML)
    assert (found.status_code, found.headers["Location"]) == (303, "/compare?first=abcd3&second=r3d%40latest")
    page = filled.api.client.get(found.headers["Location"], headers=HTML)
    assert page.status_code == 200
    assert f"/evaluations/{filled.of_new.id}" in page.text


def test_ids_that_begin_so_are_found_by_the_primary_key(filled: Filled) -> None:
    with filled.api.database.session() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        for table in ("checkpoint", "evaluation"):
            query = f"EXPLAIN SELECT id FROM {table} WHERE id BETWEEN '{IDS[0]}' AND '{IDS[7]}'"
            plan = " ".join(session.scalars(text(query)))
            assert f"Index Cond: ((id >= '{IDS[0]}'" in plan
            assert f"pk_{table}" in plan
