"""Columns of a closed set of words."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Enum


def words(kind: type[StrEnum], name: str) -> Enum:
    """Make a text column with a check constraint. A new word then needs only a migration of one line."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        name=name,
        length=20,
        values_callable=lambda members: [member.value for member in members],
    )
