"""The board for Grafana and the alerts for Prometheus ask only for metrics that the service prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy import parsed
from tests.served import Served

BOARD: dict[str, Any] = json.loads((parsed.ROOT / "deploy/grafana/vcpbench.json").read_text(encoding="utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load(
    (parsed.ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
)
GUIDE = (parsed.ROOT / "docs/operating.md").read_text(encoding="utf-8")
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = {
    **{panel["title"]: target["expr"] for panel in BOARD["panels"] for target in panel["targets"]},
    **{rule["alert"]: rule["expr"] for rule in RULES},
}
SELECTOR = re.compile(r"(vcpbench_\w+)(?:{([^}]*)})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")


def series(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and labels of each line of Prometheus' text format."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:{(.*)})? \S+", line).groups()  # type: ignore[union-attr]
            yield name, dict(re.findall(r'(\w+)="([^"]*)"', labels or ""))


@pytest.fixture
def printed(api: Served) -> dict[str, list[dict[str, str]]]:
    """Labels of the metrics that the service prints, by name, once a job of each kind has ended."""
    api.client.get("/v1/status")
    jobs = api.app.state.metrics.jobs
    for state in ("done", "failed"):
        jobs._seconds.labels("extract", state).observe(1)
    found: dict[str, list[dict[str, str]]] = {}
    for name, labels in series(api.client.get("/v1/metrics").text):
        found.setdefault(name, []).append(labels)
    return found


def test_every_metric_and_label_that_is_asked_for_is_printed(
    printed: dict[str, list[dict[str, str]]],
) -> None:
    assert len(EXPRESSIONS) == len(BOARD["panels"]) + len(RULES)
    for title, expression in EXPRESSIONS.items():
        asked = SELECTOR.findall(expression)
        assert asked, title
        for name, matchers in asked:
            assert name in printed, f"{title}: {name}"
            for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
                assert any(label in labels for labels in printed[name]), f"{title}: {name} has no {label}"
                if label != "status":  # no request has failed here
                    assert any(labels.get(label) == value for labels in printed[name]), f"{title}: {label}"
            for labels in GROUPED.findall(expression):
                assert set(labels.split(", ")) <= set(printed[name][0]), f"{title}: {name}"


def test_every_metric_of_ours_is_on_the_board_and_in_the_guide(
    printed: dict[str, list[dict[str, str]]],
) -> None:
    ours = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in printed}
    on_board = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for one in EXPRESSIONS.values()
        for name, _ in SELECTOR.findall(one)
    }
    assert ours - {"vcpbench_failed_attempts"} == on_board
    assert on_board <= set(re.findall(r"^\| `(vcpbench_\w+)`", GUIDE, re.M))


def test_the_board_is_one_that_grafana_reads() -> None:
    assert BOARD["schemaVersion"] >= 39
    assert BOARD["uid"] == "vcpbench"
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = set()
    for panel in BOARD["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            grouped = set(GROUPED.findall(target["expr"])[0].split(", ")) - {"le"}
            assert shown == grouped, panel["title"]
    assert {one["name"] for one in BOARD["templating"]["list"]} == {"datasource"}


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert rule["expr"].count("(") == rule["expr"].count(")")
        for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
            assert label in GROUPED.findall(rule["expr"])[0]
