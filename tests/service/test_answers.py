"""What an evaluation answered, video by video: filters, order, pages, other answers beside, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update

from records import kept
from records.models import BenchmarkRow, DatasetRow, Evaluation
from records.storage import manifest_key
from service.answers import stored
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.service.kit import problem_of
from tests.web import played
from tests.web.conftest import Site
from tests.web.conftest import site as site  # a fixture
from vcp_core.datasets.manifest import Dataset, Video


def ask(site: Site, evaluation: UUID | None = None, **wanted: Any) -> dict[str, Any]:
    answer = look(site, evaluation, **wanted)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def look(site: Site, evaluation: UUID | None = None, **wanted: Any) -> httpx.Response:
    return site.api.client.get(f"/v1/evaluations/{evaluation or site.best}/answers", params=wanted)


def columns(site: Site, benchmark: str, evaluation: UUID | None = None) -> dict[str, list[Any]]:
    """What the worker stored."""
    results = site.api.client.get(f"/v1/evaluations/{evaluation or site.best}/results").json()
    found = {one["benchmark"]: one["predictions"]["columns"] for one in results["benchmarks"]}
    return dict(found[benchmark])


def change(site: Site, evaluation: UUID, benchmark: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change stored answers, as an older version stored them."""
    with site.api.database.session() as session:
        row = session.get_one(BenchmarkRow, (evaluation, benchmark))
        found = {**row.predictions, "columns": dict(row.predictions["columns"])}
        edit(found)
        session.execute(
            update(BenchmarkRow)
            .where(BenchmarkRow.evaluation_id == evaluation, BenchmarkRow.benchmark == benchmark)
            .values(predictions=found)
        )
    kept.forget_all()


def list_videos(site: Site) -> None:
    """Store the dataset's list, as the worker that indexed it would."""
    rows = [(f"{name}/t{number}.mp4", name, "train") for name in played.CLASSES for number in range(3)]
    videos = [
        Video(id=name, label=label, split="train", group=None, sha256="0" * 64, num_frames=99)
        for name, label, _ in rows
    ]
    with site.api.database.session() as session:
        row = session.scalars(select(DatasetRow).where(DatasetRow.name == "playground")).one()
        text = Dataset(name="playground", split_name="1", root="/", videos=tuple(videos)).to_json()  # type: ignore[arg-type]
        site.api.app.state.storage.put_bytes(manifest_key(row.id), text.encode())


def test_wrong_answers_come_surest_first_with_all_that_was_kept(site: Site) -> None:
    found, asked = ask(site, right=False, limit=500), columns(site, "recognition")
    wrong = {
        video
        for video, names, label in zip(asked["video"], asked["linear"], asked["label"], strict=True)
        if names[0] != label
    }
    assert (found["benchmark"], found["part"]) == ("recognition", "linear")
    assert {one["video"] for one in found["items"]} == wrong
    assert found["total"] == found["num_wrong"] == len(wrong)
    assert found["num_right"] + found["num_wrong"] == played.NUM_VIDEOS
    sure = [one["sure"] for one in found["items"]]
    assert sure == sorted(sure, reverse=True)
    first = found["items"][0]
    row = asked["video"].index(first["video"])
    assert [one["answer"] for one in first["ranked"]] == asked["linear"][row]
    assert [one["sure"] for one in first["ranked"]] == asked["linear.probability"][row]
    assert (first["truth"], first["group"]) == (asked["label"][row], asked["group"][row])
    assert first["answer"] == asked["linear"][row][0] != first["truth"]
    assert found["notes"] == []


def test_a_cell_of_a_confusion_is_a_list_of_its_videos(site: Site) -> None:
    results = site.api.client.get(f"/v1/evaluations/{site.best}/results").json()
    tables = {table["name"]: table for one in results["benchmarks"] for table in one["tables"]}
    for part, name in (("linear", "recognition.confusion"), ("concat", "cloze.concat.confusion")):
        table, benchmark = tables[name], name.partition(".")[0]
        for truth, counts in zip(table["rows"], table["values"], strict=True):
            for answer, count in zip(table["columns"], counts, strict=True):
                found = ask(site, benchmark=benchmark, part=part, truth=truth, answer=answer, limit=1)
                assert found["total"] == count, (truth, answer)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("recognition.top1", {}),
        ("recognition.knn.top1", {}),
        ("cloze.accuracy", {}),
        ("cloze.recall.remote", {"remote"}),
        ("cloze.recall.rotation.90", {"rotation"}),
        ("cloze.spatial", {"rotation", "permutation"}),
        ("retrieval.top1", {}),
    ],
)
def test_a_metric_leads_to_the_answers_that_it_counts(site: Site, metric: str, expected: Any) -> None:
    score = next(
        one
        for one in site.api.client.get(f"/v1/evaluations/{site.best}").json()["scores"]
        if one["metric"] == metric
    )
    found = ask(site, metric=metric, limit=500)
    num = found["num_right"] + found["num_wrong"]
    if metric != "cloze.spatial":  # a mean of two recalls
        assert 100 * found["num_right"] / num == pytest.approx(score["value"])
    assert found["benchmark"] == metric.partition(".")[0]
    if expected:
        assert {one["truth"] for one in found["items"]} == expected


