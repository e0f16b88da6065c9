"""`/v1/evaluations/ID/answers`."""

from __future__ import annotations

from service.answers import service
from service.answers.schemas import AnswersOut
from service.answers.wanted import WantedDep
from service.auth import Reader
from service.deps import Router, SessionDep, StorageDep
from service.problems import responses
from service.references import EvaluationNamed

router = Router(tags=["evaluations"])


@router.get(
    "/evaluations/{evaluation_id:named}/answers",
    responses=responses(404, 409),
    summary="List the answers of an evaluation",
)
def answers(
    evaluation_id: EvaluationNamed,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
    wanted: WantedDep,
) -> AnswersOut:
    """What the network answered, video by video: right or wrong, and how sure it was.

    With `against`, the answers of another evaluation stand beside: `right=false&against_right=true` lists the
    videos that the other one gets right and this one gets wrong.
    """
    return service.page(session, storage, evaluation_id, wanted, reader)[0]
