"""Names that no model may have: they would lead elsewhere as a part of an address."""

from __future__ import annotations

import itertools
import re
from urllib.parse import quote

import pytest
from pydantic import TypeAdapter, ValidationError

from records.models import Checkpoint
from service.forms import ModelName
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import num_rows, objects, problem_of

NO_TEXT = (
    "", " ", "a" * 101, "\x00", "a\nb", "a\tb", "\x7f", "<script>", "=cmd()", "a\\b", "..\\b",
    "%2e%2e", "a%2fb",
    "a?b", "a#b", "m@latest",
)  # fmt: skip
PATHS = (
    ".", "..", "../../etc", "a/..", "../a", "a/./b", "a/../b", "/a", "a/", "a//b", "/", "//", " . ",
    "a/ .. /b",
    "a/ /b",
)  # fmt: skip
FINE = (
    "r3d", "c3d/rotation", "v1.2", "...", ".hidden", "a..b", "a/.b/c..", "my model", "-x", "é", "模型",
    "run_3+ema",
)  # fmt: skip


@pytest.mark.parametrize("name", NO_TEXT + PATHS)
def test_such_a_name_is_refused_where_a_checkpoint_is_declared_or_uploaded(api: Served, name: str) -> None:
    body = {"model": name, "size_bytes": 1, "sha256": "0" * 64}
    declared = problem_of(api.client.post("/v1/checkpoints", json=body), 422)
    answer = api.client.put(f"/v1/checkpoints/upload?model={quote(name, safe='')}", content=b"x")
    uploaded = problem_of(answer, 422)
    for found in (declared, uploaded):
        assert "'model'" in found["detail"]
        assert ("between slashes may be empty" in found["detail"]) == (name in PATHS)
    assert num_rows(api, Checkpoint) == 0
    assert objects(api.app.state.settings) == {}


def test_the_description_of_the_api_says_which_names_are_taken() -> None:
    model = TypeAdapter(ModelName)
    pattern = str(model.json_schema()["pattern"])
    short = (
        "".join(letters) for length in range(1, 7) for letters in itertools.product("a. /", repeat=length)
    )
    for name in (*NO_TEXT, *PATHS, *FINE, *short):
        if name == name.strip() and len(name) <= 100:  # blanks around a name are taken off
            try:
                taken = bool(model.validate_python(name))
            except ValidationError:
                taken = False
            assert bool(re.search(pattern, name)) == taken, name


@pytest.mark.parametrize("name", FINE)
def test_other_names_are_taken_and_have_a_page(api: Served, name: str) -> None:
    answer = api.client.put(f"/v1/checkpoints/upload?model={quote(name, safe='')}", content=b"x")
    assert answer.status_code == 201
    assert answer.json()["model"] == name
    page = api.client.get(f"/models/default/{quote(name)}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert str(page.url).endswith(f"/models/default/{quote(name)}")


def test_what_was_uploaded_under_such_a_name_before_stays_readable(api: Served) -> None:
    with api.database.session() as session:
        checkpoint = ready_checkpoint(session, "..")
        evaluation = done(session, checkpoint, ready_dataset(session), {"recognition.top1": 10})
    for path in ("/v1/checkpoints?model=..", "/v1/evaluations?model=..", "/v1/models?name=.."):
        assert api.client.get(path).json()["total"] == 1, path
    assert api.client.get(f"/v1/checkpoints/{checkpoint.id}").json()["model"] == ".."
    assert api.client.get(f"/v1/evaluations/{evaluation.id}").json()["checkpoint"]["model"] == ".."
    asked = {"checkpoint": "..@latest", "dataset": "gestures", "protocol": "quick-v1"}
    assert api.client.post("/v1/evaluations", json=asked).json()["id"] == str(evaluation.id)
