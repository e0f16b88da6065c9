"""A program of torch.export through the whole product: upload, evaluation, controls, board and page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
import vcpbench_client
from sqlalchemy import select

from records.models import Checkpoint, Evaluation, Job, JobKind, Origin
from tests.client.test_export import resnet
from tests.e2e.conftest import LIGHT, in_the_library
from tests.e2e.test_way import register, results
from tests.graphs.attacks import ATTACKS
from tests.served import Served
from tests.workers import WorkerProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.export's own


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two networks of one structure, by `vcpbench export`."""
    folder = tmp_path_factory.mktemp("graphs")
    for seed in (7, 8):
        vcpbench_client.export(
            resnet(seed),
            folder / f"{seed}.pt2",
            stages=["layer1", "layer2"],
            frames=16,
            crop=32,
            stride=1,
            resize=(36, 48),
            mean=0.45,
            std=0.225,
        )
    return folder / "7.pt2", folder / "8.pt2"


@pytest.mark.product
def test_a_graph_goes_the_whole_way_and_two_of_one_structure_share_their_control(
    api: Served,
    start_worker: Callable[..., WorkerProcess],
    folder: Path,
    graphs: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    canary, hostile = tmp_path / "canary", tmp_path / "hostile.pt2"
    hostile.write_bytes(ATTACKS["a weight that is a pickle"].make(str(canary)))
    worker = start_worker()
    register(api, folder)
    refused = api.upload(hostile, "hostile")
    assert "is a pickle" in api.poll(f"/v1/checkpoints/{refused['id']}", "rejected")["reason"]
    assert not canary.exists()
    uploads = [api.upload(path, f"exported-{path.stem}") for path in graphs]  # the worker takes the next job
    asked = [api.evaluate(one["id"], "small", "light") for one in uploads]
    worker.runner_child(walled=True)
    first, second = (api.follow(one["id"]) for one in asked)
    assert results(api, first["id"])["benchmarks"] == in_the_library(graphs[0], folder, LIGHT)
    name = first["checkpoint"]["backbone"]
    assert name == second["checkpoint"]["backbone"]
    assert name.startswith("graph-")
    assert first["controls"] == second["controls"]
    assert len(first["controls"]) == 1
    with api.database.session() as session:
        assert len(session.scalars(select(Evaluation).where(Evaluation.is_control)).all()) == 1
        control = session.scalars(select(Checkpoint).where(Checkpoint.origin == Origin.CONTROL)).one()
        assert control.graph == session.get_one(Checkpoint, UUID(uploads[0]["id"])).graph
        assert len(session.scalars(select(Job).where(Job.kind == JobKind.CALIBRATE)).all()) == 1
    board = {"dataset": "small", "protocol": "light", "backbone": name}
    rows = api.client.get("/v1/leaderboard", params=board).json()["rows"]
    assert {row["model"] for row in rows} == {"exported-7", "exported-8"}
    for evaluation in (first["id"], first["controls"][0]):
        page = api.client.get(f"/evaluations/{evaluation}").text
        assert name in page
        assert "Batch norms get the statistics of training clips." in page
