"""From windows to the stored body: decoded, redacted, cut, in this order."""

import bz2
import gzip
import lzma
from typing import Literal

import brotli  # type: ignore[import-untyped]
import pytest

from proxy.enrich.http.bodies import TooLong, decode_body, omitted_body, redacted_body
from proxy.enrich.redact.redactor import Redactor
from storage.record import Body
from storage.zstd import zstd
from tests.proxy.enrich.exchanges import entry_of
from tests.support.cases import each_of

REDACTOR = Redactor()


def made(
    head: bytes,
    tail: bytes = b"",
    size: int = -1,
    *,
    coding: bytes = b"",
    max_bytes: int = 1000,
    content_type: bytes = b"application/json",
) -> Body:
    """Decode and redact a body as the record builder does."""
    size = len(head) + len(tail) if size < 0 else size
    decoded = decode_body(head, tail, size, coding, content_type=content_type)
    if decoded is None:
        return omitted_body(size, coding, "coding")
    return redacted_body(decoded, content_type, REDACTOR, max_bytes)


def test_small_body_is_kept_whole() -> None:
    """Head and tail that meet become one, redacted."""
    assert made(b'{"token": "S', b'S", "a": 1}') == Body(
        b'{"token": "[REDACTED]", "a": 1}', b"", 23, False, None, None
    )


def test_gap_between_the_windows_is_truncation() -> None:
    """Both windows are kept with the true size."""
    body = made(b'{"a": 1, "b": "', b'xy", "token": "S"}', 9999)
    assert body == Body(b'{"a": 1, "b": "', b'"token": "[REDACTED]"}', 9999, True, None, None)


def test_coded_body_is_stored_decoded() -> None:
    """The coding is noted, the size stays that of the wire."""
    packed = gzip.compress(b'{"token": "S"}')
    body = made(packed[:9], packed[9:], coding=b"GZip")
    assert body == Body(b'{"token": "[REDACTED]"}', b"", len(packed), False, "gzip", None)


def test_truncated_coded_body_is_its_decodable_prefix() -> None:
    """Of a coded stream only the head is read, and it counts as truncated."""
    text = b"".join(b"line %d\n" % number for number in range(20_000))
    packed = gzip.compress(text)
    body = made(packed[:5000], packed[-100:], len(packed), coding=b"gzip", max_bytes=1 << 20)
    assert body.truncated
    assert body.tail == b""
    assert body.head
    assert text.startswith(body.head)


@pytest.mark.parametrize(
    ("coding", "error"), [(b"compress", "compress: unknown"), (b"gzip", "gzip: not coded")]
)
def test_text_whose_coding_is_not_undone_is_redacted(coding: bytes, error: str) -> None:
    """It is kept as it came, both ends of a long one, and says why."""
    whole = Body(b'{"token": "[REDACTED]"}', b"", 14, False, None, None, error)
    assert made(b'{"token": "S"}', coding=coding) == whole
    body = made(b'{"a": 1, "b": "', b'xy", "token": "S"}', 9999, coding=coding)
    assert body == Body(
        b'{"a": 1, "b": "', b'"token": "[REDACTED]"}', 9999, True, None, None, error
    )


OCTETS = bytes(range(256))
PICTURE = b"\x89PNG\r\n\x1a\n" + OCTETS
SECRET = b'{"token": "S", "text": "' + bytes(range(32, 127)) * 3 + b'"}'
HIDDEN: dict[str, tuple[bytes, bytes]] = {
    "half of gzip": (b"snappy", gzip.compress(SECRET)[:10]),
    "unknown": (b"snappy", OCTETS),
    "another than is named": (b"gzip", OCTETS),
    "with a dictionary": (b"dcb", b"\xffDCB" + b"h" * 32 + brotli.compress(SECRET)),
    "encrypted": (b"aes128gcm", OCTETS[::-1]),
    "framed": (b"snappy", b"\xff\x06\0\0sNaPpY" + SECRET),
    "xz by name": (b"xz", lzma.compress(SECRET)),
    "xz": (b"", lzma.compress(SECRET)),
    "LZMA": (b"", lzma.compress(SECRET, format=lzma.FORMAT_ALONE)),
    "bzip2": (b"", bz2.compress(SECRET)),
    "LZ4": (b"", b"\x04\x22\x4d\x18" + OCTETS),
    "a damaged stream": (b"", brotli.compress(SECRET * 9)[5:]),
}


@each_of("content_type", [b"application/json", b"text/plain", b"image/svg+xml"])
@each_of("case", HIDDEN)
def test_what_a_coding_hides_is_not_stored_as_text(case: str, content_type: bytes) -> None:
    """Its readers could decode what was never redacted."""
    coding, data = HIDDEN[case]
    named = coding.decode() or None
    assert made(data, coding=coding, content_type=content_type) == Body(
        b"", b"", len(data), True, named, "coding"
    )


