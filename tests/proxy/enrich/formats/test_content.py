"""What bodies are, where they are no text."""

import base64
import json
import random
import struct
import tarfile
import zipfile
import zlib
from io import BytesIO

import msgspec
import orjson

from proxy.enrich.formats.content import content_of, is_utf8
from tests.support.cases import each_of

G = random.Random(9)
NOISE = G.randbytes(4000)
SECRET = b"password=hunter2hunter2 and some more of a text\n"


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + b"IDAT" + data + b"\0CRC" for data in chunks
    )


def multipart(*parts: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
    return b"".join(head + part + b"\r\n" for part in parts) + b"--b--\r\n"


def tar(content: bytes) -> bytes:
    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo(".env")
        member.size = len(content)
        archive.addfile(member, BytesIO(content))
    return made.getvalue()


def zipped(content: bytes, method: int) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("a", content)
    return made.getvalue()


MEDIA = {
    "png": png(NOISE),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + NOISE,
    "gif": b"GIF89a" + NOISE,
    "webp": b"RIFF\x10\x10\0\0WEBPVP8 " + NOISE,
    "mp4": b"\0\0\0\x20ftypisom" + NOISE,
    "webm": b"\x1aE\xdf\xa3" + NOISE,
    "mp3": b"ID3\x04" + NOISE,
    "ogg": b"OggS\0" + NOISE,
    "wave": b"RIFF\x10\x10\0\0WAVEfmt " + NOISE,
    "woff2": b"wOF2" + NOISE,
    "pdf": b"%PDF-1.7\n1 0 obj\n<</Filter/FlateDecode>>\nstream\n"
    + zlib.compress(NOISE)
    + b"\nendstream\n%%EOF",
    "zip": zipped(NOISE, zipfile.ZIP_DEFLATED),
    "wasm": b"\0asm\1\0\0\0" + NOISE,
}


@each_of("name", [*MEDIA])
def test_media_are_known_by_how_they_begin(name: str) -> None:
    """Whatever was declared; the first window of one is enough."""
    for content_type in (b"", b"text/plain", b"application/json", b"application/octet-stream"):
        assert content_of(MEDIA[name], content_type) == "media"
    assert content_of(MEDIA[name][:2000], b"") == "media"


@each_of("content_type", [b"image/x-raw", b"audio/L16", b"video/MP2T; x=1", b"font/collection"])
def test_declared_media_are_media_where_their_octets_agree(content_type: bytes) -> None:
    """The middle of a film has no magic number."""
    assert content_of(NOISE, content_type) == "media"
    assert content_of(NOISE, b"application/octet-stream") == "octets"
    assert content_of(SECRET, content_type) is None


@each_of(
    "text",
    [
        SECRET,
        b"GIF89a" + SECRET,
        b"%PDF-1.7\n" + SECRET,
        b"BM" + SECRET * 9,
        b"PK\x03\x04" + SECRET,
        b"\x89PNG\r\n\x1a\n" + SECRET * 20,
        zipped(SECRET * 40, zipfile.ZIP_STORED),
        b"ID3\x03" + SECRET * 3,
        b"<svg xmlns='http://www.w3.org/2000/svg'><text>%b</text></svg>" % SECRET,
        "Übergrößen für 東京".encode(),
        "Übergrößen für Köln, schöne Grüße".encode("latin-1"),
        b'{"type":6}\x1e' * 3 + b'{"type":1,"target":"send"}\x1e',
        b"CONNECT\npasscode:hunter2\n\n\0",
        b"",
        b"\n",
        b"\x1b[31mred\x1b[0m text",
    ],
)
def test_text_is_text_whatever_it_begins_with(text: bytes) -> None:
    """No secret gets by as a picture."""
    for content_type in (
        b"image/png",
        b"video/mp4",
        b"font/woff2",
        b"application/pdf",
        b"text/plain",
        b"",
    ):
        assert content_of(text, content_type) is None


@each_of(
    "octets",
    [
        NOISE,
        bytes(100),
        msgspec.msgpack.encode({"id": 1, "at": [1, 2, 300000], "name": "Ada"}),
        tar(SECRET),
        b"\x08\x96\x01\x12\x03Ada" * 3,
        struct.pack("<300f", *(G.random() for _ in range(300))),
        multipart(b"a text", png(NOISE)),
        multipart(b"a long text " * 500, png(NOISE[:900])),
        b"\x89PNG\r\n\x1a\n" + NOISE[:1000] + SECRET * 40,
        b"{" + NOISE,
        b'["' + NOISE,
    ],
)
def test_others_are_octets(octets: bytes) -> None:
    """Formats of programs, archives that are not compressed, forms with a file, a picture with much
    text behind it.
    """
    for content_type in (b"application/json", b"application/octet-stream", b""):
        assert content_of(octets, content_type) == "octets"


def test_what_parses_as_json_is_text() -> None:
    """Whatever it holds: fields of its values are searched whole."""
    for _ in range(300):
        text = "".join(
            chr(G.choice([*range(0x20, 0x80), 0x7F, 0x80, 0xE9, 0x4E00, 0x1F600]))
            for _ in range(40)
        )
        for made in (orjson.dumps({text: [text]}), json.dumps([text]).encode()):
            assert orjson.loads(made)
            assert content_of(made, b"image/png") is None

    assert content_of(json.dumps({"image": base64.b64encode(NOISE).decode()}).encode(), b"") is None


def test_a_character_may_be_cut_off() -> None:
    """A window ends anywhere."""
    text = "東京 😀".encode()
    assert all(is_utf8(text[:size]) for size in range(len(text)))
    assert not is_utf8(text + b"\xff")
    assert not is_utf8(text[:2] + b"a")
    assert not is_utf8(b"a\0b")
