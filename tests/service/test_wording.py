"""What is wrong with a value is said in our words: a sweep over every parameter and field of every route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.aliases.schemas import IS_ALIAS
from service.checkpoints.uploads import CONTENT_RANGE
from service.datasets.schemas import AN_ABSOLUTE_PATH
from service.forms import FORMS, MODEL
from service.media.routes import OF_QUESTION, OF_VIDEO
from service.parameters import declared
from service.references import IS_ID, IS_NAMED
from service.wording import MOST_PROBLEMS
from tests.served import Served
from tests.service.kit import every_route, problem_of
from vcp_core.catalog.inputs import PATTERN
from vcp_core.catalog.protocols import Protocol

THEIRS = (  # of pydantic, its Rust core and FastAPI
    "Input should be", "valid UUID", "String should", "Field required", "Extra inputs", "unable to parse",
    "Value error", "Value should", "List should", "Tuple should", "valid dictionary", "JSON decode error",
    "invalid character", "parsing the body", "type=", "pydantic", "Unable to extract", "Data should",
)  # fmt: skip
GARBAGE = (
    "x", "-1", "1.5", "9" * 30, "9" * 2000, "../..", "\n", "\x00", "[]", "urn:uuid:1", "m@latest",
    "5f0c0000-0000-0000-0000-00000000000g",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**70, "", " ", "x", "9" * 300, "a/../b", "\n", "\x00", [], [1], [None], {"a": 1},
)  # fmt: skip


def refused(answer: httpx.Response) -> dict[str, Any] | None:
    """The problem, if it is one: in our words, and not longer than a person reads."""
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400:
        return None
    found = problem_of(answer, answer.status_code)
    said = json.dumps(found, ensure_ascii=False)
    assert not [words for words in THEIRS if words in said], said
    assert len(found["detail"]) < 1_000, said
    assert found["detail"].isprintable(), said
    return found


def test_no_parameter_is_refused_in_a_validators_words(api: Served) -> None:
    seen = 0
    for method, address, route in every_route(api.app):
        for name in declared(route):
            for value in GARBAGE:
                query = f"{name}={quote(value)}"
                answer = api.client.request(method, f"{address}?{query}", content=b"")
                if "text/html" not in answer.headers.get("Content-Type", ""):
                    seen += refused(answer) is not None
    assert seen > 200


def test_no_path_is_refused_in_a_validators_words(api: Served) -> None:
    for method, address, _ in every_route(api.app):
        if "0123456789" in address:
            for value in GARBAGE:
                path = address.replace("0123456789", quote(value, safe=""))
                answer = api.client.request(method, path, content=b"")
                if "text/html" not in answer.headers.get("Content-Type", ""):
                    refused(answer)


BODIES: dict[str, dict[str, Any]] = {
    "PATCH /v1/admin/workers/0123456789": {"draining": True},
    "PATCH /v1/datasets/0123456789": {"shows_media": True},
    "POST /v1/admin/cancel": {"id": "0123456789"},
    "POST /v1/admin/purge": {"days": 90},
    "POST /v1/admin/requeue": {"id": "0123456789"},
    "POST /v1/admin/sign-out": {"person": "0123456789"},
    "POST /v1/checkpoints": {"model": "m", "size_bytes": 1, "sha256": "0" * 64},
    "POST /v1/comparisons": {"evaluations": ["a@latest", "b@latest"]},
    "POST /v1/datasets": {"name": "gestures", "location": "/videos"},
    "POST /v1/evaluations": {"checkpoint": "m@latest", "dataset": "playground-64", "protocol": "quick-v1"},
    "POST /v1/models/private": {"model": "m", "private": True},
    "POST /v1/evaluations/0123456789/verdicts": {
        "verdict": "pass",
        "rules": [{"rule": "min recognition.top1=40", "verdict": "pass"}],
    },
    "POST /v1/models/rename": {"model": "m", "name": "n"},
    "POST /v1/models/tags": {"model": "m", "add": ["ours"]},
    "POST /v1/notes": {"text": "Good."},
    "POST /v1/protocols": {"name": "mine", "base": "quick-v1"},
    "POST /v1/reevaluations": {"dataset": "playground-64", "protocol": "quick-v1"},
    "POST /v1/shares": {"evaluation": "m@latest"},
    "POST /v1/tokens": {"name": "ci"},
    "POST /v1/views": {"name": "ours", "address": "/models"},
    "POST /v1/webhooks": {"url": "https://ci.example/vcpbench", "kinds": ["evaluation.done"]},
    "PUT /v1/admin/evaluations/0123456789/priority": {"priority": "high"},
    "PUT /v1/admin/pauses/0123456789": {"why": "New drivers."},
    "PUT /v1/admin/quotas/0123456789": {"num_bytes": 1},
    "PUT /v1/aliases/0123456789": {"checkpoint": "m@latest"},
    "PUT /v1/notes/0123456789": {"text": "Good."},
}
WITH = {  # what these addresses need besides
    "POST /v1/notes": "/v1/notes?evaluation=m@latest",
    "PUT /v1/notes/0123456789": f"/v1/notes/{UUID(int=1)}",
}


def with_body(app: FastAPI) -> dict[str, APIRoute]:
    """The routes of the API that take a body."""
    routes = every_route(app)
    return {f"{verb} {path}": route for verb, path, route in routes if route.body_field and "/v1/" in path}


def sent_to(api: Served, route: str, **content: Any) -> httpx.Response:
    """Send a body to a route."""
    method, address = route.split()
    return api.client.request(method, WITH.get(route, address), **content)


def test_every_route_with_a_body_is_swept(api: Served) -> None:
    assert set(with_body(api.app)) == set(BODIES)


@pytest.mark.parametrize("route", BODIES)
def test_no_field_is_refused_in_a_validators_words(api: Served, route: str) -> None:
    body: Any = with_body(api.app)[route].dependant.body_params[0].field_info.annotation
    fields = [[name] for name in body.model_fields]
    if route == "POST /v1/protocols":
        fields += _numbers(Protocol)
    for field in fields:
        seen = 0
        for value in VALUES:
            sent: dict[str, Any] = dict(BODIES[route])
            inner = sent
            for name in field[:-1]:
                inner = inner.setdefault(name, {})
            inner[field[-1]] = value
            found = refused(sent_to(api, route, json=sent))
            if found and found["status"] == 422 and value not in (None, ""):
                detail = found["detail"].lower().replace(" ", "_")  # "An input spec has no ..."
                assert field[-1] in detail or "holds_a_nul" in detail, (field, value, found)
                seen += 1
        assert seen > len(VALUES) / 2, field


def _numbers(kind: type[BaseModel]) -> Iterator[list[str]]:
    """Paths of all numbers of a protocol."""
    for name, field in kind.model_fields.items():
        yield [name]
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from ([name, *inner] for inner in _numbers(field.annotation))


BROKEN = (
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff", b"[" * 5000, b'{"a": 1}', b'{"": 1}', b"9" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("route", BODIES)
def test_no_body_is_refused_in_a_validators_words(api: Served, route: str) -> None:
    for content in BROKEN:
        for kind in ("application/json", "text/plain", None):
            headers = {"Content-Type": kind} if kind else {}
            found = refused(sent_to(api, route, content=content, headers=headers))
            assert found, content
            assert any(word in found["detail"] for word in ("missing", "JSON", "No field")), content


@pytest.mark.parametrize(
    ("method", "address", "says"),
    [
        ("GET", "/v1/evaluations?limit=0", "Parameter 'limit' is '0'; it must be at least 1."),
        ("GET", "/v1/evaluations?limit=many", "Parameter 'limit' is 'many'; it must be a whole number."),
        ("GET", "/v1/evaluations?state=over", "Parameter 'state' is 'over'; it must be one of 'waiting', "),
        ("GET", "/v1/leaderboard", "Parameter 'dataset' is missing."),
        (
            "PUT",
            "/v1/checkpoints/upload?model=a%09b",
            "Parameter 'model' is 'a\\tb'; it must be letters, digits,",
        ),
        ("PUT", "/v1/checkpoints/upload?model=m&sha256=12", "it must be a SHA-256, which has 64 hexadecimal"),
        ("PUT", f"/v1/checkpoints/upload?model={'m' * 200}", "it must be text of at most 100 characters."),
        ("DELETE", "/v1/protocols", "/v1/protocols does not take DELETE."),
    ],
)
def test_a_refusal_names_the_parameter_its_value_and_what_it_must_be(
    api: Served, method: str, address: str, says: str
) -> None:
    answer = api.client.request(method, address)
    assert says in problem_of(answer, answer.status_code)["detail"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size_bytes": "many"}, "Field 'size_bytes' is 'many'; it must be a whole number."),
        ({"size_bytes": 0}, "Field 'size_bytes' is 0; it must be at least 1."),
        ({"step": 1.5}, "Field 'step' is 1.5; it must be a whole number."),
        ({"step": False}, "Field 'step' is false; it must be a whole number."),
        ({"step": "12000"}, "Field 'step' is '12000'; it must be a whole number."),
        ({"size_bytes": True}, "Field 'size_bytes' is true; it must be a whole number."),
        ({"run": " "}, "Field 'run' is ' '; it must be text of at least 1 character."),
        ({"model": {"a": [1, 2]}}, "Field 'model' is {\"a\": [1, 2]}; it must be text."),
        ({"sha265": "0"}, "No field 'sha265'. Did you mean 'sha256'? Known: backbone, input_spec,"),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_it_must_be(
    api: Served, change: dict[str, Any], says: str
) -> None:
    answer = api.client.post("/v1/checkpoints", json={**BODIES["POST /v1/checkpoints"], **change})
    assert says in problem_of(answer, 422)["detail"]


def test_a_whole_number_may_have_a_point(api: Served) -> None:
    answer = api.client.post("/v1/checkpoints", json={**BODIES["POST /v1/checkpoints"], "step": 12.0})
    assert (answer.status_code, answer.json()["step"]) == (201, 12)


def test_thousands_of_unknown_fields_make_a_short_answer(api: Served) -> None:
    answer = api.client.post("/v1/checkpoints", json={f"x{number}": 1 for number in range(5000)})
    found = problem_of(answer, 422)
    assert len(found["errors"]) == MOST_PROBLEMS
    assert len(answer.content) < 5_000


def test_what_is_quoted_of_a_value_is_bounded_and_cannot_break_a_line(api: Served) -> None:
    for value in ("x" * 100_000, "a\r\nX-Header: y", "\u202e\u2028", "\ud800"):
        body = json.dumps({**BODIES["POST /v1/checkpoints"], "sha256": value})
        answer = api.client.post(
            "/v1/checkpoints", content=body, headers={"Content-Type": "application/json"}
        )
        detail = problem_of(answer, 422)["detail"]
        assert len(detail) < 300
        assert detail.isprintable()


def test_every_form_of_text_is_told_in_words(api: Served) -> None:
    patterns = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("pattern"), str):
                patterns.add(value["pattern"])
            value = list(value.values())
        for inner in value if isinstance(value, list) else []:
            look(inner)

    look(api.app.openapi())
    # Forms that the document alone has: code of ours compares the text, and says what is wrong with it.
    documented = {
        OF_VIDEO,
        OF_QUESTION,
        IS_ALIAS,
        IS_ID["pattern"],
        IS_NAMED["pattern"],
        CONTENT_RANGE.pattern,
        PATTERN,
        MODEL,
    }
    documented |= {pattern for pattern in patterns if pattern.endswith(AN_ABSOLUTE_PATH)}
    assert patterns - documented == set(FORMS)
