"""Store the reason of a failure as JSON with its fields, and no longer as text."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = {
    "job": "error",
    "dataset": "reason",
    "evaluation": "reason",
    "checkpoint": "reason",
    "comparison": "reason",
}
INSTEAD = "an older version of vcpbench noted the reason; an administrator can read it"


def upgrade() -> None:
    """Turn old texts into errors without a path. Only administrators read texts that may name a folder."""
    refused = _own_files_refused()
    for table, column in COLUMNS.items():
        old = _replace(table, column, sa.String(), sa.JSON())
        for row_id, text in old:
            # A text does not say which of its words are an operator's folder. One without a slash holds none,
            # and what is told of a team's own file only that team reads.
            own = table == "checkpoint" or row_id in refused
            part = text if own or "/" not in text else {"private": text, "instead": INSTEAD}
            error: dict[str, Any] = {"code": "VcpbenchError", "path": None, "parts": [part], "fields": {}}
            _write(table, column, sa.JSON(), row_id, error)
        op.drop_column(table, "old")


def downgrade() -> None:
    """Turn each error into the text that operators read."""
    for table, column in COLUMNS.items():
        for row_id, error in _replace(table, column, sa.JSON(), sa.String()):
            _write(table, column, sa.String(), row_id, _text(error))
        op.drop_column(table, "old")


def _own_files_refused() -> set[Any]:
    """Ids of evaluations that failed because a team's file was refused."""
    evaluation = sa.table("evaluation", sa.column("id"), sa.column("checkpoint_id"))
    checkpoint = sa.table("checkpoint", sa.column("id"), sa.column("model_id"), sa.column("state"))
    both = evaluation.join(checkpoint, evaluation.c.checkpoint_id == checkpoint.c.id)
    query = sa.select(evaluation.c.id).select_from(both)
    theirs = (checkpoint.c.model_id.is_not(None), checkpoint.c.state == "rejected")
    return set(op.get_bind().scalars(query.where(*theirs)).all())


def _replace(table: str, column: str, before: Any, after: Any) -> list[Any]:
    """Replace a column by an empty one of another type. Return the old values, kept in the column `old`."""
    op.alter_column(table, column, new_column_name="old")
    op.add_column(table, sa.Column(column, after, nullable=True))
    kept = sa.table(table, sa.column("id"), sa.column("old", before))
    query = sa.select(kept.c.id, kept.c.old).where(kept.c.old.is_not(None))
    return list(op.get_bind().execute(query).all())


def _write(table: str, column: str, kind: Any, row_id: Any, value: Any) -> None:
    rows = sa.table(table, sa.column("id"), sa.column(column, kind))
    op.get_bind().execute(sa.update(rows).where(rows.c.id == row_id).values({column: value}))


def _text(error: dict[str, Any]) -> str:
    path = [f"{error['path']}: "] if error["path"] else []
    parts = [
        part if isinstance(part, str) else part.get("path") or part["private"] for part in error["parts"]
    ]
    return "".join([*path, *parts]).encode("utf-8", "replace").decode()
