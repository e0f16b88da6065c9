"""The types of names in requests, each with a description for error messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from vcp_core.catalog.inputs import PATTERN
from vcp_core.catalog.previews import KEY_DIGITS
from vcp_core.catalog.validation import Whole

_NAME = r"^[\w.+/-][\w .+/-]*$"
# A part of a model's name between slashes, for the description of the API: neither empty, "." nor "..". If it
# has two characters, one of them is no dot.
_PART = r"(?:[\w+-]|[\w+-][\w.+-]|\.[\w+-]|[\w.+-][\w .+-]+[\w.+-])"
MODEL = rf"^{_PART}(?: */ *{_PART})*$"
_TEXT = r"^[^\x00]+$"  # PostgreSQL can neither store nor compare a NUL
_SHA256 = r"^[0-9a-fA-F]{64}$"
_WORD = r"^[A-Za-z0-9][\w.-]{0,62}$"
_KEY = rf"^[0-9a-f]{{{KEY_DIGITS}}}$"
_HASH = r"^[0-9a-f]{64}$"
_LABEL = r"^[a-z0-9][a-z0-9._-]{0,62}$"
# JSON Schema, pydantic and Python mean different characters by \s. This class excludes all of them, and
# control characters.
_VISIBLE = r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]"
NOT_BLANK = rf"^[^\x00]*{_VISIBLE}[^\x00]*$"  # also for each text of a query or a path
_DECLARATION = rf"^[^\x00-\x1f\x7f]*{_VISIBLE}[^\x00-\x1f\x7f]*$"
VIEW = r"^/(models|compare)?(\?[!-~]*)?$"  # the address of a page that a view may name
LONGEST_NAME = 100  # characters
FORMS = {  # description of the valid text, by regular expression
    _NAME: "letters, digits, spaces and any of . _ + / -",
    _DECLARATION: "text that is not blank and holds no control characters",
    _TEXT: "text without a NUL character",
    _KEY: f"a video's key, which has {KEY_DIGITS} hexadecimal digits",
    _HASH: "a protocol's hash, which has 64 hexadecimal digits",
    _SHA256: "a SHA-256, which has 64 hexadecimal digits",
    NOT_BLANK: "text that is not blank and holds no NUL character",
    VIEW: "the address of the board, the models or a comparison, such as /models?tag=ours",
    _LABEL: "at most 63 lower-case letters, digits and any of . _ -, the first a letter or a digit",
    _WORD: "at most 63 letters, digits and any of . _ -, the first a letter or a digit",
}


def _no_path(name: str) -> str:
    """Refuse names that an address would change: browsers resolve `.` and `..`, and proxies merge `//`."""
    if any(part.strip() in ("", ".", "..") for part in name.split("/")):
        raise ValueError(
            "No part of a model's name between slashes may be empty, '.' or '..': its page is "
            "/models/TEAM/NAME, and a browser would open another address."
        )
    return name


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME, pattern=_NAME)
]
ModelName = Annotated[
    Name,
    AfterValidator(_no_path),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": MODEL}),
]
Declaration = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_DECLARATION)
]
# A declaration whose form the API's description tells; `InputSpec.parse` reads it, and says what is wrong.
InputDeclaration = Annotated[
    Declaration, WithJsonSchema({"type": "string", "maxLength": 200, "pattern": PATTERN})
]
Text = Annotated[str, StringConstraints(min_length=1, pattern=_TEXT)]
Sha256 = Annotated[str, StringConstraints(to_lower=True, pattern=_SHA256)]
_MOST = (1 << 53) - 1  # every reader of JSON keeps such a number exactly
Step = Annotated[Whole, Field(ge=0, le=_MOST)]
StepText = Annotated[int, Field(ge=0, le=_MOST)]  # in an address, where a number is text
Label = Annotated[str, StringConstraints(pattern=_LABEL)]  # a tag, or an alias without its @
VideoKey = Annotated[str, StringConstraints(pattern=_KEY)]
ProtocolHash = Annotated[str, StringConstraints(pattern=_HASH)]
Word = Annotated[str, StringConstraints(pattern=_WORD)]  # a name that an address holds as it is
