"""The Helm chart, rendered by Helm's own engine, and what its tests look up in the result."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import helm_python
import yaml

from tests.deploy import parsed

CHART = parsed.ROOT / "deploy/helm"
SETS = ("small", "gpu", "external")  # the examples
RELEASE, NAMESPACE = "vcpbench", "models"
Manifest = dict[str, Any]


def example(name: str) -> dict[str, Any]:
    """The values of an example."""
    found: dict[str, Any] = yaml.safe_load((CHART / f"examples/{name}.yaml").read_text(encoding="utf-8"))
    return found


def render(values: dict[str, Any]) -> list[Manifest]:
    """Every object that the chart makes of these values, once its schema has accepted them."""
    with helm_python.Chart.load(str(CHART)) as chart:
        chart.validate_schema(chart.merge_values(values))
        texts = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    documents = [
        document
        for path, text in sorted(texts.items())
        if path.endswith(".yaml")
        for document in yaml.safe_load_all(text)
    ]
    return [document for document in documents if document]


@cache
def of(name: str) -> list[Manifest]:
    """The objects of an example; of "all", with every worker and the engines."""
    return render({"workers": {"gpu": {"enabled": True}}} if name == "all" else example(name))


def kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """The objects of these kinds, by name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] in kinds}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates, by the name of what makes the pods."""
    makers = kind(manifests, "Deployment", "StatefulSet", "Job")
    return {name: maker["spec"]["template"] for name, maker in makers.items()}


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every container, with the name of what makes its pod."""
    for name, pod in pods(manifests).items():
        for one in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield f"{name}/{one['name']}", one


def main_container(manifests: list[Manifest], name: str) -> Manifest:
    """The container of a pod that does the work; `name` without the release's name."""
    for maker, pod in pods(manifests).items():
        if maker.removeprefix(f"{RELEASE}-") == name or (name == "migrate" and "-migrate-" in maker):
            (found,) = pod["spec"]["containers"]
            return dict(found)
    raise AssertionError(f"no pod {name}")


def environment(container: Manifest) -> dict[str, Any]:
    """Values of a container's variables; where a value comes from a Secret, the reference."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", [])}


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Whether a label selector selects an object with these labels."""
    named = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in named.items()) and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )
