"""The schema's steps, on a real PostgreSQL."""

from __future__ import annotations

import json

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

import records.models
import records.settings
from records import migrate
from records.db import Base, Database
from tests.databases import Databases
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import VcpbenchError, last_name


@pytest.fixture
def empty(databases: Databases) -> str:
    return databases.make("template0")


def test_the_models_are_the_migrated_schema(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_models_check_what_the_migrated_schema_checks(database: Database, empty: str) -> None:
    made = Database(empty)
    Base.metadata.create_all(made.engine)
    migrated, modelled = checks(database), checks(made)
    made.dispose()
    assert "ck_job_subject" in migrated
    assert migrated == modelled


def checks(database: Database) -> dict[str, str]:
    """What PostgreSQL made of every check constraint; Alembic compares none of them."""
    query = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'"
    with database.session() as session:
        rows = session.execute(text(f"{query} AND connamespace = 'public'::regnamespace"))
        return {name: definition for name, definition in rows}


def test_migrations_go_up_from_nothing_and_down_again(empty: str) -> None:
    assert migrate.upgrade(empty)[0].startswith("0001:")
    found = Database(empty)
    assert {"evaluation", "job", "score"} <= set(inspect(found.engine).get_table_names())
    migrate.check(found)
    command.downgrade(migrate.config(empty), "base")
    assert inspect(found.engine).get_table_names() == ["alembic_version"]
    assert migrate.upgrade(empty)  # and up again: down left nothing in the way
    found.dispose()


def test_what_was_registered_before_gets_its_name_in_the_catalog(empty: str) -> None:
    custom = DATASETS["ucf101"].licence
    known = {
        ("ucf101:/data/ucf", custom): "ucf101",
        ("/data/ucf", custom): "ucf101",
        ("hmdb51:/data/hmdb", None): "hmdb51",
        ("/data/hmdb", DATASETS["hmdb51"].licence): "hmdb51",
        ("playground-64", "CC0 1.0"): "playground-64",
        ("/data/ucf101", "unknown"): None,
        ("/data/new", None): None,
    }
    command.upgrade(migrate.config(empty), "0006")
    found = Database(empty)
    columns = (
        "(id, name, source, state, summary) VALUES (gen_random_uuid(), :name, :source, 'ready', :summary)"
    )
    with found.session() as session:
        for number, (location, licence) in enumerate(known):
            facts = {"source": {"name_or_path": location}, "summary": licence and {"licence": licence}}
            values = {what: json.dumps(fact) for what, fact in facts.items()}
            session.execute(text(f"INSERT INTO dataset {columns}"), {"name": f"d{number}", **values})
    assert any(step.startswith("0007:") for step in migrate.upgrade(empty))
    with found.session() as session:
        names = session.scalars(text("SELECT own_name FROM dataset ORDER BY name")).all()
    assert names == list(known.values())
    found.dispose()


def test_scores_from_before_units_are_percents_of_which_more_is_better(empty: str) -> None:
    command.upgrade(migrate.config(empty), "0009")
    found = Database(empty)
    with found.session() as session:
        session.execute(
            text("SET session_replication_role = replica")
        )  # the score alone, without its evaluation
        columns = (
            "(evaluation_id, metric, benchmark, value, low, high, num_videos, num_units, units, headline)"
        )
        values = "(gen_random_uuid(), 'a.b', 'a', 40, 30, 50, 9, 9, 'video', true)"
        session.execute(text(f"INSERT INTO score {columns} VALUES {values}"))
    assert any(step.startswith("0010:") for step in migrate.upgrade(empty))
    with found.session() as session:
        assert session.execute(text("SELECT unit, better FROM score")).all() == [("percent", "higher")]
    found.dispose()


def test_reasons_of_before_are_kept_and_those_that_may_hold_a_folder_are_for_operators(empty: str) -> None:
    texts = ["it has 3 classes", "/srv/Dr. Who: no such folder.", None]
    command.upgrade(migrate.config(empty), "0009")
    found = Database(empty)
    insert = text(
        "INSERT INTO dataset (id, name, source, state, reason) "
        "VALUES (gen_random_uuid(), :name, '{}', 'failed', :reason)"
    )
    with found.session() as session:
        for number, reason in enumerate(texts):
            session.execute(insert, {"name": f"d{number}", "reason": reason})
    command.upgrade(migrate.config(empty), "0013")
    with found.session() as session:
        rows = session.execute(text("SELECT reason FROM dataset ORDER BY name")).scalars().all()
    errors = [row and VcpbenchError.from_dict(row) for row in rows]
    assert [error and str(error) for error in errors] == texts
    told = [error and error.text(last_name) for error in errors]
    assert told == [
        texts[0],
        "an older version of vcpbench noted the reason; an administrator can read it",
        None,
    ]
    command.downgrade(migrate.config(empty), "0012")
    with found.session() as session:
        assert session.scalars(text("SELECT reason FROM dataset ORDER BY name")).all() == texts
    found.dispose()


def test_what_a_teams_own_file_held_stays_its_teams_to_read(empty: str) -> None:
    command.upgrade(migrate.config(empty), "0009")
    found = Database(empty)
    statements = (
        "INSERT INTO model (id, team, name) VALUES (gen_random_uuid(), 'a', 'm')",
        "INSERT INTO dataset (id, name, source, state) VALUES (gen_random_uuid(), 'd', '{}', 'ready')",
        "INSERT INTO protocol (hash, name, content) VALUES ('p', 'p', '{}')",
        "INSERT INTO checkpoint (id, model_id, origin, state, reason) "
        "SELECT gen_random_uuid(), id, 'upload', 'rejected', 'a zip with a/b' FROM model",
        "INSERT INTO evaluation "
        "(id, checkpoint_id, dataset_id, protocol_hash, team, is_control, state, reason) "
        "SELECT gen_random_uuid(), checkpoint.id, dataset.id, 'p', 'a', false, 'failed', 'rejected: a/b' "
        "FROM checkpoint, dataset",
    )
    with found.session() as session:
        for statement in statements:
            session.execute(text(statement))
    command.upgrade(migrate.config(empty), "0013")
    with found.session() as session:
        for table, said in (("checkpoint", "a zip with a/b"), ("evaluation", "rejected: a/b")):
            kept = session.execute(text(f"SELECT reason FROM {table}")).scalar_one()
            assert VcpbenchError.from_dict(kept).text(last_name) == said
    found.dispose()


def test_results_of_before_have_version_1_of_their_scheme_unless_their_input_was_declared(
    empty: str,
) -> None:
    command.upgrade(migrate.config(empty), "0020")
    found = Database(empty)
    rows = {
        "1": ("MMAction2", None, 1),
        "2": ("MMAction2", "mean=0.485/0.456/0.406,std=0.25", 2),
        "3": ("MMAction2", "mean=0.5", 1),
        "4": ("SlowFast", "mean=0.5,std=0.5", 1),
        "5": ("", None, 1),
    }
    with found.session() as session:
        session.execute(text("SET session_replication_role = replica"))  # without models, datasets, protocols
        for name, (scheme, declared, _) in rows.items():
            checkpoint = (
                "INSERT INTO checkpoint (id, origin, state, backbone, sha256, report, input_spec) VALUES "
                "(gen_random_uuid(), 'upload', 'ready', 'slow_r50', :name, :report, :declared) RETURNING id"
            )
            report = json.dumps({"scheme": scheme})
            values = {"name": name, "report": report, "declared": declared}
            checkpoint_id = session.execute(text(checkpoint), values).scalar_one()
            evaluation = (
                "INSERT INTO evaluation (id, checkpoint_id, dataset_id, protocol_hash, engine, team, "
                "is_control, state) "
                "VALUES (gen_random_uuid(), :id, gen_random_uuid(), 'p', 'e', 'a', false, 'done')"
            )
            session.execute(text(evaluation), {"id": checkpoint_id})
    assert any(step.startswith("0021:") for step in migrate.upgrade(empty))
    query = (
        "SELECT sha256, scheme, scheme_version FROM evaluation "
        "JOIN checkpoint ON checkpoint.id = checkpoint_id ORDER BY sha256"
    )
    with found.session() as session:
        migrated = session.execute(text(query)).all()
    assert [tuple(row) for row in migrated] == [
        (name, scheme or None, version) for name, (scheme, _, version) in rows.items()
    ]
    found.dispose()


def test_a_score_job_of_before_is_still_queued_and_one_that_is_cut_into_fits_goes_back_whole(
    empty: str,
) -> None:
    command.upgrade(migrate.config(empty), "0015")
    found = Database(empty)
    statements = (
        "INSERT INTO dataset (id, name, source, state) VALUES (gen_random_uuid(), 'd', '{}', 'ready')",
        "INSERT INTO protocol (hash, name, content) VALUES ('p', 'p', '{}')",
        "INSERT INTO checkpoint (id, origin, state) VALUES (gen_random_uuid(), 'control', 'ready')",
        "INSERT INTO evaluation "
        "(id, checkpoint_id, dataset_id, protocol_hash, engine, team, is_control, state) "
        "SELECT gen_random_uuid(), checkpoint.id, dataset.id, 'p', engine, 'a', true, 'scoring' "
        "FROM checkpoint, dataset, (VALUES ('queued'), ('fitted')) AS v (engine)",
    )
    job = (
        "INSERT INTO job (id, kind, queue, team, evaluation_id, state, crashes, outages, losses, done) "
        "SELECT gen_random_uuid(), :kind, 'cpu', team, id, 'queued', 0, 0, 0, 0 "
        "FROM evaluation WHERE engine = :engine"
    )
    kinds = text(
        "SELECT engine, kind, job.state FROM job JOIN evaluation ON evaluation_id = evaluation.id "
        "ORDER BY engine"
    )
    with found.session() as session:
        for statement in statements:
            session.execute(text(statement))
        session.execute(text(job), {"kind": "score", "engine": "queued"})
    command.upgrade(migrate.config(empty), "0016")
    with found.session() as session:
        assert session.execute(kinds).all() == [("queued", "score", "queued")]
        session.execute(text(job), {"kind": "fit", "engine": "fitted"})
    command.downgrade(migrate.config(empty), "0015")
    with found.session() as session:
        rows = session.execute(kinds).all()
    assert rows == [("fitted", "score", "queued"), ("queued", "score", "queued")]
    found.dispose()


def test_migrating_twice_does_nothing_the_second_time(empty: str) -> None:
    migrate.upgrade(empty)
    assert migrate.upgrade(empty) == []


def test_an_old_schema_is_refused_with_what_to_do(empty: str) -> None:
    found = Database(empty)
    with pytest.raises(migrate.SchemaError, match=r"schema is empty.*vcpbench migrate"):
        migrate.check(found)
    found.dispose()


def test_a_newer_schema_is_refused_by_both(database: Database, settings: records.settings.Settings) -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrate.SchemaError, match=r"\(9999\) is newer.*Update vcpbench"):
        migrate.check(database)
    with pytest.raises(migrate.SchemaError, match="is newer"):
        migrate.upgrade(settings.database_url.get_secret_value())


def test_a_process_can_wait_until_another_one_has_migrated(
    empty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = iter([lambda: None, lambda: migrate.upgrade(empty)])
    monkeypatch.setattr(migrate.time, "sleep", lambda seconds: next(looks)())
    migrate.wait(empty)
    told = capsys.readouterr().err
    assert told.count("empty") == 1, "each reason once"
    assert next(looks, None) is None
