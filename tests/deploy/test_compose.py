"""docker-compose.yml against the code: commands, variables, ports, paths and addresses exist and agree."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from records.settings import Settings
from tests.deploy import parsed
from vcp_core.catalog import paths

ENGINES = ("postgres", "valkey", "s3")
PORTS = {"postgres": 5432, "valkey": 6379}
GARAGE = tomllib.loads((parsed.ROOT / "deploy/garage.toml").read_text(encoding="utf-8"))
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process's environment without settings of its own."""
    for name in [name for name in os.environ if name.startswith(("VCPBENCH_", "AWS_"))]:
        monkeypatch.delenv(name)
    return monkeypatch


def settings_of(service: dict[str, Any], environment: pytest.MonkeyPatch) -> Settings:
    for name, value in parsed.container_environment(service).items():
        if name.startswith(("VCPBENCH_", "AWS_")):
            environment.setenv(name, value)
    return Settings.load()


def test_every_command_is_a_module_that_can_be_run() -> None:
    for command in parsed.commands():
        assert command[0] == "python"
        if command[1] == "-m":
            spec = importlib.util.find_spec(command[2])
            assert spec is not None, command
            if spec.submodule_search_locations is not None:
                assert importlib.util.find_spec(f"{command[2]}.__main__") is not None, command


