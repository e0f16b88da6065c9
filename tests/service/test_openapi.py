"""The document that people and programs read: whole, explained, true, and changed only on purpose."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter

from records.settings import Settings
from service.app import create_app
from service.checkpoints.schemas import CheckpointIn
from service.datasets.schemas import DatasetIn
from service.evaluations.schemas import EvaluationIn
from tests.service.kit import PROBLEM, canonical
from vcp_core.catalog.protocols import protocol_from

SNAPSHOT = Path(__file__).with_name("openapi.json")
RENEW = "Renew it, and read the difference: .venv/bin/python -m tests.service.test_openapi"
NEEDS_NOTHING = {"/v1/health", "/healthz", "/readyz"}
ANY_NAME = {"/v1/admin/quotas/{team}"}  # any name can be that of a team


def document() -> dict[str, Any]:
    """The document; its version is the distribution's and changes with each release."""
    settings = Settings(database_url="postgresql://x/x", broker_url="redis://x", store_url="file:///tmp/x")
    found = create_app(settings).openapi()
    found["info"]["version"] = "0"
    return found


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return document()


def operations(openapi: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, op) for path, item in openapi["paths"].items() for method, op in item.items()]


def test_the_document_is_the_one_that_was_agreed_on(openapi: dict[str, Any]) -> None:
    assert canonical(openapi) == SNAPSHOT.read_text(encoding="utf-8"), RENEW


def test_no_two_schemas_share_a_name(openapi: dict[str, Any]) -> None:
    assert not [name for name in openapi["components"]["schemas"] if "__" in name]  # their modules would show


def test_every_route_is_explained(openapi: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in openapi["tags"]}
    for method, path, operation in operations(openapi):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert len(operation["description"]) > 10, where
        assert operation["tags"], where
        assert set(operation["tags"]) <= tags, where
        assert len(operation["summary"].split()) > 1, where


def test_every_route_says_which_problems_it_answers_with(openapi: dict[str, Any]) -> None:
    for method, path, operation in operations(openapi):
        failures = {status: found for status, found in operation["responses"].items() if status >= "4"}
        if path not in NEEDS_NOTHING:
            assert {"401", "408", "422", "429", "503", "507"} <= set(failures), f"{method} {path}"
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            assert {"400", "413"} <= set(failures), f"{method} {path}"
        if "{" in path and path not in ANY_NAME:
            assert "404" in failures, f"{method} {path}"
        for status, found in failures.items():
            assert list(found["content"]) == [PROBLEM], f"{method} {path} {status}"
            assert found["content"][PROBLEM]["schema"]["$ref"].endswith("/Problem")


def test_every_answer_says_what_it_holds(openapi: dict[str, Any]) -> None:
    for method, path, operation in operations(openapi):
        for status, found in operation["responses"].items():
            if status not in ("204", "304") and "content" not in found:
                pytest.fail(f"{method} {path} {status} has no content")


def test_every_parameter_is_explained(openapi: dict[str, Any]) -> None:
    silent = [
        f"{method} {path} {parameter['name']}"
        for method, path, operation in operations(openapi)
        for parameter in operation.get("parameters", [])
        if parameter["in"] != "path" and not parameter.get("description")
    ]
    assert silent == []
    headers = {
        p["name"] for _, _, op in operations(openapi) for p in op.get("parameters", []) if p["in"] == "header"
    }
    assert headers == {"content-range"}


def models() -> set[type[BaseModel]]:
    """Every model that a route takes or gives, and those inside them."""
    settings = Settings(database_url="postgresql://x/x", broker_url="redis://x", store_url="file:///tmp/x")
    todo: list[Any] = [field for route in create_app(settings).routes for field in _of_route(route)] + [
        CheckpointIn,
        DatasetIn,
        EvaluationIn,
    ]
    found: set[type[BaseModel]] = set()
    while todo:
        kind = todo.pop()
        if get_origin(kind) is not None:
            todo += get_args(kind)
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in found:
            found.add(kind)
            todo += [field.annotation for field in kind.model_fields.values()]
    return found


def _of_route(route: object) -> list[Any]:
    return [route.response_model] if isinstance(route, APIRoute) and route.response_model else []


def test_every_example_of_a_field_is_one() -> None:
    seen = 0
    for model in models():
        for name, field in model.model_fields.items():
            for example in field.examples or []:
                kind: Any = (
                    Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
                )
                TypeAdapter(kind).validate_python(example)
                seen += 1
            assert name
    assert seen > 10


def test_what_is_built_of_the_examples_is_taken() -> None:
    for model in (CheckpointIn, DatasetIn, EvaluationIn):
        fields = {name: field.examples[0] for name, field in model.model_fields.items() if field.examples}
        model.model_validate(fields)


def test_the_example_of_a_protocol_is_one(openapi: dict[str, Any]) -> None:
    (example,) = openapi["components"]["schemas"]["ProtocolIn"]["examples"]
    assert protocol_from(example).name == "short-videos"


if __name__ == "__main__":
    SNAPSHOT.write_text(canonical(document()), encoding="utf-8")
    sys.stdout.write(f"{SNAPSHOT} is up to date.\n")
