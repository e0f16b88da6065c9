"""JSON from foreign files, with limits that are checked before anything is parsed.

A parser turns each bracket into an object of 60 bytes or more, follows nested brackets on the stack, and
takes quadratic time for numbers of very many digits. So bytes are counted first.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from vcp_core.catalog.errors import DamagedCheckpoint, GraphTooLarge

MAX_BYTES = 64 << 20  # of one document; r3d_18's takes 0.2 MB, and 1,000 operations take about 1.5
MAX_ITEMS = 2_000_000  # commas and opening brackets; 1,000 operations have about 60,000
MAX_DEPTH = 32  # of brackets; torch writes at most 12
MAX_DIGITS = 20  # of one run of digits; 2**63 has 19, and a float at most 17 behind its point

_TOO_MANY_DIGITS = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse(data: bytes, name: str) -> Any:
    """Parse a JSON document.

    Args:
        data: The document.
        name: Its name, for messages.

    Raises:
        GraphTooLarge: If the document has too many bytes, items, levels or digits. Nothing was parsed.
        DamagedCheckpoint: If it is not JSON, or says two things of one key.

    >>> parse(b'{"a": [1, 2.5, "x"]}', "x.json")
    {'a': [1, 2.5, 'x']}
    >>> try:
    ...     parse(b"[" * 33 + b"]" * 33, "x.json")
    ... except GraphTooLarge as error:
    ...     print(str(error).partition(". ")[0])
    x.json in it has brackets in more than 32 levels
    """
    _expect_small(data, name)
    try:
        return json.loads(data.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _damaged(name) from error


def _expect_small(data: bytes, name: str) -> None:
    if len(data) > MAX_BYTES:
        raise _too_large(name, f"{len(data):,} bytes, and at most {MAX_BYTES:,} are read")
    # Commas in texts count, too. They are few, and an upper bound is enough.
    items = sum(map(data.count, (b",", b"[", b"{")))
    if items > MAX_ITEMS or data.count(b'"') > 2 * MAX_ITEMS:
        raise _too_large(name, f"more than {MAX_ITEMS:,} items")
    # Without escaped quotes, every second piece between quotes lies outside of texts.
    plain = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    if _TOO_MANY_DIGITS.search(plain):
        raise _too_large(name, f"a number of more than {MAX_DIGITS} digits")
    brackets = plain.translate(_AS_SQUARE, delete=_NOT_BRACKETS)
    if brackets.count(b"[") != brackets.count(b"]"):
        raise _damaged(name)
    for _ in range(MAX_DEPTH):  # each round takes away the innermost pairs
        brackets = brackets.replace(b"[]", b"")
    if b"[" in brackets:
        raise _too_large(name, f"brackets in more than {MAX_DEPTH} levels")


def _too_large(name: str, what: str) -> GraphTooLarge:
    return GraphTooLarge(
        f"{name} in it has {what}. No exported network has so many. Export the backbone alone.", entry=name
    )


def _damaged(name: str) -> DamagedCheckpoint:
    return DamagedCheckpoint(
        f"{name} in it is not JSON as torch.export.save writes it. It was changed or damaged, so export it "
        "again, or copy it again.",
        entry=name,
    )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
