"""A private model leaves no trace for other teams: a sweep over every route, parameter and field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import ParamTypes
from fastapi.routing import APIRoute, iter_route_contexts

from records.repositories import evaluations, leaderboard_choices
from records.repositories.visibility import EVERYTHING, Visibility
from records.settings import Settings
from service.auth import COOKIE, form_key
from tests.served import Served, open_http, serve
from tests.service.finished import compare_waiting, done, ready_checkpoint, ready_dataset
from tests.service.kit import declare, noise, one_shot, problem_of
from tests.service.private import DATASET, OTHER, OWNER, PROTOCOL, World, private_world
from tests.service.test_wording import BODIES
from vcp_core.catalog.protocols import PROTOCOLS

HTML = {"Accept": "text/html"}
NOTHING = 64 * "0"
SEEN = "resize=64x86,crop=56"  # what the public networks see of a video
# What a parameter or a field names, and what stands in it in requests about public things. A kind of `World`
# gets the names of private things, too. None stands for a parameter that is left out.
KINDS = {
    **dict.fromkeys(("evaluation_id", "evaluation", "evaluations", "first", "baseline"), "evaluation"),
    **dict.fromkeys(("against", "second"), "evaluation"),
    **dict.fromkeys(("checkpoint_id", "checkpoint"), "checkpoint"),
    **dict.fromkeys(("model", "path", "wanted"), "model"),
    **dict.fromkeys(("add", "remove", "tags"), "tag"),
    **{f"{kind}_id": kind for kind in ("comparison", "note", "log", "share", "view")},
    **dict.fromkeys(("id", "job"), "evaluation"),  # operators cancel and requeue by such an id
    **{kind: kind for kind in ("note", "share", "view")},
    **{kind: kind for kind in ("team", "tag", "run", "metric", "sort", "engine", "geometry")},
}
PLAIN: dict[str, Any] = {
    "dataset": DATASET, "protocol": PROTOCOL, "base": PROTOCOL, "name_or_hash": PROTOCOL,
    "backbone": "r3d_tiny", "protocol_hash": PROTOCOLS[PROTOCOL].hash, "key": 32 * "0", "number": "0",
    "option": "original",
    "form": "webp", "secret": "vcs_nothing",
    **dict.fromkeys(("dataset_id", "limit", "offset", "latest", "state")),
    **dict.fromkeys(("answer", "truth", "variant", "group", "video", "part", "benchmark", "right")),
    **dict.fromkeys(("against_right", "course", "equal", "every", "fact", "intervals", "colour", "show")),
    **dict.fromkeys(("pick", "at", "on", "cell", "x", "y", "next", "page", "step", "prefix", "sha256")),
    **dict.fromkeys(("pretrained_on", "input_spec", "private", "text", "days", "address", "location")),
    **dict.fromkeys(("size_bytes", "shows_media", "theme", "token", "token_id", "code", "error", "iss")),
    **dict.fromkeys(("webhook_id", "delivery_id", "kinds", "url", "verdict", "rules", "dry_run")),
    "kind": "model",  # of what is deleted on a page
    **dict.fromkeys(("webhook", "delivery", "queue", "priority", "what", "why", "worker", "draining")),
    **dict.fromkeys(("num_bytes", "person")),
}  # fmt: skip
NAMES = {  # what `name` means, by the beginning of the address
    "/v1/aliases": "alias", "/forms/alias": "alias", "/v1/models": "model", "/models": "model",
    "/forms/rename": "model", "/forms/delete": "model", "/v1/datasets": "any", "/v1/views": "any",
    "/forms/view": "any",
    "/v1/protocols": "any", "/v1/tokens": "any", "/forms/token": "any",
}  # fmt: skip
BOTH = "both public evaluations"
WITH: dict[str, list[dict[str, Any]]] = {  # queries of these addresses, a request for each
    "/v1/aliases/{name}/history": [{"team": OWNER}],
    "/compare": [{"evaluation": BOTH}, {"first": "evaluation", "second": "second"}],
    "/compare/many/progress": [{"evaluation": BOTH}],
}
# A slot of these kinds shows its owners something else in each route that reads, and of others in some route.
EVERYWHERE = {"evaluation", "checkpoint", "model", "comparison", "log", "team", "tag", "alias"}
OPERATORS = ("/v1/admin/", "/admin")  # other owners than administrators see nothing there
FORMS: dict[str, dict[str, str]] = {
    "/forms/note": {"evaluation": "", "note": "", "text": "x"},
    "/forms/tags": {"model": "", "tags": "ours"},
    "/forms/rename": {"model": "", "name": ""},
    "/forms/private": {"model": "", "private": "true"},
    "/forms/alias": {"name": "", "checkpoint": "", "team": OTHER},
    "/forms/share": {"evaluation": "", "against": "", "share": "", "days": "7"},
    "/forms/view": {"view": "", "name": "mine", "next": "/models"},
    "/forms/token": {"name": "ci", "role": "reader", "team": "", "token_id": ""},
    "/forms/webhook": {"url": "https://ci.example/vcpbench", "form": "vcpbench", "webhook": ""},
    "/forms/delivery": {"webhook": "", "delivery": ""},
    "/forms/delete/{kind}": {"wanted": "", "name": ""},
    "/forms/admin/pause": {"what": "gpu", "why": "New drivers."},
    "/forms/admin/drain": {"worker": ""},
    "/forms/admin/job": {"job": "", "cancel": "1"},
    "/forms/admin/quota": {"team": "", "num_bytes": "1"},
    "/forms/admin/sign-out": {"person": ""},
    "/login": {"token": "vcp_nothing"},
    "/logout": {},
    "/theme": {"theme": "dark"},
}
FILES = {"/v1/logs": b"step,loss\n1,0.5\n", "/v1/checkpoints/upload": b"weights"}  # bodies that are no JSON
REQUEST = "x-request-id"
KEPT_OUT = {"date", "content-length", "server-timing", "etag", "location", REQUEST}  # not compared


@dataclass(frozen=True)
class Call:
    """A request about public things, in which each slot can name another thing."""

    method: str
    address: str
    path: dict[str, str]
    query: dict[str, Any]
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    slots: dict[tuple[str, str], str] = field(default_factory=dict)  # kind, by place and name

    def send(
        self, client: httpx.Client, slot: tuple[str, str] | None = None, text: str = ""
    ) -> httpx.Response:
        """Send it. With a slot, this slot names `text`."""
        place, name = slot or ("", "")
        path, query, form = dict(self.path), dict(self.query), None if self.form is None else dict(self.form)
        body = None if self.body is None else dict(self.body)
        if place == "path":
            path[name] = text
        elif place == "query":
            query[name] = [*query[name], text] if isinstance(query.get(name), list) else text
        elif place == "body" and body is not None:
            body[name] = [*body[name][1:], text] if isinstance(body.get(name), list) else text
        elif place == "form" and form is not None:
            form[name] = text
        parts = {key: quote(value, safe="/@,=") for key, value in path.items()}
        address = re.sub(r"{(\w+)(:\w+)?}", lambda match: parts[match[1]], self.address)
        headers = {} if self.address.startswith("/v1/") else HTML
        if self.address.startswith("/submit/"):
            headers = {"VCPBench-Page": "submit"}
        secret = client.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.address.startswith("/v1/") and secret:
            headers = {**headers, "Cookie": f"{COOKIE}={secret}"}
        if form is not None:
            form = {key: value for key, value in form.items() if value} | {"key": form_key(secret)}
        content = FILES.get(self.address) if self.method == "PUT" else None
        if content == FILES["/v1/checkpoints/upload"]:
            content += text.encode()  # the same bytes again would be the checkpoint of the request before
        return client.request(
            self.method, address, params=query, json=body, data=form, content=content, headers=headers
        )


def calls(world: World) -> list[Call]:
    """A request to every route. A parameter or field that is not known here fails."""
    found = []
    for context in iter_route_contexts(world.api.app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            address = str(context.path)
            for query in WITH.get(address, [{}]):
                found += [_call(world, method, address, query, route) for method in sorted(route.methods)]
    assert len(found) > 80
    return found


def _call(world: World, method: str, address: str, query: dict[str, Any], route: APIRoute) -> Call:
    both = [world.public["evaluation"], world.public["second"]]
    filled = {name: both if text == BOTH else world.public.get(text, text) for name, text in query.items()}
    made = Call(method, address, {}, filled)
    for one in get_flat_params(route.dependant):
        place = getattr(one.field_info, "in_", None)
        if place in (ParamTypes.path, ParamTypes.query):
            _fill(world, made, place.value, one.alias, required=one.field_info.is_required())
    if route.body_field is not None:
        key = f"{method} {re.sub(r'{.*?}', '0123456789', address)}".replace(" /submit/", " /v1/")
        made = Call(method, address, made.path, made.query, dict(BODIES[key]), None, made.slots)
        known = set(route.body_field.field_info.annotation.model_fields) & {*KINDS, *BODIES[key]}
        for name in sorted(known):
            _fill(world, made, "body", name, required=name in BODIES[key])
    elif method == "POST" and not address.startswith("/v1/"):
        made = Call(method, address, made.path, made.query, None, dict(FORMS[address]), made.slots)
        for name, value in FORMS[address].items():
            if not value:
                _fill(world, made, "form", name, required=False)
    return made


def _fill(world: World, call: Call, place: str, name: str, *, required: bool) -> None:
    kind = call.slots[place, name] = _kind(call.address, name)
    if not required:
        return
    value = world.public.get("second" if name == "second" else kind, PLAIN.get(name))
    if name == "dataset_id":
        value = world.api.client.get(f"/v1/datasets/{DATASET}").json()["id"]
    if name == "geometry":
        value = "frames=16,stride=1,resize=64x86,crop=56" if "/questions/" in call.address else SEEN
    if place == "path":
        call.path[name] = str(value)
    elif place == "query":
        call.query[name] = str(value)
    elif place == "body" and call.body is not None and kind in world.public:
        several = isinstance(call.body.get(name), list)
        call.body[name] = [world.public["evaluation"], world.public["second"]] if several else value


def _kind(address: str, name: str) -> str:
    """What a parameter or a field names; "any" if it names nothing that can be private."""
    if name == "name":
        return next(kind for beginning, kind in NAMES.items() if address.startswith(beginning))
    assert name in KINDS or name in PLAIN, f"{address} has {name!r}. Say in KINDS or PLAIN what it names."
    return KINDS.get(name, "any")


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    """Everybody reads, so that readers without a token are swept, too."""
    changed = settings.model_copy(update={"public_read": True, "requests_per_minute": 0})
    with serve(changed) as api, private_world(api) as made:
        yield made


def _comparable(world: World, answer: httpx.Response) -> tuple[object, ...]:
    """Status, headers and body of an answer, without what differs from second to second."""
    headers = {name: world.fake(value) for name, value in answer.headers.items() if name not in KEPT_OUT}
    return answer.status_code, headers, world.fake(answer.text.replace(answer.headers[REQUEST], ""))


@pytest.mark.product
def test_private_things_answer_others_as_things_that_do_not_exist(world: World) -> None:
    with open_http(world.api.url) as nobody:
        swept = _sweep(world, "nobody", nobody, [call for call in calls(world) if call.method == "GET"])
        swept += _sweep(world, "other", world.other, sorted(calls(world), key=_after_others))
    assert swept > 700


@pytest.mark.product
def test_private_things_that_were_deleted_answer_others_as_if_they_had_never_been(world: World) -> None:
    deleted = world.owner.delete("/v1/models/quokka-net")
    assert deleted.status_code == 200, deleted.text
    evaluation, comparison = world.private["evaluation"][0], world.private["comparison"][0]
    for path in (f"/v1/evaluations/{evaluation}", f"/v1/comparisons/{comparison}", "/v1/checkpoints/@numbat"):
        assert problem_of(world.owner.get(path), 410)["deleted"]
    asked = [call for call in calls(world) if call.method == "GET"]
    with open_http(world.api.url) as nobody:
        assert _sweep(world, "nobody", nobody, asked) + _sweep(world, "other", world.other, asked) > 400


def _after_others(call: Call) -> int:
    """How late a request comes: what changes things after what reads.

    Declarations come late: afterwards the other team has models with the names of the private ones. Deletions
    of public things are last.
    """
    if call.method == "DELETE" or call.address.startswith("/forms/delete"):
        return 3
    return 0 if call.method == "GET" else 1 + ("/checkpoints" in call.address)


def _sweep(world: World, reader: str, client: httpx.Client, asked: Sequence[Call]) -> int:
    """Let each slot of each request name each private thing, and return how often one did."""
    swept = 0
    for call in asked:
        answer = call.send(client)
        assert answer.status_code < 500, (call, answer.text)
        if call.method == "GET":
            assert world.told(answer) == set(), (reader, call)
        for slot, kind in call.slots.items():
            for text in world.private[kind]:
                _compare(world, reader, client, call, slot, text)
                swept += 1
    return swept


def _compare(
    world: World, reader: str, client: httpx.Client, call: Call, slot: tuple[str, str], text: str
) -> None:
    """Ask for a private thing and for nothing. The answers must be the same, but for the names."""
    fake = world.fake(text)
    assert fake != text
    real, nothing = call.send(client, slot, text), call.send(client, slot, fake)
    where = (reader, call.method, call.address, slot, text)
    sent = {secret for secret in world.secrets if secret in text}
    if call.method == "GET":
        assert world.told(real) <= sent, (where, real.text)
        assert _comparable(world, real) == _comparable(world, nothing), where
    else:
        assert real.status_code == nothing.status_code, (where, real.text, nothing.text)
        if not real.is_success and real.status_code != 303:
            assert world.told(real) <= sent, (where, real.text)
            assert _comparable(world, real) == _comparable(world, nothing), where


@pytest.mark.product
def test_the_owners_see_their_private_things_in_the_same_sweep(world: World) -> None:
    """Otherwise the sweep above could pass because nothing is there."""
    differing, swept, seen = set[tuple[str, ...]](), set[tuple[str, ...]](), set[str]()
    for call in calls(world):
        for client in (world.owner, world.hidden) if call.method == "GET" else ():
            seen |= world.told(call.send(client))
            for slot, kind in call.slots.items():
                where = (kind, call.address, *slot)
                swept.add(where)
                for text in world.private[kind]:
                    real, nothing = call.send(client, slot, text), call.send(client, slot, world.fake(text))
                    seen |= world.told(real)
                    if _comparable(world, real) != _comparable(world, nothing):
                        differing.add(where)
    silent = {where for where in swept - differing if not where[1].startswith(OPERATORS)}
    assert sorted(where for where in silent if where[0] in EVERYWHERE) == []
    assert {kind for kind, *_ in swept} - {kind for kind, *_ in differing} <= {"any"}
    assert world.secrets - seen == set()


def test_a_link_of_the_team_opens_its_page_and_nothing_else(world: World) -> None:
    first, second = world.private["evaluation"][0], world.public["second"]
    asked = {"first": first, "second": second}
    assert world.owner.get("/v1/comparisons", params=asked).status_code == 202
    compare_waiting(world.api.database)
    with open_http(world.api.url, headers=HTML) as nobody:
        for body in ({"evaluation": first}, {"evaluation": second, "against": first}):
            answer = world.owner.post("/v1/shares", json=body)
            assert answer.status_code == 201, answer.text
            path = answer.json()["url"].removeprefix(world.api.url)
            page = nobody.get(path)
            assert page.status_code == 200
            assert "quokka-net" in page.text
            assert nobody.get(f"{path}/chart.svg").status_code == 200
        assert nobody.get(f"/evaluations/{first}").status_code == 404
        assert nobody.get("/compare", params=asked).status_code == 404


def test_a_worker_that_is_busy_for_a_private_model_names_it_to_nobody_else(world: World) -> None:
    asked = {"checkpoint": world.public["checkpoint"], "dataset": "playground-64"}
    waiting = world.other.post("/v1/evaluations", json=asked).json()
    assert "wait to be made: the only worker for this is planning" in waiting["waiting_for"]
    assert "for evaluation" not in waiting["waiting_for"]
    assert not {secret for secret in world.secrets if secret in str(waiting)}
    shown = world.api.client.get(f"/v1/evaluations/{waiting['id']}").json()["waiting_for"]
    assert re.search(rf"planning for evaluation [0-9a-f]{{8}} \(team {OWNER}\)", shown)


# --- who makes a model private, and when ---


def private(client: httpx.Client, model: str, value: bool = True) -> httpx.Response:
    return client.post("/v1/models/private", json={"model": model, "private": value})


def test_a_new_model_is_private_if_it_is_declared_so_and_an_old_one_stays_what_it_is(api: Served) -> None:
    with api.client_of(OWNER) as owner, api.client_of(OTHER) as other:
        made = declare(owner, noise(10), "new", private=True)
        assert made["private"] is True
        assert declare(owner, noise(20), "new")["private"] is True  # it says nothing, so nothing changes
        assert declare(owner, noise(30), "new", private=True)["private"] is True
        body = {"model": "new", "size_bytes": 40, "sha256": NOTHING, "private": False}
        said = problem_of(owner.post("/v1/checkpoints", json=body), 409)["detail"]
        assert said.startswith(f"Model 'new' of team '{OWNER}' is private, not public.")
        assert "POST /v1/models/private" in said
        assert one_shot(owner, noise(50), model="curl", private="true").json()["private"] is True
        assert declare(other, noise(10), "new")["private"] is False  # names of others block nobody
        assert declare(other, noise(60), "open")["private"] is False
        body = {"model": "open", "size_bytes": 40, "sha256": NOTHING, "private": True}
        assert "is public, not private" in problem_of(other.post("/v1/checkpoints", json=body), 409)["detail"]


def test_an_installation_may_make_new_models_private(settings: Settings) -> None:
    with serve(settings.model_copy(update={"new_models_private": True})) as api:
        assert declare(api.client, noise(10), "silent")["private"] is True
        assert declare(api.client, noise(20), "silent")["private"] is True
        assert declare(api.client, noise(10), "open", private=False)["private"] is False
        assert declare(api.client, noise(20), "open")["private"] is False
        assert one_shot(api.client, noise(30), model="curl").json()["private"] is True


def test_only_the_team_and_administrators_make_a_model_private_or_public(api: Served) -> None:
    with api.database.session() as session:
        ready_checkpoint(session, "mine", team=OWNER)
    with api.client_of(OWNER) as owner, api.client_of(OTHER) as other:
        word = f"{OWNER}/mine"
        problem_of(private(other, word), 404)
        assert private(owner, "mine").json()["private"] is True
        assert private(owner, "mine").json()["private"] is True  # again
        assert [client.get("/v1/models").json()["total"] for client in (owner, other, api.client)] == [
            1,
            0,
            1,
        ]
        problem_of(private(other, word, False), 404)
        assert private(api.client, word, False).json()["private"] is False
        assert other.get("/v1/models").json()["items"][0]["private"] is False


def test_a_board_forgets_a_result_the_moment_its_model_becomes_private(api: Served) -> None:
    """What a process keeps in memory goes by the time of the last change."""
    with api.database.session() as session:
        dataset = ready_dataset(session)
        for model, team, value in (("a", OWNER, 60), ("b", OTHER, 50), ("c", OTHER, 40)):
            done(session, ready_checkpoint(session, model, team=team), dataset, {"recognition.top1": value})
    board = {"dataset": "gestures", "protocol": "quick-v1"}
    with api.client_of(OWNER) as owner, api.client_of(OTHER) as other:

        def rows(client: httpx.Client) -> list[tuple[str, int]]:
            found = client.get("/v1/leaderboard", params=board).json()
            page = client.get("/", params=board, headers=HTML).text
            assert found["total"] == len(found["rows"])
            assert all((f">{model}</a>" in page) == any(row["model"] == model for row in found["rows"])
                       for model in "abc")  # fmt: skip
            return [(row["model"], row["rank"]) for row in found["rows"]]

        for _ in range(2):
            assert rows(owner) == rows(other) == [("a", 1), ("b", 2), ("c", 3)]
            private(owner, "a")
            private(other, "c")
            assert rows(owner) == [("a", 1), ("b", 2)]
            assert rows(other) == [("b", 1), ("c", 2)]
            assert rows(api.client) == [("a", 1), ("b", 2), ("c", 3)]
            private(owner, "a", False)
            private(other, "c", False)


def test_an_alias_that_points_at_a_private_checkpoint_looks_removed_to_others(api: Served) -> None:
    with api.database.session() as session:
        models = ("public", "hidden")
        ids = [ready_checkpoint(session, model, team=OWNER).id for model in models]
    with api.client_of(OWNER) as owner, api.client_of(OTHER) as other:
        private(owner, "hidden")
        for target in (ids[0], ids[1], None, ids[1], ids[0], ids[1]):
            if target is None:
                owner.delete("/v1/aliases/best")
            else:
                owner.put("/v1/aliases/best", json={"checkpoint": str(target)})

        def history(client: httpx.Client) -> list[str | None]:
            answer = client.get("/v1/aliases/best/history", params={"team": OWNER}).json()
            return [move["checkpoint"] for move in answer["moves"]]

        public, hidden = map(str, ids)
        assert history(owner) == [hidden, public, hidden, None, hidden, public]
        assert history(other) == [None, public, None, public]
        said = problem_of(other.get(f"/v1/checkpoints/{OWNER}/@best"), 404)["detail"]
        assert said.startswith(f"Team '{OWNER}' has no alias @best.")
        assert other.get("/v1/aliases").json()["total"] == 0


def test_sql_and_python_agree_on_which_models_a_reader_sees(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        made = []
        for team in (OWNER, OTHER):
            for hidden in (False, True):
                checkpoint = ready_checkpoint(session, f"hidden-{hidden}", team=team)
                assert checkpoint.model is not None
                checkpoint.model.private = hidden
                made.append(done(session, checkpoint, dataset, {}))
        session.flush()
        for reader in (None, OWNER, OTHER, "third"):
            visible = Visibility(team=reader)
            listed, total = evaluations.page(session, visible=visible, limit=10)
            got = {one.id for one in made if evaluations.get(session, one.id, visible) is not None}
            between = evaluations.between(session, UUID(int=0), UUID(int=2**128 - 1), visible, 10)
            assert {one.id for one in listed} == got == {one.id for one in between}
            assert total == len(got) == (2 if reader in (None, "third") else 3)
            (board,) = leaderboard_choices.list_leaderboards(session, visible)
            assert board.num_results == total
        assert len(evaluations.page(session, visible=EVERYTHING, limit=10)[0]) == 4
