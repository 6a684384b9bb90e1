"""Contents of the benchmarks: deterministic, different, of their size, and what they claim to be."""

import base64
import csv
import gzip
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from email import message_from_bytes
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import msgspec
import pytest

from bench.contents import (
    KINDS,
    Kind,
    calls,
    documents,
    files,
    kind_of,
    media,
    texts,
    variants,
    words,
)
from bench.contents.kinds import VARIANTS
from bench.contents.stamps import is_remade, with_place

SEEDS: Final = 3
_CACHED: Final = (
    *(files.found, files.text, files.octets, words.words, documents._schemas, variants),
    *(
        texts._templates,
        texts._scripts,
        texts._rules,
        texts._symbols,
        texts._rows,
        calls._beginning,
    ),
)


def forget() -> None:
    """Let everything be looked for and made anew."""
    for each in _CACHED:
        each.cache_clear()


@pytest.fixture(params=["installed", "generated"], autouse=True, scope="module")
def _origin(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test with the files that are installed here, and as if there were none."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "generated":
            patch.setattr(files, "_folders", lambda: iter(()))
        forget()
        yield
    forget()


def plain(kind: Kind, seed: int) -> bytes:
    """Return a body without its content coding."""
    if kind.content_encoding == "gzip":
        return gzip.decompress(kind.body(seed))
    return kind.body(seed)


def test_a_seed_gives_the_same_body_again_and_another_seed_another() -> None:
    for kind in KINDS:
        first = [kind.body(seed) for seed in range(SEEDS)]
        assert first == [kind.body(seed) for seed in range(SEEDS)], kind.name
        assert len(set(first)) == SEEDS, kind.name
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_no_two_of_the_bodies_that_a_load_sends_are_equal() -> None:
    assert all(
        len(set(variants(name))) == VARIANTS
        for name in ("json-1k", "form-1k", "woff2-32k", "source-16k")
    )


def test_a_body_is_of_the_size_that_its_kind_declares() -> None:
    for kind in KINDS:
        assert {len(plain(kind, seed)) for seed in range(SEEDS)} == {kind.size}, kind.name


def test_another_process_makes_the_same_bodies() -> None:
    program = "from bench.contents import KINDS, files\n"
    program += f"if {not list(files._folders())}: files._folders = lambda: iter(())\n"
    program += (
        "from hashlib import sha256\nprint(*(sha256(kind.body(1)).hexdigest() for kind in KINDS))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=files.HERE, capture_output=True, text=True, check=True
    ).stdout.split()
    assert done == [sha256(kind.body(1)).hexdigest() for kind in KINDS]


def _png(body: bytes) -> None:
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    at = 8
    found = dict[bytes, bytes]()

    while at < len(body):
        length, name = struct.unpack_from(">I4s", body, at)
        content = body[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", body, at + 8 + length)[0] == zlib.crc32(name + content)
        found[name] = content
        at += 12 + length

    width, height = struct.unpack_from(">II", found[b"IHDR"])
    assert len(zlib.decompress(found[b"IDAT"])) == height * (1 + 3 * width)
    assert list(found)[-1] == b"IEND"


def _pdf(body: bytes) -> None:
    assert body.startswith(b"%PDF-1.4\n")
    assert body.endswith(b"%%EOF\n")
    table = int(body.split(b"startxref\n")[1].split(b"\n")[0])
    assert body[table:].startswith(b"xref\n0 7\n")
    begins = [int(line.split()[0]) for line in body[table:].split(b"\n")[3:9]]
    assert [body[begin:].split(b" ", 1)[0] for begin in begins] == [
        b"%d" % number for number in range(1, 7)
    ]


def _woff2(body: bytes) -> None:
    assert body[:4] == b"wOF2"
    assert struct.unpack_from(">I", body, 8)[0] == len(body)


def _events(body: bytes) -> None:
    data = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    kinds = [json.loads(each)["type"] for each in data]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("content_block_delta") > 20


def _multipart(body: bytes) -> None:
    message = message_from_bytes(f"Content-Type: {calls.MULTIPART}\r\n\r\n".encode() + body)
    _, title, file = message.walk()
    assert title.get_param("name", header="Content-Disposition") == "title"
    content = file.get_payload(decode=True)
    assert isinstance(content, bytes)
    _png(content)


def _csv(body: bytes) -> None:
    rows = list(csv.reader(io.StringIO(body.decode())))
    assert {len(row) for row in rows} == {11}
    assert len(rows) > 50


def _form(body: bytes) -> None:
    assert {"csrf", "mail", "message"} < dict(parse_qsl(body.decode(), strict_parsing=True)).keys()


def _page(body: bytes) -> None:
    text = body.decode()
    assert text.startswith("<!doctype html>")
    assert text.endswith("</body></html>\n")
    assert text.count("<") > 20


PARSERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "application/json": json.loads,
    "text/event-stream": _events,
    "text/html; charset=utf-8": _page,
    "text/javascript": bytes.decode,
    "text/css": lambda body: body.count(b"{") == body.count(b"}") or pytest.fail("a rule is cut"),
    "image/svg+xml": ElementTree.fromstring,
    "text/x-python": bytes.decode,
    "text/csv": _csv,
    "text/plain": lambda body: body.decode().splitlines()[50],
    "application/x-www-form-urlencoded": _form,
    "application/msgpack": msgspec.msgpack.decode,
    calls.MULTIPART: _multipart,
    "image/png": _png,
    "font/woff2": _woff2,
    "application/pdf": _pdf,
    "application/octet-stream": lambda body: (
        len(zlib.compress(body)) >= len(body) or pytest.fail("is no noise")
    ),
}


def test_a_body_is_what_its_type_says() -> None:
    for kind in KINDS:
        for seed in range(SEEDS):
            PARSERS[kind.content_type](plain(kind, seed))


def test_small_json_can_be_put_into_a_configuration_and_numbered() -> None:
    for body in variants("json-1k"):
        assert not set(body) & set(b"'\\$%")
        assert body.count(documents.PLACE.encode()) == 1
        body.decode("ascii")


def test_what_is_made_anew_differs_in_one_place() -> None:
    """And is of its type, with a number in that place."""
    for kind in filter(is_remade, KINDS):
        body = with_place(kind, plain(kind, 1))
        assert body.count(documents.PLACE.encode()) == 1
        assert abs(len(body) - len(plain(kind, 1))) <= 50
        PARSERS[kind.content_type](body.replace(documents.PLACE.encode(), b"7" * 32))


def test_scripts_and_escapes_are_there() -> None:
    shares = {
        name: sum(byte > 127 for byte in kind_of(name).body(0)) / 16384
        for name in ("german-16k", "russian-16k")
    }
    assert shares["german-16k"] > 0.001
    assert shares["russian-16k"] > 0.05
    assert kind_of("chinese-16k").body(0).decode().count("的") > 2
    assert kind_of("escapes-16k").body(0).count(b"\\u") > 100


def test_base64_is_a_picture() -> None:
    _png(base64.b64decode(json.loads(kind_of("base64-40k").body(3))["content"], validate=True))


def test_requests_of_an_agents_run_grow_and_keep_what_was_said() -> None:
    sizes = 58 * 1024
    run = calls.run(5, sizes)
    assert [len(request) for request in run] == sorted(len(request) for request in run)
    assert (len(run), len(run[-1])) == (calls.TURNS, sizes)
    turns = [json.loads(request)["messages"] for request in run]
    for before, after in pairwise(turns):
        assert after[: len(before) - 1] == before[:-1]


def test_what_is_not_installed_is_named() -> None:
    is_installed = {source: bool(files.found(source)) for source in files.SOURCES}
    assert files.missing() == [source for source, found in is_installed.items() if not found]
    if not list(files._folders()):
        assert files.missing() == list(files.SOURCES)


def test_an_installed_file_is_preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "django" / "static" / "js").mkdir(parents=True)
    (tmp_path / "django" / "static" / "js" / "one.min.js").write_text("real();" * 20_000)
    monkeypatch.setattr(files, "_folders", lambda: iter((tmp_path,)))
    forget()
    assert kind_of("script-64k").body(1).count(b"real();") > 9000
    assert "minified scripts" not in files.missing()
    forget()


def test_pictures_are_as_good_as_random() -> None:
    body = media.picture(Random(1), 61440)
    assert len(zlib.compress(body, 9)) > 0.97 * len(body)
