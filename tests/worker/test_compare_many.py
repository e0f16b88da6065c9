"""A real worker compares many evaluations: what it keeps is what the library gives for each two."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from sqlalchemy import select, update

from records.models import BenchmarkRow, Checkpoint, Comparison
from tests.patience import until
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.test_comparisons import answers
from tests.workers import WorkerProcess
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.scoring.comparison import compare
from vcp_core.scoring.stored_comparison import SAME
from vcp_core.scoring.stored_many import Pair

StartWorker = Callable[..., WorkerProcess]
QUICK = PROTOCOLS["quick-v1"]
ADDED = {"num_comparisons", "p_adjusted"}


def four(api: Served) -> list[str]:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        return [
            str(
                done(
                    session,
                    ready_checkpoint(session, f"m{n}"),
                    dataset,
                    {},
                    predictions=[answers(n, 0.2 * n)],
                ).id
            )
            for n in range(4)
        ]


def ask(api: Served, evaluations: list[str], baseline: str) -> str:
    answer = api.client.post("/v1/comparisons", json={"evaluations": evaluations, "baseline": baseline})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def plain(differences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name not in ADDED} for one in differences]


def change_a_stored_pair(api: Served) -> None:
    """Change a number in the matrices of the only comparison of many."""
    with api.database.session() as session:
        row = session.scalars(select(Comparison).where(Comparison.second_id.is_(None))).one()
        content = copy.deepcopy(row.content)
        assert content is not None
        pair = content["matrices"][0]["pairs"][0]
        pair[Pair._fields.index("difference")] += 1
        row.content = content


def test_a_worker_compares_many_and_then_another_baseline(api: Served, start_worker: StartWorker) -> None:
    evaluations = four(api)
    start_worker(VCPBENCH_QUEUES="cpu")
    first = ask(api, evaluations, evaluations[1])
    found = api.poll(first, "done")
    for one in found["with_baseline"]:
        seed = evaluations.index(one["evaluation"])
        wanted = compare({"recognition": answers(1, 0.2)}, {"recognition": answers(seed, 0.2 * seed)}, QUICK)
        assert plain(one["differences"]) == [difference.model_dump() for difference in wanted] != []
        two = {"first": evaluations[1], "second": one["evaluation"]}
        kept = api.client.get("/v1/comparisons", params=two)
        assert (kept.status_code, kept.json()["differences"]) == (200, plain(one["differences"]))
    change_a_stored_pair(api)
    other = api.poll(ask(api, evaluations, evaluations[3]), "done")
    assert [one["evaluation"] for one in other["with_baseline"]] == [
        one["id"] for one in other["evaluations"] if one["id"] != evaluations[3]
    ]
    # The worker takes over the stored matrices. A second comparison of these pairs would correct the number.
    stored = api.client.get(first).json()["matrices"]
    assert other["matrices"] == stored != found["matrices"]


def test_the_same_weights_under_two_names_are_equal(api: Served, start_worker: StartWorker) -> None:
    evaluations = four(api)
    with api.database.session() as session:
        session.execute(update(Checkpoint).values(weights_sha256="f" * 64))
    where = ask(api, evaluations, evaluations[0])
    start_worker(VCPBENCH_QUEUES="cpu")
    found = api.poll(where, "done")
    assert {one["notes"][0] for one in found["with_baseline"]} == {SAME}
    assert {(pair["low"], pair["p_adjusted"]) for one in found["matrices"] for pair in one["pairs"]} == {
        (0, 1)
    }


def test_the_two_that_do_not_fit_are_named(api: Served, start_worker: StartWorker) -> None:
    evaluations = four(api)
    with api.database.session() as session:
        row = session.scalars(select(BenchmarkRow)).first()
        assert row is not None
        columns = {name: [*values, values[0]] for name, values in row.predictions["columns"].items()}
        row.predictions = {**row.predictions, "columns": columns}
        damaged = str(row.evaluation_id)
    where = ask(api, evaluations, evaluations[0])
    start_worker(VCPBENCH_QUEUES="cpu")
    reason = api.poll(where, "failed")["reason"]
    assert damaged in reason
    assert "cannot be paired" in reason


def test_a_worker_of_another_version_says_so(api: Served, start_worker: StartWorker) -> None:
    evaluations = four(api)
    ask(api, evaluations, evaluations[0])
    with api.database.session() as session:
        session.execute(update(Comparison).values(version="of tomorrow"))
        comparison_id = session.scalars(select(Comparison.id)).one()
    start_worker(VCPBENCH_QUEUES="cpu")

    def reason() -> VcpbenchError | None:
        with api.database.session() as session:
            return session.get_one(Comparison, comparison_id).reason

    assert "version of tomorrow of the rules" in str(until(reason, hopeless=WorkerProcess.casualty))
