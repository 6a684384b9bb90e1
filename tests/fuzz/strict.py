"""A tiny strict reader of HTTP/1.1 messages, written apart from the proxy's own: the fuzzer's first
judge.

Pure and slow on purpose: whole inputs, no state, one regular expression per rule (RFC 9112 §2-§7).
What it refuses may be refused by the proxy too; what the proxy lets pass must be read by this
reader as the same list of messages.
"""

import re
from contextlib import suppress
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e\x80-\xff]+")
_HOST: Final = re.compile(
    rb"(?:[^\x00-\x20\x7f-\xff,/?#@\\<>\"^`{|}:\[\]]+|\[[0-9a-fA-F:.]+\])(?::([0-9]*))?"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_SIZE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})([ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-][\t\x20-\x7e\x80-\xff]*)?"
)

_BLANK_NAME: Final = re.compile(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+:")
MAX_HEAD_BYTES: Final = 32768
MAX_CHUNK_LINE_BYTES: Final = 4096
MAX_TRAILER_BYTES: Final = 32768
MAX_TRAILER_FIELDS: Final = 100
"""The documented limits."""

Fields = list[tuple[bytes, bytes]]


class Broken(ValueError):
    """The bytes are no message, whatever follows."""


class Incomplete(Exception):
    """The bytes may become a message."""


class Request(NamedTuple):
    """One request."""

    method: bytes
    target: bytes
    body: bytes
    fields: Fields
    """Names in lower case, values without blanks around them, in order."""
    is_http10: bool
    trailers: Fields
    is_cut: bool = False
    """Whether more of it was to come."""

    @property
    def identity(self) -> tuple[bytes, bytes, bytes]:
        """What every reader must agree on."""
        return self.method, self.target, self.body

    def values(self, name: bytes) -> list[bytes]:
        """All values of one field."""
        return [value for key, value in self.fields if key == name]


class Requests(NamedTuple):
    """What a connection carried."""

    messages: list[Request]
    rest: bytes
    """What follows the last whole message."""
    objection: str
    """Why the rest can never become a message; empty when it could."""


class Response(NamedTuple):
    """One final response, with what went before it."""

    interims: list[int]
    status: int
    fields: Fields
    body: bytes
    is_complete: bool
    is_close_delimited: bool
    rest: bytes
    is_http10: bool
    raw_head: bytes
    trailers: Fields

    def values(self, name: bytes) -> list[bytes]:
        """All values of one field."""
        return [value for key, value in self.fields if key == name]


def read_requests(data: bytes, *, is_canonical: bool = False) -> Requests:
    """Read all requests of a connection; `is_canonical`: as a proxy writes them, no extensions.

    Nor empty lines before a request, which others may send (RFC 9112 §2.2).
    """
    messages: list[Request] = []
    while data:
        if data.startswith(b"\r\n") and not is_canonical:
            data = data[2:]
            continue
        try:
            message, rest = _request(data, is_canonical=is_canonical)
        except Incomplete:
            return Requests(messages, data, "")
        except Broken as error:
            return Requests(messages, data, str(error))

        messages.append(message)
        data = rest

    return Requests(messages, b"", "")


def read_cut_request(data: bytes) -> Request:
    """Read a request whose body ends too early: its head, and what there is of the body.

    Raises:
        Incomplete: not even its head is whole.
        Broken: it is malformed.
    """
    head, length, rest = _request_head(data)
    return head._replace(body=rest if length >= 0 else _begun_chunks(rest), is_cut=True)


def _request(data: bytes, *, is_canonical: bool) -> tuple[Request, bytes]:
    head, length, rest = _request_head(data)
    if length < 0:
        body, trailers, rest = read_chunks(rest, is_canonical=is_canonical)
    else:
        trailers = []
        body, rest = _exactly(rest, length)
    return head._replace(body=body, trailers=trailers), rest


def _request_head(data: bytes) -> tuple[Request, int, bytes]:
    """Read a head; return it, the length of its body (-1 when chunked), and what follows."""
    lines, rest, _ = _head(data)
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _TARGET.fullmatch(parts[1]):
        raise Broken(f"request line {lines[0]!r}")
    if parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Broken(f"version {parts[2]!r}")

    is_http10 = parts[2] == b"HTTP/1.0"
    fields = _fields(lines[1:])
    _check_names(parts[1], fields, is_http10=is_http10)
    length = _framing(fields, is_http10=is_http10)
    return Request(parts[0], parts[1], b"", fields, is_http10, []), length, rest


def _check_names(target: bytes, fields: Fields, *, is_http10: bool) -> None:
    """Hosts are names, and Connection names nothing that belongs to the message itself."""
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (not hosts and not is_http10):
        raise Broken(f"{len(hosts)} hosts")

    if not target.startswith(b"/") and b"://" in target:
        hosts.append(re.split(rb"[/?]", target.partition(b"://")[2])[0] or b"/")
    for host in filter(None, hosts):
        match = _HOST.fullmatch(host)
        if match is None or int(match[1] or 0) > 65535:
            raise Broken(f"host {host!r}")

    for name, value in fields:
        options = {option.strip(b" \t").lower() for option in value.split(b",")}
        if name == b"connection" and options & {
            b"host",
            b"content-length",
            b"authorization",
            b"cookie",
        }:
            raise Broken(f"connection {value!r}")


def _head(data: bytes, most_bytes: int = MAX_HEAD_BYTES) -> tuple[list[bytes], bytes, bytes]:
    """Cut lines and rest; what cannot become a head is broken even before it is complete."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if len(head) + 4 > most_bytes:
        raise Broken(f"head of {len(head)} bytes")
    if not found:
        raise Incomplete
    return head.split(b"\r\n"), rest, head + found


def _fields(lines: list[bytes], *, is_sent: bool = False) -> Fields:
    fields: Fields = []
    for line in lines:
        name, colon, value = (_BLANK_NAME.sub(rb"\1:", line) if is_sent else line).partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Broken(f"field line {line[:60]!r}")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def _framing(fields: Fields, *, is_http10: bool) -> int:
    """Length of the body, -1 when chunked."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Broken("more than one framing")
    if codings:
        if codings[0].lower() != b"chunked" or is_http10:
            raise Broken(f"coding {codings[0]!r}")
        return -1
    if not lengths:
        return 0
    if not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) >= 1 << 63:
        raise Broken(f"length {lengths[0]!r}")

    return int(lengths[0])


