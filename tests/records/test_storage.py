"""What vcpbench relies on, asked of a folder, of S3, and of VCPBENCH_TEST_STORE_URL where it is set."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from records.storage import CHUNK_BYTES, DamagedObject, MissingObject, Storage, StoreAway
from tests.s3 import s3
from vcp_core.catalog.errors import StorageError

ANOTHER = os.environ.get("VCPBENCH_TEST_STORE_URL")


@pytest.fixture(scope="module")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, s3(tmp_path_factory.mktemp("s3"), patch) as url:
        yield url


@pytest.fixture(params=["folder", "s3", *(["another"] if ANOTHER else [])])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage(f"file://{tmp_path}/with space")
    url = ANOTHER if request.param == "another" else request.getfixturevalue("s3_url")
    return Storage(f"{url}/{uuid4()}")


def test_what_is_put_comes_out_again(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    storage.put_file("a/b", tmp_path / "file")
    storage.put_bytes("a/c", b"def")
    assert storage.get_bytes("a/b") == b"abc"
    assert storage.fetch("a/c", tmp_path).read_bytes() == b"def"
    assert sorted(storage.keys("a")) == ["a/b", "a/c"]


def test_a_move_replaces_and_a_delete_forgives(storage: Storage) -> None:
    storage.put_bytes("new", b"1")
    storage.put_bytes("old", b"2")
    storage.move("new", "old")
    assert storage.get_bytes("old") == b"1"
    assert not storage.exists("new")
    storage.delete("old", "never")
    assert not storage.exists("old")


def test_what_is_not_there_is_said_in_one_line(storage: Storage, tmp_path: Path) -> None:
    for act in (lambda: storage.get_bytes("x/y"), lambda: storage.fetch("x/y", tmp_path)):
        with pytest.raises(StorageError, match="x/y") as caught:
            act()
        assert "\n" not in str(caught.value)


def test_a_reader_that_knows_the_hash_takes_no_other_bytes(storage: Storage, tmp_path: Path) -> None:
    content = bytes(3 * CHUNK_BYTES)
    right = hashlib.sha256(content).hexdigest()

    async def streamed() -> tuple[int, bool]:
        """How many bytes came, and whether the stream ended well."""
        came = 0
        try:
            async for chunk in storage.stream("a/b", sha256=right):
                came += len(chunk)
        except DamagedObject:
            return came, False
        return came, True

    storage.put_bytes("a/b", content)
    assert storage.get_bytes("a/b", sha256=right) == content
    assert storage.fetch("a/b", tmp_path, sha256=right).read_bytes() == content
    assert asyncio.run(streamed()) == (len(content), True)
    for damaged in (content[:-1] + b"x", content[:-1], b""):
        storage.put_bytes("a/b", damaged)
        without_copy = tmp_path / str(len(damaged))
        without_copy.mkdir(exist_ok=True)
        for read in (
            lambda: storage.get_bytes("a/b", sha256=right),
            lambda: storage.fetch("a/b", without_copy, sha256=right),  # noqa: B023 - called at once
        ):
            with pytest.raises(DamagedObject, match="a/b: damaged in the store") as caught:
                read()
            assert not isinstance(caught.value, MissingObject)
        came, well = asyncio.run(streamed())
        assert came < len(content)
        assert not well


def test_an_object_that_is_gone_is_told_from_a_store_that_is_away(tmp_path: Path) -> None:
    storage = Storage(f"file://{tmp_path}/store")
    with pytest.raises(MissingObject):
        storage.fetch("a/b", tmp_path)
    with pytest.raises(MissingObject):
        storage.get_bytes("a/b")
    (tmp_path / "store").rename(tmp_path / "unmounted")
    with pytest.raises(StoreAway):
        storage.fetch("a/b", tmp_path)
    with pytest.raises(StoreAway):
        storage.get_bytes("a/b")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file/objects"):
        Storage(f"file://{tmp_path}/file/objects")


def test_a_url_of_no_store_is_refused() -> None:
    with pytest.raises(StorageError, match=r"ftp://.*Try file:///folder or s3://"):
        Storage("ftp://host/x")


async def _write(storage: Storage, key: str, content: bytes, *, fail: bool) -> None:
    async with storage.writer(key) as writer:
        await writer.write(content)
        if fail:
            raise RuntimeError


def test_a_writer_that_fails_leaves_nothing(storage: Storage) -> None:
    large = b"x" * (20 << 20)  # several parts
    with pytest.raises(RuntimeError):
        asyncio.run(_write(storage, "k", large, fail=True))
    assert list(storage.keys("")) == []
    asyncio.run(_write(storage, "k", large, fail=False))
    assert storage.get_bytes("k") == large


def test_what_is_stored_in_a_folder_is_on_the_disk_before_anybody_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").resolve())
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    root = tmp_path / "objects"
    storage, file = Storage(f"file://{root}"), tmp_path / "file"
    file.write_bytes(b"abc")
    for key, store in (
        ("a/put", lambda key: storage.put_bytes(key, b"abc")),
        ("b/c/file", lambda key: storage.put_file(key, file)),
        ("e/written", lambda key: asyncio.run(_write(storage, key, b"abc", fail=False))),
        ("f/moved", lambda key: storage.move("e/written", key)),
    ):
        synced.clear()
        store(key)
        assert (root / key).read_bytes() == b"abc"
        assert {root, (root / key).parent, root / key} <= set(synced)
    assert list((root / "uploads").iterdir()) == []


BEGIN = """
import asyncio, os, sys
from records.storage import Storage

async def begin():
    async with Storage(sys.argv[1]).writer("uploads/part") as writer:
        await writer.write(bytes(40 << 20))
        os.kill(os.getpid(), 9)

asyncio.run(begin())
"""


def test_what_a_killed_process_had_begun_to_write_is_forgotten_in_time(tmp_path: Path) -> None:
    for name in ("old", "new"):
        url = f"file://{tmp_path}/{name}"
        assert subprocess.run([sys.executable, "-c", BEGIN, url]).returncode == -signal.SIGKILL
        storage = Storage(url)
        storage.put_bytes("kept#x", b"1")
        (staged,) = (tmp_path / name / "uploads").iterdir()
        assert list(storage.keys("uploads")) == []  # nobody sees it, and it holds room
        if name == "old":
            os.utime(staged, (1, 1))
        storage.forget_staged(3600)
        assert staged.exists() is (name == "new")
        assert storage.get_bytes("kept#x") == b"1"


def test_a_file_that_is_gone_before_it_is_looked_at_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(f"file://{tmp_path}")
    for name in ("a#1", "b#2"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    found = [tmp_path / "gone#0", *tmp_path.glob("*#*")]  # as where a writer ends between list and look
    monkeypatch.setattr(Path, "rglob", lambda *_: iter(found))
    storage.forget_staged(3600)
    assert list(tmp_path.glob("*#*")) == []


class Busy(BaseHTTPRequestHandler):
    """S3 that says "not now", or "not you"."""

    status = 503

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "away"), [(503, True), (500, True), (400, False), (403, False)])
def test_a_store_that_asks_to_come_back_is_told_from_one_that_refuses(
    monkeypatch: pytest.MonkeyPatch, status: int, away: bool
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Busy", (Busy,), {"status": status})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            monkeypatch.setenv(f"AWS_{name}", "x")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        with pytest.raises(StorageError) as caught:
            Storage("s3://bucket").put_bytes("k", b"x")
        server.shutdown()
    assert isinstance(caught.value, StoreAway) is away
