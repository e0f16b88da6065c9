"""Prints the bytes of many evaluations of UCF101's size, with and without retention, on paper.

python -m bench.retention                              1,000 evaluations, 10 a day
python -m bench.retention --a-day 2 --backbone slow_r50
python -m bench.retention --json

Nothing is evaluated. The pieces are measured: the plan of such an evaluation has so many clips, a shard of
made-up features has so many bytes for each clip, and a file of the network has so many bytes. The rows of an
evaluation are those of the rehearsal of the full size (docs/decisions/2026-11-29-size.md).

Each evaluation is of its own checkpoint. All share their controls: random weights and pixels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from bench.rehearsal.features import write_shards
from bench.rehearsal.manifest import like_ucf101
from vcp_core.backbones import build
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.specs import BackboneSpec, pixels_like
from vcp_core.evaluation.plan import EvaluationPlan

GIB = 1 << 30
NETWORKS_REHEARSED, ROWS_REHEARSED = 5, 29 << 20  # bytes of the database after the rehearsal; it had one each
DAYS = (0, 90, 30, 7)  # VCPBENCH_FEATURES_DAYS; 0 keeps features for ever
MEASURED_SHARDS = 4


def pieces(backbone: str, protocol_name: str) -> dict[str, Any]:
    """Measure the pieces of an evaluation."""
    spec, protocol = BACKBONES[backbone], PROTOCOLS[protocol_name]
    plan = EvaluationPlan(dataset=like_ucf101(), protocol=protocol, spec=spec)
    num_clips = plan.num_clips
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.pt")
        torch.save(build(backbone, seed=0).state_dict(), path)
        file_bytes = path.stat().st_size
    controls = len(protocol.control.seeds) * _features_bytes(plan, spec)
    if protocol.control.pixels:
        controls += _features_bytes(plan, pixels_like(spec))
    return {
        "backbone": backbone,
        "protocol": protocol_name,
        "clips": num_clips,
        "file_bytes": 2 * file_bytes,  # as uploaded, and as canonical weights
        "features_bytes": _features_bytes(plan, spec),
        "control_bytes": controls,
        "rows_bytes": ROWS_REHEARSED // NETWORKS_REHEARSED,
    }


def _features_bytes(plan: EvaluationPlan, spec: BackboneSpec) -> int:
    """Bytes of one network's features, from those of a few shards with their names of clips."""
    some = plan.shards[:MEASURED_SHARDS]
    dims = dict(zip(spec.stages, spec.stage_dims, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        size = sum(path.stat().st_size for path in write_shards(some, dims, Path(folder)))
    return round(size / sum(shard.num_clips for shard in some) * plan.num_clips)


def stored(found: dict[str, Any], evaluations: int, a_day: float, days: int) -> dict[str, Any]:
    """Bytes in store and database after so many evaluations, if features are kept for so many days."""
    kept = min(evaluations, round(days * a_day)) if days else evaluations
    # A control's features are used when the control is scored: with the first evaluation.
    has_controls = not days or evaluations / a_day <= days
    features = kept * found["features_bytes"] + has_controls * found["control_bytes"]
    rest = evaluations * (found["file_bytes"] + found["rows_bytes"])
    return {"days": days, "kept": kept, "features_bytes": features, "all_bytes": features + rest}


def main() -> None:
    """Print a line for each length of retention."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--a-day", type=float, default=10.0, help="evaluations a day")
    parser.add_argument("--backbone", default="r3d")
    parser.add_argument("--protocol", default="standard-v1")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = pieces(arguments.backbone, arguments.protocol)
    lines = [stored(found, arguments.evaluations, arguments.a_day, days) for days in DAYS]
    if arguments.json:
        print(json.dumps({"pieces": found, "stored": lines}, indent=2))
        return
    print(
        f"{found['backbone']} under {found['protocol']}: {found['clips']:,} clips; "
        f"features {found['features_bytes'] / GIB:.2f} GiB, "
        f"all controls {found['control_bytes'] / GIB:.2f} GiB, "
        f"file and weights {found['file_bytes'] / GIB:.2f} GiB, rows {found['rows_bytes'] / GIB:.3f} GiB"
    )
    print(f"{arguments.evaluations:,} evaluations, {arguments.a_day:g} a day:")
    print("features kept for    evaluations with features    features, GiB    all, GiB")
    for line in lines:
        span = f"{line['days']} days" if line["days"] else "ever"
        print(
            f"{span:<21}{line['kept']:>27,}{line['features_bytes'] / GIB:>17,.1f}"
            f"{line['all_bytes'] / GIB:>12,.1f}"
        )


if __name__ == "__main__":
    main()
