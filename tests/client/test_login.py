"""Which server and which token: arguments, environment, and what `vcpbench login` keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from vcpbench_client import login
from vcpbench_client.errors import FileError, Misconfigured
from vcpbench_client.login import Login


def test_arguments_come_before_the_environment_and_that_before_what_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Misconfigured, match="Run `vcpbench login`"):
        login.find()
    login.keep(Login("http://kept", "vcp_kept"))
    assert login.find() == Login("http://kept", "vcp_kept")
    monkeypatch.setenv("VCPBENCH_TOKEN", "vcp_env")
    assert login.find() == Login("http://kept", "vcp_env")
    monkeypatch.setenv("VCPBENCH_URL", "http://env/")
    assert login.find() == Login("http://env", "vcp_env")
    assert login.find("http://given", "vcp_given") == Login("http://given", "vcp_given")


def test_a_kept_token_goes_to_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    login.keep(Login("http://kept", "vcp_kept"))
    assert login.find("http://kept/") == Login("http://kept", "vcp_kept")
    assert login.find("http://other").token is None
    monkeypatch.setenv("VCPBENCH_URL", "https://kept")
    assert login.find().token is None


def test_it_is_kept_for_its_owner_alone_and_never_printed() -> None:
    found = login.keep(Login(" http://kept/ ", " vcp_kept\n"))
    login.keep(Login("http://kept", "vcp_newer"))
    assert found.stat().st_mode & 0o777 == 0o600
    assert list(found.parent.iterdir()) == [found]
    assert login.load() == Login("http://kept", "vcp_newer")
    assert "vcp_newer" not in repr(login.load())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("http://0.0.0.0:8080", "http://127.0.0.1:8080", True, id="all addresses"),
        pytest.param("http://[::]:8080/", "http://localhost:8080", True, id="all IPv6 addresses"),
        pytest.param("http://[::1]:8080", "http://[::]:8080", True, id="IPv6"),
        pytest.param("http://a.example", "http://a.example:80", True, id="port of http"),
        pytest.param("https://a.example:443", "https://a.example", True, id="port of https"),
        pytest.param("http://a.example", "https://a.example", False, id="scheme"),
        pytest.param("http://a.example:443", "http://a.example", False, id="port"),
        pytest.param("http://0.0.0.0", "http://a.example", False, id="host"),
        pytest.param("http://a.example/one", "http://a.example", False, id="path"),
    ],
)
def test_addresses_of_one_server_are_told_from_those_of_others(one: str, other: str, same: bool) -> None:
    assert login.same_server(one, other) is same
    assert login.same_server(other, one) is same


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "http://x"}', '{"url": "x", "token": "y"}'])
def test_a_damaged_file_is_named(content: str) -> None:
    login.path().parent.mkdir(parents=True)
    login.path().write_text(content)
    with pytest.raises(FileError, match=r"login\.json cannot be read .*vcpbench login"):
        login.find()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(FileError, match="cannot be written"):
        login.keep(Login("http://kept", "vcp_kept"))
