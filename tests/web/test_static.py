"""What others wrote is what its README says, byte by byte, with its licence; ours fetches nothing."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from service.web.pages import STATIC

ASSETS = Path(__file__).parent / "assets"
FOLDERS = [STATIC / "vendor", ASSETS]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_foreign_file_has_its_hash_and_its_licence(folder: Path) -> None:
    line = re.compile(r"^\| (\S+\.(?:js|css)) \|.*?, (\S+LICENSE)\b.*?\| ([0-9a-f]{64}) \|", re.MULTILINE)
    rows = line.findall((folder / "README.md").read_text())
    assert {name for name, _, _ in rows} == {
        path.name for path in folder.iterdir() if path.suffix in (".js", ".css")
    }
    for name, licence, digest in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
        assert (folder / licence).read_text()


def test_our_own_files_name_no_other_host() -> None:
    for path in (*STATIC.glob("*.css"), *STATIC.glob("*.js")):
        assert "//" not in re.sub(r"^\s*//.*|(?<=[;{,(] ) *//.*|  // .*", "", path.read_text(), flags=re.M), (
            path.name
        )
        assert "@import" not in path.read_text()
