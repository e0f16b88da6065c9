"""Download a file. It appears whole and with the right hash, or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from vcpbench_client.answers import Checkpoint
from vcpbench_client.errors import BadAnswer, BrokenOff, ClientError, FileError
from vcpbench_client.transport import Transport
from vcpbench_client.uploads import Tell

SAME_PLACE = 3  # a bad line breaks at another byte each time


def download(transport: Transport, checkpoint: Checkpoint, path: Path, tell: Tell) -> None:
    """Write a checkpoint's file, tried again from its beginning while the server is away.

    Raises:
        FileError: If it cannot be written.
        BadAnswer: If the hash of the received bytes is not the checkpoint's, or the server broke the download
            off at one byte `SAME_PLACE` times: it does so if its own file is damaged.
        ClientError: As every request.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise FileError(path, f" cannot be written: {error.strerror or error}.", path=path) from error
    try:
        os.close(handle)
        patience, ends = transport.patience(), []
        while True:
            try:
                digest = _receive(transport, checkpoint, Path(name), tell)
                break
            except ClientError as error:
                ends += [Path(name).stat().st_size] if isinstance(error, BrokenOff) else []
                if len(ends) >= SAME_PLACE and len({*ends[-SAME_PLACE:]}) == 1:
                    raise BadAnswer(
                        f"{checkpoint.id}: the server broke the download off after {ends[-1]:,} bytes, "
                        f"{SAME_PLACE} times. Its file may be damaged; its log has the reason."
                    ) from error
                transport.pause(patience, error)
        if digest != checkpoint.sha256:
            raise BadAnswer(f"{checkpoint.id}: bytes of SHA-256 {digest} came, not of {checkpoint.sha256}.")
        os.replace(name, path)
    except OSError as error:
        raise FileError(path, f" cannot be written: {error.strerror or error}.", path=path) from error
    finally:
        Path(name).unlink(missing_ok=True)


def _receive(transport: Transport, checkpoint: Checkpoint, path: Path, tell: Tell) -> str:
    digest, done = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in transport.receive(f"/checkpoints/{checkpoint.id}/content"):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            tell("receiving", done, checkpoint.size_bytes or done)
    return digest.hexdigest()
