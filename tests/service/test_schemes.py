"""Results under older versions of a key scheme: marked, asked for again, and alone in that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from records import flow
from records.models import CheckpointState, Evaluation, EvaluationState, Job, JobKind
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset
from tests.service.kit import problem_of
from tests.service.test_engines import BOARD, HTML, again, ask, board, score_now
from tests.web.read import Page
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.readings import version_of


@pytest.fixture
def old(api: Served) -> dict[str, UUID]:
    """Evaluations of one board from before MMAction2's scheme had version 2, by model."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        found = {}
        for number, (name, scheme) in enumerate(
            {"mm": "MMAction2", "pv": "PyTorchVideo", "before": None}.items()
        ):
            checkpoint = ready_checkpoint(session, name, scheme=scheme)
            checkpoint.backbone = "slow_r50"
            found[name] = done(session, checkpoint, dataset, {HEADLINE: 40.0 + number}).id
        return found


def test_only_rows_under_an_older_version_are_marked_and_all_stay_on_the_board(
    api: Served, old: dict[str, UUID]
) -> None:
    rows = {row["model"]: row for row in board(api)["rows"]}
    assert {name: row["outdated"] for name, row in rows.items()} == {"mm": True, "pv": False, "before": False}
    shown = {name: api.client.get(f"/v1/evaluations/{one}").json() for name, one in old.items()}
    assert {name: one["outdated"] for name, one in shown.items()} == {
        "mm": True,
        "pv": False,
        "before": False,
    }
    assert (shown["mm"]["checkpoint"]["scheme"], shown["mm"]["scheme_version"]) == ("MMAction2", 1)
    assert not any(one["older"] for one in shown.values())
    page = Page.of(api.client.get("/", params=BOARD, headers=HTML)).text
    assert page.count("outdated") == 1
    assert (
        "gestures under quick-v1 outdated" in Page.of(api.client.get("/models/default/mm", headers=HTML)).text
    )


def test_an_outdated_result_is_made_again_and_the_others_are_there_already(
    api: Served, old: dict[str, UUID]
) -> None:
    assert ask(api, "pv@latest").json()["id"] == str(old["pv"])
    assert ask(api, "before@latest").json()["id"] == str(old["before"])
    new = ask(api, "mm@latest")
    assert new.status_code == 201
    assert (new.json()["scheme_version"], new.json()["outdated"]) == (2, False)
    assert ask(api, "mm@latest").json()["id"] == new.json()["id"]
    score_now(api, new.json()["id"], 90.0)
    rows = board(api)["rows"]
    assert [(row["model"], row["outdated"]) for row in rows] == [
        ("mm", False),
        ("before", False),
        ("pv", False),
        ("mm", True),
    ]


def test_an_administrator_asks_for_all_outdated_results_of_a_board_at_once(
    api: Served, old: dict[str, UUID]
) -> None:
    out = again(api).json()
    assert (len(out["asked"]), out["there"], out["left_out"]) == (1, [], {})
    with api.database.session() as session:
        row = session.get_one(Evaluation, UUID(out["asked"][0]))
        assert row.checkpoint_id == session.get_one(Evaluation, old["mm"]).checkpoint_id
        assert session.scalars(select(Job.priority).where(Job.kind == JobKind.PLAN)).all() == [-1]


def test_what_waits_for_its_file_gets_the_version_of_the_scheme_that_is_found(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        checkpoint = ready_checkpoint(session, "new", state=CheckpointState.INGESTING)
        waiting = done(session, checkpoint, dataset, {}, state=EvaluationState.WAITING, results=None).id
    with api.database.session() as session:
        flow.lock(session)
        row = session.merge(checkpoint)
        row.state, row.backbone, row.scheme = CheckpointState.READY, "slow_r50", "MMAction2"
        flow.checkpoint_ended(session, row)
    shown = api.client.get(f"/v1/evaluations/{waiting}").json()
    assert (shown["state"], shown["scheme_version"], shown["outdated"]) == ("planning", 2, False)


def test_every_scheme_of_the_catalog_has_a_version_from_1_on() -> None:
    versions = [scheme.version for spec in BACKBONES.values() for scheme in spec.keys]
    assert min(versions) == 1
    assert version_of("slow_r50", "MMAction2") == max(versions)


def declared(api: Served, **more: Any) -> Any:
    body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64, **more}
    return api.client.post("/v1/checkpoints", json=body)


def test_a_variant_that_does_not_exist_is_refused_with_those_that_do(api: Served) -> None:
    for wrong, said in (
        ({"variant": "tlcr"}, "No variant 'tlcr'. Did you mean 'tclr'?"),
        ({"variant": "tclr", "backbone": "r3d"}, "No variant of r3d 'tclr'. Known: bgr."),
        ({"variant": "TCLR", "backbone": "r3d_18"}, "Known: bgr, tclr."),
    ):
        problem = problem_of(declared(api, **wrong), 404)
        assert said in problem["detail"]
    assert api.client.get("/v1/checkpoints").json()["total"] == 0


def test_the_same_file_in_two_forms_is_two_checkpoints(api: Served) -> None:
    forms = [declared(api, **form).json() for form in ({}, {"variant": "tclr"}, {"variant": "bgr"})]
    assert [one["variant"] for one in forms] == [None, "tclr", "bgr"]
    assert len({one["id"] for one in forms}) == 3
    assert declared(api, variant="tclr").json()["id"] == forms[1]["id"]
