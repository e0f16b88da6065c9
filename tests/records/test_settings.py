"""Settings by environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from records.settings import Settings, SettingsError

NEEDED = {
    "VCPBENCH_DATABASE_URL": "postgresql://u:secret@h/d",
    "VCPBENCH_BROKER_URL": "redis://:secret@h/0",
    "VCPBENCH_STORE_URL": "file:///x",
}


def load(monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    for name, value in {**NEEDED, **more}.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="VCPBENCH_DATABASE_URL is not set; VCPBENCH_BROKER_URL is not"):
        Settings.load()


def test_settings_can_lie_in_files_and_a_variable_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in NEEDED.items():
        monkeypatch.delenv(name, raising=False)
        (tmp_path / name.lower()).write_text(value + "\n")
    monkeypatch.setenv("VCPBENCH_SECRETS", str(tmp_path))
    assert Settings.load().database_url.get_secret_value() == NEEDED["VCPBENCH_DATABASE_URL"]
    monkeypatch.setenv("VCPBENCH_DATABASE_URL", "postgresql://mine")
    assert Settings.load().database_url.get_secret_value() == "postgresql://mine"
    assert Settings.load().broker_url.get_secret_value() == NEEDED["VCPBENCH_BROKER_URL"]


def test_a_folder_of_secrets_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"VCPBENCH_SECRETS: .*/gone does not exist"):
        load(monkeypatch, VCPBENCH_SECRETS=str(tmp_path / "gone"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"VCPBENCH_SECRETS: .*/file is not a folder"):
        load(monkeypatch, VCPBENCH_SECRETS=str(tmp_path / "file"))


def test_what_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"VCPBENCH_PORT: .*65535"):
        load(monkeypatch, VCPBENCH_PORT="99999")
    monkeypatch.delenv("VCPBENCH_PORT")
    with pytest.raises(SettingsError, match="VCPBENCH_QUEUES: it must be one of 'cpu' or 'gpu'"):
        load(monkeypatch, VCPBENCH_QUEUES="cpu,tpu")
    monkeypatch.delenv("VCPBENCH_QUEUES")
    for url in ("ftp://user:secret@host", "host", "https://"):
        with pytest.raises(
            SettingsError, match="VCPBENCH_PUBLIC_URL: it must be an address, https:"
        ) as caught:
            load(monkeypatch, VCPBENCH_PUBLIC_URL=url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "x"),
        ("PORT", "9" * 5000),
        ("MAX_UPLOAD_BYTES", "-1"),
        ("QUEUES", ""),
        ("LEASE_S", "x"),
        ("IDLE_LOOK_S", "0"),
        ("SHARD_CLIPS", "1.5"),
        ("FIT_VALUES", "-1"),
        ("PUBLIC_READ", "perhaps"),
        ("OIDC_ISSUER", "login.example.org"),
        ("OIDC_TEAMS", "ml=vision:king"),
        ("OIDC_HOURS", "0"),
        ("TOKEN_DAYS", "-1"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_no_setting_is_refused_in_a_validators_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=f"VCPBENCH_{name}: it must be ") as caught:
        load(monkeypatch, **{f"VCPBENCH_{name}": value})
    assert not re.search("Input|should|unable|Value error", str(caught.value))


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = repr(load(monkeypatch, VCPBENCH_OIDC_CLIENT_SECRET="hush"))
    assert "secret@" not in shown
    assert "hush" not in shown


def test_queues_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, VCPBENCH_QUEUES="gpu").queues == ("gpu",)
    assert load(monkeypatch, VCPBENCH_QUEUES="cpu,gpu").queues == ("cpu", "gpu")
