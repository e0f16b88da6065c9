"""The Helm chart: valid for Kubernetes, safe, and in step with docker-compose.yml and the code."""

from __future__ import annotations

import re
from copy import deepcopy
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from records.settings import Settings
from service import app as service_app
from service.__main__ import GRACE_S
from tests.deploy import charted, parsed
from tests.deploy.charted import RELEASE, SETS
from vcp_core.catalog.errors import StorageError
from vcp_core.walls.report import VARIABLE
from worker.scratch import make_private

OLDEST, NEWEST = "1.27", "1.37"  # versions of Kubernetes that the manifests are checked against
EVERY_SET = pytest.mark.parametrize("name", [*SETS, "all"])
OURS = ("service", "migrate", "deliveries", "worker-cpu", "worker-gpu", "worker-gpu-on-cpu")
FILES = {"VCPBENCH_DATABASE_URL", "VCPBENCH_BROKER_URL"}  # of the Secret, below VCPBENCH_SECRETS
ELSEWHERE = {"VCPBENCH_SECRETS", "FORWARDED_ALLOW_IPS"}  # that docker-compose.yml does not set
OIDC_SECRET = "VCPBENCH_OIDC_CLIENT_SECRET"
DIFFERENT = {
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "VCPBENCH_SCRATCH",
    OIDC_SECRET,
}
GUIDE = (parsed.ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
VALUES = yaml.safe_load((charted.CHART / "values.yaml").read_text(encoding="utf-8"))
SECRET = re.compile(r"PASSWORD|SECRET$|SECRET_|ACCESS_KEY|TOKEN$")


def routes() -> set[str]:
    """Addresses of the service's routes."""
    return set(service_app.without_engines().openapi()["paths"])


def test_helm_finds_nothing_to_say() -> None:
    found = helm_python.lint(charted.CHART)
    assert found["errors"] == []
    assert [one["error"] for one in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@EVERY_SET
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    manifests = charted.of(name)
    assert len(manifests) > 10
    for one in manifests:
        if not one["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(deepcopy(one), version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    wrong = deepcopy(charted.kind(charted.of("small"), "Deployment")[f"{RELEASE}-service"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 2},
        {"service": {"replicas": "two"}},
        {"workers": {"cpu": {"keda": {"maximum": 3}}}},
        {"workers": {"GPU": {"enabled": True}}},
        {"settings": {"VCPBENCH_DATABASE_URL": "postgresql://me:password@host/vcpbench"}},
        {"workerSettings": {"AWS_SECRET_ACCESS_KEY": "secret"}},
        {"images": {"service": "vcpbench-service"}},
    ],
    ids=["unknown", "no-number", "deep", "name", "database", "key", "no-tag"],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError):
        charted.render(values)


def test_engines_elsewhere_need_a_way_out() -> None:
    with pytest.raises(helm_python.HelmError, match=r"networkPolicy\.egress is empty"):
        charted.render({"postgres": {"enabled": False}})
    without = charted.render({"postgres": {"enabled": False}, "networkPolicy": {"enabled": False}})
    assert not charted.kind(without, "NetworkPolicy")


@pytest.mark.parametrize("name", OURS)
def test_containers_have_the_settings_of_the_compose_file(name: str) -> None:
    found = charted.environment(charted.main_container(charted.of("all"), name))
    wanted = parsed.services()[name]["environment"]
    assert set(found) - ELSEWHERE == set(wanted) - FILES
    for variable in set(wanted) - FILES - DIFFERENT:
        assert found[variable] == str(wanted[variable]), variable


@pytest.mark.parametrize("name", OURS)
def test_the_code_understands_the_settings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = charted.main_container(charted.of("all"), name)
    found = {key: value for key, value in charted.environment(container).items() if isinstance(value, str)}
    known = {f"VCPBENCH_{field.upper()}" for field in Settings.model_fields}
    known |= {"VCPBENCH_SECRETS", "VCPBENCH_CACHE", "VCPBENCH_DATA", VARIABLE}
    assert {variable for variable in found if variable.startswith("VCPBENCH_")} <= known
    for item in secret_items(charted.of("all")):
        (tmp_path / item["path"]).write_text("postgresql://me:password@host/vcpbench")
    for variable, value in found.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("VCPBENCH_SECRETS", str(tmp_path))
    settings = Settings.load()
    assert settings.database_url.get_secret_value().endswith("@host/vcpbench")
    compose = parsed.services()[name]["environment"]
    assert ",".join(settings.queues) == compose.get("VCPBENCH_QUEUES", "cpu,gpu")
    assert settings.port == 8080
    assert settings.deliveries is not name.startswith("worker-")


def secret_items(manifests: list[charted.Manifest]) -> list[dict[str, str]]:
    """Keys and files of the Secret that our containers see."""
    (secret,) = [
        volume
        for volume in charted.pods(manifests)[f"{RELEASE}-service"]["spec"]["volumes"]
        if volume["name"] == "secret"
    ]
    items: list[dict[str, str]] = secret["secret"]["items"]
    return items


def test_images_commands_and_roots_are_those_of_the_compose_file() -> None:
    manifests = charted.of("all")
    for name, service in parsed.services().items():
        found = charted.main_container(manifests, name)
        assert found["image"] == service["image"], name
        assert [*found.get("command", []), *found.get("args", [])] == service["command"], name
        read_only = found["securityContext"]["readOnlyRootFilesystem"]
        assert read_only is service.get("read_only", False), name


def test_engines_have_the_settings_of_the_compose_file() -> None:
    manifests, copy = charted.of("all"), charted.CHART / "files/garage.toml"
    for name in ("postgres", "valkey", "s3"):
        found = charted.environment(charted.main_container(manifests, name))
        for variable, value in parsed.services()[name]["environment"].items():
            if SECRET.search(variable):
                assert set(found[variable]) == {"secretKeyRef"}, variable
            else:
                assert found[variable] == value, variable
    assert copy.read_bytes() == (parsed.ROOT / "deploy/garage.toml").read_bytes()
    assert charted.kind(manifests, "ConfigMap")[f"{RELEASE}-s3"]["data"]["garage.toml"] == copy.read_text()
    s3 = charted.main_container(manifests, "s3")
    assert {mount["mountPath"] for mount in s3["volumeMounts"]} >= {"/etc/garage.toml", "/var/lib/garage"}


def test_versions_are_those_of_the_distribution() -> None:
    chart = yaml.safe_load((charted.CHART / "Chart.yaml").read_text(encoding="utf-8"))
    tags = {
        VALUES["images"][image].partition(":")[2].partition("-")[0] for image in ("service", "cpu", "cuda")
    }
    (label,) = re.findall(r"^ARG VERSION=(\S+)$", parsed.DOCKERFILE, re.M)
    assert {chart["version"], chart["appVersion"], *tags} == {label}
    assert chart["kubeVersion"].startswith(f">={OLDEST}.")


@EVERY_SET
def test_no_secret_is_written_anywhere(name: str) -> None:
    manifests = charted.of(name)
    assert not charted.kind(manifests, "Secret")
    for where, container in charted.containers(manifests):
        for variable, value in charted.environment(container).items():
            if SECRET.search(variable):
                assert set(value) == {"secretKeyRef"}, f"{where}: {variable}"
    assert not re.search(r"://[^\s/@]+:[^\s/@]+@", yaml.safe_dump(manifests))


@EVERY_SET
def test_pods_may_do_little(name: str) -> None:
    """Pod Security Standards, profile "restricted"."""
    manifests = charted.of(name)
    for where, pod in charted.pods(manifests).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, where
        assert spec["securityContext"]["runAsUser"] > 0, where
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert spec["automountServiceAccountToken"] is False, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), where
    for where, container in charted.containers(manifests):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, where
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, where
        assert container["resources"]["limits"]["memory"], where
        assert container["resources"]["requests"]["cpu"], where


