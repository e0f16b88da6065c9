"""What an evaluation would take: with and without rates, for whom, and how much work a caller can cause."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.orm import Session

from records import storage as objects
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Origin,
)
from records.repositories import datasets
from service.estimates import service
from tests.crew import Crew
from tests.served import Served, open_http, serve
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import problem_of
from tests.service.measured import counted_dataset, gestures, ran
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.evaluation.estimate import Counts, networks_of
from vcp_core.evaluation.plan import EvaluationPlan

QUICK = PROTOCOLS["quick-v1"]
QUERY = {"dataset": "gestures", "protocol": "quick-v1", "backbone": "r3d_tiny"}


@pytest.fixture
def dataset(api: Served) -> DatasetRow:
    return counted_dataset(api)


def weights_of_control(session: Session, seed: int | None) -> Checkpoint:
    """Random weights, or pixels without a seed."""
    weights = Checkpoint(
        origin=Origin.CONTROL,
        state=CheckpointState.READY,
        backbone="r3d_tiny",
        seed=seed,
        control_key=str(uuid4()),
    )
    session.add(weights)
    session.flush()
    return weights


def control(session: Session, dataset: DatasetRow, *, seed: int | None, **facts: Any) -> Evaluation:
    """Random weights, or pixels, that are measured."""
    return done(session, weights_of_control(session, seed), dataset, {}, is_control=True, **facts)


def ask(client: httpx.Client, **changed: str) -> dict[str, Any]:
    answer = client.get("/v1/estimates", params={**QUERY, **changed})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_without_a_measured_rate_there_are_clips_disk_and_memory_and_no_time(
    api: Served, dataset: DatasetRow
) -> None:
    found = ask(api.client)
    plan = EvaluationPlan(dataset=gestures(), protocol=QUICK, spec=BACKBONES["r3d_tiny"])
    assert (found["videos"], found["clips"], found["of_sample"]) == (12, plan.num_clips, False)
    networks = networks_of(plan, Counts.of(plan))
    assert [(one["name"], one["feature_bytes"], one["kept"]) for one in found["networks"]] == [
        (one.name, one.feature_bytes, False) for one in networks
    ]
    assert found["disk_bytes"] == sum(one.feature_bytes for one in networks)
    assert found["memory_bytes"] > 4 * BACKBONES["r3d_tiny"].num_parameters
    assert [found[name] for name in ("decode_s", "forward_s", "scoring_s", "total_s", "measured")] == [
        None
    ] * 5
    assert found["remarks"] == [
        "no evaluation of r3d_tiny ran here yet",
        "no worker takes the cpu queue now",
        "no worker takes the gpu queue now",
    ]


def test_the_time_comes_from_the_shards_and_scorings_of_the_last_evaluations(
    api: Served, dataset: DatasetRow
) -> None:
    with api.database.session() as session:
        ran(session, dataset)
    Crew(api.database).worker("cpu", "gpu")
    found = ask(api.client)
    plan = EvaluationPlan(dataset=gestures(), protocol=QUICK, spec=BACKBONES["r3d_tiny"])
    networks = networks_of(plan, Counts.of(plan))
    frames = sum(one.frames for one in networks)
    clips = sum(one["clips"] for one in found["networks"])
    decode_s, forward_s = frames * 0.001, clips * 0.05  # the network waited 1 s for 1,000 frames
    assert found["decode_s"] == {"low": pytest.approx(decode_s), "high": pytest.approx(decode_s)}
    assert found["forward_s"] == {"low": pytest.approx(forward_s), "high": pytest.approx(forward_s)}
    assert found["longest"] in ("forwarding", "scoring")
    assert found["measured"] == {"evaluations": 1, "shards": 1, "devices": ["cpu"], "scoring": True}
    assert found["remarks"] == []
    # Scoring 100 clips took 20 s. The probes of the pixels are wider, and as much slower.
    checkpoint, random, pixels = (one.units for one in networks)
    assert checkpoint == random < pixels
    scoring_s = 20 * plan.num_clips / 100 * (checkpoint + random + pixels) / checkpoint
    assert found["scoring_s"]["low"] == pytest.approx(scoring_s)
    # A shard took 8 s, of which 2 s went into neither waiting nor forwarding.
    shards = sum(-(-plan.num_clips // api.app.state.settings.shard_clips) for _ in found["networks"])
    total_s = decode_s + forward_s + 2 * shards + found["scoring_s"]["low"]
    assert found["total_s"]["low"] == pytest.approx(total_s, abs=0.1)
    assert found["total_s"]["high"] >= found["total_s"]["low"]


def test_pixels_that_were_scored_under_the_protocol_have_a_rate_of_their_own(
    api: Served, dataset: DatasetRow
) -> None:
    with api.database.session() as session:
        ran(session, dataset)
        elsewhere = ready_dataset(session, "elsewhere")
        ran(session, elsewhere, checkpoint=weights_of_control(session, None), score_s=1.0, is_control=True)
    found = ask(api.client)
    clips = found["clips"]
    assert found["scoring_s"]["low"] == pytest.approx((2 * 20 + 1) * clips / 100)


def test_what_is_measured_already_takes_no_time(api: Served, dataset: DatasetRow) -> None:
    with api.database.session() as session:
        ran(session, dataset)
    before = ask(api.client)
    with api.database.session() as session:
        control(session, dataset, seed=0)
        control(session, dataset, seed=7)  # of no such protocol
        control(session, dataset, seed=None, engine="an older one")
    found = ask(api.client)
    kept = {one["name"]: one["kept"] for one in found["networks"]}
    assert kept == {"checkpoint": False, "random weights 0": True, "pixels": False}
    assert found["total_s"]["low"] < before["total_s"]["low"]
    assert found["disk_bytes"] < before["disk_bytes"]
    with api.database.session() as session:
        control(session, dataset, seed=None)
    assert [one["name"] for one in ask(api.client)["networks"] if one["kept"]] == [
        "random weights 0",
        "pixels",
    ]


def test_workers_and_waiting_jobs_are_counted_and_workers_share_the_work(
    api: Served, dataset: DatasetRow
) -> None:
    with api.database.session() as session:
        ran(session, dataset)
        checkpoint = ready_checkpoint(session)
        row = datasets.keep_protocol(session, QUICK)
        assert row is not None
        waiting = Evaluation(
            checkpoint_id=checkpoint.id,
            dataset_id=dataset.id,
            protocol_hash=row.hash,
            team="default",
            is_control=False,
            state=EvaluationState.PLANNING,
        )
        session.add(waiting)
        session.flush()
        session.add(
            Job(
                kind=JobKind.PLAN,
                queue="cpu",
                state=JobState.QUEUED,
                team="default",
                evaluation_id=waiting.id,
            )
        )
    crew = Crew(api.database)
    crew.worker("cpu", "gpu")
    one = ask(api.client)
    assert one["queues"] == [
        {"name": "cpu", "workers": 1, "waiting": 1},
        {"name": "gpu", "workers": 1, "waiting": 0},
    ]
    crew.worker("gpu")
    two = ask(api.client)
    assert [queue["workers"] for queue in two["queues"]] == [1, 2]
    assert two["total_s"]["low"] < one["total_s"]["low"]
    assert two["forward_s"] == one["forward_s"]  # on one worker


def test_rates_of_the_devices_that_are_there_come_first(api: Served, dataset: DatasetRow) -> None:
    with api.database.session() as session:
        ran(session, dataset, device="cpu")
        ran(session, dataset, device="cuda: H100")
    assert ask(api.client)["measured"]["devices"] == ["cpu", "cuda: H100"]
    Crew(api.database).worker("cpu", "gpu")  # whose device is "cpu"
    assert ask(api.client)["measured"]["devices"] == ["cpu"]


def test_scoring_that_was_not_measured_under_a_protocol_is_a_rule_of_thumb_and_says_so(
    api: Served, dataset: DatasetRow
) -> None:
    with api.database.session() as session:
        ran(session, dataset)
    found = ask(api.client, protocol="standard-v1")
    assert found["measured"]["scoring"] is False
    assert "no scoring of r3d_tiny under standard-v1 was measured yet" in found["remarks"]
    assert found["scoring_s"]["high"] == pytest.approx(10 * found["scoring_s"]["low"])


def test_another_backbone_or_input_gives_no_rates(api: Served, dataset: DatasetRow) -> None:
    with api.database.session() as session:
        declared = ready_checkpoint(session, "declared", input_spec="frames=8")
        ran(session, dataset, checkpoint=declared)
    assert ask(api.client)["total_s"] is None
    assert ask(api.client, backbone="r3d")["remarks"][0] == "no evaluation of r3d ran here yet"


def test_another_precision_gives_no_rates(api: Served, dataset: DatasetRow) -> None:
    with api.database.session() as session:
        ran(session, dataset)
    body = {"name": "half", "base": "quick-v1", "precision": "bf16"}
    assert api.client.post("/v1/protocols", json=body).status_code == 201
    found = ask(api.client, protocol="half")
    assert found["total_s"] is None
    assert found["remarks"][0] == "no evaluation of r3d_tiny in bf16 ran here yet"
    assert found["clips"] == ask(api.client)["clips"]


def test_a_benchmark_that_cannot_run_on_the_videos_is_a_remark(api: Served, dataset: DatasetRow) -> None:
    long = ask(api.client, backbone="slow_r50")["remarks"]  # whose tuples take 100 frames more
    assert any(remark.startswith("cloze: not available: 0 of 4 test videos have") for remark in long)


def test_jobs_that_were_tried_again_give_no_rates(api: Served, dataset: DatasetRow) -> None:
    with api.database.session() as session:
        ran(session, dataset)
        for job in session.query(Job).filter_by(kind=JobKind.EXTRACT):
            job.crashes = 1
    assert ask(api.client)["total_s"] is None


def test_a_scoring_of_which_one_fit_was_tried_again_gives_no_rate(api: Served, dataset: DatasetRow) -> None:
    with api.database.session() as session:
        ran(session, dataset)
        session.query(Job).filter_by(kind=JobKind.FIT, number=1).update({"losses": 1})
    assert ask(api.client)["measured"]["scoring"] is False


# --- refusals ---


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"dataset": "gesture"}, "Did you mean 'gestures'"),
        ({"protocol": "quick-v2"}, "Did you mean 'quick-v1'"),
        ({"backbone": "r3d18"}, "Did you mean 'r3d_18'"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(
    api: Served, dataset: DatasetRow, changed: dict[str, str], says: str
) -> None:
    answer = api.client.get("/v1/estimates", params={**QUERY, **changed})
    assert says in problem_of(answer, 404)["detail"]


def test_videos_that_nobody_has_counted_have_no_estimate_yet(api: Served, dataset: DatasetRow) -> None:
    answer = api.client.get("/v1/estimates", params={**QUERY, "dataset": "playground-64"})
    assert "are not made yet" in problem_of(answer, 409)["detail"]
    with api.database.session() as session:
        session.get_one(DatasetRow, dataset.id).state = DatasetState.INDEXING
    answer = api.client.get("/v1/estimates", params=QUERY)
    assert "are being counted" in problem_of(answer, 409)["detail"]
    with api.database.session() as session:
        session.get_one(DatasetRow, dataset.id).state = DatasetState.FAILED
    answer = api.client.get("/v1/estimates", params=QUERY)
    assert "cannot be used" in problem_of(answer, 409)["detail"]


def test_an_estimate_may_be_read_by_whoever_may_read_datasets(api: Served, dataset: DatasetRow) -> None:
    with api.client_of("others") as others:
        assert ask(others)["clips"] == ask(api.client)["clips"]
    with open_http(api.url) as anyone:
        assert problem_of(anyone.get("/v1/estimates", params=QUERY), 401)
    public = api.app.state.settings.model_copy(update={"public_read": True})
    with serve(public) as served, open_http(served.url) as anyone:
        assert anyone.get("/v1/estimates", params=QUERY).status_code == 200


def test_clips_are_counted_once_and_in_a_sample_of_many_videos(
    api: Served, dataset: DatasetRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = objects.manifest_key(dataset.id)
    api.app.state.storage.put_bytes(key, gestures(300).to_json().encode())
    monkeypatch.setattr(service, "MOST_VIDEOS", 100)
    first = ask(api.client)
    assert (first["videos"], first["of_sample"]) == (300, True)
    whole = EvaluationPlan(dataset=gestures(300), protocol=QUICK, spec=BACKBONES["r3d_tiny"])
    assert first["clips"] == pytest.approx(whole.num_clips, rel=0.05)
    api.app.state.storage.delete(key)
    assert ask(api.client) == first
    assert ask(api.client, protocol="standard-v1")["clips"] > first["clips"]  # by the sample that is kept


def test_a_second_count_at_the_same_time_is_told_to_come_again(
    api: Served, dataset: DatasetRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "WAIT_S", 0.0)
    with service._counting:
        answer = api.client.get("/v1/estimates", params=QUERY)
        assert "Ask again" in problem_of(answer, 503)["detail"]
        assert answer.headers["Retry-After"]
    ask(api.client)
    with service._counting:
        ask(api.client)  # needs no count
