"""docker-compose.yml, Dockerfile and .env.example, parsed as far as their tests need it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ENV_EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")

PROFILES = ("cpu", "gpu")
REQUIRED = {name: f"{name.lower()}-1a2b" for name in re.findall(r"^([A-Z_0-9]+)=$", ENV_EXAMPLE, re.M)}
FILLED_IN = {**REQUIRED, "DATASETS": "/srv/videos"}


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`${A:-default}`, also nested, `${A:?what to do}` and `$$`, as Compose reads them."""
    out, at = "", 0
    while (dollar := text.find("$", at)) >= 0:
        out += text[at:dollar]
        if text[dollar + 1] == "$":
            out, at = out + "$", dollar + 2
            continue
        assert text[dollar + 1] == "{", f"a variable without braces: {text[dollar:]}"
        end, depth = dollar + 2, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        found = re.fullmatch(r"([A-Z_0-9]+)(?::([-?])(.*))?", text[dollar + 2 : end - 1], re.S)
        assert found, text[dollar:end]
        name, mark, rest = found.groups()
        value = variables.get(name) or (interpolate(rest, variables) if mark == "-" else "")
        assert value or mark != "?", f"{name}: {rest}"
        out, at = out + value, end
    return out + text[at:]


def _each(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return interpolate(value, variables)
    if isinstance(value, dict):
        return {key: _each(item, variables) for key, item in value.items()}
    return [_each(item, variables) for item in value] if isinstance(value, list) else value


@cache
def raw() -> dict[str, Any]:
    """The compose file as it is written, anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE)
    return found


def compose(**variables: str) -> dict[str, Any]:
    """The compose file as Compose sees it with .env.example filled in, and these variables."""
    found: dict[str, Any] = _each(raw(), FILLED_IN | variables)
    return found


def services(**variables: str) -> dict[str, dict[str, Any]]:
    """Its services."""
    found: dict[str, dict[str, Any]] = compose(**variables)["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    """Services that run our code."""
    return {name: service for name, service in services().items() if "build" in service}


def workers() -> dict[str, dict[str, Any]]:
    """Services that are workers."""
    return {name: service for name, service in ours().items() if service["build"]["target"] == "worker"}


def used_variables() -> set[str]:
    """Variables that the compose file reads; comments do not count."""
    return set(re.findall(r"(?<!\$)\$\{([A-Z_0-9]+)", re.sub(r"^\s*#.*$", "", COMPOSE, flags=re.M)))


def listed_variables() -> dict[str, str]:
    """All variables of .env.example, those that are commented out included, with their values."""
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z_0-9]+)=(.*)$", ENV_EXAMPLE, re.M))


@dataclass
class Stage:
    """One stage of the Dockerfile."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, kind: str) -> list[str]:
        """Arguments of its instructions of a kind, those of its bases first."""
        own = [arguments for found, arguments in self.instructions if found == kind]
        return [*(stages()[self.base].all(kind) if self.base in stages() else []), *own]

    def last_json(self, kind: str) -> list[str]:
        """The command of its last CMD or HEALTHCHECK, in exec form."""
        command: list[str] = json.loads(
            self.all(kind)[-1].partition("[")[1] + self.all(kind)[-1].partition("[")[2]
        )
        return command

    @property
    def environment(self) -> dict[str, str]:
        """Its ENV."""
        return dict(pair.split("=", 1) for line in self.all("ENV") for pair in line.split())


def instructions() -> list[tuple[str, str]]:
    """Kind and arguments of every instruction; continued lines are joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(kind, re.sub(r"\s+", " ", arguments)) for kind, arguments in lines]


@cache
def stages() -> dict[str, Stage]:
    """Stages by name."""
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for kind, arguments in instructions():
        if kind == "FROM":
            base, _, name = arguments.partition(" AS ")
            current = found[name] = Stage(name=name, base=base)
        elif current is not None:
            current.instructions.append((kind, arguments))
    return found


def container_environment(service: dict[str, Any]) -> dict[str, str]:
    """What a container of ours sees: the image's ENV, and what the compose file adds."""
    image = stages()[service["build"]["target"]].environment
    return {**image, **{name: str(value) for name, value in service["environment"].items()}}


def commands() -> list[list[str]]:
    """Every command of our images and containers."""
    of_images = [
        stages()[name].last_json(kind) for name in ("service", "worker") for kind in ("CMD", "HEALTHCHECK")
    ]
    return [*of_images, *(service["command"] for service in ours().values())]
