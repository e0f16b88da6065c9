"""The ways to name a checkpoint or an evaluation: an id, its first characters, MODEL@latest, or an alias.

0d9c2c0e-5b9c-4d0e-9d6b-1b0c5f5f3c11    an id
0d9c2                                   the first characters of an id, 4 or more
r3d-vcp@latest                          the newest of the caller's own team's model of this name
vision/r3d-vcp@latest                   the newest of team vision's model
@champion                               where the alias of the caller's own team points
vision/@champion                        where team vision's alias points
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import WithJsonSchema
from pydantic.config import JsonDict
from starlette.convertors import Convertor, register_url_convertor

from service.forms import LONGEST_NAME, Text
from service.problems import InvalidRequest, ServiceError
from vcp_core.catalog.validation import quoted

LATEST = "@latest"
ALIAS = r"(?!latest$)[a-z0-9][a-z0-9._-]{0,62}"  # without its @; `@latest` means something else
FEWEST = 4  # hexadecimal digits of an id; 3 have 4,096 values, so a slip could hit another checkpoint
DIGITS = 32  # hexadecimal digits of a complete id
MOST_TOLD = 5  # candidates that the error for an ambiguous id names
# Hyphens where a whole id has them, or none at all.
_BEGINNING = re.compile(
    r"[0-9a-f]{1,32}|[0-9a-f]{8}-(?:[0-9a-f]{0,4}|[0-9a-f]{4}-(?:[0-9a-f]{0,4}|[0-9a-f]{4}-"
    r"(?:[0-9a-f]{0,4}|[0-9a-f]{4}-[0-9a-f]{0,12})))"
)
# The same for the API's description. `parse` says what is wrong with a text, so no request is compared with
# these expressions.
_ID = (
    r"[0-9a-fA-F]{4,32}|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{0,4}|[0-9a-fA-F]{4}-(?:[0-9a-fA-F]{0,4}|[0-9a-fA-F]{4}-"
    r"(?:[0-9a-fA-F]{0,4}|[0-9a-fA-F]{4}-[0-9a-fA-F]{0,12})))"
)
IS_ID: JsonDict = {"pattern": f"^(?:{_ID})$"}
IS_NAMED: JsonDict = {"pattern": rf"^(?:{_ID}|[^\x00]+{LATEST}|(?:[^\x00]+/)?@{ALIAS})$"}
_ALIASED = re.compile(rf"(?:(?P<team>.+)/)?@(?P<name>{ALIAS})", re.DOTALL)
IDS = f"its id, or the first characters of its id ({FEWEST} or more)"


class Ambiguous(ServiceError):
    """Several ids begin with the given characters."""

    status = 409


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """An id, or the first characters of ids: those from `low` to `high`.

    It is a range, because PostgreSQL can search the primary key for a range but not for a prefix of text.
    """

    text: str
    low: UUID
    high: UUID

    @property
    def whole(self) -> UUID | None:
        """The id, if it was given completely."""
        return self.low if self.low == self.high else None


@dataclass(frozen=True, kw_only=True)
class Latest:
    """The newest checkpoint or evaluation of a model, named with or without its team."""

    model: str

    @property
    def teams(self) -> list[tuple[str, str]]:
        """Every team and model that it may mean; the names of both may hold slashes."""
        positions = [position for position, letter in enumerate(self.model) if letter == "/"]
        found = [(self.model[:position], self.model[position + 1 :]) for position in positions]
        # An address holds tens of thousands of slashes, and each pair is looked up.
        return [(team, name) for team, name in found[-LONGEST_NAME:] if len(name) <= LONGEST_NAME]


@dataclass(frozen=True, kw_only=True)
class Alias:
    """An alias of a team; `team` is None for the caller's own."""

    name: str
    team: str | None


def parse(text: str, kind: str) -> Beginning | Latest | Alias:
    """Parse a text that names a checkpoint or an evaluation.

    >>> parse("0D9C2c", "checkpoint").low
    UUID('0d9c2c00-0000-0000-0000-000000000000')
    >>> parse("vision/r3d@latest", "evaluation")
    Latest(model='vision/r3d')
    >>> parse("@champion", "checkpoint")
    Alias(name='champion', team=None)

    Raises:
        InvalidRequest: If the text has no known form, or too few characters of an id.
    """
    model = text.removesuffix(LATEST)
    if model and model != text:
        return Latest(model=model)
    aliased = _ALIASED.fullmatch(text)
    if aliased:
        return Alias(name=aliased["name"], team=aliased["team"])
    try:
        return parse_id(text, kind)
    except InvalidRequest as error:
        hint = f" Did you mean {quoted(text + LATEST)}?" if text and "@" not in text else ""
        raise InvalidRequest(f"{error} Or write MODEL{LATEST}, or @ALIAS.{hint}") from None


def parse_id(text: str, kind: str) -> Beginning:
    """Parse a text that must be an id or its first characters.

    Raises:
        InvalidRequest: If the text is neither, or has too few characters.
    """
    given = text.lower()
    digits = given.replace("-", "")
    if not _BEGINNING.fullmatch(given) or len(digits) < FEWEST:
        raise InvalidRequest(f"{quoted(text)} names no {kind}. Write {IDS}.")
    low, high = (UUID(digits.ljust(DIGITS, fill)) for fill in "0f")
    return Beginning(text=given, low=low, high=high)


def ambiguous(kind: str, text: str, candidates: Sequence[tuple[UUID, str]]) -> Ambiguous:
    """Make the error for a text that begins several ids. It names the candidates.

    Args:
        kind: "checkpoint" or "evaluation".
        text: The text of the request.
        candidates: Ids, each with a description. If there are more than `MOST_TOLD`, the error says so.
    """
    told = ", ".join(f"{found} ({words})" for found, words in candidates[:MOST_TOLD])
    more = ", and more" if len(candidates) > MOST_TOLD else ""
    return Ambiguous(
        f"Several {kind}s have an id that begins with {text!r}: {told}{more}. Give more characters.",
        candidates=[str(found) for found, _ in candidates[:MOST_TOLD]],
    )


class _Named(Convertor[str]):
    """Match one segment of a path, or several that end in `@latest` or an alias.

    The names of models and teams may hold slashes.
    """

    regex = f"[^/]+|.+{LATEST}|.+/@{ALIAS}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _NamedCheckpoint(_Named):
    """The same without `upload`, which is an address of its own: GET answers it with 405."""

    regex = f"(?!upload$){_Named.regex}"


register_url_convertor("named", _Named())  # `/evaluations/{evaluation_id:named}`
register_url_convertor("named_checkpoint", _NamedCheckpoint())
_IDS = f"Its id, or the first characters of its id ({FEWEST} or more)"
CHECKPOINT = f"{_IDS}, `MODEL{LATEST}` for the newest checkpoint of your team's model, or `@ALIAS`."
EVALUATION = (
    f"{_IDS}; or `MODEL{LATEST}` or `@ALIAS` for the newest evaluation of the checkpoint that this names."
)
CheckpointNamed = Annotated[str, Path(description=CHECKPOINT, json_schema_extra=IS_NAMED)]
CheckpointId = Annotated[str, Path(description=f"{_IDS}.", json_schema_extra=IS_ID)]
# In bodies, where it needs no description of its own.
Reference = Annotated[Text, WithJsonSchema({"type": "string", "minLength": 1, **IS_NAMED})]
EvaluationNamed = Annotated[str, Path(description=EVALUATION, json_schema_extra=IS_NAMED)]