def test_variants_groups_and_names_filter(site: Site) -> None:
    asked = columns(site, "cloze")
    wanted = [
        video
        for video, option, variant in zip(asked["video"], asked["option"], asked["variant"], strict=True)
        if option == "remote" and variant.startswith("before")
    ]
    found = ask(site, benchmark="cloze", truth="remote", variant="before", sort="video", limit=500)
    assert [one["video"] for one in found["items"]] == wanted
    assert ask(site, benchmark="cloze", variant="before", limit=1)["total"] == len(wanted)
    assert ask(site, group="g7")["total"] == 3
    assert {one["group"] for one in ask(site, group="g7")["items"]} == {"g7"}
    assert ask(site, group="nobody")["total"] == 0
    assert [one["video"] for one in ask(site, video="v119")["items"]] == ["v119"]


def test_pages_hold_each_answer_once(site: Site) -> None:
    seen = [
        (one["video"], one["truth"])
        for offset in range(0, 600, 100)
        for one in ask(site, benchmark="cloze", limit=100, offset=offset)["items"]
    ]
    assert len(seen) == len(set(seen)) == 600
    assert ask(site, benchmark="cloze", offset=600)["items"] == []
    least = ask(site, benchmark="cloze", sort="sure", limit=1)["items"][0]["sure"]
    assert least == min(columns(site, "cloze")["relational.probability"])
    last = ask(site, sort="-video", limit=1)["items"][0]["video"]
    assert last == columns(site, "recognition")["video"][-1]


def test_a_query_shows_its_neighbours_and_their_classes_once_the_dataset_is_listed(site: Site) -> None:
    first = ask(site, benchmark="retrieval", limit=500)
    assert first["notes"] == [stored_note()]
    assert {one["answer"] for one in first["items"]} == {None}
    list_videos(site)
    found, asked = ask(site, benchmark="retrieval", limit=500), columns(site, "retrieval")
    assert found["notes"] == []
    for one in found["items"]:
        row = asked["video"].index(one["video"])
        assert [near["video"] for near in one["neighbours"]] == asked["neighbours"][row]
        assert all(near["right"] == (near["label"] == one["truth"]) for near in one["neighbours"])
        assert one["right"] == asked["hit_at_1"][row] == one["neighbours"][0]["right"]
        assert one["answer"] == one["neighbours"][0]["label"]
        assert one["sure"] == asked["similarity"][row]
        assert one["average_precision"] == pytest.approx(asked["average_precision"][row], abs=1e-4)
    answer = found["items"][0]["answer"]
    of_class = ask(site, benchmark="retrieval", answer=answer, limit=500)["items"]
    assert {one["answer"] for one in of_class} == {answer}


def stored_note() -> str:
    from service.answers.service import NO_LABELS

    return NO_LABELS


def test_random_weights_and_pixels_stand_beside_each_answer(site: Site) -> None:
    with site.api.database.session() as session:
        shown = session.get_one(Evaluation, site.best)
        shown.controls.append(session.get_one(Evaluation, site.control))
    found = ask(site, benchmark="cloze", limit=500)
    assert found["controls"] == [{"evaluation": str(site.control), "title": "random weights, seed 0"}]
    asked = columns(site, "cloze", site.control)
    theirs = dict(zip(zip(asked["video"], asked["option"], strict=True), asked["relational"], strict=True))
    for one in found["items"]:
        (control,) = one["controls"]
        assert control["answer"] == theirs[one["video"], one["truth"]]
        assert control["right"] == (control["answer"] == one["truth"])


def test_the_videos_on_which_two_evaluations_differ(site: Site) -> None:
    asked, others = columns(site, "recognition"), columns(site, "recognition", site.second)
    right, there = (
        [names[0] == label for names, label in zip(one["linear"], one["label"], strict=True)]
        for one in (asked, others)
    )
    lost = [video for video, one, two in zip(asked["video"], right, there, strict=True) if not one and two]
    found = ask(site, against=site.second, right=False, against_right=True, sort="video", limit=500)
    assert [one["video"] for one in found["items"]] == lost
    assert found["against"]["evaluation"]["id"] == str(site.second)
    assert found["against"]["only_other"] == len(lost)
    counts = [found["against"][name] for name in ("both_right", "only_this", "only_other", "both_wrong")]
    assert sum(counts) == played.NUM_VIDEOS
    assert counts[0] == sum(one and two for one, two in zip(right, there, strict=True))
    assert all(one["against"]["right"] and one["against"]["answer"] == one["truth"] for one in found["items"])
    back = ask(site, site.second, against=site.best, right=True, against_right=False, limit=500)
    assert {one["video"] for one in back["items"]} == set(lost)


