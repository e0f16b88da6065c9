"""What is no checkpoint is refused before it is sent, in the words of who would refuse it there."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from vcpbench_client import Client
from vcpbench_client.errors import NotACheckpoint
from vcpbench_client.formats import refuse_something_else

from tests.client.conftest import Run
from tests.service.kit import noise
from vcp_core.catalog.errors import NotACheckpoint as Refused
from vcp_core.checkpoints.formats import identify

NO_CHECKPOINTS = {
    "text": b"notes of a training run\n" * 3,
    "latin-1": "Schlußbemerkung\n".encode("latin-1"),
    "page": b"<!DOCTYPE html><html><title>Sign in</title>",
    "page after a byte order mark": b"\xef\xbb\xbf\r\n<html>",
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "empty": b"",
    "gzip": gzip.compress(b"weights"),
    "bzip2": b"BZh91AY&SY\x00",
    "xz": b"\xfd7zXZ\x00\x00\x04",
    "hdf5": b"\x89HDF\r\n\x1a\n\x00",
    "gguf": b"GGUF\x03\x00\x00\x00",
    "npy": b"\x93NUMPY\x01\x00v\x00",
}
PERHAPS: dict[str, bytes] = {
    "zip": b"PK\x03\x04" + bytes(60),
    "pickle": b"\x80\x02}q\x00.",
    "safetensors": (2).to_bytes(8, "little") + b"{}",
    "unknown": noise(600),
}


def test_a_tar_archive_is_left_to_the_server(tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pt"))
    refuse_something_else(content.getvalue()[:512])


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_it_is_refused_in_the_words_of_the_sandbox(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(NO_CHECKPOINTS[name])
    with pytest.raises(Refused) as there:
        identify(tmp_path / "model.pt")
    with pytest.raises(NotACheckpoint) as here:
        refuse_something_else(NO_CHECKPOINTS[name][:512])
    assert str(here.value) == str(there.value)


@pytest.mark.parametrize("content", PERHAPS.values(), ids=PERHAPS)
def test_what_a_server_may_take_is_sent(content: bytes) -> None:
    refuse_something_else(content)


def test_nothing_of_it_is_sent(run: Run, client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_bytes(NO_CHECKPOINTS["text"])
    for words in (("upload",), ("evaluate",), ("gate", "--min", "recognition.top1=40")):
        found = run(*words, "notes.pt", "-m", "mine")
        assert found.returncode == 2
        assert "NotACheckpoint: notes.pt: plain text, beginning 'notes of a training run" in found.stderr
        assert "sending" not in found.stderr
    assert list(client.checkpoints()) == []
