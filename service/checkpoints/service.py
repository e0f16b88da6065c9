"""Declare checkpoints, and start uploads anew or end them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import event
from sqlalchemy.orm import Session

from records import flow
from records.db import NOW
from records.models import Checkpoint, CheckpointState, Deleted, JobKind, Model, Origin
from records.repositories import checkpoints, jobs, locks, models, objects, visibility
from records.settings import Settings
from records.storage import Storage
from service import gone
from service.auth import Caller
from service.checkpoints import named
from service.checkpoints.named import Among
from service.limits import MAX_DECLARED
from service.problems import Conflict, NotFound, TooMany
from service.quotas.service import check_upload
from vcp_core.catalog.errors import StorageError
from vcp_core.catalog.inputs import InputSpec
from vcp_core.catalog.readings import check_variant, resolve

ADDED_LATER = ("backbone", "run", "step", "pretrained_on")  # what else is declared makes another checkpoint

log = structlog.get_logger("vcpbench.uploads")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The client's declaration of a file, with the attributes of `CheckpointIn`.

    `private_if_new` is the installation's: whether a new model is private if the client does not say.

    Raises:
        UnknownName: If there is no such backbone or variant.
        InputError: If the input is not valid, or does not fit the backbone.
    """

    model: str
    sha256: str | None = None
    backbone: str | None = None
    run: str | None = None
    step: int | None = None
    pretrained_on: str | None = None
    prefix: str | None = None
    variant: str | None = None
    input_spec: str | None = None
    private: bool | None = None
    private_if_new: bool = False

    def __post_init__(self) -> None:
        if self.backbone is not None:
            resolve(self.backbone, variant=self.variant, input_spec=self.input_spec)
        elif self.variant is not None:
            check_variant(self.variant)
        if self.input_spec is not None:
            one_spelling = str(InputSpec.parse(self.input_spec))
            object.__setattr__(self, "input_spec", one_spelling)


def declare(
    session: Session,
    storage: Storage,
    settings: Settings,
    team: str,
    facts: Facts,
    sha256: str,
    size_bytes: int,
) -> tuple[Checkpoint, bool]:
    """Find or make the team's checkpoint of these bytes. Return it, and whether it is new.

    Facts that were not declared before are added. The search covers only the team's own checkpoints, because
    the answer must not tell that another team has the same file.

    Raises:
        Conflict: If a fact contradicts an earlier declaration, or what the file was found to be; or if the
            model is public and shall be private, or the other way round.
        TooMany: If the checkpoint is new, and the team has declared too many others without their bytes, or
            used up a quota.
    """
    flow.lock(session)  # a worker writes what it found in the file under the same lock
    model = checkpoints.model_of(session, team, facts.model)
    _declare_private(session, model, facts)
    locks.take(session, checkpoints.model_lock(model.id))  # two equal declarations at once get one checkpoint
    found = checkpoints.same(
        session,
        model,
        sha256,
        prefix=facts.prefix,
        variant=facts.variant,
        input_spec=facts.input_spec,
    )
    if found is not None:
        found = locked(session, found.id)
        if found.state is CheckpointState.DECLARED and found.size_bytes != size_bytes:
            check_upload(session, team, settings, sha256=sha256, size_bytes=size_bytes, new=False)
            begin_anew(session, storage, found)  # the size was wrong then, or is now; the hash will tell
            found.size_bytes = size_bytes
        _add(found, facts)
        return found, False
    _check_room(session, team)
    check_upload(session, team, settings, sha256=sha256, size_bytes=size_bytes)
    objects.about_to_name(session)
    checkpoint = Checkpoint(
        model=model,
        origin=Origin.UPLOAD,
        state=CheckpointState.DECLARED,
        size_bytes=size_bytes,
        sha256=sha256,
        backbone=facts.backbone,
        run=facts.run,
        step=facts.step,
        pretrained_on=facts.pretrained_on,
        prefix=facts.prefix,
        variant=facts.variant,
        input_spec=facts.input_spec,
    )
    session.add(checkpoint)
    session.flush()
    session.refresh(checkpoint)
    return checkpoint, True


def _declare_private(session: Session, model: Model, facts: Facts) -> None:
    """Make a model without checkpoints private or public, as declared. Call it under the flow's lock.

    Raises:
        Conflict: If the model has checkpoints, and is not as declared.
    """
    if models.has_checkpoint(session, model):
        if facts.private not in (None, model.private):
            now, wanted = ("private", "public") if model.private else ("public", "private")
            raise Conflict(
                f"Model {model.name!r} of team {model.team!r} is {now}, not {wanted}. Leave `private` out, "
                f"or make the model {wanted} first: POST /v1/models/private."
            )
        return
    private = facts.private if facts.private is not None else model.private or facts.private_if_new
    if private != model.private:
        models.set_private(session, model, private)