@pytest.mark.parametrize("name", parsed.ours())
def test_each_container_of_ours_has_settings_that_make_sense(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    service = parsed.ours()[name]
    settings = settings_of(service, environment)
    assert settings.log_format == "json"
    known = {f"VCPBENCH_{field.upper()}" for field in Settings.model_fields}
    extra = {name for name in parsed.container_environment(service) if name.startswith("VCPBENCH_")} - known
    assert extra <= {"VCPBENCH_CACHE", "VCPBENCH_DATA", "VCPBENCH_WALLS"}


def test_cache_and_data_go_where_the_variables_say(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VCPBENCH_CACHE", "/elsewhere/cache")
    environment.setenv("VCPBENCH_DATA", "/elsewhere/data")
    assert (paths.cache_dir(), paths.data_dir()) == (Path("/elsewhere/cache"), Path("/elsewhere/data"))


@pytest.mark.parametrize("profile", parsed.PROFILES)
def test_under_each_profile_both_queues_are_taken(profile: str, environment: pytest.MonkeyPatch) -> None:
    active = [
        worker for worker in parsed.workers().values() if worker.get("profiles", [profile]) == [profile]
    ]
    taken = [queue for worker in active for queue in settings_of(worker, environment).queues]
    # Without a GPU, the worker that forwards also fits, while no network waits.
    assert sorted(taken) == (["cpu", "cpu", "gpu"] if profile == "cpu" else ["cpu", "gpu"])


def test_the_service_listens_on_the_port_that_is_published(environment: pytest.MonkeyPatch) -> None:
    service = parsed.services()["service"]
    settings = settings_of(service, environment)
    assert service["ports"] == [f"127.0.0.1:8080:{settings.port}"]
    assert parsed.stages()["service"].all("EXPOSE") == [str(settings.port)]
    assert settings.host == "0.0.0.0"
    assert settings.port == Settings.model_fields["port"].default


def test_only_the_service_is_published() -> None:
    published = {name for name, service in parsed.services().items() if "ports" in service}
    assert published == {"service"}
    assert parsed.compose()["networks"]["engines"]["internal"] == "true"
    for name in [*ENGINES, *parsed.workers(), "migrate"]:
        assert parsed.services()[name]["networks"] == ["engines"], name


@pytest.mark.parametrize("name", parsed.ours())
def test_addresses_and_passwords_are_those_of_the_engines(name: str, environment: pytest.MonkeyPatch) -> None:
    service = parsed.ours()[name]
    settings, engines = settings_of(service, environment), parsed.services()
    assert "engines" in service["networks"]

    database = urlsplit(settings.database_url.get_secret_value())
    postgres = engines["postgres"]["environment"]
    assert (database.hostname, database.port) == ("postgres", PORTS["postgres"])
    assert (database.username, database.password) == (
        postgres["POSTGRES_USER"],
        postgres["POSTGRES_PASSWORD"],
    )
    assert database.path == "/" + postgres["POSTGRES_DB"]

    broker = urlsplit(settings.broker_url.get_secret_value())
    assert (broker.hostname, broker.port) == ("valkey", PORTS["valkey"])
    assert broker.password == engines["valkey"]["environment"]["VALKEY_PASSWORD"]

    garage, endpoint = engines["s3"]["environment"], urlsplit(service["environment"]["AWS_ENDPOINT_URL"])
    assert endpoint.hostname == "s3"
    assert GARAGE["s3_api"]["api_bind_addr"] == f"0.0.0.0:{endpoint.port}"
    assert GARAGE["s3_api"]["s3_region"] == service["environment"]["AWS_REGION"]
    assert settings.store_url == "s3://" + garage["GARAGE_DEFAULT_BUCKET"]
    assert service["environment"]["AWS_ACCESS_KEY_ID"] == garage["GARAGE_DEFAULT_ACCESS_KEY"]
    assert service["environment"]["AWS_SECRET_ACCESS_KEY"] == garage["GARAGE_DEFAULT_SECRET_KEY"]


def test_the_object_store_is_addressed_by_the_variables_that_containers_get(
    environment: pytest.MonkeyPatch,
) -> None:
    from records.storage import Storage

    asked: list[tuple[str, str]] = []

    class Store(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.send_header("ETag", '"of-it"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Store) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        service = parsed.services(S3_ENDPOINT=f"http://127.0.0.1:{server.server_port}")["service"]
        Storage(settings_of(service, environment).store_url).put_bytes("weights/a", b"content")
        server.shutdown()
    ((path, authorization),) = asked
    assert path == "/vcpbench/weights/a"
    assert f"Credential={parsed.REQUIRED['S3_ACCESS_KEY']}/" in authorization
    assert "/garage/s3/" in authorization


def test_engines_of_ones_own_take_the_place_of_those_here(environment: pytest.MonkeyPatch) -> None:
    own = {
        "VCPBENCH_DATABASE_URL": "postgresql://me:pw@db.example/vcpbench",
        "VCPBENCH_BROKER_URL": "redis://:pw@broker.example:6379/0",
        "VCPBENCH_STORE_URL": "s3://bucket/prefix",
    }
    settings = settings_of(parsed.services(**own)["worker-cpu"], environment)
    assert settings.database_url.get_secret_value() == own["VCPBENCH_DATABASE_URL"]
    assert settings.broker_url.get_secret_value() == own["VCPBENCH_BROKER_URL"]
    assert settings.store_url == own["VCPBENCH_STORE_URL"]
    for name, service in parsed.ours().items():
        for engine in set(service["depends_on"]) & set(ENGINES):
            assert service["depends_on"][engine]["required"] is False, name
    assert [parsed.services()[engine]["profiles"] for engine in ENGINES] == [[engine] for engine in ENGINES]


def test_service_and_workers_wait_for_the_migration() -> None:
    for name, service in parsed.ours().items():
        if name != "migrate":
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name
    assert parsed.services()["migrate"]["restart"] == "no"
    assert parsed.services()["migrate"]["command"][-1] == "records.migrate"


def test_what_runs_for_long_is_checked_restarted_and_its_log_rotated() -> None:
    for name, service in parsed.services().items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        if name == "migrate":
            assert service["healthcheck"] == {"disable": True}
            continue
        assert service["restart"] == "unless-stopped", name
        assert "stop_grace_period" in service, name
        checked = service.get("healthcheck") or parsed.stages()[service["build"]["target"]].all("HEALTHCHECK")
        assert checked, name


def test_time_to_stop_is_longer_than_the_code_takes() -> None:
    from service.__main__ import GRACE_S

    seconds = {name: service.get("stop_grace_period", "0s") for name, service in parsed.services().items()}
    assert int(seconds["service"].removesuffix("s")) > GRACE_S
    assert all(int(seconds[name].removesuffix("s")) >= 30 for name in parsed.workers())


@pytest.mark.parametrize("name", parsed.ours())
def test_our_containers_may_do_little(name: str) -> None:
    service = parsed.ours()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service, "the image's is right"
    assert service["init"] is True
    assert service["read_only"] is (name != "worker-gpu")


@pytest.mark.parametrize("name", parsed.workers())
def test_workers_write_only_into_volumes_and_read_videos_at_one_path(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    worker = parsed.workers()[name]
    videos, *named = worker["volumes"]
    assert (videos["target"], videos["read_only"]) == ("/datasets", True)
    assert videos["source"] == parsed.FILLED_IN["DATASETS"]
    mounted = [PurePosixPath(volume.split(":")[1]) for volume in named]
    prepared = " ".join(parsed.stages()["worker"].all("RUN")).split()
    assert all(str(folder) in prepared for folder in mounted), (
        "a volume's owner is that of the image's folder"
    )
    for variable in ("VCPBENCH_SCRATCH", "VCPBENCH_CACHE", "VCPBENCH_DATA"):
        folder = PurePosixPath(worker["environment"][variable])
        assert any(folder.is_relative_to(volume) for volume in mounted), variable


def test_a_gpu_worker_has_one_gpu_and_insists_on_it() -> None:
    worker = parsed.services()["worker-gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]}
    assert worker["environment"]["VCPBENCH_DEVICE"] == "cuda"
    assert worker["build"]["args"] == {"TORCH_INDEX": "https://pypi.org/simple"}


def test_files_and_volumes_that_are_mounted_exist() -> None:
    declared = set(parsed.compose()["volumes"])
    mounted: set[str] = set()
    for name, service in parsed.services().items():
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("./"):
                assert (parsed.ROOT / source).is_file(), name
            elif not source.startswith("/"):
                mounted.add(source)
    assert mounted == declared


def test_the_store_keeps_what_it_said_it_has() -> None:
    assert GARAGE["data_fsync"] is True
    assert GARAGE["metadata_fsync"] is True
    targets = {volume.split(":")[1] for volume in parsed.services()["s3"]["volumes"]}
    assert {GARAGE["metadata_dir"], GARAGE["data_dir"]} <= targets


def test_postgresql_18_keeps_its_files_in_the_volume() -> None:
    postgres = parsed.services()["postgres"]
    assert postgres["image"].startswith("postgres:18.")
    assert postgres["volumes"] == ["database:/var/lib/postgresql"]


def test_images_are_pinned() -> None:
    for name, service in parsed.services().items():
        tag = service["image"].partition(":")[2]
        assert re.match(r"v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", tag), f"{name}: {service['image']}"


def test_no_secret_is_written_in_the_file() -> None:
    for name, service in parsed.raw()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):  # it is required, or empty, or a number, such as VCPBENCH_TOKEN_DAYS
                named = re.fullmatch(r"\$\{[A-Z_0-9]+:(\?[^}]+|-\d*)\}", value)
                assert named, f"{name}: {variable}"
    for password in re.findall(r"://[^\s@/]*:([^\s@]+)@", parsed.COMPOSE):
        assert password.startswith("${"), password


def test_a_secret_that_is_missing_is_named() -> None:
    for name in parsed.REQUIRED:
        with pytest.raises(AssertionError, match=f"^{name}: "):
            parsed.compose(**{name: ""})


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker compose here")
    env = tmp_path / "env"
    env.write_text("".join(f"{name}={value}\n" for name, value in parsed.FILLED_IN.items()), encoding="utf-8")
    for profile in parsed.PROFILES:
        command = [
            docker,
            "compose",
            "--env-file",
            str(env),
            "--file",
            str(parsed.ROOT / "docker-compose.yml"),
        ]
        command += [flag for name in (*ENGINES, profile) for flag in ("--profile", name)]
        run = subprocess.run([*command, "config", "--quiet"], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
