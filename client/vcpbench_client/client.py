"""The service as Python methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from vcpbench_client import defaults, login
from vcpbench_client.answers import (
    Board,
    Checkpoint,
    Dataset,
    Evaluation,
    Identity,
    Model,
    Protocol,
    Reevaluation,
    Status,
)
from vcpbench_client.asking import PAGE
from vcpbench_client.deleting import Deleting
from vcpbench_client.downloads import download
from vcpbench_client.errors import BadAnswer, NotDone, Rejected, TimedOut
from vcpbench_client.events import Events
from vcpbench_client.folders import source_of
from vcpbench_client.given import Answers, query
from vcpbench_client.logs import Logs
from vcpbench_client.naming import Naming
from vcpbench_client.operating import Operating
from vcpbench_client.patience import Deadline, Looks
from vcpbench_client.sharing import Sharing
from vcpbench_client.tokens import Tokens
from vcpbench_client.transport import Transport, content_of, segment
from vcpbench_client.uploads import PART_BYTES, Tell, Upload


class Client(Naming, Sharing, Logs, Tokens, Operating, Events, Deleting):
    """A server, with one method for each request.

    Args:
        url: Of the server; `VCPBENCH_URL`, else that of `vcpbench login`.
        token: `VCPBENCH_TOKEN`, else that of `vcpbench login`, if it was for this server.
        patience_s: How long a request is retried while the server is away or says to try later.
        timeout_s: Limit of everything together that this client does; no limit if left out.
        expected: Whether to wait `patience_s` for a server that has not answered yet. Set it in a job that
            nobody watches. Otherwise the client makes no new attempt after 3 s, because the address is more
            likely misspelt. It makes none, either, if there is no host of this name.

    All methods raise what `vcpbench_client.errors` lists. The client may be used from one thread at a time.

    >>> with Client("http://127.0.0.1:8080", "vcp_...") as client:  # doctest: +SKIP
    ...     uploaded = client.upload("model.pt", "my-model")
    ...     asked = client.evaluate(uploaded, "playground-136", "quick-v1")
    ...     for score in client.wait(asked).scores:
    ...         print(score.metric, score.value, score.low, score.high)
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        patience_s: float = 60.0,
        timeout_s: float | None = None,
        expected: bool = False,
    ) -> None:
        found = login.find(url, token)
        deadline = Deadline.within(timeout_s)
        self._transport = Transport(found, patience_s=patience_s, deadline=deadline, expected=expected)
        self.url = found.url

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._transport.close()

    def upload(
        self,
        path: str | Path,
        model: str,
        *,
        run: str | None = None,
        step: int | None = None,
        backbone: str | None = None,
        pretrained_on: str | None = None,
        prefix: str | None = None,
        variant: str | None = None,
        input_spec: str | None = None,
        private: bool | None = None,
        on_progress: Tell | None = None,
        part_bytes: int = PART_BYTES,
    ) -> Checkpoint:
        """Upload a checkpoint in parts. A second call goes on where the first broke off.

        Args:
            path: The checkpoint's file. Or a folder of Hugging Face: its shards are sent as one file, and its
                preprocessor's file gives words of the input spec that you leave out.
            model: The model's name that the checkpoint is uploaded under.
            run: The training run.
            step: The training step of that run.
            backbone: Its architecture; the server finds it if left out.
            pretrained_on: What it was trained on, such as "ucf101:1"; results say so, and flag a leak.
            prefix: Which of several networks in the file ("teacher."); the one trained by gradients if left
                out.
            variant: The network's form, if no tensor shows it ("tclr", "bgr").
            input_spec: The network's input, if it is not its backbone's usual one:
                "frames=8,stride=4,resize=256x340,crop=224,mean=0.45,std=0.225", or some of these words.
            private: Whether only your team sees the model. For a new model; public if left out.
            on_progress: Told the stage ("hashing", "sending"), bytes done, and bytes in all.
            part_bytes: Of one request.

        Returns:
            The checkpoint: the existing one if the model has the same bytes, declared alike.
        """
        tell = on_progress or (lambda stage, done, total: None)
        source = source_of(Path(path))
        upload = Upload(transport=self._transport, source=source, tell=tell, part_bytes=part_bytes)
        return upload.run(
            model,
            run=run,
            step=step,
            backbone=backbone,
            pretrained_on=pretrained_on,
            prefix=prefix,
            variant=variant,
            input_spec=source.input_spec(input_spec),
            private=private,
        )

    def describe(self, checkpoint: Checkpoint, **facts: str | int | None) -> Checkpoint:
        """Add facts to an uploaded checkpoint without sending it again. Known facts stay.

        Args:
            checkpoint: What `upload` or `wait_ready` gave.
            facts: `run`, `step`, `backbone` or `pretrained_on`.

        Raises:
            Conflict: If the checkpoint is known to be something else.
        """
        names = ("model", "size_bytes", "sha256", "prefix", "variant", "input_spec")
        body = {name: getattr(checkpoint, name) for name in names} | facts
        known = {name: value for name, value in body.items() if value is not None}
        return self._asked(Checkpoint, "POST", "/checkpoints", body=known)

    def evaluate(
        self,
        checkpoint: str | Checkpoint,
        dataset: str | None = None,
        protocol: str | None = None,
        *,
        for_gate: bool = False,
    ) -> Evaluation:
        """Ask for an evaluation. If it is done or under way already, return it as it is.

        Args:
            checkpoint: What `upload` gave, its id, `MODEL@latest`, or `@ALIAS`.
            dataset: Its name; `VCPBENCH_DATASET`, else "playground-136".
            protocol: Its name or hash; `VCPBENCH_PROTOCOL`, else "quick-v1".
            for_gate: Whether a gate waits for it. Workers then take it before others.
        """
        wanted = checkpoint.id if isinstance(checkpoint, Checkpoint) else checkpoint
        where = {"dataset": dataset or defaults.dataset(), "protocol": protocol or defaults.protocol()}
        body = {"checkpoint": wanted, **where} | ({"for_gate": True} if for_gate else {})
        return self._asked(Evaluation, "POST", "/evaluations", body=body)

    def wait_ready(
        self,
        checkpoint: str | Checkpoint,
        *,
        on_progress: Callable[[Checkpoint], None] | None = None,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Wait until the server has read a checkpoint, and return it with the backbone that was found.

        Args:
            checkpoint: What `upload` gave, or its id.
            on_progress: Told how it stands, again and again.
            timeout_s: How long to wait. The server goes on afterwards.

        Raises:
            Rejected: If the server refuses the file.
            TimedOut: If it takes longer.
        """
        wanted = checkpoint if isinstance(checkpoint, str) else checkpoint.id
        deadline = Deadline.within(timeout_s)
        looks = Looks(deadline, self._transport.deadline)
        while True:
            found = self._get(Checkpoint, f"/checkpoints/{segment(wanted)}", deadline=deadline)
            if on_progress:
                on_progress(found)
            if found.state == "rejected":
                raise Rejected(found)
            if found.ended:
                return found
            looks.pause(f"Checkpoint {found.id} of {found.model} is still {found.state}")

    def wait(
        self,
        evaluation: str | Evaluation,
        *,
        on_progress: Callable[[Evaluation], None] | None = None,
        timeout_s: float | None = None,
    ) -> Evaluation:
        """Wait until an evaluation is done, and return it.

        Args:
            evaluation: What `evaluate` gave, or its id.
            on_progress: Told how it stands, again and again.
            timeout_s: How long to wait. The evaluation goes on afterwards.

        Raises:
            NotDone: If it fails, or is cancelled.
            TimedOut: If it takes longer.
        """
        (found,) = self.wait_all([evaluation], on_progress=on_progress, timeout_s=timeout_s)
        if found.state != "done":
            raise NotDone(found)
        return found

    def wait_all(
        self,
        evaluations: Sequence[str | Evaluation],
        *,
        on_progress: Callable[[Evaluation], None] | None = None,
        timeout_s: float | None = None,
    ) -> tuple[Evaluation, ...]:
        """Wait until all evaluations have ended, in success or failure, and return them in order.

        Args:
            evaluations: What `evaluate` gave, or their ids.
            on_progress: Called with one of them, again and again.
            timeout_s: How long to wait. The evaluations go on afterwards.

        Raises:
            TimedOut: If it takes longer.
        """
        wanted = [one if isinstance(one, str) else one.id for one in evaluations]
        deadline, known = Deadline.within(timeout_s), dict[str, Evaluation]()
        looks = Looks(deadline, self._transport.deadline)
        while True:
            for one in dict.fromkeys(wanted):
                if one not in known or not known[one].ended:
                    at = known[one].id if one in known else one  # MODEL@latest may mean another one later
                    try:
                        known[one] = self._get(Evaluation, f"/evaluations/{segment(at)}", deadline=deadline)
                    except TimedOut:
                        if len(known) < len({*wanted}):
                            raise
                        late = [each for each in known.values() if not each.ended]
                        raise looks.over(*_still(late)) from None
                    if on_progress:
                        on_progress(known[one])
            late = [one for one in known.values() if not one.ended]
            if not late:
                return tuple(known[one] for one in wanted)
            looks.pause(*_still(late))

    def evaluation(self, evaluation_id: str) -> Evaluation:
        """How an evaluation stands; its scores, once it is done."""
        return self._get(Evaluation, f"/evaluations/{segment(evaluation_id)}")

    def evaluations(self, *, limit: int | None = None, **wanted: Any) -> Iterator[Evaluation]:
        """Evaluations, newest first, fetched as they are needed.

        Args:
            limit: At most so many.
            wanted: `state`, `model`, `team`, `dataset`, `protocol`, `checkpoint`: only those.
        """
        return self._pages(Evaluation, "/evaluations", limit, wanted)

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """A checkpoint: its state, and how far its upload is."""
        return self._get(Checkpoint, f"/checkpoints/{segment(checkpoint_id)}")

    def download(
        self, checkpoint: str | Checkpoint, path: str | Path, *, on_progress: Tell | None = None
    ) -> Checkpoint:
        """Download a checkpoint's file: one of your team's, or any with an administrator's token.

        Args:
            checkpoint: What `upload` gave, or its id.
            path: The file to write. It appears only when all bytes have come and the hash is right.
            on_progress: Told the stage ("receiving"), bytes done, and bytes in all.
        """
        found = self.checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
        download(self._transport, found, Path(path), on_progress or (lambda stage, done, total: None))
        return found

    def checkpoints(self, *, limit: int | None = None, **wanted: Any) -> Iterator[Checkpoint]:
        """Checkpoints, newest first, fetched as they are needed.

        Args:
            limit: At most so many.
            wanted: `model`, `team`: only theirs.
        """
        return self._pages(Checkpoint, "/checkpoints", limit, wanted)

    def models(self, *, limit: int | None = None, **wanted: Any) -> Iterator[Model]:
        """Models, the one with the newest checkpoint first, fetched as they are needed.

        Args:
            limit: At most so many.
            wanted: `name` (a part of it), `team`, `tag`: only those.
        """
        return self._pages(Model, "/models", limit, wanted)

    def results(self, evaluation_id: str) -> dict[str, Any]:
        """All that an evaluation gave, per-video predictions and provenance included."""
        found = json.loads(self.results_json(evaluation_id))
        if not isinstance(found, dict):
            raise BadAnswer(f"The results of {evaluation_id} are no JSON object.")
        return found

    def results_json(self, evaluation_id: str) -> str:
        """The results as JSON text, byte for byte as `vcpbench local --json` writes it."""
        response = self._transport.ask("GET", f"/evaluations/{segment(evaluation_id)}/results")
        content_of(response)
        return response.text

    def answers(self, evaluation_id: str, **wanted: Any) -> Answers:
        """What an evaluation answered, video by video; the surest answers first.

        Args:
            evaluation_id: Its id, or `MODEL@latest`.
            wanted: `metric`, or `benchmark` and `part`; `right=False` for wrong answers; `truth`, `answer`,
                `variant`, `group`, `video` (part of its id): only those. `against` is another evaluation,
                whose answers stand beside, and `against_right` whether it is right. `sort`: "-sure",
                "sure", "video" or "-video". `limit` and `offset`: rows.
        """
        return self._get(Answers, f"/evaluations/{segment(evaluation_id)}/answers", wanted)

    def cancel(self, evaluation_id: str) -> Evaluation:
        """End an evaluation; what it has computed stays for the next one."""
        path = f"/evaluations/{segment(evaluation_id)}/cancel"
        return self._asked(Evaluation, "POST", path)

    def leaderboard(
        self,
        dataset: str | None = None,
        protocol: str | None = None,
        *,
        engine: str | None = None,
        sort: str = "-recognition.top1",
        metrics: Sequence[str] = (),
        latest: bool = False,
        limit: int = PAGE,
        offset: int = 0,
        **wanted: Any,
    ) -> Board:
        """Finished evaluations of one dataset and one protocol.

        Args:
            dataset: Its name; `VCPBENCH_DATASET`, else "playground-136".
            protocol: Its name or hash; `VCPBENCH_PROTOCOL`, else "quick-v1".
            engine: The engine that made the results. If left out: the server's, or the newest with results.
            sort: A metric, `created_at`, `model` or `step`; `-` before it: largest first.
            metrics: Columns; the headline ones if left out.
            latest: Show only each model's newest checkpoint.
            limit: Number of rows to return.
            offset: Number of rows to skip.
            wanted: `model` (part of its name), `team`, `backbone`, `run`: only those.
        """
        where = {"dataset": dataset or defaults.dataset(), "protocol": protocol or defaults.protocol()}
        page = {"sort": sort, "metric": list(metrics), "latest": latest, "limit": limit, "offset": offset}
        return self._get(Board, "/leaderboard", {**where, **page, **wanted, "engine": engine})

    def reevaluate(
        self, dataset: str | None = None, protocol: str | None = None, *, engine: str | None = None
    ) -> Reevaluation:
        """Ask for the evaluations of an older version's board again, at low priority; for administrators.

        Args:
            dataset: Its name, or the fingerprint of its videos; `VCPBENCH_DATASET`, else "playground-136".
            protocol: Its name or hash; `VCPBENCH_PROTOCOL`, else "quick-v1".
            engine: The engine that made the board. If left out: every engine but the server's.
        """
        body = {"dataset": dataset or defaults.dataset(), "protocol": protocol or defaults.protocol()}
        body |= {} if engine is None else {"engine": engine}
        return self._asked(Reevaluation, "POST", "/reevaluations", body=body)

    def page(self, evaluation_id: str) -> str:
        """Address of an evaluation's page, for people."""
        return f"{self.url}/evaluations/{segment(evaluation_id)}"

    def gallery_page(self, evaluation_id: str, **wanted: Any) -> str:
        """Address of the page with the videos behind these answers; `wanted` is as for `answers`."""
        return f"{self.page(evaluation_id)}/gallery{query(wanted)}"

    def comparison_page(self, first: str, second: str) -> str:
        """Address of the page that compares two evaluations."""
        return f"{self.url}/compare?first={segment(first)}&second={segment(second)}"

    def datasets(self) -> tuple[Dataset, ...]:
        """All datasets, including built-in ones that are not used yet."""
        return tuple(self._pages(Dataset, "/datasets", None, {}))

    def dataset(self, name: str) -> Dataset:
        """A dataset: its state, and what became of its files."""
        return self._get(Dataset, f"/datasets/{segment(name)}")

    def set_previews(self, dataset: str, *, shown: bool) -> Dataset:
        """Switch previews of a dataset's videos on or off; for administrators.

        Args:
            dataset: Its name. Datasets with equal videos under other names are switched, too.
            shown: Whether people may see previews. If not, the previews that were made are deleted. Workers
                make them again after you switch them on.
        """
        path, body = f"/datasets/{segment(dataset)}", {"shows_media": shown}
        return self._asked(Dataset, "PATCH", path, body=body)

    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that evaluations may name."""
        return tuple(self._pages(Protocol, "/protocols", None, {}))

    def identity(self) -> Identity:
        """The owner of the client's token."""
        return self._get(Identity, "/whoami")

    def status(self) -> Status:
        """The server's workers with their jobs, and the queues."""
        return self._get(Status, "/status")


def _still(late: Sequence[Evaluation]) -> tuple[str, str]:
    """Which evaluation has not ended, and, for a second sentence, why, and how many others have not."""
    first = late[0]
    whose = first.checkpoint.model or "random weights"
    more = f" It waits, because {first.waiting_for}." if first.waiting_for else ""
    if len(late) > 1:
        more += f" {len(late) - 1} more have not ended either."
    return f"Evaluation {first.id} of {whose} is still {first.state}", more
