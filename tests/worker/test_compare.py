"""A real worker compares two evaluations: what it keeps is what the library gives."""

from __future__ import annotations

from collections.abc import Callable

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

StartWorker = Callable[..., WorkerProcess]
QUICK = PROTOCOLS["quick-v1"]


def pair(api: Served) -> str:
    """The address of the comparison of two evaluations."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        ids = [
            done(session, ready_checkpoint(session, name), dataset, {}, predictions=[answers(seed, skill)]).id
            for seed, (name, skill) in enumerate({"weak": 0.2, "strong": 0.9}.items())
        ]
    return f"/v1/comparisons?first={ids[0]}&second={ids[1]}"


def test_a_worker_compares_two_evaluations(api: Served, start_worker: StartWorker) -> None:
    address = pair(api)
    assert api.client.get(address).status_code == 202
    start_worker(VCPBENCH_QUEUES="cpu")
    found = api.poll(address, "done")
    wanted = compare({"recognition": answers(0, 0.2)}, {"recognition": answers(1, 0.9)}, QUICK)
    assert found["differences"] == [one.model_dump() for one in wanted] != []
    assert found["notes"] == []


def test_the_same_weights_under_two_names_are_equal(api: Served, start_worker: StartWorker) -> None:
    address = pair(api)
    with api.database.session() as session:
        session.execute(update(Checkpoint).values(weights_sha256="f" * 64))
    api.client.get(address)
    start_worker(VCPBENCH_QUEUES="cpu")
    found = api.poll(address, "done")
    assert {(one["low"], one["high"], one["test"]) for one in found["differences"]} == {(0, 0, "same")}
    assert found["notes"] == [SAME]


def test_what_cannot_be_compared_fails_with_the_reason(api: Served, start_worker: StartWorker) -> None:
    address = pair(api)
    with api.database.session() as session:
        row = session.scalars(select(BenchmarkRow)).first()
        assert row is not None
        columns = {name: [*values, values[0]] for name, values in row.predictions["columns"].items()}
        row.predictions = {**row.predictions, "columns": columns}
    api.client.get(address)
    start_worker(VCPBENCH_QUEUES="cpu")
    assert "cannot be paired" in api.poll(address, "failed")["reason"]


def test_a_worker_of_another_version_says_so(api: Served, start_worker: StartWorker) -> None:
    address = pair(api)
    api.client.get(address)
    with api.database.session() as session:
        session.execute(update(Comparison).values(version="of tomorrow"))
        comparison_id = session.scalars(select(Comparison.id)).one()
    start_worker(VCPBENCH_QUEUES="cpu")

    def reason() -> VcpbenchError | None:
        with api.database.session() as session:
            return session.get_one(Comparison, comparison_id).reason

    found = until(reason, hopeless=WorkerProcess.casualty)
    assert "version of tomorrow of the rules" in str(found)