@EVERY_SET
def test_a_service_of_our_name_sets_none_of_our_variables(name: str) -> None:
    """Kubernetes sets NAME_PORT for each Service; VCPBENCH_PORT=tcp://... is no port."""
    assert RELEASE in charted.kind(charted.of(name), "Service")
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in charted.pods(charted.of(name)).values())


@EVERY_SET
def test_everything_that_is_mounted_exists(name: str) -> None:
    makers = charted.kind(charted.of(name), "Deployment", "StatefulSet", "Job")
    for where, maker in makers.items():
        spec = maker["spec"]["template"]["spec"]
        volumes = [volume["name"] for volume in spec["volumes"]]
        volumes += [claim["metadata"]["name"] for claim in maker["spec"].get("volumeClaimTemplates", [])]
        assert all(len(volume) == 2 for volume in spec["volumes"]), "a name and one source"
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes), where


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith("worker-")])
def test_workers_write_only_into_volumes_and_read_videos_at_one_path(name: str) -> None:
    container = charted.main_container(charted.of("all"), name)
    mounts = {PurePosixPath(mount["mountPath"]): mount for mount in container["volumeMounts"]}
    assert mounts[PurePosixPath("/datasets")]["readOnly"] is True
    variables = charted.environment(container)
    for variable in ("VCPBENCH_SCRATCH", "VCPBENCH_CACHE", "VCPBENCH_DATA"):
        folder = PurePosixPath(variables[variable])
        assert any(folder.is_relative_to(mount) and folder != mount for mount in mounts), variable


