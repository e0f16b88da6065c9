"""The baseline of the gate: `MODEL@latest`, `MODEL@best:METRIC`, an alias, or an evaluation's id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vcpbench_client.answers import Checkpoint, Evaluation
from vcpbench_client.client import Client
from vcpbench_client.errors import GateError

ID_FORM = re.compile(r"^[0-9a-f-]{4,36}$", re.IGNORECASE)  # an id, or its first characters
ALIAS_FORM = re.compile(r"^(?:.+/)?@[a-z0-9][a-z0-9._-]{0,62}$")  # of the own team, or TEAM/@ALIAS
FORMS = "MODEL@latest, MODEL@best:METRIC, @ALIAS, or an evaluation's id"
PAGE = 500  # rows, the most that the server gives at once


@dataclass(frozen=True, kw_only=True)
class Against:
    """The baseline to compare with.

    Attributes:
        model: A model of the same team; None if `evaluation` or `alias` is given.
        metric: Take the model's best checkpoint by this metric; None takes the newest.
        evaluation: The id of one evaluation, or the id's first characters.
        alias: An alias with its `@`; the checkpoint at which it points is the baseline.
    """

    model: str | None = None
    metric: str | None = None
    evaluation: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Against:
        """Parse one of the four forms of `--against`.

        >>> Against.parse("@champion").alias
        '@champion'

        Raises:
            GateError: If the text has none of these forms.
        """
        model, at, which = text.strip().rpartition("@")
        if not at and ID_FORM.match(which):
            return cls(evaluation=which)
        if ALIAS_FORM.match(text.strip()) and which != "latest":
            return cls(alias=text.strip())
        if model and which == "latest":
            return cls(model=model)
        if model and which.startswith("best:") and which != "best:":
            return cls(model=model, metric=which.removeprefix("best:"))
        raise GateError(f"--against {text!r}: write {FORMS}.")

    def __str__(self) -> str:
        if self.evaluation or self.alias:
            return str(self.evaluation or self.alias)
        return f"{self.model}@best:{self.metric}" if self.metric else f"{self.model}@latest"


def find(
    client: Client, against: Against, candidate: Evaluation, checkpoint: Checkpoint, dataset: str
) -> Evaluation | None:
    """Find the evaluation to compare with, or None if the model has none on the candidate's leaderboard yet.

    "latest" is the newest checkpoint that is evaluated on the same videos under the same protocol. Of the
    candidate's own model, only checkpoints older than the candidate count. So if the gate runs again after
    newer checkpoints were uploaded, it gives the same verdict. The candidate is its own baseline only if an
    alias points at it.

    Raises:
        GateError: If the team has no such model. A misspelt name would otherwise pass every time.
        NotFound: If there is no such alias, or no such evaluation.
    """
    if against.evaluation is not None:
        return client.evaluation(against.evaluation)
    if against.alias is not None:
        pointed = client.checkpoint(against.alias)
        return next(_on_board_of(candidate, client, checkpoint=pointed.id), None)
    assert against.model is not None
    model = against.model
    if model != checkpoint.model:
        model = _check_model(client, model, checkpoint.team)
    if against.metric is not None:
        return _best(client, model, against.metric, candidate, checkpoint, dataset)
    return _latest(client, model, candidate, checkpoint)


def _on_board_of(candidate: Evaluation, client: Client, **wanted: Any) -> Iterator[Evaluation]:
    """Evaluations on the candidate's leaderboard, the newest first."""
    # By fingerprint, not by name: the name may have been registered again, with other videos.
    fingerprint, protocol = _board(candidate)
    found = client.evaluations(dataset=fingerprint, protocol=protocol, state="done", **wanted)
    # Other engines share no leaderboard. What an older key scheme gave is no measure of its network.
    return (one for one in found if one.engine == candidate.engine and not one.outdated)


def _latest(client: Client, model: str, candidate: Evaluation, checkpoint: Checkpoint) -> Evaluation | None:
    found = _on_board_of(candidate, client, model=model, team=checkpoint.team)
    others = [one for one in found if one.checkpoint.id != checkpoint.id]
    if model == checkpoint.model:
        others = [one for one in others if one.checkpoint.created_at <= checkpoint.created_at]
    return max(others, key=lambda one: one.checkpoint.created_at, default=None)


def _best(
    client: Client, model: str, metric: str, candidate: Evaluation, checkpoint: Checkpoint, dataset: str
) -> Evaluation | None:
    better = next((score.better for score in candidate.scores if score.metric == metric), "higher")
    if better == "neither":
        raise GateError(
            f"{model}@best:{metric}: neither higher nor lower {metric} is better, so no checkpoint is best."
        )
    sort = metric if better == "lower" else f"-{metric}"
    offset = 0
    while True:
        board = client.leaderboard(
            dataset,
            candidate.protocol.hash,
            engine=candidate.engine,
            sort=sort,
            metrics=[metric],
            model=model,
            team=checkpoint.team,
            limit=PAGE,
            offset=offset,
        )
        if (board.dataset.fingerprint, board.protocol.hash) != _board(candidate):
            raise GateError(
                f"The dataset {dataset} was registered again during this run. Run the gate again."
            )
        for row in board.rows:  # the board's filter finds all names that contain the model's
            is_other = row.model == model and row.checkpoint != checkpoint.id
            if is_other and metric in row.scores and not row.outdated:
                return client.evaluation(row.evaluation)
        offset += PAGE
        if offset >= board.total:
            return None


def _check_model(client: Client, model: str, team: str) -> str:
    """Make sure that the team has a model, and return the name that it has now."""
    found = next(client.checkpoints(model=model, team=team, limit=1), None)
    if found is None:
        known = sorted({one.model for one in client.checkpoints(team=team, limit=PAGE)})
        raise GateError(f"Team {team!r} has no model {model!r}. Known: {', '.join(known)}.")
    return found.model


def _board(evaluation: Evaluation) -> tuple[str | None, str]:
    return evaluation.dataset.fingerprint, evaluation.protocol.hash
