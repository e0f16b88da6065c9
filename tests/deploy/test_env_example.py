""".env.example and docs/operating.md name what is there, all of it, and with its real default."""

from __future__ import annotations

import re
import tomllib

import pytest

from records.settings import SECRETS, Settings
from tests.deploy import parsed
from vcp_core.walls.report import VARIABLE, WANTED

GUIDE = (parsed.ROOT / "docs/operating.md").read_text(encoding="utf-8")
COMPOSES_OWN = {"COMPOSE_PROFILES"}
OF_NO_FIELD = {"VCPBENCH_CACHE", "VCPBENCH_DATA", VARIABLE, SECRETS}  # of the library, and where settings lie
SETTINGS = {f"VCPBENCH_{name.upper()}": field for name, field in Settings.model_fields.items()}


def test_every_setting_and_every_variable_of_the_compose_file_is_listed_and_nothing_else() -> None:
    listed = parsed.listed_variables().keys()
    assert set(listed) == parsed.used_variables() | set(SETTINGS) | OF_NO_FIELD | COMPOSES_OWN


def test_every_variable_has_a_comment_before_it() -> None:
    lines = parsed.ENV_EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"(# )?[A-Z][A-Z_0-9]+=", line):
            before = lines[number - 1]
            assert before.startswith("# ") or re.match(r"[A-Z][A-Z_0-9]+=", before), line


def test_secrets_are_empty_and_the_file_says_how_to_make_them() -> None:
    assert parsed.REQUIRED.keys() >= {"POSTGRES_PASSWORD", "VALKEY_PASSWORD", "GARAGE_RPC_SECRET"}
    assert parsed.REQUIRED.keys() >= {"S3_ACCESS_KEY", "S3_SECRET_KEY"}
    assert "openssl rand -hex 32" in parsed.ENV_EXAMPLE
    required = set(re.findall(r"\$\{([A-Z_0-9]+):\?", parsed.COMPOSE))
    assert required == parsed.REQUIRED.keys()


@pytest.mark.parametrize(
    "name", sorted(parsed.listed_variables().keys() - parsed.REQUIRED.keys() - COMPOSES_OWN)
)
def test_a_default_that_is_shown_is_the_default(name: str) -> None:
    shown = parsed.listed_variables()[name]
    in_compose = set(re.findall(r"\$\{" + name + r":-([^${}]*)\}", parsed.COMPOSE))
    if in_compose:
        assert in_compose == {shown}
    elif shown and name in SETTINGS and not SETTINGS[name].is_required():
        default = SETTINGS[name].default
        default = str(default).lower() if isinstance(default, bool) else default
        assert shown == (",".join(default) if isinstance(default, tuple) else str(default))


def test_defaults_of_the_compose_file_are_those_of_the_code() -> None:
    assert parsed.listed_variables()[VARIABLE] == WANTED
    for name in ("PUBLIC_READ", "NEW_MODELS_PRIVATE"):
        assert parsed.listed_variables()[f"VCPBENCH_{name}"] == "false"
    for name in (
        "MAX_UPLOAD_BYTES",
        "REQUESTS_PER_MINUTE",
        "TEAM_BYTES",
        "TEAM_UPLOADS_A_DAY",
        "TEAM_RUNNING",
        "SHARE_LINKS_DAYS",
        "TOKEN_DAYS",
        "OIDC_HOURS",
        "AUDIT_DAYS",
        "FEATURES_DAYS",
        "FEATURES_GIB",
        "MEDIA_DAYS",
        "MEDIA_GIB",
        "CHILD_MEMORY_MIB",
        "LEASE_S",
        "IDLE_LOOK_S",
        "SHARD_CLIPS",
        "FIT_VALUES",
    ):
        assert float(parsed.listed_variables()[f"VCPBENCH_{name}"]) == SETTINGS[f"VCPBENCH_{name}"].default


def test_a_profile_of_the_example_runs_everything() -> None:
    chosen = set(parsed.listed_variables()["COMPOSE_PROFILES"].split(","))
    assert chosen == {"postgres", "valkey", "s3", "cpu"}
    declared = {profile for service in parsed.services().values() for profile in service.get("profiles", [])}
    assert declared == chosen | {"gpu"}


def test_services_and_files_that_the_guide_names_exist() -> None:
    there = set(parsed.services())
    named = re.findall(r"docker compose (?:stop|create|exec -T|run --rm)((?: [a-z][a-z0-9-]*)+)", GUIDE)
    named += re.findall(r"docker compose up --detach(?: --wait| --scale)?((?: [a-z][a-z0-9-]*)+)", GUIDE)
    assert len(named) > 5
    for words in named:
        assert {
            word for word in words.split() if word == words.split()[0] or word.startswith("worker-")
        } <= there
    assert {name for name in re.findall(r"`(worker-[a-z-]+)`", GUIDE)} <= there
    for path in re.findall(r"\]\(([^)#:]+)\)", GUIDE):
        assert (parsed.ROOT / "docs" / path).exists(), path


def test_commands_and_volumes_that_the_guide_names_exist() -> None:
    project = tomllib.loads((parsed.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = set(re.findall(r"\bvcpbench (token|migrate|serve|worker|[a-z]+ (?=create))", GUIDE))
    assert "token" in commands
    assert commands <= set(project["entry-points"]["vcpbench.commands"])
    volumes = {name.removeprefix("vcpbench_") for name in re.findall(r"vcpbench_[a-z-]+(?=:)", GUIDE)}
    assert volumes
    assert volumes <= set(parsed.compose()["volumes"])


def test_the_guide_says_that_nothing_was_started() -> None:
    assert "never started" in GUIDE
