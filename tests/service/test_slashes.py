"""An address with many slashes costs what an address with one slash costs."""

from __future__ import annotations

import pytest

from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import statements

MANY = "a/" * 150 + "b"
LONG = "/".join("abcde" * 10)  # a model's name of 50 parts
ADDRESSES = ("/models/{}", "/v1/checkpoints/{}@latest", "/v1/evaluations/{}@latest")


def sent_for(api: Served, address: str, status: int) -> list[tuple[str, int]]:
    api.client.get(address)  # notes the token's use and its time, which the second request does not repeat
    with statements(api) as found:
        assert api.client.get(address).status_code == status, address
    return found


@pytest.mark.parametrize("address", ADDRESSES)
def test_150_slashes_that_name_nothing_send_the_statements_of_one_slash(api: Served, address: str) -> None:
    one = sent_for(api, address.format("a/b"), 404)
    assert sent_for(api, address.format(MANY), 404) == one
    assert len(one) < 6


def test_the_page_of_a_model_is_found_by_one_statement(api: Served) -> None:
    found = sent_for(api, f"/models/{MANY}", 404)
    assert sum("JOIN checkpoint" in statement for statement, _ in found) == 1


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_name_of_fifty_parts_sends_the_statements_of_a_name_of_one(api: Served, address: str) -> None:
    assert LONG.count("/") > 40
    with api.database.session() as session:
        dataset = ready_dataset(session)
        for name in ("b", LONG):
            done(session, ready_checkpoint(session, name, team="a"), dataset, {"recognition.top1": 10})
    one = sent_for(api, address.format("a/b"), 200)
    assert sent_for(api, address.format(f"a/{LONG}"), 200) == one
    page = api.client.get(f"/models/a/{LONG}", headers={"Accept": "text/html"})
    assert LONG in page.text


def test_of_several_splits_the_shortest_team_is_meant(api: Served) -> None:
    with api.database.session() as session:
        ready_checkpoint(session, "c", team="a/b")
        ready_checkpoint(session, "b/c", team="a")
    page = api.client.get("/models/a/b/c", headers={"Accept": "text/html"})
    assert "<h1>b/c</h1>" in page.text
    assert api.client.get("/v1/checkpoints/a/b/c@latest").json()["model"] == "b/c"