def test_octets_that_no_coding_hides_are_stored() -> None:
    """Those of another type, and a picture whatever it is called."""
    for data, content_type, content in (
        (OCTETS, b"application/octet-stream", "octets"),
        (bz2.compress(SECRET), b"application/x-bzip2", "media"),
        (PICTURE, b"text/plain", "media"),
        (b"PK\x03\x04" + OCTETS, b"application/vnd.openxmlformats-officedocument", "media"),
        (b"\x0a\x08John Doe\x10\x01" * 9, b"application/json", None),
        ("one\0two, \u8a9e".encode("utf-16-le") * 9, b"text/plain", "octets"),
    ):
        body = made(data, content_type=content_type)
        assert (body.head[:8], body.omitted, body.content) == (data[:8], None, content)

    named = made(OCTETS, coding=b"gzip", content_type=b"application/octet-stream")
    assert (named.head, named.coding_error) == (OCTETS, "gzip: not coded")


def test_a_stream_with_an_end_of_line_is_read() -> None:
    """In both directions."""
    packed = brotli.compress(SECRET) + b"\r\n"
    fields = "Content-Encoding: br\r\n"
    payload = entry_of("/", packed, packed, request_headers=fields, response_headers=fields).payload
    assert payload is not None
    for body in (payload.request_body, payload.response_body):
        assert body is not None
        assert body.head.startswith(b'{"token": "[REDACTED]", ')
        assert (body.coding, body.coding_error, body.truncated) == ("br", "br: damaged", False)


def test_what_is_compressed_without_a_word_is_read_where_it_is_said_to_be_text() -> None:
    """A header that is missing, or denies it; a file of compressed data stays one."""
    for packed, coding in (
        (gzip.compress(b'{"token": "S"}'), "gzip"),
        (zstd.compress(b'{"token": "S"}'), "zstd"),
    ):
        for named in (b"", b"identity", b"utf-8"):
            decoded = decode_body(packed, b"", len(packed), named, content_type=b"application/json")
            assert decoded is not None
            assert (decoded.head, decoded.coding) == (b'{"token": "S"}', coding)

        decoded = decode_body(packed, b"", len(packed), b"", content_type=b"application/gzip")
        assert decoded is not None
        assert (decoded.head, decoded.coding) == (packed, None)


def test_half_of_a_damaged_body_is_kept() -> None:
    """What could be decoded before the damage, and the reason."""
    text = b"".join(b"%d: %d\n" % (number, number * number) for number in range(9000))
    packed = bytearray(gzip.compress(text))
    packed[12_000:12_100] = b"\xff" * 100
    body = made(bytes(packed), coding=b"gzip", max_bytes=1 << 20)
    assert (body.truncated, body.coding, body.coding_error) == (True, "gzip", "gzip: damaged")
    assert text.startswith(body.head[:1000])


@pytest.mark.parametrize("reason", ["level", "shed"])
def test_body_that_was_not_captured_says_why(reason: Literal["level", "shed"]) -> None:
    """Nothing is kept but the size and the reason."""
    assert omitted_body(5, b"", reason) == Body(b"", b"", 5, True, None, reason)


def test_long_body_is_cut_after_redaction() -> None:
    """The head is cut first and a tail is kept; both together are never longer than allowed."""
    text = b'{"token": "S"}' + b"x" * 5000 + b"END"
    body = made(text)
    assert body.head.startswith(b'{"token": "[REDACTED]"}')
    assert body.tail.endswith(b"END")
    assert len(body.head) + len(body.tail) == 1000
    assert body.truncated
    windows = made(b"h" * 900, b"\n" + b"t" * 899, 5000)
    assert (len(windows.head), len(windows.tail)) == (100, 900)
    assert made(b"h" * 900, b"\n" + b"t" * 1999, 5000).head == b""
    assert made(text, max_bytes=0) == Body(b"", b"", len(text), True, None, None)


def test_of_a_huge_window_only_so_much_is_redacted() -> None:
    """The rest could not be stored anyway; the end is kept, and it counts as cut."""
    text = b'{"a": "' + b"word " * 200_000 + b'", "usage": 7}'
    body = made(text, max_bytes=81920)
    assert body.truncated
    assert body.size == len(text)
    assert body.tail.endswith(b'"usage": 7}')
    assert len(body.head) + len(body.tail) <= 81920


def test_a_body_that_unpacks_to_too_much_is_left_to_the_caller() -> None:
    """With a limit, what is longer or was coded more than once is not opened here; without one it
    is.
    """
    text = b"".join(b"%d," % number for number in range(3000))[:10_000]
    once = gzip.compress(text)

    twice = gzip.compress(gzip.compress(text))
    for packed, coding, limit in (
        (once, b"gzip", 9_999),
        (once, b"gzip", 10_000),
        (twice, b"gzip, gzip", 60_000),
    ):
        with pytest.raises(TooLong):
            decode_body(packed, b"", len(packed), coding, limit)
        opened = decode_body(packed, b"", len(packed), coding)
        assert opened is not None
        assert opened.head == text

    opened = decode_body(once, b"", len(once), b"gzip", 10_001)
    assert opened is not None
    assert (opened.head, opened.is_truncated) == (text, False)
    plain = decode_body(text, b"", len(text), b"", 100)
    assert plain is not None
    assert plain.head == text