def test_a_video_that_the_other_did_not_answer_is_left_out(site: Site) -> None:
    def drop(found: dict[str, Any]) -> None:
        found["columns"] = {name: values[5:] for name, values in found["columns"].items()}

    change(site, site.second, "cloze", drop)
    found = ask(site, benchmark="cloze", against=site.second, limit=500)
    assert found["total"] == 595
    asked = columns(site, "cloze", site.second)
    theirs = dict(zip(zip(asked["video"], asked["option"], strict=True), asked["relational"], strict=True))
    assert all(one["against"]["answer"] == theirs[one["video"], one["truth"]] for one in found["items"])


def test_older_answers_say_what_they_lack(site: Site) -> None:
    def older(found: dict[str, Any]) -> None:
        for name in [name for name in found["columns"] if name.endswith("probability")]:
            del found["columns"][name]

    change(site, site.best, "recognition", older)
    found = ask(site, right=False)
    assert "before 2026-11-30" in found["notes"][0]
    assert found["sort"] == "video"
    assert {one["sure"] for one in found["items"]} == {None}
    assert {one["sure"] for one in found["items"][0]["ranked"]} == {None}


def test_answers_of_an_earlier_stage_are_sorted_by_video(site: Site) -> None:
    def add(found: dict[str, Any]) -> None:
        found["columns"]["relational@conv3"] = found["columns"]["relational"]

    change(site, site.best, "cloze", add)
    found = ask(site, benchmark="cloze", part="relational@conv3")
    assert found["parts"] == ["relational", "concat", "relational@conv3"]
    assert "last stage alone" in found["notes"][0]


def test_a_benchmark_of_ones_own_is_listed_if_its_answers_are_classes() -> None:
    columns = {"video": ["a"], "group": [None], "label": ["x"], "nearest": ["y"], "own_distance": [0.5]}
    found = stored.compact({"answers": ["x", "y"], "columns": columns, "facts": {}})
    assert found is not None
    assert list(found.parts) == ["nearest"]
    assert stored.compact({"answers": [], "columns": {**columns, "label": ["z"]}, "facts": {}}) is None


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ({"benchmark": "clozy"}, 404, "Did you mean 'cloze'"),
        ({"part": "linaer"}, 404, "Did you mean 'linear'"),
        ({"truth": "spinn"}, 404, "Did you mean 'spin'"),
        ({"answer": "spinn"}, 404, "Did you mean 'spin'"),
        ({"metric": "cloze.acuracy"}, 404, "Did you mean 'cloze.accuracy'"),
        ({"benchmark": "cloze", "variant": "91"}, 404, "variant"),
        ({"variant": "90"}, 422, "only cloze has"),
        ({"against_right": "true"}, 422, "against=ID"),
        ({"right": "maybe"}, 422, "right"),
        ({"sort": "size"}, 422, "sort"),
        ({"limit": "0"}, 422, "limit"),
        ({"rihgt": "true"}, 422, "Did you mean 'right'"),
        ({"part": ""}, 422, "empty"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_slip_is_told(site: Site, wanted: dict[str, str], status: int, said: str) -> None:
    assert said in str(problem_of(look(site, **wanted), status))


def test_what_is_not_done_or_not_there_has_no_answers(site: Site) -> None:
    assert "is running" in problem_of(look(site, site.running), 409)["detail"]
    assert "is failed" in problem_of(look(site, site.failed), 409)["detail"]
    problem_of(look(site, uuid4()), 404)
    problem_of(look(site, against=uuid4()), 404)
    assert "is running" in problem_of(look(site, against=site.running), 409)["detail"]
    with site.api.database.session() as session:
        other = played.finished(session, ready_dataset(session, "later"), "r3d-vcp", seed=9).id
        shown = session.get_one(Evaluation, site.best)
        shown.unavailable = {"order": "the videos are too short"}
    assert "differ in dataset" in problem_of(look(site, against=other), 409)["detail"]
    assert "too short" in problem_of(look(site, benchmark="order"), 409)["detail"]


def test_a_reader_of_another_team_reads_the_same(site: Site) -> None:
    with site.api.client_of("others") as client:
        found = client.get(f"/v1/evaluations/{site.best}/answers").json()
    assert found["items"] == ask(site)["items"]


def test_previews_are_named_for_the_video_and_for_the_question(site: Site) -> None:
    (video, question) = (ask(site, benchmark=name, limit=1)["items"][0] for name in ("recognition", "cloze"))
    assert "/videos/" in video["preview"]["strip"]
    assert question["preview"]["clip"].endswith(f"/0/{question['truth']}.webm")
    near = ask(site, benchmark="retrieval", limit=1)["items"][0]["neighbours"]
    assert len({one["preview"]["strip"] for one in near}) == len(near)


def test_answers_are_parsed_once(site: Site, monkeypatch: pytest.MonkeyPatch, api: Served) -> None:
    kept.forget_all()
    read: list[str] = []
    whole = stored.compact
    monkeypatch.setattr(stored, "compact", lambda *one: read.append("again") or whole(*one))
    for _ in range(3):
        ask(site, right=False)
    assert read == ["again"]
