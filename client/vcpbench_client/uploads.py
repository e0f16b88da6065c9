"""Upload a file: hash it, declare it, send it in parts, and resume where the line broke.

Several shards are sent as one file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vcpbench_client.answers import Checkpoint, read
from vcpbench_client.errors import BadAnswer, ClientError, Conflict, FileError, NotACheckpoint
from vcpbench_client.folders import Source
from vcpbench_client.formats import HEAD_BYTES, refuse_something_else
from vcpbench_client.patience import Patience
from vcpbench_client.shards import Joined
from vcpbench_client.transport import ANSWER_S, Transport, content_of

PART_BYTES = 64 << 20  # below the limits that proxies usually have on one request
CHUNK_BYTES = 1 << 20
JOIN_BYTES_PER_S = 20e6  # what the slowest store joins and hashes; the last part's answer waits for it

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The upload of one file.

    Attributes:
        transport: To the server.
        source: The file, or the files that are sent as one.
        tell: Told the stage ("hashing", "sending"), bytes done, and bytes in all.
        part_bytes: Of one request.
    """

    transport: Transport
    source: Source
    tell: Tell
    part_bytes: int = PART_BYTES

    def run(self, model: str, **facts: str | int | None) -> Checkpoint:
        """Send the bytes that the server lacks. If the model has this checkpoint already, return it as it is.

        Args:
            model: The name that it comes under.
            facts: `run`, `step`, `backbone`, `pretrained_on`, `prefix`, `variant`,
                `input_spec`, `private`; what is known of them.

        Raises:
            NotACheckpoint: If its first bytes say that it is something else. Nothing is sent then.
            FileError: If the file cannot be read, or changes meanwhile.
            ClientError: As every request.
        """
        with self._open() as file:
            self._look_at(file)
            before = _state(file)
            declared = {name: value for name, value in facts.items() if value is not None}
            body = {
                "model": model,
                **declared,
                "size_bytes": before[0],
                "sha256": self._hash(file, before[0]),
            }
            checkpoint = read(Checkpoint, content_of(self.transport.ask("POST", "/checkpoints", body=body)))
            if checkpoint.state == "declared":
                checkpoint = self._send(file, before, checkpoint)
            return checkpoint

    @property
    def path(self) -> Path:
        """The path that messages name."""
        return self.source.path

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        try:
            with self.source.open() as file:
                yield file
        except OSError as error:
            raise FileError(
                self.path, f" cannot be read: {error.strerror or error}.", path=self.path
            ) from error

    def _look_at(self, file: BinaryIO) -> None:
        """Refuse a file that is certainly no checkpoint, before anything is sent."""
        try:
            refuse_something_else(file.read(HEAD_BYTES))
        except NotACheckpoint as error:
            raise NotACheckpoint(self.path, f": {error}", path=self.path) from None
        file.seek(0)

    def _hash(self, file: BinaryIO, size_bytes: int) -> str:
        digest, done = hashlib.sha256(), 0
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            self.tell("hashing", done, size_bytes)
            self.transport.deadline.check(f"{self.path}: gave up hashing")
        return digest.hexdigest()

    def _send(self, file: BinaryIO, before: tuple[int, ...], checkpoint: Checkpoint) -> Checkpoint:
        patience, furthest = self.transport.patience(), checkpoint.received_bytes
        while checkpoint.state == "declared":
            try:
                checkpoint = self._send_part(file, checkpoint.id, checkpoint.received_bytes, before[0])
            except ClientError as error:
                if _state(file) != before:
                    raise FileError(
                        self.path, " changed while it was sent. Run it again.", path=self.path
                    ) from error
                self._pause(patience, error)
                checkpoint = self._look(checkpoint.id)
            if checkpoint.received_bytes > furthest:
                furthest = checkpoint.received_bytes
                patience.renew()
        return checkpoint

    def _pause(self, patience: Patience, error: ClientError) -> None:
        """Pause before the next attempt. After a conflict over the bytes received, look again and go on."""
        if isinstance(error, Conflict) and "received_bytes" in error.problem:
            error.passing = True
        self.transport.pause(patience, error)

    def _look(self, checkpoint_id: str) -> Checkpoint:
        return read(Checkpoint, content_of(self.transport.ask("GET", f"/checkpoints/{checkpoint_id}")))

    def _send_part(self, file: BinaryIO, checkpoint_id: str, begin: int, size_bytes: int) -> Checkpoint:
        """Send one part. It is empty if the server has all bytes and only has to take the file over."""
        end = min(begin + self.part_bytes, size_bytes)
        headers = {"Content-Length": str(end - begin), "Content-Type": "application/octet-stream"}
        if end > begin:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size_bytes}"
        response = self.transport.once(
            "PUT",
            f"/checkpoints/{checkpoint_id}/content",
            content=self._chunks(file, begin, end, size_bytes),
            headers=headers,
            answer_s=ANSWER_S + (size_bytes / JOIN_BYTES_PER_S if end == size_bytes else 0),
        )
        checkpoint = read(Checkpoint, content_of(response))
        if checkpoint.state == "declared" and checkpoint.received_bytes <= begin:
            raise BadAnswer(f"The server took bytes {begin} to {end} and counts them not: {checkpoint}.")
        return checkpoint

    def _chunks(self, file: BinaryIO, begin: int, end: int, size_bytes: int) -> Iterator[bytes]:
        file.seek(begin)
        while begin < end:
            self.transport.deadline.check(f"{self.path}: gave up sending")
            chunk = file.read(min(CHUNK_BYTES, end - begin))
            if not chunk:
                raise FileError(self.path, " became shorter while it was sent.", path=self.path)
            yield chunk
            begin += len(chunk)
            self.tell("sending", begin, size_bytes)


def _state(file: BinaryIO) -> tuple[int, ...]:
    """Size and time of change, which differ after somebody writes to the file."""
    joined = getattr(file, "raw", None)
    if isinstance(joined, Joined):
        return joined.state()
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns
