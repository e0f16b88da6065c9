"""Names that people give: a renamed model is found by every name, and an alias leads where it points."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from sqlalchemy import delete, select

from records.models import AliasMove, Checkpoint, CheckpointState, Model, ModelTag
from records.settings import Settings
from service.aliases.service import MAX_ALIASES
from service.models.schemas import MAX_TAGS
from service.models.service import MAX_FORMER_NAMES
from tests.served import Served, open_http, serve
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import declare, noise, num_rows, problem_of

HTML = {"Accept": "text/html"}
TOP1 = {"recognition.top1": 40}


def rename(client: httpx.Client, model: str, name: str, status: int = 200) -> dict[str, Any]:
    answer = client.post("/v1/models/rename", json={"model": model, "name": name})
    return dict(problem_of(answer, status)) if status >= 400 else dict(answer.raise_for_status().json())


def tag(client: httpx.Client, model: str, **change: list[str]) -> httpx.Response:
    return client.post("/v1/models/tags", json={"model": model, **change})


def point(client: httpx.Client, name: str, checkpoint: object) -> httpx.Response:
    return client.put(f"/v1/aliases/{name}", json={"checkpoint": str(checkpoint)})


def measured(api: Served, model: str, *, team: str = "default", **facts: Any) -> tuple[UUID, UUID]:
    """A ready checkpoint and its evaluation."""
    with api.database.session() as session:
        checkpoint = ready_checkpoint(session, model, team=team, **facts)
        known = session.scalars(select(Checkpoint.id)).all()
        dataset = ready_dataset(session, f"videos-{len(known)}")
        return checkpoint.id, done(session, checkpoint, dataset, TOP1).id


def test_a_renamed_model_is_found_by_its_old_name_everywhere(api: Served) -> None:
    checkpoint, evaluation = measured(api, "old/name", step=7)
    found = rename(api.client, "old/name", "new")
    assert found == {
        "name": "new",
        "team": "default",
        "former_names": ["old/name"],
        "tags": [],
        "private": False,
    }
    for name in ("new", "old/name"):
        word = quote(f"{name}@latest")
        assert api.client.get(f"/v1/checkpoints/{word}").json()["id"] == str(checkpoint)
        assert api.client.get(f"/v1/evaluations/default/{word}").json()["id"] == str(evaluation)
        for path in ("/v1/checkpoints", "/v1/evaluations"):
            assert api.client.get(path, params={"model": name}).json()["total"] == 1, (path, name)
        (model,) = api.client.get("/v1/models", params={"name": name}).json()["items"]
        assert (model["name"], model["former_names"]) == ("new", ["old/name"])
        board = {"dataset": "videos-1", "protocol": "quick-v1", "model": name}
        (row,) = api.client.get("/v1/leaderboard", params=board).json()["rows"]
        assert row["model"] == "new"
    asked = {"checkpoint": "old/name", "dataset": "videos-1", "protocol": "quick-v1"}
    assert api.client.post("/v1/evaluations", json=asked).json()["id"] == str(evaluation)


def test_the_page_at_an_old_name_leads_to_the_new_one_with_its_query(api: Served) -> None:
    measured(api, "old")
    rename(api.client, "old", "a b/c")
    answer = api.client.get("/models/default/old?course=1", headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/models/default/a%20b/c?course=1")
    assert api.client.get(answer.headers["Location"], headers=HTML).status_code == 200


def test_an_upload_under_an_old_name_goes_to_the_renamed_model(api: Served) -> None:
    first = declare(api.client, noise(10), model="old")
    rename(api.client, "old", "new")
    again = declare(api.client, noise(10), model="old")
    assert (again["id"], again["model"]) == (first["id"], "new")
    assert declare(api.client, noise(11), model="old")["model"] == "new"
    assert num_rows(api, Model) == 1  # type: ignore[arg-type]


def test_renaming_back_undoes_it_and_no_name_is_given_twice(api: Served) -> None:
    for name in ("one", "two"):
        measured(api, name)
    rename(api.client, "one", "three")
    assert "another model 'two'" in rename(api.client, "three", "two", 409)["detail"]
    told = rename(api.client, "two", "one", 409)["detail"]
    assert told.startswith("'one' is a former name of model 'three' of team 'default'")
    assert rename(api.client, "one", "three")["former_names"] == ["one"]  # as it is called already
    assert rename(api.client, "three", "one")["former_names"] == ["three"]
    assert rename(api.client, "one", "three")["former_names"] == ["one"]


def test_a_model_keeps_a_bounded_number_of_names(api: Served) -> None:
    measured(api, "0")
    for number in range(1, MAX_FORMER_NAMES + 1):
        rename(api.client, "0", str(number))
    assert "Take one of them again" in rename(api.client, "0", "new", 409)["detail"]
    assert rename(api.client, "0", "3")["name"] == "3"


@pytest.mark.parametrize(
    "name", ["a//b", "..", "m@latest", "", "a" * 101], ids=["//", "..", "@", "empty", "long"]
)
def test_a_model_gets_no_name_that_an_upload_could_not_give(api: Served, name: str) -> None:
    measured(api, "one")
    rename(api.client, "one", name, 422)


def test_only_its_team_and_administrators_rename_tag_and_alias(api: Served) -> None:
    checkpoint, _ = measured(api, "theirs", team="vision")
    with api.client_of("others") as others, api.client_of("vision") as vision:
        assert "no model 'vision/theirs'" in rename(others, "vision/theirs", "ours", 404)["detail"]
        problem_of(tag(others, "vision/theirs", add=["x"]), 404)
        problem_of(point(others, "champion", checkpoint), 404)
        assert point(vision, "champion", checkpoint).json()["by"] == "vision"
        problem_of(others.delete("/v1/aliases/champion", params={"team": "vision"}), 403)
        problem_of(others.delete("/v1/aliases/champion"), 404)
        (seen,) = others.get("/v1/aliases").json()["items"]
        assert (seen["team"], seen["checkpoint"], seen["by"]) == ("vision", str(checkpoint), None)
        (move,) = others.get("/v1/aliases/champion/history", params={"team": "vision"}).json()["moves"]
        assert move["by"] is None
    assert rename(api.client, "vision/theirs", "admins")["team"] == "vision"
    assert tag(api.client, "vision/admins", add=["x"]).json()["tags"] == ["x"]
    assert point(api.client, "second", checkpoint).json()["team"] == "vision"  # the checkpoint's team
    assert api.client.delete("/v1/aliases/second", params={"team": "vision"}).status_code == 204


def test_an_alias_names_its_checkpoint_and_the_newest_evaluation_of_it(api: Served) -> None:
    checkpoint, evaluation = measured(api, "r3d", step=5)
    other, _ = measured(api, "r3d", step=6)
    answer = point(api.client, "champion", checkpoint).json()
    assert (answer["model"], answer["step"], answer["team"], answer["by"]) == ("r3d", 5, "default", "test")
    for word in ("@champion", "default/@champion"):
        assert api.client.get(f"/v1/checkpoints/{word}").json()["id"] == str(checkpoint), word
        assert api.client.get(f"/v1/evaluations/{word}").json()["id"] == str(evaluation), word
        listed = api.client.get("/v1/evaluations", params={"checkpoint": word}).json()
        assert [one["id"] for one in listed["items"]] == [str(evaluation)]
        page = api.client.get(f"/evaluations/{word}", headers=HTML)
        assert page.headers["Location"] == f"/evaluations/{evaluation}"
    asked = {"checkpoint": "@champion", "dataset": "videos-1", "protocol": "quick-v1"}
    assert api.client.post("/v1/evaluations", json=asked).json()["id"] == str(evaluation)
    assert point(api.client, "second", "@champion").json()["checkpoint"] == str(checkpoint)
    assert point(api.client, "champion", "r3d@latest").json()["checkpoint"] == str(other)
    assert api.client.get("/v1/checkpoints/@second").json()["id"] == str(checkpoint)


def test_where_an_alias_pointed_is_kept_and_a_removed_one_leads_nowhere(api: Served) -> None:
    one, _ = measured(api, "one")
    two, _ = measured(api, "two")
    for checkpoint in (one, one, two):  # a second request for the same changes nothing
        point(api.client, "champion", checkpoint)
    assert api.client.delete("/v1/aliases/champion").status_code == 204
    moves = api.client.get("/v1/aliases/champion/history").json()["moves"]
    assert [move["checkpoint"] for move in moves] == [None, str(two), str(one)]
    assert {move["by"] for move in moves} == {"test"}
    detail = problem_of(api.client.get("/v1/checkpoints/@champion"), 404)["detail"]
    assert detail == "Team 'default' has no alias @champion. List them: GET /v1/aliases."
    assert api.client.get("/v1/aliases").json() == {"items": [], "total": 0}
    problem_of(api.client.get("/v1/aliases/nothing/history"), 404)
    assert point(api.client, "champion", one).json()["checkpoint"] == str(one)


def test_an_alias_of_a_deleted_checkpoint_does_not_go_back_to_an_older_one(api: Served) -> None:
    with api.database.session() as session:
        old, new = (ready_checkpoint(session, name).id for name in ("old", "new"))
    for checkpoint in (old, new):
        point(api.client, "champion", checkpoint)
    with api.database.session() as session:
        session.execute(delete(Checkpoint).where(Checkpoint.id == new))
    problem_of(api.client.get("/v1/checkpoints/@champion"), 404)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("latest", "newest checkpoint"),
        ("Champion", "lower-case"),
        ("a b", "lower-case"),
        ("-x", "lower-case"),
    ],
    ids=["latest", "upper case", "blank", "dash"],
)
def test_an_alias_is_a_lower_case_word_and_never_latest(api: Served, name: str, says: str) -> None:
    checkpoint, _ = measured(api, "one")
    assert says in problem_of(point(api.client, name, checkpoint), 422)["detail"]


def test_an_alias_points_at_what_is_ready_and_there_are_not_endless_many(api: Served) -> None:
    ready, _ = measured(api, "one")
    with api.database.session() as session:
        other = ready_checkpoint(session, "two", state=CheckpointState.INGESTING).id
        for number in range(MAX_ALIASES):
            session.add(AliasMove(team="default", name=f"a{number}", checkpoint_id=ready, by="test"))
    assert "is ingesting" in problem_of(point(api.client, "a0", other), 409)["detail"]
    assert f"{MAX_ALIASES} are allowed" in problem_of(point(api.client, "more", ready), 409)["detail"]
    first = api.client.get("/v1/aliases", params={"limit": 2, "offset": 1}).json()
    assert ([one["name"] for one in first["items"]], first["total"]) == (["a1", "a10"], MAX_ALIASES)


def test_an_alias_that_no_team_has_is_named_with_the_team_that_was_asked(api: Served) -> None:
    assert "no alias @nothing" in problem_of(api.client.get("/v1/evaluations/@nothing"), 404)["detail"]
    detail = problem_of(api.client.get("/v1/checkpoints/nobody/@champion"), 404)["detail"]
    assert "Team 'nobody' has no alias @champion" in detail


def test_without_a_team_an_alias_needs_its_teams_name(settings: Settings) -> None:
    with serve(settings.model_copy(update={"public_read": True})) as public, open_http(public.url) as anyone:
        checkpoint, _ = measured(public, "one")
        point(public.client, "champion", checkpoint)
        detail = problem_of(anyone.get("/v1/checkpoints/@champion"), 404)["detail"]
        assert detail == "An alias belongs to a team. Name the team: TEAM/@champion."
        found = anyone.get("/v1/checkpoints/default/@champion")
        assert (found.status_code, found.json()["id"]) == (200, str(checkpoint))


def test_tags_are_added_removed_counted_and_filter_the_models(api: Served) -> None:
    for name in ("one", "two"):
        measured(api, name)
    assert tag(api.client, "one", add=["b", "a", "a"]).json()["tags"] == ["a", "b"]
    tag(api.client, "two", add=["b"])
    listed = api.client.get("/v1/models", params={"tag": "a"}).json()
    assert [(one["name"], one["tags"]) for one in listed["items"]] == [("one", ["a", "b"])]
    assert api.client.get("/v1/models", params={"tag": "b"}).json()["total"] == 2
    assert tag(api.client, "one", add=["c"], remove=["a", "never"]).json()["tags"] == ["b", "c"]
    assert api.client.get("/v1/models", params={"tag": "a"}).json()["total"] == 0
    with api.database.session() as session:  # who took it away, and when
        (removed,) = session.scalars(select(ModelTag).where(ModelTag.removed_at.is_not(None)))
        assert (removed.tag, removed.by, removed.removed_by) == ("a", "test", "test")
    assert tag(api.client, "one", add=["a"]).json()["tags"] == ["a", "b", "c"]


def test_tags_are_lower_case_words_and_few(api: Served) -> None:
    measured(api, "one")
    for word in ("A", "a b", "", "é", "<b>"):
        problem_of(tag(api.client, "one", add=[word]), 422)
    problem_of(api.client.get("/v1/models", params={"tag": "A"}), 422)
    assert "Leave one" in problem_of(tag(api.client, "one", add=["x"], remove=["x"]), 409)["detail"]
    tag(api.client, "one", add=[f"t{number}" for number in range(MAX_TAGS)])
    assert f"{MAX_TAGS} are allowed" in problem_of(tag(api.client, "one", add=["more"]), 409)["detail"]
    assert len(api.client.get("/v1/models").json()["items"][0]["tags"]) == MAX_TAGS