def _exactly(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise Incomplete
    return data[:length], data[length:]


def read_chunks(
    data: bytes, *, is_canonical: bool = False, is_sent: bool = False
) -> tuple[bytes, Fields, bytes]:
    """Read a chunked body; return it, its trailers and what follows.

    Raises:
        Incomplete: it is cut.
        Broken: it is malformed.
    """
    body = b""
    while True:
        line, data = _line(data)
        match = _SIZE.fullmatch(line.rstrip(b" \t") if is_sent else line)
        if match is None or (is_canonical and match[2]):
            raise Broken(f"chunk size {line[:40]!r}")

        size = int(match[1], 16)
        if size >= 1 << 63 or len(line) > MAX_CHUNK_LINE_BYTES:
            raise Broken(f"chunk size line of {len(line)} bytes, size {size}")
        if not size:
            return body, *_trailers(data, is_sent=is_sent)

        piece, data = _exactly(data, size)
        body += piece
        if not data.startswith(b"\r\n"):
            if b"\r\n".startswith(data):
                raise Incomplete
            raise Broken("no line end after chunk data")

        data = data[2:]


def _begun_chunks(data: bytes) -> bytes:
    """The data of the whole chunks that a body begins with, as a proxy writes them."""
    body = b""
    with suppress(Incomplete):
        while data:
            line, data = _line(data)
            piece, data = _exactly(data, int(line, 16) + 2)
            body += piece[:-2]

    return body


def _trailers(data: bytes, *, is_sent: bool) -> tuple[Fields, bytes]:
    size = 0
    trailers: Fields = []
    while True:
        line, data = _line(data)
        if not line:
            return trailers, data

        size += len(line) + 2
        trailers += _fields([line], is_sent=is_sent)
        if size > MAX_TRAILER_BYTES or len(trailers) > MAX_TRAILER_FIELDS:
            raise Broken("trailers without end")


def _line(data: bytes) -> tuple[bytes, bytes]:
    line, found, rest = data.partition(b"\r\n")
    if not found:
        if len(line) > MAX_CHUNK_LINE_BYTES + 1:
            raise Broken(f"line of {len(line)} bytes")
        if b"\n" in line:  # no line end will make it right
            raise Broken(f"bare LF in {line[:40]!r}")
        raise Incomplete

    return line, rest


def read_response(
    data: bytes, method: bytes, *, has_ended: bool, is_sent: bool = False
) -> Response:
    """Read one final response, interim ones before it.

    Args:
        data: what came.
        method: of the request.
        has_ended: whether the connection ended in order after it: the end of a body without framing.
        is_sent: whether an upstream wrote it: with blanks before colons (RFC 9112 §5.1) and behind chunk sizes.

    Raises:
        Incomplete: the head is not whole.
        Broken: it is no response.
    """
    interims: list[int] = []
    while True:
        lines, data, raw_head = _head(data, 4 * MAX_HEAD_BYTES)
        match = _STATUS.fullmatch(lines[0])
        if match is None:
            raise Broken(f"status line {lines[0][:60]!r}")

        status = int(match[2])
        fields = _fields(lines[1:], is_sent=is_sent)
        length = _response_framing(fields, is_http10=match[1] == b"0")
        if status >= 200 or status == 101:
            break

        interims.append(status)

    is_http10 = match[1] == b"0"
    if method == b"HEAD" or status in (101, 204, 304):
        return Response(interims, status, fields, b"", True, False, data, is_http10, raw_head, [])
    if length is None:
        return Response(
            interims, status, fields, data, has_ended, True, b"", is_http10, raw_head, []
        )

    trailers: Fields = []
    try:
        if length < 0:
            body, trailers, rest = read_chunks(data, is_sent=is_sent)
        else:
            body, rest = _exactly(data, length)
    except Incomplete:
        return Response(interims, status, fields, data, False, False, b"", is_http10, raw_head, [])

    return Response(
        interims, status, fields, body, True, False, rest, is_http10, raw_head, trailers
    )


def _response_framing(fields: Fields, *, is_http10: bool) -> int | None:
    """Length of the body, -1 when chunked, None when the end of the connection ends it."""
    names = [name for name, _ in fields]
    if b"content-length" not in names and b"transfer-encoding" not in names:
        return None
    return _framing(fields, is_http10=is_http10)
