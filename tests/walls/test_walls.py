"""Code that took over the reader's child tries to get out, with all walls, with some and with none."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from tests.checkpoints.test_read import Touch, save
from tests.walls.attempts import SPARE_UID
from vcp_core.backbones import build
from vcp_core.catalog.errors import WallsMissing
from vcp_core.checkpoints import child_process, ingest
from vcp_core.checkpoints.child_process import Limits, child_environment, start_child
from vcp_core.walls import NotHandedOver, offered, take_over
from vcp_core.walls.user import FIRST_UID

pytestmark = pytest.mark.slow

START = child_process.START.replace(
    "from vcp_core.checkpoints.child import main", "from tests.walls.attempts import main"
)
NEEDED = ("write to the output folder", "read its packages", "start a thread", "limit itself")
LACKING = offered().lacking
needs_walls = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user, which needs root")
AS = [pytest.param(False, id="root"), pytest.param(True, id="ordinary user")]

# What the kernel answers when all walls stand. Landlock answers EACCES and the filter EPERM; both ask first.
EACCES = (
    "read the parent's environment",
    "read the parent's memory",
    "read a token file",
    "read /etc/passwd",
    "list /",
    "list the parent's files",
    "write to the installation",
    "write to /tmp",
    "write to the token file",
    "link to another file",
)
ENOSYS = ("clone3", "a call of the x32 ABI")
# What Landlock alone refuses, on a kernel without seccomp.
LANDLOCKS = dict.fromkeys(EACCES, errno.EACCES) | {
    "connect by TCP": errno.EACCES,
    "listen on TCP": errno.EACCES,
    "connect to an abstract socket": errno.EPERM,
    "ptrace the parent": errno.EPERM,
    "read the parent's memory by a call": errno.EPERM,
    "signal the parent": errno.EPERM,
    "signal the parent's thread": errno.EPERM,
}
# What succeeds without walls, for root and for a user who owns the parent and the files.
OPEN_WITHOUT = (
    "read the parent's environment",
    "read a token file",
    "read /etc/passwd",
    "list /",
    "write to /tmp",
    "write to the token file",
    "change a token file's mode",
    "connect by TCP",
    "listen on TCP",
    "connect to a unix socket",
    "connect to an abstract socket",
    "make a pair of sockets",
    "start a shell",
    "fork",
    "fork twice",
    "ptrace the parent",
    "signal the parent",
    "signal the parent's thread",
    "open the parent's pidfd",
    "share memory by a number",
)
# Without the filter these succeed. A shell could not answer. Python does not see a process that a raw call
# made, and the new process could wait forever for a lock that another thread held.
ONLY_WITH_FILTER = ("become a shell", "the call fork", "clone", "clone3")


def refusals(found: Iterable[str]) -> dict[str, int]:
    """The errno of each attempt when all walls stand."""
    return {
        name: 0 if name in NEEDED else
        errno.EACCES if name in EACCES else
        errno.ENOSYS if name in ENOSYS else errno.EPERM
        for name in found
    }  # fmt: skip


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def targets(place: Path) -> Iterator[dict[str, Any]]:
    token = place / "token"
    token.write_text("secret")
    if os.geteuid() == 0:
        os.chown(token, SPARE_UID, SPARE_UID)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        unix.bind(str(place / "socket"))
        (place / "socket").chmod(0o777)
        abstract.bind("\0vcpbench-" + place.name)
        unix.listen()
        abstract.listen()
        yield {
            "parent": os.getpid(),
            "installation": str(Path(vcp_core.__file__).parent),
            "package": torch.__file__,
            "token": str(token),
            "tcp": tcp.getsockname()[1],
            "unix": str(place / "socket"),
            "abstract": "\0vcpbench-" + place.name,
        }


def attack(
    monkeypatch: pytest.MonkeyPatch,
    place: Path,
    targets: dict[str, Any],
    *,
    ordinary: bool,
    without: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    early: bool = False,
) -> dict[str, Any]:
    """Run the attempts in a child, and print the errno of each."""
    monkeypatch.setattr(child_process, "START", START)
    monkeypatch.setenv("VCPBENCH_DATABASE_URL", "postgresql://secret")
    folder, path = place / "out", place / "foreign.pt"
    folder.mkdir()
    path.write_bytes(b"foreign")
    if ordinary:
        os.chown(folder, SPARE_UID, SPARE_UID)
    job = {
        "path": str(path),
        "canonical_path": str(place / "canonical"),
        "folder": str(folder),
        "targets": {**targets, "ordinary": ordinary, "without": without, "skip": skip, "early": early},
    }
    with start_child(path, job, Limits.for_size(0)) as child:
        answer = child.answer()
    assert "error" not in answer, answer
    for name, number in answer["found"].items():
        print(f"{name:36} {errno.errorcode.get(number, 'succeeds')}")
    print(json.dumps(answer["state"][0]), answer["missing"])
    return answer


@needs_walls
@needs_root
@pytest.mark.parametrize("ordinary", AS)
def test_no_attempt_to_get_out_succeeds(
    monkeypatch: pytest.MonkeyPatch, place: Path, targets: dict[str, Any], ordinary: bool
) -> None:
    answer = attack(monkeypatch, place, targets, ordinary=ordinary, early=True)
    for found in (answer["early"], answer["found"]):
        assert found == refusals(found)
    assert len(answer["found"]) > 45
    assert answer["left"] == []
    environment = answer["environment"]
    assert environment.pop("TORCHINDUCTOR_CACHE_DIR").startswith("/proc/self/fd/")  # torch makes this folder
    assert (answer["pdeathsig"], environment) == (9, child_environment())
    assert len(answer["state"]) == 3  # this thread, and those that watch the memory and the parent
    for thread in answer["state"]:
        uid = int(thread["Uid"].split()[0])
        assert uid == SPARE_UID if ordinary else uid > FIRST_UID
        assert thread["Uid"] == " ".join([str(uid)] * 4)
        assert (thread["Groups"], thread["NoNewPrivs"], thread["Seccomp"]) == ("", "1", "2")
        assert {int(thread[name], 16) for name in ("CapPrm", "CapEff")} == {0}
    user = [] if ordinary else ["user"]
    assert answer["standing"] == ["no_new_privs", "landlock", *user, "seccomp"]
    assert set(answer["missing"]) == ({"user"} if ordinary else set())


@needs_walls
@needs_root
@pytest.mark.parametrize("ordinary", AS)
def test_landlock_alone_keeps_files_network_and_the_parent(
    monkeypatch: pytest.MonkeyPatch, place: Path, targets: dict[str, Any], ordinary: bool
) -> None:
    skip = (*ONLY_WITH_FILTER, "unshare", "become root", "limit the parent", "userfaultfd")
    found = attack(monkeypatch, place, targets, ordinary=ordinary, without=("filter",), skip=skip)["found"]
    assert {name: found[name] for name in LANDLOCKS} == LANDLOCKS
    assert [name for name in ("fork", "connect to a unix socket") if found[name]] == []  # the filter's part


@needs_root
@pytest.mark.parametrize("ordinary", AS)
def test_without_walls_the_same_attempts_succeed(
    monkeypatch: pytest.MonkeyPatch, place: Path, targets: dict[str, Any], ordinary: bool
) -> None:
    skip = (*ONLY_WITH_FILTER, "mount", "unmount", "unshare", "write to the installation")
    without = ("walls", "filter")
    found = attack(monkeypatch, place, targets, ordinary=ordinary, without=without, skip=skip)["found"]
    assert [name for name in (*NEEDED, *OPEN_WITHOUT) if found[name]] == []


FILES = ("zip", "legacy", "safetensors", "repacked", "hostile", "cut", "plain pickle")


def foreign(kind: str, folder: Path) -> Path:
    """Make a foreign file of a kind, each with its own way through the reader."""
    import pickle
    import zipfile

    from safetensors.torch import save_file

    weights = build("r3d_tiny", seed=4).state_dict()
    path = folder / "foreign"
    if kind == "safetensors":
        save_file(weights, path)
    elif kind == "plain pickle":
        path.write_bytes(pickle.dumps({"a": Touch(folder / "marker")}, protocol=2))
    else:
        content = weights | ({"x": Touch(folder / "marker")} if kind == "hostile" else {})
        save(content, path, as_zip=kind in ("zip", "repacked", "hostile"))
    if kind == "cut":
        os.truncate(path, path.stat().st_size // 2)
    if kind == "repacked":
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(folder / "z", "w", zipfile.ZIP_DEFLATED) as z:
            for name in archive.namelist():
                z.writestr(name, archive.read(name))
        (folder / "z").replace(path)
    return path


@pytest.mark.parametrize("kind", FILES)
def test_nothing_is_imported_once_a_file_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    start = START.replace(
        "import main; main(job)", "import ingest_and_tell_imports; ingest_and_tell_imports(job)"
    )
    monkeypatch.setattr(child_process, "START", start)
    path, folder = foreign(kind, tmp_path), tmp_path / "out"
    folder.mkdir()
    job = {"path": str(path), "canonical_path": str(tmp_path / "canonical"), "folder": str(folder),
           "backbone": None, "prefix": None}  # fmt: skip
    with start_child(path, job, Limits.for_size(path.stat().st_size)) as child:
        answer = child.answer()
    assert answer["late"] == []
    assert ("report" in answer) == (kind in ("zip", "legacy", "safetensors", "repacked"))
    assert [file.name for file in folder.iterdir()] == (["canonical"] if "report" in answer else [])


@needs_root
def test_an_ordinary_users_child_reads_a_checkpoint(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(
        child_process, "START", START.replace("import main", "import fork_as_ordinary as main")
    )
    path, folder = foreign("repacked", place), place / "out"
    folder.mkdir()
    os.chown(folder, SPARE_UID, SPARE_UID)
    job = {
        "path": str(path),
        "canonical_path": str(place / "canonical"),
        "folder": str(folder),
        "backbone": None,
        "prefix": None,
        "targets": {},
    }
    with start_child(path, job, Limits.for_size(path.stat().st_size)) as child:
        answer = child.answer()
    assert json.loads(answer["report"])["backbone"] == "r3d_tiny"
    assert os.listdir(folder) == ["canonical"]


@needs_root
def test_a_file_that_only_root_may_read_is_read_and_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    path, out = foreign("zip", tmp_path), tmp_path / "deep" / "canonical"
    path.chmod(0o600)
    tmp_path.chmod(0o700)
    ingest(path, out)
    found = [(file.stat().st_mode & 0o777, file.stat().st_uid) for file in (path, out)]
    assert found == [(0o600, 0), (0o644, 0)]
    assert os.listdir(out.parent) == ["canonical"]


def test_a_required_wall_that_is_missing_stops_the_reader_before_it_opens_the_file(
    monkeypatch: pytest.MonkeyPatch, place: Path, targets: dict[str, Any]
) -> None:
    monkeypatch.setenv("VCPBENCH_WALLS", "required")
    lame = "import vcp_core.walls.seccomp as s; s.machine = lambda: None; from tests.walls"
    monkeypatch.setattr(child_process, "START", START.replace("from tests.walls", lame))
    path = place / "foreign.pt"
    path.write_bytes(b"foreign")
    (place / "out").mkdir()
    job = {"path": str(path), "canonical_path": str(place / "c"), "folder": str(place / "out"),
           "targets": {**targets, "ordinary": False, "without": (), "skip": (), "early": False}}  # fmt: skip
    with start_child(path, job, Limits.for_size(0)) as child:
        answer = child.answer()
    assert answer["error"]["code"] == WallsMissing.__name__
    assert "seccomp (Function not implemented)" in answer["error"]["parts"][0]


@pytest.mark.parametrize("leave", ["link", "hard link", "nothing"])
def test_what_the_child_leaves_is_taken_only_if_it_is_a_file_of_its_own(tmp_path: Path, leave: str) -> None:
    secret, written, out = tmp_path / "secret", tmp_path / "left", tmp_path / "canonical"
    secret.write_text("secret")
    if leave == "link":
        written.symlink_to(secret)
    elif leave == "hard link":
        written.hardlink_to(secret)
    with pytest.raises(NotHandedOver, match="left"):
        take_over(written, out)
    assert not out.exists()


def test_this_kind_of_machine_has_all_walls() -> None:
    """Linux 6.12 and later with Landlock: the tests above must not be skipped there."""
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if sys.platform != "linux" or release < (6, 12):
        pytest.skip("the kernel is older than 6.12, which brought the last of these walls")
    assert LACKING == {}
