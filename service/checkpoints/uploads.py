"""Stream uploads to the store, counting and hashing the bytes. Bytes that arrived are kept.

Only this module and service/events are asynchronous. SQL runs in threads, in short transactions. No
transaction is open while bytes arrive.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from records.db import Database
from records.models import CheckpointState, UploadPart
from records.repositories import quotas
from records.settings import Settings
from records.storage import Storage, checkpoint_key
from service import auditing
from service.checkpoints import named, service
from service.checkpoints.schemas import CheckpointOut, shown
from service.problems import BadUpload, Conflict, TooLarge
from service.quotas.service import check_upload
from vcp_core.catalog.errors import StorageError

T = TypeVar("T")
BLOCK_BYTES = 1 << 20  # handed to the store at once: the event loop waits for another thread each time
CONTENT_RANGE = re.compile(r"^bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)$")


@dataclass(frozen=True, kw_only=True)
class Received:
    """Bytes that have come in one request.

    Attributes:
        size_bytes: Number of bytes.
        sha256: SHA-256 of the bytes.
        complete: Whether the body ended; if not, the connection broke.
    """

    size_bytes: int
    sha256: str
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Uploads:
    """Takes uploads.

    Attributes:
        database: Holds the checkpoints.
        storage: Holds the bytes.
        settings: Say how large a checkpoint may be, and what a team may use.
        request: The request that brings the bytes, for the audit log.
    """

    database: Database
    storage: Storage
    settings: Settings
    request: Request

    async def part(
        self, wanted: str, team: str, chunks: AsyncIterator[bytes], content_range: str | None
    ) -> CheckpointOut:
        """Take all or some of a declared checkpoint's bytes. Once all are stored, it goes to ingest.

        If the connection breaks, the bytes that arrived are kept. A body that is longer or shorter than
        announced is dropped.

        Raises:
            InvalidRequest: If `wanted` is neither an id nor the first characters of one.
            NotFound: If the team has no such checkpoint.
            Ambiguous: If it has several whose ids begin so.
            Conflict: If the part does not begin where the bytes so far end, or is empty after all bytes.
            BadUpload: If the body does not fit what was declared, or all bytes have another hash.
            StorageError: If the store fails.
        """
        checkpoint_id = await self._sql(lambda session: named.by_id(session, wanted, named.Among.of(team)).id)
        span, stored = await self._sql(lambda session: self._begin(session, checkpoint_id, content_range))
        if span is None:  # the client repeats itself because our answer was lost: read the body, keep nothing
            came = sum([len(chunk) async for chunk in chunks])
            if stored and not came:
                # A client sends an empty part to have all parts joined. If another request has joined them
                # meanwhile, this member of the problem makes the client look again.
                raise Conflict(
                    f"No bytes came, and checkpoint {checkpoint_id} has all of its bytes already.",
                    received_bytes=stored.received_bytes,
                )
            return stored or await self._complete(checkpoint_id, None)
        key = f"uploads/{checkpoint_id}/{uuid4()}"
        received = await self._receive(key, chunks, len(span), _too_long(len(span)))
        try:
            if received.complete and received.size_bytes < len(span):
                raise BadUpload(
                    f"{received.size_bytes} bytes came, but {len(span)} were announced. "
                    "They were dropped; send them again."
                )
            if not received.size_bytes:
                raise ClientDisconnect
            out = await self._sql(lambda session: self._record(session, checkpoint_id, span, received, key))
        except BaseException:
            await run_in_threadpool(self.storage.delete, key)
            raise
        if out.received_bytes == out.size_bytes:
            return await self._complete(checkpoint_id, received)
        if not received.complete:
            raise ClientDisconnect
        return out

    async def whole(
        self, chunks: AsyncIterator[bytes], team: str, facts: service.Facts, announced: int = 0
    ) -> tuple[CheckpointOut, bool]:
        """Take a checkpoint in one go; also tells whether it is new.

        Args:
            chunks: The bytes.
            team: The team that sends them.
            facts: What the client says about the file.
            announced: How many bytes will come; 0 if the client did not say.

        Raises:
            TooMany: If the team has used up a quota.
            TooLarge: If it is larger than this installation takes.
            BadUpload: If it is empty, or has another hash than the one given.
            ClientDisconnect: If the connection broke; nothing is kept.
            StorageError: If the store fails.
        """
        key = f"uploads/{uuid4()}"
        max_bytes = self.settings.max_upload_bytes
        await self._sql(lambda session: self._check_quota(session, team, facts.sha256, announced))
        received = await self._receive(key, chunks, max_bytes, _too_large(max_bytes))
        try:
            if not received.complete:
                raise ClientDisconnect
            if not received.size_bytes:
                raise BadUpload("The body was empty. Send the file: curl -T FILE URL.")
            if facts.sha256 not in (None, received.sha256):
                raise _wrong_hash(facts.sha256, received.sha256)
            # Again, because the client may not have said how many bytes come. Once the object has its final
            # name, nobody here may delete it: another checkpoint may have the same bytes.
            came = received.sha256, received.size_bytes
            await self._sql(lambda session: self._check_quota(session, team, *came))
            # The row comes before the object that it names (`records.repositories.objects`). It says that the
            # object is there only afterwards: then a worker may open it.
            found, new = await self._sql(lambda session: self._declare(session, team, facts, received))
            await run_in_threadpool(self.storage.move, key, checkpoint_key(received.sha256))
        except BaseException:
            await run_in_threadpool(self.storage.delete, key)
            raise
        return await self._sql(lambda session: self._end(session, found, received.size_bytes)), new

    def _declare(
        self, session: Session, team: str, facts: service.Facts, received: Received
    ) -> tuple[UUID, bool]:
        found, new = service.declare(
            session, self.storage, self.settings, team, facts, received.sha256, received.size_bytes
        )
        return found.id, new

    def _check_quota(self, session: Session, team: str, sha256: str | None, num_bytes: int) -> None:
        """Refuse a file for which the team has no room. One that the team has, or may have, is no new one."""
        counted = quotas.counted_bytes(session, team, sha256=sha256, size_bytes=num_bytes)
        new = counted is None
        check_upload(session, team, self.settings, sha256=sha256, size_bytes=num_bytes, new=new)

    def _begin(
        self, session: Session, checkpoint_id: UUID, content_range: str | None
    ) -> tuple[range | None, CheckpointOut | None]:
        """Say which bytes to take; None if all are stored. Also give the checkpoint if ingest has it."""
        checkpoint = service.locked(session, checkpoint_id)
        size_bytes = checkpoint.size_bytes or 0
        span = _span(content_range, size_bytes)
        if checkpoint.state is not CheckpointState.DECLARED:
            return None, shown(checkpoint)
        received = shown(checkpoint).received_bytes
        if received == size_bytes:
            return None, None
        if span.start == 0:
            service.begin_anew(session, self.storage, checkpoint)
        elif span.start != received:
            raise Conflict(
                f"The part begins at byte {span.start}, but {received} bytes are stored. "
                f"Continue at byte {received}.",
                received_bytes=received,
            )
        return span, None

    async def _receive(
        self, key: str, chunks: AsyncIterator[bytes], at_most: int, too_many: Exception
    ) -> Received:
        size, digest, complete, block = 0, hashlib.sha256(), True, bytearray()
        async with self.storage.writer(key) as writer:
            try:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > at_most:
                        raise too_many
                    block += chunk
                    if len(block) >= BLOCK_BYTES:
                        digest.update(block)
                        await writer.write(bytes(block))
                        block.clear()
            except ClientDisconnect:
                complete = False
            digest.update(block)
            await writer.write(bytes(block))
        return Received(size_bytes=size, sha256=digest.hexdigest(), complete=complete)

    def _record(
        self, session: Session, checkpoint_id: UUID, span: range, received: Received, key: str
    ) -> CheckpointOut:
        """Keep the part, unless another request changed the earlier parts meanwhile."""
        checkpoint = service.locked(session, checkpoint_id)
        there = shown(checkpoint).received_bytes
        if checkpoint.state is not CheckpointState.DECLARED or there != span.start:
            raise Conflict(
                f"Another request uploads this checkpoint at the same time. {there} bytes are stored now. "
                "The bytes of this request were dropped.",
                received_bytes=there,
            )
        checkpoint.parts.append(UploadPart(start=span.start, size_bytes=received.size_bytes, key=key))
        return shown(checkpoint)

    async def _complete(self, checkpoint_id: UUID, last: Received | None) -> CheckpointOut:
        """Complete an upload whose bytes have all arrived, if their hash is right."""
        keys, before = await self._sql(lambda session: self._parts(session, checkpoint_id))
        if before.state is not CheckpointState.DECLARED:
            return before
        declared, known = before.sha256 or "", last and last.size_bytes == before.size_bytes
        try:
            found = last.sha256 if last and known else await self._hash(keys)
            if found == declared:
                await self._keep(keys, checkpoint_key(declared))
        except StorageError:
            now = await self._sql(lambda session: self._after_failure(session, checkpoint_id, keys))
            if now.state is not CheckpointState.DECLARED:
                return now
            if now.received_bytes:
                raise
            raise Conflict(
                "The bytes of this checkpoint are no longer stored. Send them again.", received_bytes=0
            ) from None
        if found != declared:
            await self._sql(lambda session: self._drop(session, checkpoint_id, keys))
            raise _wrong_hash(declared, found)
        size_bytes = before.received_bytes
        return await self._sql(lambda session: self._end(session, checkpoint_id, size_bytes))

    def _parts(self, session: Session, checkpoint_id: UUID) -> tuple[list[str], CheckpointOut]:
        checkpoint = service.locked(session, checkpoint_id)
        return [part.key for part in checkpoint.parts], shown(checkpoint)

    def _end(self, session: Session, checkpoint_id: UUID, size_bytes: int) -> CheckpointOut:
        """Send the checkpoint to ingest, unless another request did so. Its object is in place."""
        checkpoint = service.locked(session, checkpoint_id)
        if checkpoint.state is CheckpointState.DECLARED:
            service.begin_anew(session, self.storage, checkpoint)
            checkpoint.size_bytes = size_bytes
            service.uploaded(session, checkpoint)
            auditing.note(self.request, session, self.request.query_params, checkpoint)
        return shown(checkpoint)

    def _drop(self, session: Session, checkpoint_id: UUID, keys: Sequence[str]) -> CheckpointOut:
        """Delete these parts, unless other parts have replaced them."""
        checkpoint = service.locked(session, checkpoint_id)
        if [part.key for part in checkpoint.parts] == keys:
            service.begin_anew(session, self.storage, checkpoint)
        return shown(checkpoint)

    def _after_failure(self, session: Session, checkpoint_id: UUID, keys: Sequence[str]) -> CheckpointOut:
        """Drop the parts if another request moved their objects away, and give the checkpoint."""
        if all(self.storage.exists(key) for key in keys):
            return self._parts(session, checkpoint_id)[1]
        return self._drop(session, checkpoint_id, keys)

    async def _keep(self, keys: Sequence[str], target: str) -> None:
        if len(keys) == 1:
            await run_in_threadpool(self.storage.move, keys[0], target)
        else:
            await self._join(keys, target)

    async def _hash(self, keys: Sequence[str]) -> str:
        digest = hashlib.sha256()
        for key in keys:
            async for chunk in self.storage.stream(key):  # megabytes at a time: not on the event loop
                await run_in_threadpool(digest.update, chunk)
        return digest.hexdigest()

    async def _join(self, keys: Sequence[str], target: str) -> None:
        async with self.storage.writer(target) as writer:
            for key in keys:
                async for chunk in self.storage.stream(key):
                    await writer.write(chunk)

    async def _sql(self, transaction: Callable[[Session], T]) -> T:
        def run() -> T:
            with self.database.session() as session:
                return transaction(session)

        return await run_in_threadpool(run)


def _span(content_range: str | None, size_bytes: int) -> range:
    """Parse which bytes a body holds: all of them if there is no Content-Range."""
    if content_range is None:
        return range(size_bytes)
    match = CONTENT_RANGE.match(content_range)
    if match is None:
        raise BadUpload(f"Content-Range: {content_range[:100]!r} is not `bytes FIRST-LAST/ALL`.")
    first, last, total = match.groups()
    if total != "*" and int(total) != size_bytes:
        raise BadUpload(f"Content-Range says {total} bytes in all, but {size_bytes} were declared.")
    span = range(int(first), int(last) + 1)
    if not span or span.stop > size_bytes:
        raise BadUpload(f"Content-Range: there are no bytes {first} to {last} among {size_bytes}.")
    return span


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body has more than {max_bytes} bytes, the most that this installation takes.")


def _too_long(announced: int) -> BadUpload:
    return BadUpload(
        f"More bytes came than the {announced} that were announced. They were dropped; send them again."
    )


def _wrong_hash(declared: str | None, found: str) -> BadUpload:
    return BadUpload(
        f"The bytes have SHA-256 {found}, but {declared} was declared. The bytes were "
        "dropped. If the file is whole on your side, send it again.",
        declared_sha256=declared,
        received_sha256=found,
    )
