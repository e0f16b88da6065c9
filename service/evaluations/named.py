"""Find the evaluation that a request names."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Deleted, Evaluation
from records.repositories import evaluations
from service import gone
from service.auth import Caller
from service.checkpoints import named as checkpoints
from service.checkpoints.named import Among
from service.problems import NotFound
from service.references import MOST_TOLD, Alias, Beginning, Latest, ambiguous, parse
from service.visible import visible_to


def find(
    session: Session, wanted: str, reader: Caller | None = None, *, with_results: bool = False
) -> Evaluation:
    """Find an evaluation by its id, the first characters of its id, `MODEL@latest` or an alias.

    `MODEL@latest` means the newest evaluation of the model's newest checkpoint that the reader may see. An
    alias means the newest evaluation of the checkpoint at which it points. If that checkpoint has no
    evaluation, none is found: an older checkpoint never takes its place.

    Raises:
        InvalidRequest: If the text names no evaluation.
        NotFound: If there is none.
        Gone: If it was deleted.
        Ambiguous: If several ids begin with the text.
    """
    reference = parse(wanted, "evaluation")
    if isinstance(reference, Beginning):
        found = reference.whole or _begun(session, reference, reader)
    else:
        found = _newest(session, reference, wanted, reader)
    return get(session, found, reader, with_results=with_results)


def _newest(session: Session, reference: Latest | Alias, wanted: str, reader: Caller | None) -> UUID:
    checkpoint = checkpoints.find(session, wanted, Among.seen_by(reader))
    found = evaluations.newest_of(session, checkpoint.id)
    if found is None:
        what = f"checkpoint of {wanted}"
        if isinstance(reference, Latest):
            what = f"newest checkpoint of {reference.model!r}"
        raise NotFound(
            f"The {what}, {checkpoint.id}, has no evaluation. "
            "Ask for one by POST /v1/evaluations, or name an older evaluation by its id."
        )
    return found


def _begun(session: Session, reference: Beginning, reader: Caller | None) -> UUID:
    low, high = reference.low, reference.high
    found = evaluations.between(session, low, high, visible_to(reader), MOST_TOLD + 1)
    if not found:
        gone.check(session, Deleted.EVALUATION, reference.low, reference.high, visible=visible_to(reader))
        raise NotFound(
            f"No evaluation has an id that begins with {reference.text!r}. List them: GET /v1/evaluations."
        )
    if len(found) > 1:
        raise ambiguous("evaluation", reference.text, [(one.id, _words(one)) for one in found])
    return found[0].id


def _words(evaluation: Evaluation) -> str:
    model = evaluation.checkpoint.model
    whose = f"{model.team}/{model.name}" if model else "random weights"
    return f"{whose} on {evaluation.dataset.name} under {evaluation.protocol.name}"


def get(
    session: Session, evaluation_id: UUID, reader: Caller | None, *, with_results: bool = False
) -> Evaluation:
    """An evaluation that the reader sees.

    Raises:
        NotFound: If there is none.
        Gone: If it was deleted.
    """
    found = evaluations.get(session, evaluation_id, visible_to(reader), with_results=with_results)
    if found is None:
        gone.check(session, Deleted.EVALUATION, evaluation_id, visible=visible_to(reader))
        raise NotFound(f"No evaluation {evaluation_id}. List them: GET /v1/evaluations.")
    return found
