"""No word of an address is left unread: a sweep over every route, so that a new one is tested untold."""

from __future__ import annotations

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.routing import Mount

from records.models import Checkpoint
from service.body import Body
from service.parameters import CALLBACK, MOST_PROBLEMS, declared
from service.protocols.schemas import ProtocolIn
from tests.served import Served, open_http
from tests.service.kit import every_route, num_rows, objects, one_shot, problem_of
from tests.web.read import Page

HTML = {"Accept": "text/html"}


def ask(api: Served, method: str, address: str, query: str) -> httpx.Response:
    return api.client.request(method, f"{address}?{query}", content=b"")


def test_every_route_refuses_a_word_that_it_does_not_take(api: Served) -> None:
    for method, address, route in every_route(api.app):
        if address == CALLBACK:  # a provider adds words of its own; they are ignored
            continue
        found = problem_of(ask(api, method, address, "latset=true"), 422)
        assert found["errors"][0]["at"] == "query.latset", (method, address)
        assert found["detail"].startswith("No parameter 'latset'"), (method, address)
        assert all(name in found["detail"] for name in declared(route)), (method, address)


def test_every_route_takes_what_it_declares(api: Served) -> None:
    seen = 0
    for method, address, route in every_route(api.app):
        for name in declared(route):
            assert "No parameter" not in ask(api, method, address, f"{name}=1").text, (method, address, name)
            seen += 1
    assert seen > 50


def test_every_parameter_of_the_apis_description_is_one_that_is_taken(api: Served) -> None:
    described = {
        (method.upper(), path, parameter["name"])
        for path, item in api.app.openapi()["paths"].items()
        for method, operation in item.items()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    taken = {
        (method, context.path_format, name)
        for context in iter_route_contexts(api.app.routes)
        if isinstance(route := context.original_route, APIRoute) and route.include_in_schema
        for method in route.methods
        for name in declared(route)
    }
    assert described == taken


def test_every_body_of_a_request_is_a_body(api: Served) -> None:
    strict = {
        route.body_field.field_info.annotation
        for _, _, route in every_route(api.app)
        if route.body_field is not None and isinstance(route.body_field.field_info.annotation, type)
    }
    models = {one for one in strict if issubclass(one, BaseModel)}
    assert len(models) > 15
    assert {one for one in models if not issubclass(one, Body)} == {
        ProtocolIn
    }  # it has any field of a protocol


def test_only_the_pages_files_are_served_by_no_route(api: Served) -> None:
    others = [
        context.original_route
        for context in iter_route_contexts(api.app.routes)
        if not isinstance(context.original_route, APIRoute)
    ]
    assert [type(other) for other in others] == [Mount]
    assert others[0].path == "/static"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (
            "latset=true",
            "No parameter 'latset'. Did you mean 'latest'? Known: backbone, dataset, engine, latest,",
        ),
        ("Model=m", "No parameter 'Model'. Did you mean 'model'?"),
        ("colour=red", "No parameter 'colour'. Known: backbone,"),
        ("modle=m&latset=1", "'latest'"),
        ("modle=m&latset=1", "'model'"),
        ("limit=1&limit=2", "Parameter 'limit' is given 2 times. Give it once."),
        ("model=", "Parameter 'model' is empty. Give it a value, or leave it out."),
        ("model=%20", "Parameter 'model' is empty."),
        ("metric=&metric=cloze.temporal", "Parameter 'metric' is empty."),
        ("%00=1", "No parameter '\\x00'."),
        ("=1", "No parameter ''."),
    ],
)
def test_a_slip_is_told_with_what_was_meant(api: Served, query: str, says: str) -> None:
    for path in ("/v1/leaderboard", "/v1/leaderboard.csv"):
        assert says in problem_of(api.client.get(f"{path}?dataset=playground-64&{query}"), 422)["detail"]


def test_a_parameter_that_is_a_list_comes_as_often_as_one_likes(api: Served) -> None:
    query = "dataset=playground-64&metric=cloze.spatial&metric=cloze.temporal"
    assert api.client.get(f"/v1/leaderboard?{query}").status_code == 200


def test_an_upload_with_a_slip_in_its_address_is_refused_before_its_bytes_are_kept(api: Served) -> None:
    answer = one_shot(api.client, b"weights", **{"prefx": "teacher.", "pretrained-on": "ucf101:1"})
    detail = problem_of(answer, 422)["detail"]
    assert "Did you mean 'prefix'?" in detail
    assert "Did you mean 'pretrained_on'?" in detail
    assert objects(api.app.state.settings) == {}
    assert num_rows(api, Checkpoint) == 0


def test_a_page_with_a_slip_in_its_address_is_a_readable_page(api: Served) -> None:
    answer = api.client.get("/?latset=true", headers=HTML)
    assert answer.status_code == 422
    assert "No parameter 'latset'. Did you mean 'latest'?" in Page.of(answer).text


def test_what_a_chat_tool_appended_to_a_link_is_nobodys_slip(api: Served) -> None:
    for path in ("/", "/evaluations", "/submit", "/docs", "/v1/checkpoints"):
        assert api.client.get(f"{path}?utm_source=chat&utm_medium=link&fbclid=x").status_code == 200, path
    assert (
        "No parameter 'utm_source'"
        in problem_of(one_shot(api.client, b"x", utm_source="chat"), 422)["detail"]
    )


def test_an_empty_field_of_a_pages_form_is_one_that_was_left_out(api: Served) -> None:
    query = "dataset=playground-64&model=&team=&backbone=&run=&fact=&sort="
    assert api.client.get(f"/?{query}", headers=HTML).status_code == 200


def test_thousands_of_slips_make_a_short_answer(api: Served) -> None:
    answer = api.client.get("/v1/evaluations?" + "&".join(f"x{number}=1" for number in range(5000)))
    found = problem_of(answer, 422)
    assert len(found["errors"]) == MOST_PROBLEMS
    assert len(answer.content) < 10_000
    assert len(api.client.get(f"/v1/evaluations?{'x' * 30_000}=1").content) < 2_000


def test_which_words_a_route_takes_is_told_without_a_token(api: Served) -> None:
    with open_http(api.url) as anyone:
        problem_of(anyone.get("/v1/evaluations?latset=1"), 422)
        problem_of(anyone.get("/v1/evaluations?limit=0"), 401)
