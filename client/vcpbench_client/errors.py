"""Every error that the client raises on purpose. Each says what happened, to which thing, and what to do.

ClientError
├── Misconfigured    no server is named, or an address, token, proxy or certificate is not valid
├── NotText          a name that is not UTF-8, as a shell may hand it on; it cannot be sent
├── FileError        a local file that cannot be read or written, or changed while it was sent
│   └── NotACheckpoint  its first bytes say that it is something else: a text, a web page, an archive, ...
├── Unreachable      no answer came: nobody listens there, or the line broke; tried again before it is raised
├── TimedOut         the server answers, but the awaited result has not come in time
├── BadAnswer        an answer that is not vcpbench's: a proxy's page, another service, another version
├── NotDone          an evaluation that failed or was cancelled; carries it
├── NotCompared      a comparison that failed; carries it
├── Rejected         a checkpoint that the server read and refused; carries it
├── GateError        a rule or a baseline that cannot be judged
├── ExportError      a network of the user's own that cannot be exported, or that a server would refuse
└── ApiError         the server's own problem (RFC 9457); carries it
    ├── Unauthorised   401: no token, or one that the server does not know; never retried
    ├── Forbidden      403: a token that may not do this
    ├── NotFound       404: no such checkpoint, evaluation, dataset, metric, ...
    ├── Conflict       409: it is not in a state for this
    └── Gone           410: it was deleted
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vcpbench_client.answers import Cause, Checkpoint, Comparison, Evaluation
    from vcpbench_client.comparing import ComparedMany

PASSING = frozenset({429, 502, 503, 504})  # statuses that say: the same request may succeed shortly


class ClientError(Exception):
    """Base of every error meant for a user; its text is what the user reads.

    Attributes:
        passing: Whether the same request may succeed shortly.
        retry_after_s: When the server wants to be asked again, if it said so.
        log_tail: What a failed job printed last (only for an administrator's token), or a traceback of the
            user's own code.
    """

    passing = False
    retry_after_s: float | None = None
    log_tail: str | None = None

    @property
    def more(self) -> Mapping[str, Any]:
        """Further facts for programs, such as ids or a status."""
        return {}


class Misconfigured(ClientError):
    """No server is named, or an address, token, proxy or certificate is not valid."""


class NotText(ClientError):
    """A name that is not UTF-8, so that it cannot be sent."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} holds bytes that are not UTF-8 and cannot be sent. Use another name.")


class FileError(ClientError):
    """A local file that cannot be read or written, or changed while it was sent.

    Attributes:
        path: Which, if the error says so.
    """

    def __init__(self, *words: object, path: Path | None = None) -> None:
        super().__init__("".join(map(str, words)))
        self.path = path


class NotACheckpoint(FileError):
    """A file whose first bytes say that it is something else."""


class Unreachable(ClientError):
    """No answer came."""

    passing = True


class BrokenOff(Unreachable):
    """An answer began, and its connection was closed before its end."""


class TimedOut(ClientError):
    """The awaited result has not come in time."""


class BadAnswer(ClientError):
    """An answer in another form than this version of vcpbench expects."""


class NotDone(ClientError):
    """An evaluation that failed or was cancelled."""

    def __init__(self, evaluation: Evaluation) -> None:
        reason = f": {evaluation.reason}" if evaluation.reason else ""
        whose = evaluation.checkpoint.model or "random weights"
        super().__init__(f"Evaluation {evaluation.id} of {whose} is {evaluation.state}{reason}.")
        self.evaluation = evaluation
        self.log_tail = evaluation.log_tail

    @property
    def more(self) -> Mapping[str, Any]:
        """The evaluation's id and state, and the facts of why."""
        facts = {"evaluation": self.evaluation.id, "state": self.evaluation.state}
        return facts | _facts(self.evaluation.cause)


class NotCompared(ClientError):
    """A comparison of two or of many that failed."""

    def __init__(self, comparison: Comparison | ComparedMany) -> None:
        why = comparison.reason or comparison.state
        super().__init__(f"The {comparison.title} could not be compared: {why}")
        self.comparison = comparison

    @property
    def more(self) -> Mapping[str, Any]:
        """The ids of the evaluations."""
        return self.comparison.ids


class Rejected(ClientError):
    """A checkpoint that the server read and refused."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(
            f"Checkpoint {checkpoint.id} of {checkpoint.model} was rejected: {checkpoint.reason}"
        )
        self.checkpoint = checkpoint

    @property
    def more(self) -> Mapping[str, Any]:
        """The checkpoint's id and state, and the facts of why."""
        facts = {"checkpoint": self.checkpoint.id, "state": self.checkpoint.state}
        return facts | _facts(self.checkpoint.cause)


class GateError(ClientError):
    """A rule or a baseline that cannot be judged."""


class ExportError(ClientError):
    """A network that cannot be exported, or that a server would refuse."""


class ApiError(ClientError):
    """The server's own problem.

    Attributes:
        status: The HTTP status of the response.
        problem: Its members: `type`, `title`, `detail`, and what the server adds, as `received_bytes`.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"status {status}"))
        self.status, self.problem = status, dict(problem)
        self.passing = status in PASSING
        self.retry_after_s = retry_after_s

    @property
    def more(self) -> Mapping[str, Any]:
        """The response's status."""
        return {"status": self.status}


class Unauthorised(ApiError):
    """No token, or a token that the server does not know."""


class Forbidden(ApiError):
    """A token that may not do this."""


class NotFound(ApiError):
    """There is no such thing."""


class Conflict(ApiError):
    """The thing's state does not allow this request."""


class Gone(ApiError):
    """The thing was deleted; `problem["deleted_at"]` says when."""


def _facts(cause: Cause | None) -> dict[str, Any]:
    return {} if cause is None else {"code": cause.code, "path": cause.path, "fields": cause.fields}


BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorised,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
}
