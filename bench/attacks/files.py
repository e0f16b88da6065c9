"""Attacks by files, and engines that end. Each takes a `Stage`, attacks, and says how it ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from vcpbench_client import Rejected

from bench.attacks.requests import PATIENCE_S, Stage
from vcp_core.backbones import build

BIG = 2 << 30  # bytes
RESTARTS = 20


def very_many_dots(stage: Stage) -> str:
    """Checkpoints of megabytes whose tensors' names have very many dots."""
    one = torch.zeros(1)
    files: dict[str, Callable[[Path], None]] = {
        "one-name.pt": lambda path: torch.save({"a." * 2_000_000 + "weight": one}, path),
        "many-names.pt": lambda path: torch.save({"." * 200 + f"{n}": one for n in range(5000)}, path),
        "one-name.safetensors": lambda path: save_file({"a." * 100_000 + "weight": one}, path),
    }
    return _rejected(stage, files)


def repeated_number(stage: Stage) -> str:
    """A network whose every weight is a view of one stored number: kilobytes that would become megabytes."""
    state = {
        key: torch.zeros((), dtype=value.dtype).expand(value.shape)
        for key, value in build("r3d", seed=0).state_dict().items()
    }
    return _rejected(stage, {"views.pt": lambda path: torch.save(state, path)})


def _rejected(stage: Stage, files: dict[str, Callable[[Path], None]]) -> str:
    said = []
    with stage.client() as client:
        for name, write in files.items():
            path = stage.installation.folder / name
            write(path)
            begun = time.monotonic()
            try:
                found = client.wait_ready(client.upload(path, "hostile"), timeout_s=PATIENCE_S)
                how = f"{found.state}!"
            except Rejected as error:
                how = str(error.checkpoint.reason).partition(" in ")[0][:60]
            said.append(f"{path.stat().st_size:,} bytes in {time.monotonic() - begun:.1f} s: {how}")
    return "; ".join(said)


def damaged_features(stage: Stage) -> str:
    """All stored features are damaged; an evaluation that reads them again is asked for."""
    with stage.client() as client:
        client.wait(client.evaluate(stage.checkpoint, stage.dataset, "light"), timeout_s=PATIENCE_S)
        stored = sorted((stage.installation.folder / "objects" / "features").glob("*.safetensors"))
        for path in stored:
            with path.open("r+b") as file:
                file.seek(path.stat().st_size // 2)
                file.write(b"damaged")
        found = client.wait(
            client.evaluate(stage.checkpoint, stage.dataset, "as-light"), timeout_s=PATIENCE_S
        )
    return f"{len(stored)} objects damaged; the evaluation is {found.state}"


def killed_upload(stage: Stage) -> str:
    """An upload of 2 GiB; the API is killed half-way and started again."""
    path = stage.installation.folder / "big.pt"
    torch.save({"state_dict": build("r3d_tiny", seed=77).state_dict(), "more": torch.zeros(BIG // 4)}, path)
    kills: list[int] = []

    def kill(stage_name: str, done: int, total: int) -> None:
        if stage_name == "sending" and done > total / 2 and not kills:
            stage.installation.kill("service")
            stage.installation.start_again("service")
            kills.append(done)

    with stage.client() as client:
        found = client.upload(path, "big", on_progress=kill)
        ready = client.wait_ready(found, timeout_s=PATIENCE_S)
    sent = path.stat().st_size
    path.unlink()
    return f"{sent:,} bytes, killed after {kills[0]:,}; the checkpoint is {ready.state}"


def restarted_valkey(stage: Stage) -> str:
    """Valkey is killed and started again 20 times, before and after evaluations are asked for."""
    asked = []
    with stage.client() as client:
        for number in range(RESTARTS):
            stage.installation.kill("valkey")
            path = stage.installation.folder / f"restart-{number}.pt"
            torch.save(build("r3d_tiny", seed=5000 + number).state_dict(), path)
            if number % 2:  # ask while it is away; and otherwise once it is there
                asked.append(client.evaluate(client.upload(path, "restarts"), stage.dataset, "light"))
            stage.installation.start_again("valkey")
            if not number % 2:
                asked.append(client.evaluate(client.upload(path, "restarts"), stage.dataset, "light"))
            if number % 5 == 4:  # and let the workers get idle from time to time
                stage.follow(asked[-1])
    states = Counter(stage.follow(one).state for one in asked)
    return ", ".join(f"{count} evaluations {state}" for state, count in states.items())