def _check_room(session: Session, team: str) -> None:
    """Make sure that the team may declare one more checkpoint. Call it under the flow's lock."""
    number, oldest = checkpoints.declared(session, team)
    if oldest is not None and number >= MAX_DECLARED:
        raise TooMany(
            f"Team {team!r} has declared {number} checkpoints whose bytes are not all there, and "
            f"{MAX_DECLARED} are allowed. Send the bytes of one: PUT /v1/checkpoints/ID/content. "
            "A checkpoint is deleted a week after its last byte; the oldest was declared at "
            f"{oldest:%Y-%m-%d %H:%M:%S %Z}.",
            limit="declared checkpoints without their bytes",
            used=number,
            allowed=MAX_DECLARED,
        )


def _add(found: Checkpoint, facts: Facts) -> None:
    """Fill in facts that were left out before. Until a worker reads the file, the last declaration counts.

    Raises:
        Conflict: If a fact contradicts what is known, or names a backbone while a worker looks for it.
    """
    said = {name: getattr(facts, name) for name in ADDED_LATER if getattr(facts, name) is not None}
    known = {name: None if name == "step" and _is_epoch(found) else getattr(found, name) for name in said}
    differs = {name for name in said if known[name] not in (None, said[name])}
    if differs and found.state is not CheckpointState.DECLARED:
        what = ", ".join(f"{name} is {known[name]!r}, not {said[name]!r}" for name in sorted(differs))
        raise Conflict(
            f"Checkpoint {found.id} has these bytes: {what}. Leave out what differs, or name another model.",
            checkpoint_id=str(found.id),
            differs=sorted(differs),
        )
    if "backbone" in said and known["backbone"] is None and found.state is CheckpointState.INGESTING:
        raise Conflict(
            f"Checkpoint {found.id} has these bytes. A worker is finding its backbone now. "
            "Leave the backbone out, or declare it once the checkpoint is ready.",
            checkpoint_id=str(found.id),
            differs=["backbone"],
        )
    for name, value in said.items():
        setattr(found, name, value)


def _is_epoch(found: Checkpoint) -> bool:
    """Whether the stored step is the file's epoch, which is used if the file counts no steps."""
    counted = (found.report or {}).get("training") or {}
    return counted.get("step") is None and counted.get("epoch") == found.step


def locked(session: Session, checkpoint_id: UUID) -> Checkpoint:
    """Read the checkpoint again under its lock. No other request changes it until the transaction ends.

    The sender's team has it: the request found its id before.

    Raises:
        Gone: If somebody deleted it.
        NotFound: If a worker deleted it, because no bytes came for a week.
    """
    locks.take(session, checkpoints.upload_lock(checkpoint_id))
    found = session.get(Checkpoint, checkpoint_id, populate_existing=True)
    if found is None:
        gone.check(session, Deleted.CHECKPOINT, checkpoint_id, visible=visibility.EVERYTHING)
        raise NotFound(f"Checkpoint {checkpoint_id} was deleted: no bytes came for a week. Declare it again.")
    return found


def begin_anew(session: Session, storage: Storage, checkpoint: Checkpoint) -> None:
    """Delete the parts so far, and their objects after the commit. Call `locked` before."""
    locks.expect(session, checkpoints.upload_lock(checkpoint.id))
    keys = [part.key for part in checkpoint.parts]

    def delete(_: Session) -> None:
        try:
            storage.delete(*keys)
        except StorageError as error:  # the commit is done, so only useless objects stay in the store
            log.warning("parts of an upload were not deleted", keys=keys, error=str(error))

    if keys:
        checkpoint.parts.clear()
        # Not at once: if the transaction is rolled back, the parts stay and need their objects.
        event.listen(session, "after_commit", delete, once=True)


def uploaded(session: Session, checkpoint: Checkpoint) -> None:
    """Let a worker read the complete file. Call `locked` before."""
    locks.expect(session, checkpoints.upload_lock(checkpoint.id))
    assert checkpoint.model is not None
    checkpoint.state, checkpoint.uploaded_at = CheckpointState.INGESTING, NOW
    session.flush()
    jobs.enqueue(session, JobKind.INGEST, team=checkpoint.model.team, checkpoint_id=checkpoint.id)


def uploaded_file(session: Session, wanted: str, caller: Caller) -> Checkpoint:
    """Find a checkpoint whose file the caller may download: the team's own, or any for an administrator.

    Raises:
        NotFound: If there is none.
        Conflict: If bytes of the file are missing.
    """
    found = named.find(session, wanted, Among.usable_by(caller))
    if found.state is CheckpointState.DECLARED:
        raise Conflict(
            f"Bytes of checkpoint {found.id} are missing. "
            f"PUT them to /v1/checkpoints/{found.id}/content first."
        )
    return found
