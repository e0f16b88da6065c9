"""Objects of the store, by the rows that name them.

A row names an object before the object is stored. Its writer calls `about_to_name` first, which shares a
lock. Whoever deletes an object holds this lock alone, sees that no row names the object, deletes it, and ends
the transaction (`records.orphans`). So an object that a row names is never deleted: the look sees a name that
was written before. A name that is written later belongs to an object that is stored after the deletion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ColumnElement, cast, func, literal, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from records import storage
from records.models import Checkpoint, DatasetRow, Media, Shard, UploadPart
from records.repositories import locks

LOCK = "vcpbench.objects"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A folder of the store.

    Attributes:
        folder: Its name.
        form: What the keys of vcpbench look like there. The group is the part that a row names. Other keys
            are not vcpbench's.
        column: The column of these names.
        kept: Whether a row names its object now.
        size: The column of the object's size, if a sweep may have to fill it in.
        spelled: How a name is written in the column.
    """

    folder: str
    form: re.Pattern[str]
    column: InstrumentedAttribute[Any]
    kept: tuple[ColumnElement[bool], ...] = ()
    size: Any = None  # a column; its own type would be read as that of a value
    spelled: Callable[[str], Any] = str

    def name_in(self, key: str) -> str | None:
        """The part of a key that a row names; None if the key is not vcpbench's."""
        found = self.form.fullmatch(key)
        return found[1] if found else None


def _kind(folder: str, form: str, column: InstrumentedAttribute[Any], **more: Any) -> Kind:
    return Kind(folder=folder, form=re.compile(form), column=column, **more)


KINDS = (
    _kind("uploads", rf"(uploads/{_UUID}(?:/{_UUID})?)", UploadPart.key),
    _kind("checkpoints", r"checkpoints/([0-9a-f]{64})", Checkpoint.sha256),
    _kind(
        "weights",
        r"weights/([0-9a-f]{64})\.safetensors",
        Checkpoint.weights_sha256,
        size=Checkpoint.weights_bytes,
    ),
    _kind(
        "manifests",
        rf"manifests/({_UUID})\.json",
        DatasetRow.id,
        size=DatasetRow.manifest_bytes,
        spelled=UUID,
    ),
    _kind(
        "features",
        r"(features/[0-9a-f]+)\.(?:safetensors|json)",
        Shard.key,
        kept=(Shard.swept_at.is_(None),),
        size=Shard.size_bytes,
        spelled=lambda name: f"{name}.safetensors",
    ),
    _kind(storage.MEDIA, rf"{storage.MEDIA}/([0-9a-f]{{64}})", Media.sha256),
)


def about_to_name(session: Session) -> None:
    """Keep objects from being deleted until this transaction ends. Call it before a name is written."""
    locks.take_shared(session, LOCK)


def about_to_delete(session: Session) -> None:
    """Keep names from being written until this transaction ends. Then look, delete, and end it soon."""
    locks.take(session, LOCK)


def unnamed(session: Session, kind: Kind, keys: Collection[str]) -> list[str]:
    """Those of these keys that are vcpbench's, and that no row names."""
    names = {key: kind.spelled(name) for key in keys if (name := kind.name_in(key)) is not None}
    wanted = select(func.unnest(literal(list(set(names.values())), ARRAY(kind.column.type))))
    named = set(session.scalars(select(kind.column).where(kind.column.in_(wanted), *kind.kept)))
    return [key for key, name in names.items() if name not in named]


def is_beside(key: str) -> bool:
    """Whether an object lies beside the one that a row names: the facts of features."""
    return key.startswith("features/") and key.endswith(".json")


def with_facts(keys: Iterable[str]) -> list[str]:
    """These keys of features, and those of the facts beside them."""
    return [one for key in keys for one in (key, storage.facts_key(key))]


def note_sizes(session: Session, kind: Kind, sizes: Mapping[str, int]) -> None:
    """Fill in sizes that older versions did not note. `sizes` has bytes by key."""
    if kind.size is None:
        return
    found = {
        kind.spelled(name): size
        for key, size in sizes.items()
        if (name := kind.name_in(key)) is not None and not is_beside(key)
    }
    if not found:
        return
    each = func.unnest(
        cast(list(found), ARRAY(kind.column.type)), cast(list(found.values()), ARRAY(BigInteger))
    ).table_valued("name", "size", name="found")
    rows = each.render_derived()
    filled = update(kind.column.class_).where(kind.column == rows.c.name, kind.size.is_(None), *kind.kept)
    session.execute(filled.values({kind.size: rows.c.size}), execution_options={"synchronize_session": False})
