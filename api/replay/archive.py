"""Entries of an HTTP Archive (HAR 1.2), including those of browsers, as lines of a suite.

Browsers write text decoded, while the header fields still name the original coding: such a body is
marked with that coding. A body that the archive lacks is marked as missing, whatever sizes the
archive claims (browsers write 0 and -1). A form may be present as its fields only; it is encoded
again. URLs are shown in any characters, and sent in ASCII.
Standard: the HAR 1.2 specification; URL-encoded forms: WHATWG URL §5.2; multipart forms: RFC 7578.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlsplit

from yarl import URL

from api.native.files.har import IN_LATIN1
from api.native.projection import value_of

_CUT: Final = ("cut: ", "not kept: ")
"""Beginnings of a body's `comment` in our own archives (`api/native/files/cut_bodies.py`)."""
MISSING: Final = "not in the archive"
_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_BOUNDARY: Final = re.compile(r';\s*boundary="?([^";]+)', re.IGNORECASE)
_SENT: Final = re.compile(r"(?=[^%]*%)(?:[A-Za-z0-9!'()*+._~-]|%[0-9A-Fa-f]{2})+")
"""A form component that is already encoded."""
_DEFLATED: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_CODED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", *_DEFLATED)
"""First bytes of gzip, zstd and deflate data (RFC 1952, 8878, 1950)."""

Line = Mapping[str, Any]
Fields = Sequence[tuple[str, str]]


def archived(text: bytes) -> Iterator[Line]:
    """Turn the entries of an archive into lines of a suite."""
    for number, entry in enumerate(json.loads(text)["log"]["entries"], 1):
        request = entry["request"]
        response = entry["response"]
        address = request["url"].partition("#")[0]
        url = urlsplit(address)
        if "?" in address:
            query = percent_encoded(url.query)
        else:
            query = None
        path = percent_encoded(url.path or "/")
        target = path if query is None else f"{path}?{query}"
        started_at = datetime.fromisoformat(entry["startedDateTime"])
        sent = _sent(request)
        answered = _answered(request, response)
        yield {
            "id": f"entry-{number}",
            "started_at_us": round(started_at.timestamp() * 1e6),
            "duration_us": round(max(0, entry.get("time") or 0) * 1000),
            "method": request["method"],
            "scheme": url.scheme,
            "host": ascii_host(url.netloc.rpartition("@")[2]),
            "path": path,
            "query": query,
            "status": response.get("status") or None,
            "request_bytes": max(0, request.get("bodySize") or 0),
            "response_bytes": max(0, response.get("bodySize") or 0),
            "request": _half(f"{request['method']} {target} HTTP/1.1", request, sent),
            "response": _half(f"HTTP/1.1 {response.get('status') or 0}", response, answered),
        }


def percent_encoded(text: str) -> str:
    """Return a path or query as clients send it: invalid characters percent-encoded (RFC 3986 §2).

    Existing escapes stay.
    """
    return quote(text, "%/:?#[]@!$&'()*+,;=~", errors="replace")


def ascii_host(host: str) -> str:
    """Return a host as clients send it: an international name in its ASCII form (RFC 5891)."""
    try:
        if host.isascii():
            return host
        return URL(f"http://{host}").raw_authority
    except ValueError:
        return host


def _fields(message: Line) -> Fields:
    """Return header fields without the pseudo-headers of HTTP/2."""
    return [(each["name"], each["value"]) for each in _kept(message)]


def _kept(message: Line) -> list[Line]:
    return [each for each in message.get("headers", ()) if not each["name"].startswith(":")]


def _field(message: Line, name: str) -> str:
    return value_of(_fields(message), name)


def _half(start_line: str, message: Line, body: Line | None) -> Line:
    comments = [each.get("comment") for each in _kept(message)]
    return {
        "start_line": start_line,
        "headers": _fields(message),
        "latin1_lines": [number for number, each in enumerate(comments, 1) if each == IN_LATIN1],
        "body": body,
        "trailers": [(each["name"], each["value"]) for each in message.get("_trailers", ())],
    }


def _sent(request: Line) -> Line | None:
    """Return the body of a request; a form is encoded from its fields."""
    content = request.get("postData") or {}
    params = content.get("params")
    if params and not content.get("text"):
        kind = _field(request, "content-type") or content.get("mimeType", "")
        text = _form(params, kind)
        if text is None:
            return _missing(0, None)
        return {"encoding": "utf-8", "head": text}

    length = _field(request, "content-length")
    size = max(request.get("bodySize") or 0, int(length) if length.isdecimal() else 0)
    return _body(request, content, size)


def _answered(request: Line, response: Line) -> Line | None:
    content = response.get("content") or {}
    length = _field(response, "content-length")
    has_none = request["method"] == "HEAD" or response.get("status") in (204, 304)
    if not content.get("text") and (has_none or length == "0"):
        return None

    sizes = content.get("size"), response.get("bodySize"), int(length) if length.isdecimal() else 0
    size = max(each or 0 for each in sizes)
    # In a browser's archive, 0 without a text means no body, as in a redirect.
    if "text" not in content and content.get("size") != 0:
        size = max(size, 1)
    return _body(response, content, size)


def _body(message: Line, content: Line, size: int) -> Line | None:
    """Return a body and its size, as far as known; a missing one is marked as omitted."""
    text = content.get("text")
    comment = content.get("comment") or ""
    coding = _field(message, "content-encoding").strip().lower() or None
    if comment.startswith(_CUT):
        return _missing(size, coding, comment)
    if not text:
        if size or comment:
            return _missing(size, coding)
        return None
    kind = _field(message, "content-type").lower()
    if kind.startswith("application/grpc") and "+json" not in kind and text.startswith("["):
        # Messages in the form of a record. Their coding is not in the archive.
        size = max(0, message.get("bodySize") or 0)
        coding = _field(message, "grpc-encoding").replace("identity", "") or None
        coding = ", ".join(filter(None, (coding, "protobuf")))
        return {"encoding": "utf-8", "head": text, "coding": coding, "size": size}

    is_base64 = "base64" in (content.get("encoding"), *comment.split(", "))
    if is_base64 and base64.b64decode(text[:8]).startswith(_CODED):
        coding = None
    return {"encoding": "base64" if is_base64 else "utf-8", "head": text, "coding": coding}


def _missing(size: int, coding: str | None, why: str = MISSING) -> Line:
    known = {"size": max(size, 1), "truncated": True, "omitted": why, "coding": coding}
    return {"encoding": "utf-8", "head": "", **known}


def _form(params: Sequence[Line], content_type: str) -> str | None:
    """Return a form encoded; None if it cannot be reproduced, as with a file."""
    pairs = [(each["name"], each.get("value")) for each in params]
    kind = content_type.lower()
    if kind.startswith(_MULTIPART):
        boundary = _BOUNDARY.search(content_type)
        has_files = any(each.get("fileName") for each in params)
        if boundary is None or has_files or any(value is None for _, value in pairs):
            return None

        begin = f"--{boundary[1]}"
        parts = []
        for name, value in pairs:
            disposition = f'Content-Disposition: form-data; name="{name}"'
            parts.append(f"{begin}\r\n{disposition}\r\n\r\n{value}\r\n")
        return "".join(parts) + f"{begin}--\r\n"

    if kind and not kind.startswith(_FORM):
        return None

    return "&".join(f"{_encoded(name)}={_encoded(value or '')}" for name, value in pairs)


def _encoded(text: str) -> str:
    """Encode a name or a value, unless it is already encoded, as some browsers write it."""
    if _SENT.fullmatch(text):
        return text
    return quote_plus(text)
