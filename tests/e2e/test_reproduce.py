"""A server's evaluation, reproduced by the command on its page."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_way import StartWorker, register, results
from tests.patience import DEADLINE_S
from tests.served import Served
from tests.videos import write_video


@pytest.mark.long
def test_an_evaluation_on_a_registered_folder_is_reproduced_by_the_command_that_it_names(
    api: Served, start_worker: StartWorker, checkpoint: Path, tmp_path: Path
) -> None:
    clips, rows = tmp_path / "clips", ["path,label,group"]
    for seed in range(6):
        label, person = ("jump", "run")[seed % 2], f"P{seed // 2 + 1}"
        write_video(clips / label / f"{person}.mp4", 20 + seed, seed=seed)
        rows.append(f"{label}/{person}.mp4,{label},{person}")
    (clips / "groups.csv").write_text("\n".join(rows) + "\n")
    start_worker()
    register(api, clips, "people", test_groups=["P3"])
    asked = api.follow(api.evaluate(api.upload(checkpoint)["id"], "people", "light")["id"])
    named = shlex.split(results(api, asked["id"])["provenance"]["reproduce"])
    assert named == ["vcpbench", "reproduce", asked["id"], "--dataset", "PLACE", "--test-groups", "P3"]
    (control,) = asked["controls"]
    assert results(api, control)["provenance"]["reproduce"] is None
    words = [str(clips) if word == "PLACE" else word for word in named[1:]]
    said = vcpbench(api, tmp_path, *words)
    assert said.returncode == 0, said.stderr
    assert "Fetching the checkpoint from the server." in said.stderr
    assert "are equal to the last digit" in said.stdout
    refused = vcpbench(api, tmp_path, "reproduce", control)
    assert refused.returncode == 2
    assert "Random weights and pixels have no file." in refused.stderr


def vcpbench(api: Served, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    secret = str(api.client.headers["Authorization"]).removeprefix("Bearer ")
    login = {"VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": secret}
    return subprocess.run(
        [str(Path(sys.executable).with_name("vcpbench")), *arguments, "--device", "cpu"],
        env={**os.environ, **login, "VCPBENCH_CACHE": str(home / "cache"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
