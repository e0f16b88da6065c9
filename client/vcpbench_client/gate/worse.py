"""The videos that got worse: the baseline answers them rightly, and the candidate does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vcpbench_client.answers import Evaluation
from vcpbench_client.client import Client
from vcpbench_client.errors import NotFound
from vcpbench_client.given import Answers, GivenAnswer

MOST = 10  # videos of a metric that a report names; its link leads to all


@dataclass(frozen=True, kw_only=True)
class WorseVideo:
    """One answer that became wrong.

    Attributes:
        video: The video's id.
        truth: The right answer.
        answer: The candidate's answer, if it is known.
        sure: How sure the candidate was, if that is known.
        url: The address of the page that shows the video.
    """

    video: str
    truth: str
    answer: str | None
    sure: float | None
    url: str


@dataclass(frozen=True, kw_only=True)
class Worse:
    """The answers of one metric that became wrong.

    Attributes:
        metric: The metric.
        total: Number of these answers.
        url: The address of the page that shows them all.
        videos: At most `MOST` of them, the surest wrong answers first.
    """

    metric: str
    total: int
    url: str
    videos: tuple[WorseVideo, ...]


def find(
    client: Client, candidate: Evaluation, baseline: Evaluation, metrics: Iterable[str]
) -> Iterator[Worse]:
    """Look for the videos that got worse, for each metric. A metric without any is left out.

    A server of an older version cannot list them, and no server lists videos of a metric that counts no
    answers. Such a metric is left out, too.

    Raises:
        ClientError: If the server cannot be asked, or refuses for another reason.
    """
    for metric in metrics:
        wanted = {"right": False, "against": baseline.id, "against_right": True}
        try:
            found = client.answers(candidate.id, metric=metric, **wanted, limit=MOST)
        except NotFound:
            continue
        if found.total:
            yield Worse(
                metric=metric,
                total=found.total,
                url=client.gallery_page(candidate.id, metric=metric, **wanted),
                videos=tuple(_video(client, found, baseline, one) for one in found.items),
            )


def _video(client: Client, found: Answers, baseline: Evaluation, one: GivenAnswer) -> WorseVideo:
    place = {"benchmark": found.benchmark, "part": found.part, "video": one.video, "truth": one.truth}
    url = client.gallery_page(found.evaluation.id, **place, against=baseline.id)
    return WorseVideo(video=one.video, truth=one.truth, answer=one.answer, sure=one.sure, url=url)
