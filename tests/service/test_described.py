"""What openapi.json says of requests, against the code that decides. `make fuzz` sends such requests."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from service.body import Body
from service.forms import NOT_BLANK
from service.problems import InvalidRequest
from service.references import IS_ID, IS_NAMED, parse, parse_id
from tests.served import Served
from tests.service.kit import declare, problem_of
from tests.service.test_openapi import document
from vcp_core.catalog.ceilings import ITEMS, VALUES
from vcp_core.catalog.errors import DatasetError, VcpbenchError
from vcp_core.catalog.locations import Location
from vcp_core.catalog.protocols import PROTOCOLS, protocol_from

UUID = "ef5848bb-03bd-4d85-afb4-b6d782a12da6"


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"]
    return found


def test_uploads_address_takes_put_and_names_no_checkpoint(api: Served) -> None:
    answer = api.client.get("/v1/checkpoints/upload")
    problem_of(answer, 405)
    assert answer.headers["Allow"] == "PUT"
    problem_of(api.client.get("/v1/checkpoints/upload@latest"), 404)


@pytest.mark.parametrize(
    "path", ["datasets/a%00", "checkpoints?team=%00", "leaderboard?dataset=x&metric=%00"]
)
def test_a_nul_in_an_address_is_told_before_the_database_sees_it(api: Served, path: str) -> None:
    assert "holds a NUL" in problem_of(api.client.get(f"/v1/{path}"), 422)["detail"]


def test_an_upload_needs_a_body_even_if_all_bytes_are_stored(api: Served) -> None:
    path = f"/v1/checkpoints/{declare(api.client, b'weights')['id']}/content"
    assert api.client.put(path, content=b"weights").status_code == 200
    found = problem_of(api.client.put(path, content=b""), 409)
    assert "No bytes came" in found["detail"]
    assert found["received_bytes"] == len(b"weights")  # so that a client looks again, and finds it complete
    assert api.client.put(path, content=b"weights").status_code == 200


def test_an_evaluation_of_an_unknown_model_is_not_found(api: Served) -> None:
    body = {"checkpoint": "no-model", "dataset": "playground-64"}
    assert "'no-model'" in problem_of(api.client.post("/v1/evaluations", json=body), 404)["detail"]


def test_parameters_of_the_api_are_never_null() -> None:
    for path, item in document()["paths"].items():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                assert "anyOf" not in parameter["schema"], (path, parameter["name"])


@pytest.mark.parametrize("text", ["", " ", "\t ", "\x00", "a\x00"])
def test_neither_blanks_nor_a_nul_are_texts(text: str) -> None:
    assert not re.search(NOT_BLANK, text)


@pytest.mark.parametrize("text", ["\x1f", "\x85", "\u3000", "\ufeff"])
def test_a_blank_of_any_kind_is_refused_in_a_query_and_in_a_body(api: Served, text: str) -> None:
    assert not re.search(NOT_BLANK, text)
    assert "is empty" in problem_of(api.client.get("/v1/tokens", params={"team": text}), 422)["detail"]
    problem_of(api.client.put("/v1/admin/pauses/gpu", json={"why": text}), 422)
    assert api.client.get("/v1/tokens", params={"team": f"{text}vision"}).status_code == 200


def test_a_text_that_the_description_of_a_field_allows_is_taken(schemas: dict[str, Any]) -> None:
    signs = [chr(number) for number in (*range(0x250), 0x1680, *range(0x2000, 0x2070), 0x3000, 0xFEFF)]
    texts = [
        text for sign in signs for text in (sign, f"a{sign}", f"{sign}a", sign * 3, sign * 64, sign * 200)
    ]
    values = [*texts, *([text] for text in texts)]
    checked, wrong = set(), []
    for body in bodies():
        for name, field in schemas[body.__name__]["properties"].items():
            described = jsonschema_rs.validator_for(field | {"components": {"schemas": schemas}})
            allowed = [value for value in values if described.is_valid(value)]
            checked |= {(body.__name__, name)} if allowed else set()
            wrong += [(body.__name__, name, ascii(one)) for one in allowed if is_refused(body, name, one)]
    declarations = {
        *(("CheckpointIn", name) for name in ("pretrained_on", "prefix")),
        *(("TokenIn", name) for name in ("name", "owner")),
        *(("RuleIn", "rule"), ("ViewIn", "name")),
    }
    assert declarations <= checked
    assert wrong == []


def bodies(base: type[Body] = Body) -> Iterator[type[Body]]:
    """All bodies of requests. The application's module has imported them."""
    for body in base.__subclasses__():
        if body.__module__.startswith("service."):
            yield body
            yield from bodies(body)


