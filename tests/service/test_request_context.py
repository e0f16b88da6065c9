"""The id of a request: in its answer, in problems, and in every line of the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from records.logs import configure
from service.request_context import HEADER
from tests.patience import until
from tests.served import Served
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import problem_of

Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Reads the lines of the log that have these values; waits for the first."""
    root, written = logging.getLogger(), io.StringIO()
    others = list(root.handlers)  # pytest's, which it takes away itself
    configure("json")
    (ours,) = root.handlers
    assert isinstance(ours, logging.StreamHandler)
    ours.setStream(written)
    root.handlers = [*others, ours]

    def having(**values: Any) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in written.getvalue().splitlines()]
        return [one for one in found if values.items() <= one.items()]

    yield lambda **values: until(lambda: having(**values), else_say=written.getvalue)
    root.removeHandler(ours)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "path", ["/healthz", "/v1/checkpoints", "/v1/nothing", "/evaluations", "/static/app.css"]
)
def test_every_answer_has_an_id_of_its_own(api: Served, path: str) -> None:
    first, second = (api.client.get(path).headers[HEADER] for _ in range(2))
    assert len(first) == 32
    assert first != second


@pytest.mark.parametrize(
    "given", ["5f0c2a1e7d3b4c6d8e9f0a1b2c3d4e5f", "2f1f4c1e-8d3a-4b7e-9f65-0c4f2c6f2c11", "edge_01.x"]
)
def test_a_proxys_id_is_taken_over(api: Served, given: str) -> None:
    answer = api.client.get("/v1/nothing", headers={HEADER: given})
    assert answer.headers[HEADER] == given
    assert problem_of(answer, 404)["request"] == given


@pytest.mark.parametrize(
    "given",
    ["", "short", "x" * 65, "with space", 'a", "level": "error', "\x1b[31mred-text", "żółć-żółć"],
    ids=["empty", "short", "long", "space", "json", "escape", "letters"],
)
def test_an_id_that_is_not_well_formed_is_replaced(api: Served, given: str) -> None:
    answer = api.client.get("/v1/nothing", headers=[(HEADER.encode(), given.encode())])
    assert len(answer.headers[HEADER]) == 32
    assert problem_of(answer, 404)["request"] == answer.headers[HEADER]


def test_a_request_that_changes_something_is_a_line_in_the_log_and_one_that_reads_is_none(
    api: Served, lines: Lines
) -> None:
    read = api.client.get("/v1/checkpoints").headers[HEADER]
    body = {"model": "tiny", "size_bytes": 3, "sha256": "0" * 64}
    wrote = api.client.post("/v1/checkpoints", json=body).headers[HEADER]
    (line,) = lines(request=wrote, event="answered")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/checkpoints", 201)
    assert line["took_ms"] > 0
    assert wrote != read
    assert read not in str(lines(event="answered"))


def test_the_log_names_the_evaluation_beside_the_request(api: Served, lines: Lines) -> None:
    with api.database.session() as session:
        checkpoint = str(ready_checkpoint(session).id)
        ready_dataset(session)
    body = {"checkpoint": checkpoint, "dataset": "gestures", "protocol": "quick-v1"}
    asked = api.client.post("/v1/evaluations", json=body)
    assert asked.status_code == 201
    (line,) = lines(event="evaluation asked for")
    assert line["evaluation"] == asked.json()["id"]
    assert line["request"] == asked.headers[HEADER]
    cancelled = api.client.post(f"/v1/evaluations/{asked.json()['id']}/cancel")
    (line,) = lines(request=cancelled.headers[HEADER], event="answered")
    assert line["evaluation"] == asked.json()["id"]


def test_a_fault_of_ours_is_found_in_the_log_by_its_id(api: Served, lines: Lines) -> None:
    with api.database.session() as session:
        session.execute(text("ALTER TABLE job RENAME TO gone"))  # nothing foresees a lost table
    answer = api.client.get("/v1/status")
    named = problem_of(answer, 500)["request"]
    assert answer.headers[HEADER] == named
    with api.client_of("browser") as browser:  # the server closes the connection on which it failed
        page = browser.get("/v1/status", headers={"Accept": "text/html"})
    assert page.headers[HEADER] in page.text
    assert any(
        "relation" in str(line.get("exception")) for line in lines(request=named, logger="uvicorn.error")
    )
