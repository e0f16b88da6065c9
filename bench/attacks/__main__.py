"""Attacks a running installation by ordinary requests and files, and prints what each did.

python -m bench.attacks                     all attacks, about ten minutes
python -m bench.attacks slashes dots        some of them
python -m bench.attacks --list              their names
python -m bench.attacks --json              the numbers for programs

One team attacks. Meanwhile another team asks for `/v1/health` over new connections, and writes. Exits with 1
if health took 1 s or more, if a write took 2 s or more, or if the other team was refused anything. The attack
that ends the API itself is excused.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from bench.attacks import files, requests
from bench.attacks.requests import Stage
from bench.attacks.watch import Seen, Watch
from bench.chaos import PROTOCOL
from bench.installation import Installation, running
from bench.load import fill, real_results
from bench.rehearsal.videos import make
from records.repositories import tokens
from vcp_core.backbones import build

HEALTH_S, WRITE_S = 1.0, 2.0
FINISHED = 40  # evaluations with predictions
CLASSES = 2
DATASET = "attacked"
LIGHT: dict[str, Any] = {**PROTOCOL, "name": "light"}
AS_LIGHT = {**LIGHT, "name": "as-light", "retrieval": {"ks": [1, 5]}}  # the same clips, other scores
ATTACKS: Mapping[str, Callable[[Stage], str]] = {
    "seeds": requests.ten_thousand_seeds,
    "plan": requests.largest_plan,
    "slashes": requests.many_slashes,
    "comparisons": requests.many_comparisons,
    "halves": requests.half_sent_requests,
    "jobs": requests.wide_evaluation,
    "controls": requests.many_controls,
    "dots": files.very_many_dots,
    "views": files.repeated_number,
    "damage": files.damaged_features,
    "valkey": files.restarted_valkey,
    "upload": files.killed_upload,
    "requests": requests.five_thousand_requests,  # the last: for the rest of its minute, all others get 429
}
EXCUSED = ("upload",)  # it ends the API itself


@contextmanager
def stage_in(folder: Path) -> Iterator[tuple[Stage, Watch]]:
    """Start an installation, and give it what attacks need."""
    results = real_results(folder)
    make(folder / "videos", CLASSES)
    with running(Installation(folder / "installation", 2)) as installation:
        with installation.database.session() as session:
            filled = fill(session, results, FINISHED)
            secrets = {
                team: tokens.create(session, name=team, team=team)[1] for team in ("attacker", "bystander")
            }
        with installation.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
        for protocol in (LIGHT, AS_LIGHT):
            installation.post("protocols", protocol)
        installation.post("datasets", {"name": DATASET, "location": str(folder / "videos")})
        headers = {team: {"Authorization": f"Bearer {secret}"} for team, secret in secrets.items()}
        stage = Stage(installation, headers["attacker"], secrets["attacker"], filled, "", DATASET)
        stage.checkpoint = upload(stage, "attacker", secrets["attacker"], 1)
        other = upload(stage, "bystander", secrets["bystander"], 2)
        write = {"checkpoint": other, "dataset": DATASET, "protocol": "light"}
        yield stage, Watch(installation, headers["bystander"], write)


def upload(stage: Stage, team: str, secret: str, seed: int) -> str:
    """Upload a small network of a team, and wait until it is evaluated."""
    path = stage.installation.folder / f"{team}.pt"
    torch.save(build("r3d_tiny", seed=seed).state_dict(), path)
    stage.token, before = secret, stage.token
    with stage.client() as client:
        found = client.wait_ready(client.upload(path, team))
        client.wait(client.evaluate(found, DATASET, "light"))
    stage.token = before
    return found.id


def main() -> None:
    """Print what each attack did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="all if none is named")
    parser.add_argument("--list", action="store_true", help="name the attacks, and do nothing")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.attacks) - ATTACKS.keys():
        parser.error(f"no attack {', '.join(sorted(unknown))}; there are {', '.join(ATTACKS)}")
    if arguments.list:
        for name, attack in ATTACKS.items():
            print(f"{name:12} {attack.__doc__}")
        return
    found: dict[str, tuple[str, Seen]] = {}
    with tempfile.TemporaryDirectory() as folder, stage_in(Path(folder)) as (stage, watch):
        for name in arguments.attacks or ATTACKS:
            with watch.during() as seen:
                answered = ATTACKS[name](stage)
            found[name] = answered, seen
            print(f"{name}: {answered}", file=sys.stderr, flush=True)
    if arguments.json:
        print(
            json.dumps(
                {name: {"answered": said, **asdict(seen)} for name, (said, seen) in found.items()}, indent=2
            )
        )
    else:
        show(found)
    sys.exit(any(is_bad(name, seen) for name, (_, seen) in found.items()))


def is_bad(name: str, seen: Seen) -> bool:
    """Whether another team suffered."""
    late = seen.health_s >= HEALTH_S or seen.write_s >= WRITE_S
    return name not in EXCUSED and (late or bool(seen.failures))


def show(found: Mapping[str, tuple[str, Seen]]) -> None:
    """Print a table."""
    titles = ("attack", "seconds", "health at most", "write at most", "API", "worker", "refused to others")
    table = Table(*titles, box=None, header_style="dim")
    for name, (_, seen) in found.items():
        times = [f"{seen.seconds:.1f}", f"{seen.health_s:.2f} s", f"{seen.write_s:.2f} s"]
        memory = [f"{seen.api_mib:.0f} MiB", f"{seen.worker_mib:.0f} MiB"]
        table.add_row(name, *times, *memory, str(len(seen.failures)))
    console = Console(width=120)
    console.print(table)
    for name, (_, seen) in found.items():
        for failure in sorted(set(seen.failures)):
            console.print(f"  {name}: {failure}", markup=False)


if __name__ == "__main__":
    main()
