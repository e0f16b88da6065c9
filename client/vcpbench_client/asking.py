"""How the parts of the client send requests and read answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from vcpbench_client.answers import read
from vcpbench_client.patience import Deadline
from vcpbench_client.transport import Query, Transport, content_of

T = TypeVar("T")
PAGE = 100  # rows of one request for a list


class Asking:
    """The base of the parts of `Client`."""

    _transport: Transport
    url: str

    def _asked(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content: Sequence[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> T:
        """Send a request that may arrive twice without harm, until it is answered."""
        answer = self._transport.ask(
            method, path, query=query, body=body, content=content, headers=headers, deadline=deadline
        )
        return read(kind, content_of(answer))

    def _asked_once(
        self, kind: type[T], method: str, path: str, *, query: Query | None = None, body: Any = None
    ) -> T:
        """Send a request in one attempt.

        The first of two such requests may arrive and its answer be lost. The second would then make a thing
        twice, or answer that the thing to delete does not exist.
        """
        return read(kind, content_of(self._transport.once(method, path, query=query, body=body)))

    def _get(
        self, kind: type[T], path: str, query: Query | None = None, *, deadline: Deadline | None = None
    ) -> T:
        return self._asked(kind, "GET", path, query=query, deadline=deadline)

    def _pages(self, kind: type[T], path: str, limit: int | None, wanted: dict[str, Any]) -> Iterator[T]:
        num_given = 0
        while limit is None or num_given < limit:
            rows = PAGE if limit is None else min(PAGE, limit - num_given)
            query = {**wanted, "limit": rows, "offset": num_given}
            items = self._get(dict[str, Any], path, query).get("items", [])
            yield from read(tuple[kind, ...], items)  # type: ignore[valid-type]
            num_given += len(items)
            if len(items) < rows:
                return
