"""Training logs of models: whose they are, what they may hold, and what is said of one that is wrong."""

from __future__ import annotations

import httpx
import pytest

from records.models import CheckpointState, LogRow
from service.logs.service import MAX_LOGS
from tests.served import Served
from tests.service.finished import ready_checkpoint
from tests.service.kit import begun, problem_of
from vcp_core.catalog.logs import MAX_BYTES

CSV = b"step,loss,held_out\r\n100,1.5,\r\n200,1.25,1.4\r\n"


@pytest.fixture
def model(api: Served) -> str:
    """A model of team vision, whose name holds a slash."""
    with api.database.session() as session:
        ready_checkpoint(session, "r3d/vcp", team="vision", run="night", step=200)
    return "vision/r3d/vcp"


def put(
    client: httpx.Client, content: bytes = CSV, model: str = "r3d/vcp", run: str | None = "night"
) -> httpx.Response:
    params = {"model": model} | ({} if run is None else {"run": run})
    return client.put("/v1/logs", params=params, content=content)


def test_a_log_is_uploaded_replaced_and_deleted_by_its_team_and_read_by_all(api: Served, model: str) -> None:
    with api.client_of("vision") as vision, api.client_of("others") as others:
        first = put(vision)
        assert first.status_code == 201
        path = first.headers["Location"]
        found = vision.get(path).json()
        assert found["steps"] == [100, 200]
        assert found["curves"] == {"loss": [1.5, 1.25], "held_out": [None, 1.4]}
        assert (found["run"], found["by"], found["num_rows"]) == ("night", "vision", 2)
        again = put(vision, b"step,loss\n100,3\n")
        assert (again.status_code, again.json()["id"]) == (200, found["id"])
        assert again.json()["uploaded_at"] > found["uploaded_at"]
        assert put(vision, run=None).status_code == 201  # of checkpoints without a run
        assert put(vision, run=None).status_code == 200
        problem_of(put(others, model=model), 404)
        seen = others.get(path).json()
        assert (seen["curves"], seen["by"]) == ({"loss": [3]}, None)
        listed = others.get("/v1/logs", params={"model": model}).json()
        assert ([one["run"] for one in listed["items"]], listed["total"]) == ([None, "night"], 2)
        problem_of(others.get("/v1/logs", params={"model": "r3d/vcp"}), 404)
        problem_of(others.delete(path), 403)
        assert vision.delete(path).json()["id"] == found["id"]
        problem_of(vision.get(path), 404)
        problem_of(vision.delete(path), 404)


def test_a_log_of_a_model_that_nobody_else_sees_is_its_teams(api: Served) -> None:
    with api.database.session() as session:
        ready_checkpoint(session, "new", team="vision", state=CheckpointState.INGESTING)
    with api.client_of("vision") as vision, api.client_of("others") as others:
        path = put(vision, model="new").headers["Location"]
        assert vision.get(path).status_code == 200
        problem_of(others.get(path), 404)
        problem_of(others.get("/v1/logs?model=vision/new"), 404)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Line 1 of the log names no column 'step'"),
        (b"step,loss\n", "The log has no rows"),
        (b"loss\n1\n", "Line 1 of the log names no column 'step'"),
        (b"step\n1\n", "Line 1 of the log names no column beside 'step'"),
        (b"step,loss,loss\n1,2,3\n", "Line 1 of the log names column 'loss' twice"),
        (b"step,\n1,2\n", "Line 1 of the log has a column ''"),
        (b"step,loss\n1,2\n\n2,high\n", "Line 4 of the log: loss is 'high'"),
        (b"step,loss\n1,nan\n", "Line 2 of the log: loss is 'nan'"),
        (b"step,loss\n1,1e999\n", "Line 2 of the log: loss is '1e999'"),
        (b"step,loss\n1,-1e101\n", "Line 2 of the log: loss is '-1e101'"),
        (b"step,loss\n1,2\n1,3\n", "Line 3 of the log: step 1 comes after step 1"),
        (b"step,loss\n1.5,2\n", "Line 2 of the log: step is '1.5'"),
        (b"step,loss\n99999999999999999,2\n", "Line 2 of the log: step is"),
        (b"step,loss\n1,2,3\n", "Line 2 of the log has 3 cells, and the header has 2"),
        (b"step,loss,acc\n1,2,\n", "Column 'acc' of the log has no values"),
        (b"step,loss\n1,2\n\xff,3\n", "Line 3 of the log is no UTF-8 text"),
        (b"step,loss\n1,2\n2,\x00\n", "Line 3 of the log holds a NUL"),
        (b'step,loss\n1,"2\n', "of the log is no CSV"),
        (b"step," + b",".join(b"c%d" % n for n in range(30)) + b"\n", "names 30 curves, and 20 are allowed"),
        (b"step,l\n" + b"".join(b"%d,1\n" % n for n in range(20_001)), "Line 20002 of the log: a log has at"),
    ],
    ids=[
        "empty", "no rows", "no step", "no curve", "twice", "no name", "text", "nan", "infinite", "large",
        "same step", "half a step", "large step", "cells", "no values", "bytes", "NUL", "quote", "curves",
        "rows",
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused_with_its_line(api: Served, model: str, content: bytes, says: str) -> None:
    assert says in problem_of(put(api.client, content, model), 422)["detail"]
    with api.database.session() as session:
        assert session.query(LogRow).count() == 0


def test_a_log_has_a_bounded_size_and_a_model_a_bounded_number(api: Served, model: str) -> None:
    problem_of(put(api.client, b" " * (MAX_BYTES + 1), model), 413)
    endless = (b" " * 65_536 for _ in range(20))
    problem_of(api.client.put("/v1/logs", params={"model": model}, content=endless), 413)
    token = {"Authorization": api.client.headers["Authorization"]}
    with begun(api.client, "PUT", f"/v1/logs?model={model}", b"x", 10**12, token) as connection:
        assert connection.recv(12) == b"HTTP/1.1 413"
    for number in range(MAX_LOGS):
        assert put(api.client, model=model, run=str(number)).status_code == 201
    assert f"{MAX_LOGS} are allowed" in problem_of(put(api.client, model=model), 409)["detail"]
    assert put(api.client, model=model, run="0").status_code == 200


def test_a_cookie_uploads_nothing(api: Served, model: str) -> None:
    cookie = str(api.client.headers["Authorization"]).removeprefix("Bearer ")
    with httpx.Client(base_url=api.url, cookies={"vcpbench_token": cookie}) as browser:
        problem_of(put(browser, model=model), 401)
