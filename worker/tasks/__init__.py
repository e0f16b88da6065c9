"""What workers do, by kind of job: read rows, have the child compute, store objects, conclude.

Every task may run twice, or be killed at any line. So a task writes objects only under keys that hash their
content, and it writes rows only in the one transaction that ends the job. `plan.py` also writes shards before
that: these count once they have jobs, and the next attempt deletes them first.

    ingest.py     read an uploaded file
    index.py      read a dataset's videos
    plan.py       which clips, and which controls
    calibrate.py  the weights of a random-weights control
    extract.py    the features of one shard
    fit.py        some parts of the benchmarks of an evaluation
    score.py      the scores of an evaluation
    compare.py    two evaluations in pairs
    media.py      previews of some videos, or of their questions
    map.py        the test videos of an evaluation in two dimensions
    compare_many.py  many evaluations with a baseline and in all pairs
    features.py   features objects: stored, compared with their hash, made again
    weights.py    the weights of a network, made again if they are damaged
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from records.models import JobKind
from worker.tasks.calibrate import calibrate
from worker.tasks.compare import compare
from worker.tasks.extract import extract
from worker.tasks.fit import fit
from worker.tasks.index import index
from worker.tasks.ingest import ingest
from worker.tasks.map import draw_map
from worker.tasks.media import make_media
from worker.tasks.plan import plan_evaluation
from worker.tasks.score import score
from worker.work import Work

TASKS: Mapping[JobKind, Callable[[Work], None]] = {
    JobKind.INGEST: ingest,
    JobKind.CALIBRATE: calibrate,
    JobKind.INDEX: index,
    JobKind.PLAN: plan_evaluation,
    JobKind.EXTRACT: extract,
    JobKind.FIT: fit,
    JobKind.SCORE: score,
    JobKind.COMPARE: compare,
    JobKind.MEDIA: make_media,
    JobKind.MAP: draw_map,
}
