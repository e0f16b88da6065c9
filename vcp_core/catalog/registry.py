"""A named collection of facts: two of one name raise, an unknown name suggests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar
from typing import Protocol as Interface

from vcp_core.catalog.errors import UnknownName


class Named(Interface):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name it is registered under."""


SpecT = TypeVar("SpecT", bound=Named)


class Registry(Generic[SpecT]):
    """Specs by name, in the order they were given.

    Args:
        kind: What one entry is called in an error ("backbone").
        specs: The entries.

    Raises:
        ValueError: If two specs have one name.
    """

    def __init__(self, kind: str, *specs: SpecT) -> None:
        self.kind = kind
        self._specs: dict[str, SpecT] = {}
        for spec in specs:
            if spec.name in self._specs:
                raise ValueError(f"Two {kind}s are called {spec.name!r}.")
            self._specs[spec.name] = spec

    def __getitem__(self, name: str) -> SpecT:
        try:
            return self._specs[name]
        except KeyError:
            raise UnknownName(self.kind, name, self._specs) from None

    def __contains__(self, name: str) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def values(self) -> list[SpecT]:
        """All specs, in the order they were given."""
        return list(self._specs.values())
