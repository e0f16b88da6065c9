"""What a request may call a checkpoint or an evaluation: an id, the first characters of one, MODEL@latest.

0d9c2c0e-5b9c-4d0e-9d6b-1b0c5f5f3c11    an id
0d9c2                                   the first characters of an id, 4 or more
r3d-vcp@latest                          the newest of the caller's own team's model of this name
vision/r3d-vcp@latest                   the newest of team vision's model
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Path
from starlette.convertors import Convertor, register_url_convertor

from service.forms import LONGEST_NAME
from service.problems import InvalidRequest, ServiceError
from vcp_core.catalog.validation import quoted

LATEST = "@latest"
FEWEST = 4  # hexadecimal digits of an id: 3 hit one of 4,096 checkpoints by a slip of the hand
DIGITS = 32  # of a whole one
MOST_TOLD = 5  # candidates of an ambiguous one
# Hyphens where a whole id has them, or none at all.
_BEGINNING = re.compile(
    r"[0-9a-f]{1,32}|[0-9a-f]{8}-(?:[0-9a-f]{0,4}|[0-9a-f]{4}-(?:[0-9a-f]{0,4}|[0-9a-f]{4}-"
    r"(?:[0-9a-f]{0,4}|[0-9a-f]{4}-[0-9a-f]{0,12})))"
)
IDS = f"its id, or the first characters of its id ({FEWEST} or more)"


class Ambiguous(ServiceError):
    """The first characters of more than one id."""

    status = 409


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """An id, or how some ids begin: those from `low` to `high`.

    A range, because PostgreSQL finds one by the primary key; of text that an id begins with it cannot.
    """

    text: str
    low: UUID
    high: UUID

    @property
    def whole(self) -> UUID | None:
        """The id, if all of it was given."""
        return self.low if self.low == self.high else None


@dataclass(frozen=True, kw_only=True)
class Latest:
    """The newest of a model, which is named with its team or without."""

    model: str

    @property
    def teams(self) -> list[tuple[str, str]]:
        """Every team and model that it may mean; the names of both may hold slashes."""
        positions = [position for position, letter in enumerate(self.model) if letter == "/"]
        found = [(self.model[:position], self.model[position + 1 :]) for position in positions]
        # An address holds tens of thousands of slashes, and each pair is looked up.
        return [(team, name) for team, name in found[-LONGEST_NAME:] if len(name) <= LONGEST_NAME]


def parse(text: str, kind: str) -> Beginning | Latest:
    """What the text means, where a checkpoint or an evaluation is to be named.

    >>> parse("0D9C2c", "checkpoint").low
    UUID('0d9c2c00-0000-0000-0000-000000000000')
    >>> parse("vision/r3d@latest", "evaluation")
    Latest(model='vision/r3d')

    Raises:
        InvalidRequest: If it is of no form, or has too few characters to mean one thing.
    """
    model = text.removesuffix(LATEST)
    if model and model != text:
        return Latest(model=model)
    try:
        return parse_id(text, kind)
    except InvalidRequest as error:
        hint = f" Did you mean {quoted(text + LATEST)}?" if text and "@" not in text else ""
        raise InvalidRequest(f"{error} Or write MODEL{LATEST}.{hint}") from None


def parse_id(text: str, kind: str) -> Beginning:
    """What the text means, where nothing but an id is of use.

    Raises:
        InvalidRequest: If it is no id, nor enough of the first characters of one.
    """
    given = text.lower()
    digits = given.replace("-", "")
    if not _BEGINNING.fullmatch(given) or len(digits) < FEWEST:
        raise InvalidRequest(f"{quoted(text)} names no {kind}. Write {IDS}.")
    low, high = (UUID(digits.ljust(DIGITS, fill)) for fill in "0f")
    return Beginning(text=given, low=low, high=high)


def ambiguous(kind: str, text: str, candidates: Sequence[tuple[UUID, str]]) -> Ambiguous:
    """The error for the first characters of several ids; names what they begin.

    Args:
        kind: "checkpoint" or "evaluation".
        text: As it was given.
        candidates: Ids, and what they are in words; one more than `MOST_TOLD` says that there are more.
    """
    told = ", ".join(f"{found} ({words})" for found, words in candidates[:MOST_TOLD])
    more = ", and more" if len(candidates) > MOST_TOLD else ""
    return Ambiguous(
        f"Several {kind}s have an id that begins with {text!r}: {told}{more}. Give more characters.",
        candidates=[str(found) for found, _ in candidates[:MOST_TOLD]],
    )


class _Named(Convertor[str]):
    """Of a path: one segment, or more where they end in `@latest`: a model's name may hold slashes."""

    regex = f"[^/]+|.+{LATEST}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("named", _Named())  # `/evaluations/{evaluation_id:named}`
_IDS = f"Its id, or the first characters of its id ({FEWEST} or more)"
CHECKPOINT = f"{_IDS}, or `MODEL{LATEST}` for the newest checkpoint of your team's model."
EVALUATION = f"{_IDS}, or `MODEL{LATEST}` for the newest evaluation of that model's newest checkpoint."
CheckpointNamed = Annotated[str, Path(description=CHECKPOINT)]
CheckpointId = Annotated[str, Path(description=f"{_IDS}.")]
EvaluationNamed = Annotated[str, Path(description=EVALUATION)]
