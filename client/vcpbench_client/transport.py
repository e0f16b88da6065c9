"""One HTTP request at a time: problems become errors, and what may be repeated is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import httpx

from vcpbench_client import network
from vcpbench_client.errors import BY_STATUS, ApiError, BadAnswer, BrokenOff, ClientError, NotText
from vcpbench_client.login import Login
from vcpbench_client.patience import Deadline, Patience

CONNECT_S, ANSWER_S = 10.0, 60.0
Query = Mapping[str, Any]


class Transport:
    """A connection to one server.

    Attributes:
        url: Of the server.
        patience_s: How long a request that failed in passing is tried again.
        deadline: Of everything.
        expected: Whether to wait for a server that has not answered yet.
    """

    def __init__(
        self, login: Login, *, patience_s: float, deadline: Deadline, expected: bool = False
    ) -> None:
        self.url, self.patience_s, self.deadline, self.expected = login.url, patience_s, deadline, expected
        self._answered = False
        headers = {
            "User-Agent": f"vcpbench-client/{version('vcpbench-client')}",
            "Accept": "application/json",
        }
        if login.token:
            headers["Authorization"] = f"Bearer {login.token}"
        self._http = network.open_client(login.url, headers)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def patience(self, deadline: Deadline | None = None) -> Patience:
        """For one thing that is tried until it works; the nearer deadline counts."""
        nearer = min((self.deadline, deadline or Deadline()), key=lambda one: one.left_s)
        return Patience(self.patience_s, nearer)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content: Sequence[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> httpx.Response:
        """A request that does no harm when it arrives twice, sent until it is answered.

        Every GET is one; of the POSTs those that declare, evaluate and cancel, which find what is there.
        No DELETE that answers 404 the second time is one.

        Raises:
            Unreachable: If no answer came.
            ApiError: If the answer is a problem.
            TimedOut: If a deadline passes.
        """
        patience = self.patience(deadline)
        while True:
            try:
                return self.once(
                    method,
                    path,
                    query=query,
                    body=body,
                    content=content,
                    headers=headers,
                    deadline=patience.deadline,
                )
            except ClientError as error:
                self.pause(patience, error)

    def pause(self, patience: Patience, error: ClientError) -> None:
        """Wait before the next attempt, or raise the error."""
        known = self._answered or (self.expected and not network.has_no_such_host(error))
        patience.pause(error, known=known)
        patience.deadline.check(f"{error} The client gave up")

    def once(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        answer_s: float = ANSWER_S,
        deadline: Deadline | None = None,
    ) -> httpx.Response:
        """One attempt."""
        deadline = deadline or self.deadline
        deadline.check(f"{self.url}: gave up")
        limit_s = min(answer_s, max(deadline.left_s, 0.1))
        try:
            response = self._http.request(
                method,
                f"{self.url}/v1{path}",
                params={name: value for name, value in (query or {}).items() if value is not None},
                json=body,
                content=content,
                headers=headers,
                timeout=httpx.Timeout(limit_s, connect=min(CONNECT_S, limit_s)),
            )
        except httpx.TransportError as error:
            found = network.explain(self.url, error)
            deadline.check(f"{found} The client gave up")
            raise found from error
        except (UnicodeError, httpx.InvalidURL) as error:
            if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
                raise NotText(error.object) from error  # a word of the query or the body, as a shell gave it
            raise network.no_such_host(self.url, error) from error
        except httpx.HTTPError as error:  # such as a body that does not decode
            raise BadAnswer(f"{self.url}{path}: {error}.") from error
        if response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            raise network.proxy_asks_for_login(self.url)
        self._answered = True
        if response.is_success:
            return response
        raise _problem(response)

    def receive(
        self,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[bytes]:
        """The bytes of an answer, as they come, in one attempt.

        Raises:
            BrokenOff: If the connection is closed in the middle.
            Unreachable: If the line breaks.
            ApiError: If the answer is a problem.
            TimedOut: If a deadline passes.
        """
        deadline, has_begun = deadline or self.deadline, False
        try:
            timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
            url = f"{self.url}/v1{path}"
            with self._http.stream("GET", url, params=query, headers=headers, timeout=timeout) as response:
                self._answered = True
                if not response.is_success:
                    response.read()
                    raise _problem(response)
                has_begun = True
                for chunk in response.iter_bytes():
                    deadline.check(f"{self.url}: gave up")
                    yield chunk
        except httpx.TransportError as error:
            if has_begun and isinstance(error, httpx.RemoteProtocolError):
                raise BrokenOff(f"{self.url} broke its answer off: {error}.") from error
            raise network.explain(self.url, error) from error


def segment(text: str) -> str:
    """A name or an id as one segment of a path.

    Raises:
        NotText: If it is no text that can be sent.
    """
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise NotText(text) from None


def content_of(response: httpx.Response) -> Any:
    """The JSON of an answer.

    Raises:
        BadAnswer: If it is none.
    """
    try:
        return response.json()
    except ValueError:
        begin = " ".join(response.text[:60].split())
        raise BadAnswer(
            f"{response.url} answers {begin!r}... and no JSON. Is it the address of vcpbench?"
        ) from None


def _problem(response: httpx.Response) -> ClientError:
    """The error that an answer stands for."""
    if response.is_redirect:
        return BadAnswer(f"{response.url} leads on to {response.headers.get('Location')}. Use that address.")
    try:
        problem = response.json()
    except ValueError:
        problem = None
    retry_after_s = _seconds(response.headers.get("Retry-After"))
    if isinstance(problem, dict) and isinstance(problem.get("title"), str):
        kind = BY_STATUS.get(response.status_code, ApiError)
        return kind(response.status_code, problem, retry_after_s)
    title = f"{response.url} answers {response.status_code} {response.reason_phrase}"
    if response.status_code in BY_STATUS or response.status_code < 500:
        title += ", and not as vcpbench would. Is it its address?"
    kind = BY_STATUS.get(response.status_code, ApiError)
    return kind(response.status_code, {"title": title}, retry_after_s)


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After`: seconds, or a date."""
    if retry_after is None:
        return None
    if retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
