"""Notes on evaluations, and saved views: whose they are, and what they may hold."""

from __future__ import annotations

from uuid import UUID, uuid4

import httpx
import pytest

from records.models import Note
from records.settings import Settings
from service.notes.schemas import LONGEST_NOTE
from service.notes.service import MAX_NOTES
from service.views.service import MAX_VIEWS
from tests.served import Served, open_http, serve
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import problem_of


@pytest.fixture
def evaluation(api: Served) -> UUID:
    """An evaluation of team vision."""
    with api.database.session() as session:
        checkpoint = ready_checkpoint(session, "r3d", team="vision")
        return done(session, checkpoint, ready_dataset(session), {"recognition.top1": 10}).id


def write(client: httpx.Client, evaluation: object, text: str) -> httpx.Response:
    return client.post("/v1/notes", params={"evaluation": str(evaluation)}, json={"text": text})


def listed(client: httpx.Client, evaluation: object) -> list[dict[str, object]]:
    answer = client.get("/v1/notes", params={"evaluation": str(evaluation)})
    return list(answer.raise_for_status().json()["items"])


def test_a_note_is_written_changed_and_deleted_by_its_team_and_read_by_all(
    api: Served, evaluation: UUID
) -> None:
    with api.client_of("vision") as vision, api.client_of("others") as others:
        first = write(vision, "vision/r3d@latest", "line 1\r\nline 2 ").json()
        assert (first["text"], first["by"], first["team"]) == ("line 1\nline 2", "vision", "vision")
        assert first["edited_at"] is None
        path = f"/v1/notes/{first['id']}"
        for refused in (
            write(others, evaluation, "mine"),
            others.put(path, json={"text": "mine"}),
            others.delete(path),
        ):
            problem_of(refused, 403)
        (seen,) = listed(others, evaluation)
        assert (seen["text"], seen["by"], seen["team"]) == ("line 1\nline 2", None, "vision")
        changed = vision.put(path, json={"text": "other"}).json()
        assert (changed["text"], changed["edited_by"]) == ("other", "vision")
        assert changed["edited_at"] > changed["created_at"]
        assert vision.put(path, json={"text": "other"}).json() == changed  # nothing to change
        assert write(api.client, evaluation, "of an administrator").status_code == 201
        assert [one["text"] for one in listed(vision, evaluation)] == ["other", "of an administrator"]
        assert vision.delete(path).json() == changed  # what undoes it
        problem_of(vision.delete(path), 404)
        assert [one["text"] for one in listed(vision, evaluation)] == ["of an administrator"]


@pytest.mark.parametrize(
    "text", ["", " \n ", "a\x00b", "x" * (LONGEST_NOTE + 1)], ids=["empty", "blank", "NUL", "long"]
)
def test_a_note_is_text_and_not_endless(api: Served, evaluation: UUID, text: str) -> None:
    problem_of(write(api.client, evaluation, text), 422)
    assert listed(api.client, evaluation) == []


def test_an_evaluation_has_a_bounded_number_of_notes(api: Served, evaluation: UUID) -> None:
    with api.database.session() as session:
        for number in range(MAX_NOTES):
            session.add(Note(evaluation_id=evaluation, team="vision", by="test", text=str(number)))
    assert f"{MAX_NOTES} are allowed" in problem_of(write(api.client, evaluation, "more"), 409)["detail"]


def test_only_administrators_write_on_a_control_which_all_teams_share(api: Served) -> None:
    with api.database.session() as session:
        checkpoint = ready_checkpoint(session, team="vision")
        control = done(session, checkpoint, ready_dataset(session), {}, is_control=True).id
    with api.client_of("vision") as vision:
        assert "is a control" in problem_of(write(vision, control, "x"), 403)["detail"]
    assert write(api.client, control, "x").status_code == 201


def test_where_reading_is_public_notes_are_and_their_writers_names_are_not(settings: Settings) -> None:
    with serve(settings.model_copy(update={"public_read": True})) as public, open_http(public.url) as anyone:
        with public.database.session() as session:
            found = done(session, ready_checkpoint(session), ready_dataset(session), {}).id
        write(public.client, found, "hello")
        (seen,) = listed(anyone, found)
        assert (seen["text"], seen["by"]) == ("hello", None)


def save(client: httpx.Client, name: str, address: str) -> httpx.Response:
    return client.post("/v1/views", json={"name": name, "address": address})


def test_a_view_belongs_to_its_team_and_its_name_to_one_address_of_a_page(api: Served) -> None:
    address = "/?dataset=playground-136&team=vision"
    with api.client_of("vision") as vision, api.client_of("others") as others:
        first = save(vision, "ours", address).json()
        assert (first["address"], first["by"]) == (address, "vision")
        assert save(vision, "ours", address).json() == first
        assert address in problem_of(save(vision, "ours", "/?team=others"), 409)["detail"]
        assert save(vision, "ours", "/models?tag=a").status_code == 201  # another page
        assert save(others, "ours", "/").status_code == 201  # another team
        assert [one["address"] for one in vision.get("/v1/views").json()["items"]] == [
            address, "/models?tag=a",
        ]  # fmt: skip
        problem_of(others.delete(f"/v1/views/{first['id']}"), 404)
        problem_of(vision.delete(f"/v1/views/{uuid4()}"), 404)
        assert vision.delete(f"/v1/views/{first['id']}").json() == first
        assert [one["address"] for one in vision.get("/v1/views").json()["items"]] == ["/models?tag=a"]


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example/",
        "/submit",
        "/models/a/b",
        "/?a b",
        "/?\n",
        "/\\x",
        "",
        "/?" + "x" * 2000,
    ],
    ids=["two slashes", "another site", "page", "model", "blank", "line break", "backslash", "empty", "long"],
)
def test_a_view_names_a_list_of_this_site(api: Served, address: str) -> None:
    problem_of(save(api.client, "x", address), 422)


def test_a_team_has_a_bounded_number_of_views(api: Served) -> None:
    for number in range(MAX_VIEWS):
        assert save(api.client, str(number), f"/?offset={number}").status_code == 201
    assert f"{MAX_VIEWS} are allowed" in problem_of(save(api.client, "more", "/"), 409)["detail"]
