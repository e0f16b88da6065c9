"""Lists come in pages, all by the same parameters and in the same shape."""

from __future__ import annotations

from typing import Any

import pytest
from vcpbench_client import Client

from records.models import ProtocolRow
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.service.kit import problem_of
from tests.service.test_openapi import document
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.protocols import PROTOCOLS

BUILT_IN = {spec.name for spec in DATASETS.values() if spec.built_in}
WHOLE = {"/v1/status"}  # one number for each queue, and the workers of the last 30 s


def answers() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By address, the parameters of a route that reads, and the schema of its answer."""
    openapi = document()
    found = {}
    for path, item in openapi["paths"].items():
        content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if name := schema.get("$ref", "").rpartition("/")[2]:
            schema = openapi["components"]["schemas"][name]
        parameters = {one["name"]: one["schema"] for one in item.get("get", {}).get("parameters", [])}
        found[path] = parameters, schema
    return found


def test_no_route_answers_with_a_bare_list() -> None:
    assert [path for path, (_, schema) in answers().items() if schema.get("type") == "array"] == []


def test_every_list_has_a_limit_an_offset_and_a_total() -> None:
    lists = set()
    for path, (parameters, schema) in answers().items():
        fields = schema.get("properties", {})
        if "{" in path or path in WHOLE or not {"items", "rows"} & set(fields):
            continue
        lists.add(path.removeprefix("/v1/"))
        assert fields["total"] == {"type": "integer", "title": "Total"}, path
        assert parameters["limit"] | {"default": 0} == {
            "type": "integer", "minimum": 1, "maximum": 500, "title": "Limit", "default": 0,
            "description": "Rows of a page.",
        }, path  # fmt: skip
        assert parameters["offset"]["minimum"] == parameters["offset"]["default"] == 0, path
    assert lists == {
        "admin/queue", "admin/sign-ins", "aliases", "audit", "checkpoints", "datasets", "evaluations",
        "events", "leaderboard", "logs", "models", "notes", "protocols", "retired-datasets", "shares",
        "tokens", "views", "webhooks",
    }  # fmt: skip


def walk(api: Served, path: str, limit: int) -> list[str]:
    """The names of all pages."""
    found: list[str] = []
    while True:
        page = api.client.get(path, params={"limit": limit, "offset": len(found)}).json()
        assert len(page["items"]) <= limit
        if not page["items"]:
            assert page["total"] == len(found)
            return found
        found += [one["name"] for one in page["items"]]


@pytest.mark.parametrize("limit", [1, 3, 500])
def test_pages_of_protocols_hold_each_once_the_catalogs_first(api: Served, limit: int) -> None:
    own = [f"mine-{number}" for number in range(5)]
    for name in reversed(own):
        body = {"name": name, "base": "quick-v1", "seed": int(name[-1]) + 10}
        assert api.client.post("/v1/protocols", json=body).status_code == 201
    api.client.get("/v1/protocols/quick-v1")  # stores it, and it is listed once all the same
    assert walk(api, "/v1/protocols", limit) == [*PROTOCOLS, *own]


@pytest.mark.parametrize("limit", [1, 500])
def test_pages_of_datasets_hold_each_once_by_name(api: Served, limit: int) -> None:
    with api.database.session() as session:
        for name in ("gestures", "zebras", "antics", "playground-64"):
            ready_dataset(session, name)
    assert walk(api, "/v1/datasets", limit) == sorted({"gestures", "zebras", "antics"} | BUILT_IN)


@pytest.mark.parametrize("path", ["/v1/protocols", "/v1/datasets"])
def test_a_page_that_is_too_long_is_refused(api: Served, path: str) -> None:
    assert "500" in problem_of(api.client.get(path, params={"limit": 501}), 422)["detail"]
    problem_of(api.client.get(path, params={"offset": -1}), 422)


def test_the_client_and_the_page_follow_pages_of_protocols(api: Served) -> None:
    with api.database.session() as session:
        content = PROTOCOLS["quick-v1"].model_dump(mode="json")
        for number in range(600):
            name = f"p{number:03}"
            session.add(ProtocolRow(hash=f"{number:064}", name=name, content={**content, "name": name}))
    secret = api.client.headers["Authorization"].removeprefix("Bearer ")
    with Client(api.url, secret) as client:
        assert len({one.name for one in client.protocols()}) == 600 + len(PROTOCOLS)
        assert {one.name for one in client.datasets()} == BUILT_IN
    page = api.client.get("/submit", headers={"Accept": "text/html"}).text
    assert f"and {100 + len(PROTOCOLS)} more" in page
    assert "p499" not in page