def test_a_worker_makes_its_scratch_folder_below_a_folder_that_everybody_may_write_to(tmp_path: Path) -> None:
    volume = tmp_path / "scratch"
    volume.mkdir()
    volume.chmod(0o2777)  # as Kubernetes makes an emptyDir with fsGroup
    make_private(volume / "own")
    with pytest.raises(StorageError):
        make_private(volume)


def test_a_gpu_worker_has_one_gpu_and_insists_on_it() -> None:
    pod = charted.pods(charted.of("gpu"))[f"{RELEASE}-worker-gpu"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert charted.environment(container)["VCPBENCH_DEVICE"] == "cuda"
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}


@EVERY_SET
def test_both_queues_are_taken(name: str) -> None:
    taken = [
        charted.environment(pod["spec"]["containers"][0])["VCPBENCH_QUEUES"].split(",")
        for pod in charted.pods(charted.of(name)).values()
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"
    ]
    assert {queue for queues in taken for queue in queues} == {"cpu", "gpu"}


@EVERY_SET
def test_probes_ask_what_there_is_and_only_readiness_asks_the_database(name: str) -> None:
    service = charted.main_container(charted.of(name), "service")
    paths = {
        probe: service[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert set(paths.values()) <= routes()
    for where, container in charted.containers(charted.of(name)):
        if where.endswith("/worker"):
            assert "livenessProbe" not in container
            healthy = parsed.stages()["worker"].last_json("HEALTHCHECK")
            assert container["readinessProbe"]["exec"]["command"] == healthy


def test_time_to_stop_is_longer_than_the_code_takes() -> None:
    pods, compose = charted.pods(charted.of("all")), parsed.services()
    service = pods[f"{RELEASE}-service"]["spec"]
    pause_s = int(service["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert service["terminationGracePeriodSeconds"] > pause_s + GRACE_S
    for name in (*OURS[2:], "postgres", "valkey", "s3"):
        grace_s = int(compose[name]["stop_grace_period"].removesuffix("s"))
        assert pods[f"{RELEASE}-{name}"]["spec"]["terminationGracePeriodSeconds"] >= grace_s, name


@EVERY_SET
def test_each_controller_budget_and_service_selects_its_own_pods(name: str) -> None:
    manifests = charted.of(name)
    makers = charted.kind(manifests, "Deployment", "StatefulSet")
    labels = {maker: pod["metadata"]["labels"] for maker, pod in charted.pods(manifests).items()}
    budgets = charted.kind(manifests, "PodDisruptionBudget")
    assert set(budgets) == {maker for maker in makers if "worker" in maker or maker.endswith("-service")}
    for one in [*makers.items(), *budgets.items()]:
        chosen = [pod for pod, has in labels.items() if charted.selects(one[1]["spec"]["selector"], has)]
        assert chosen == [one[0]]
    assert all(budget["spec"]["maxUnavailable"] == 1 for budget in budgets.values())
    for service in charted.kind(manifests, "Service").values():
        chosen = [
            pod
            for pod, has in labels.items()
            if charted.selects({"matchLabels": service["spec"]["selector"]}, has)
        ]
        assert len(chosen) == 1
        ports = charted.main_container(manifests, chosen[0].removeprefix(f"{RELEASE}-"))["ports"]
        assert {port.get("targetPort", port["port"]) for port in service["spec"]["ports"]} <= {
            value for port in ports for value in (port["name"], port["containerPort"])
        }


@EVERY_SET
def test_the_network_lets_through_only_what_is_needed(name: str) -> None:
    manifests = charted.of(name)
    policies = [policy["spec"] for policy in charted.kind(manifests, "NetworkPolicy").values()]
    engines = {"postgres": 5432, "valkey": 6379, "s3": 3900}
    for maker, pod in charted.pods(manifests).items():
        labels = pod["metadata"]["labels"]
        mine = [policy for policy in policies if charted.selects(policy["podSelector"], labels)]
        assert {"Ingress", "Egress"} <= {kind for policy in mine for kind in policy["policyTypes"]}, maker
        component = labels["app.kubernetes.io/component"]
        into = {
            port["port"] for policy in mine for rule in policy.get("ingress", []) for port in rule["ports"]
        }
        assert into == (
            {8080} if component == "service" else {engines[component]} if component in engines else set()
        )
        out = {
            port["port"]
            for policy in mine
            if "Egress" in policy["policyTypes"]
            for rule in policy["egress"]
            for port in rule["ports"]
        }
        if component in engines:
            assert out == {53}
            (rule,) = [rule for policy in mine for rule in policy.get("ingress", [])]
            allowed = rule["from"][0]["podSelector"]
            assert charted.selects(
                allowed, charted.pods(manifests)[f"{RELEASE}-service"]["metadata"]["labels"]
            )
            assert not charted.selects(allowed, labels)
        else:
            outside = {1} if component == "deliveries" else set()  # any port of public addresses
            assert out - outside == {53, *({5432, 6379, 443} if name == "external" else engines.values())}


def test_only_deliveries_reach_the_world_and_no_network_of_the_cluster() -> None:
    manifests = charted.of("all")
    wide = {
        name: policy["spec"]
        for name, policy in charted.kind(manifests, "NetworkPolicy").items()
        if "/0" in yaml.safe_dump(policy)
    }
    (policy,) = wide.values()
    chosen = [
        name
        for name, pod in charted.pods(manifests).items()
        if charted.selects(policy["podSelector"], pod["metadata"]["labels"])
    ]
    assert chosen == [f"{RELEASE}-deliveries"]
    (rule,) = policy["egress"]
    refused = [ip_network(one) for peer in rule["to"] for one in peer["ipBlock"]["except"]]
    for address in ("10.96.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.17.0.1", "192.168.1.1"):
        assert any(ip_address(address) in network for network in refused), address
    for address in ("fd00::1", "fe80::1"):
        assert any(ip_address(address) in network for network in refused), address
    without = charted.render({"deliveries": {"enabled": False}})
    assert not any("deliveries" in name for name in charted.kind(without, "Deployment", "NetworkPolicy"))


def test_nothing_is_published_unless_asked() -> None:
    assert not charted.kind(charted.of("small"), "Ingress")
    (ingress,) = charted.kind(charted.of("gpu"), "Ingress").values()
    assert ingress["spec"]["tls"] == [{"hosts": ["vcpbench.example.org"], "secretName": "vcpbench-tls"}]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"
    variables = charted.environment(charted.main_container(charted.of("gpu"), "service"))
    assert variables["VCPBENCH_PUBLIC_URL"] == "https://vcpbench.example.org"
    assert {
        one["spec"].get("type", "ClusterIP") for one in charted.kind(charted.of("gpu"), "Service").values()
    } == {"ClusterIP"}
    with pytest.raises(helm_python.HelmError, match=r"ingress\.host is empty"):
        charted.render({"ingress": {"enabled": True}})


def test_every_pod_of_ours_waits_for_the_schema() -> None:
    for name, pod in charted.pods(charted.of("all")).items():
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] in ("service", "worker", "deliveries"):
            (waits,) = pod["spec"]["initContainers"]
            assert waits["command"] == ["python", "-m", "records.migrate", "--wait"], name


def test_a_new_image_gets_a_migrate_job_of_its_own() -> None:
    def job(**values: Any) -> str:
        (name,) = charted.kind(charted.render(values), "Job")
        return name

    assert job() == job()
    assert job() != job(images={"service": "vcpbench-service:0.2.0"})


def test_the_guide_names_every_key_of_the_secret_and_says_that_nothing_was_started() -> None:
    keys = {item["key"] for item in secret_items(charted.of("all"))}
    for _, container in charted.containers(charted.of("all")):
        for value in charted.environment(container).values():
            if isinstance(value, dict):
                assert value["secretKeyRef"]["name"] == VALUES["secret"]
                keys.add(value["secretKeyRef"]["key"])
    assert set(re.findall(r"--from-literal=([a-z0-9-]+)=", GUIDE)) == keys | {"token"}
    assert keys <= set(re.findall(r"[a-z0-9-]+", (charted.CHART / "values.yaml").read_text(encoding="utf-8")))
    assert "never started" in GUIDE


def test_objects_and_examples_that_the_guide_names_exist() -> None:
    deployments, services = (charted.kind(charted.of("all"), kind) for kind in ("Deployment", "Service"))
    named = set(re.findall(r"(?:deploy|service|deployment)/(vcpbench[a-z-]*)", GUIDE))
    assert named
    assert named <= set(deployments) | set(services)
    examples = set(re.findall(r"examples/([a-z]+)\.yaml", GUIDE))
    assert examples == set(SETS) == {path.stem for path in (charted.CHART / "examples").iterdir()}
    addresses = re.findall(r"@(vcpbench-[a-z0-9]+):(\d+)", GUIDE)
    ports = {name: str(one["spec"]["ports"][0]["port"]) for name, one in services.items()}
    assert addresses
    assert all(ports[name] == port for name, port in addresses)
