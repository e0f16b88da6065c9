"""How many requests a token may send in a minute, counted in a real Valkey."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from records.settings import Settings
from service.problems import TooMany
from service.request_rates import RequestRates
from tests.served import Served, open_http, serve
from tests.service.kit import problem_of

MOST = 3
NOON = time.time() // 60 * 60  # the first second of a minute; what an earlier run counted does not count


@pytest.fixture
def few(settings: Settings) -> Settings:
    """Settings that allow few requests."""
    return settings.model_copy(update={"requests_per_minute": MOST, "public_read": True})


@pytest.fixture
def api(few: Settings) -> Iterator[Served]:
    """The service, whose clock stands still."""
    with serve(few) as served:
        served.app.state.request_rates = RequestRates(few, clock=lambda: NOON + 20)
        yield served


def test_a_token_that_sends_too_many_is_told_how_many_and_when_it_may_again(api: Served) -> None:
    asked = [api.client.get(path) for path in ("/v1/status", "/evaluations", "/v1/checkpoints", "/v1/status")]
    assert [one.status_code for one in asked] == [200, 200, 200, 429]
    found = problem_of(asked[-1], 429)
    assert (found["limit"], found["used"], found["allowed"]) == ("requests per minute", MOST + 1, MOST)
    assert found["detail"] == (
        "Token 'test' of team 'default' sent 4 requests within this minute, and 3 are allowed. The next "
        "minute begins in 40 s. Ask less often, or ask an operator to raise VCPBENCH_REQUESTS_PER_MINUTE."
    )
    assert asked[-1].headers["Retry-After"] == "40"
    with api.client_of("vision") as other:
        assert other.get("/v1/status").status_code == 200
    assert api.client.get("/v1/health").status_code == 200
    api.app.state.request_rates._clock = lambda: NOON + 61
    assert api.client.get("/v1/status").status_code == 200


def test_readers_without_a_valid_token_are_counted_by_their_address(api: Served) -> None:
    with open_http(api.url) as anybody, open_http(api.url, headers={"Authorization": "Bearer x"}) as wrong:
        asked = [client.get("/v1/status") for client in (anybody, wrong, anybody, wrong, anybody)]
    assert [one.status_code for one in asked] == [200, 401, 200, 429, 429]
    assert "Address 127.0.0.1 without a valid token" in problem_of(asked[-1], 429)["detail"]
    assert api.client.get("/v1/status").status_code == 200


def test_all_processes_of_the_service_count_together(few: Settings) -> None:
    first, second = (RequestRates(few, clock=lambda: NOON) for _ in range(2))
    for rates in (first, second, first):
        rates.count("token", "The token")
    with pytest.raises(TooMany, match="sent 4 requests"):
        second.count("token", "The token")


def test_without_valkey_every_request_passes_and_the_log_says_so_once(few: Settings, tmp_path: Path) -> None:
    away = SecretStr(f"redis+socket://{tmp_path}/nobody.sock")
    rates = RequestRates(few.model_copy(update={"broker_url": away}))
    with capture_logs() as logs:
        for _ in range(10 * MOST):
            rates.count("token", "The token")
    [said] = logs
    assert said["event"] == "requests not counted; all pass"


def test_nothing_is_counted_where_an_operator_says_so(few: Settings) -> None:
    rates = RequestRates(few.model_copy(update={"requests_per_minute": 0}))
    for _ in range(10 * MOST):
        rates.count("token", "The token")
