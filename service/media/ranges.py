"""Serve bytes that never change: whole, in part (RFC 9110, 14), or not at all if the browser has them."""

from __future__ import annotations

import re

from fastapi import Request, Response

from service.problems import problem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# A switch-off reaches a browser that has seen the preview within a day.
KEPT_S = 86400
HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": f"private, max-age={KEPT_S}, immutable",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def serve(request: Request, content: bytes, *, media_type: str, sha256: str) -> Response:
    """Answer a request for `content` by its headers `If-None-Match`, `If-Range` and `Range`.

    Several ranges in one header are answered with the whole content, as RFC 9110 allows.
    """
    etag = f'"{sha256}"'
    headers = {**HEADERS, "ETag": etag}
    known = request.headers.get("If-None-Match", "")
    if known.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in known.split(",")):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("Range", "")
    if not wanted or request.headers.get("If-Range", etag) != etag:
        return Response(content, media_type=media_type, headers=headers)
    match = _RANGE.fullmatch(wanted.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return Response(content, media_type=media_type, headers=headers)
    span = span_of(match.group(1), match.group(2), len(content))
    if span is None:
        detail = f"The preview has {len(content)} bytes, and {wanted[:60]!r} asks for others."
        return problem(416, "RangeNotSatisfiable", detail, {"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{len(content)}"
    return Response(content[span.start : span.stop], status_code=206, media_type=media_type, headers=headers)


def span_of(first: str, last: str, size: int) -> range | None:
    """Give the bytes that a range names; None if it names none of `size` bytes.

    >>> span_of("0", "1", 10), span_of("8", "", 10), span_of("", "3", 10), span_of("5", "99", 10)
    (range(0, 2), range(8, 10), range(7, 10), range(5, 10))
    >>> span_of("10", "", 10), span_of("", "0", 10), span_of("3", "2", 10)
    (None, None, None)
    """
    if first == "":  # the last bytes
        found = range(max(0, size - int(last)), size)
    else:
        found = range(int(first), min(int(last) + 1, size) if last else size)
    return found or None