def is_refused(body: type[Body], name: str, value: object) -> bool:
    """Whether this value of a field is wrong, whatever the others are."""
    try:
        body.model_validate({name: value})
    except ValidationError as error:
        return any(one["loc"][:1] == (name,) for one in error.errors())
    return False


@pytest.mark.parametrize(
    "text",
    [
        *(UUID[:length] for length in range(37)),
        *(UUID.replace("-", "").upper()[:length] for length in range(33)),
        *(f"{UUID}0", "r3d", "r3d@latest", "a/b@latest", "@latest", "{1234}", "12345678-1234-12-1", "abcd--"),
    ],
)
def test_references_are_described_as_they_are_read(text: str) -> None:
    for pattern, read in ((IS_NAMED, parse), (IS_ID, parse_id)):
        try:
            read(text, "checkpoint")
            taken = True
        except InvalidRequest:
            taken = False
        assert bool(re.search(str(pattern["pattern"]), text)) == taken, (pattern, text)


def test_locations_of_datasets_are_described_as_they_are_checked(schemas: dict[str, Any]) -> None:
    described = jsonschema_rs.validator_for(schemas["DatasetIn"])
    locations = [
        *("/videos", "~/videos", "videos", "/", "playground", "playground:/x", "playground-9"),
        *("ucf101:/x", "hmdb51:~x", "ucf101:", "ucf101", "ucf101:x", "a:/b", "./a"),
    ]
    options = {
        "split": ["1", "2", "9", ""],
        "csv": [None, "/a.csv", "a.csv", ""],
        "test_groups": [[], ["P3"]],
        "suffixes": [[], [".xyz"]],
        "lists": [None, "/lists", "lists"],
    }
    for location, *chosen in itertools.product(locations, *options.values()):
        facts: dict[str, Any] = {"location": location, **dict(zip(options, chosen, strict=True))}
        try:
            Location(**facts)
            taken = True
        except DatasetError:
            taken = False
        assert described.is_valid({"name": "mine", **facts}) == taken, facts


def test_protocols_are_described_with_their_ceilings(schemas: dict[str, Any]) -> None:
    described = jsonschema_rs.validator_for(schemas["ProtocolIn"])
    for protocol in PROTOCOLS.values():
        assert described.is_valid(protocol.model_dump(mode="json"))
    for name, ceiling in VALUES.items():
        for value in (int(ceiling.most), int(ceiling.most) + 1):
            one = [value] if name in ITEMS else value
            assert described.is_valid(nested(name, one)) == is_a_protocol(nested(name, one)), (name, value)
    for name, ceiling in ITEMS.items():
        for number in (int(ceiling.most), int(ceiling.most) + 1):
            several = nested(name, list(range(1, number + 1)))
            assert described.is_valid(several) == is_a_protocol(several), (name, number)


@pytest.mark.parametrize(
    "numbers",
    [
        {"base": "quick-v1"},
        {"finetune": None},
        {"finetune": {"batch": 1}},
        {"frames": "another"},
        {"no_number": 1},
        {"grid": {"no_number": 1}},
        {"cloze": {"options": ["original", "rotation"]}},
        {"cloze": {"options": ["rotation", "remote"]}},
        {"cloze": {"options": ["original"]}},
        {"cloze": {"options": ["original", "original"]}},
        {"cloze": {"options": ["original", "sideways"]}},
        {"retrieval": {"features": ["max-pooled"]}},
        {"retrieval": {"features": ["max-pooled", "pooled"]}},
        {"retrieval": {"features": ["pooled", "pooled"]}},
        {"retrieval": {"ks": [1, 1]}},
        {"retrieval": {"ks": []}},
    ],
)
def test_protocols_are_described_as_they_are_checked(
    schemas: dict[str, Any], numbers: dict[str, Any]
) -> None:
    whole = {"name": "mine", **numbers}
    described = jsonschema_rs.validator_for(schemas["ProtocolIn"])
    assert described.is_valid(whole) == is_a_protocol(whole)


def nested(name: str, value: Any) -> dict[str, Any]:
    group, _, number = name.rpartition(".")
    return {"name": "mine", **({group: {number: value}} if group else {number: value})}


def is_a_protocol(numbers: dict[str, Any]) -> bool:
    try:
        protocol_from(numbers)
    except VcpbenchError:
        return False
    return True
