"""Vectors that other parsers publish with their sources, read as data where `.ci/vectors` put them;
none is kept here.

llhttp writes them as fenced blocks of Markdown below a comment that tells their type, http-parser
as C structures. Only the input is taken: what those parsers make of it is not our rule, which is
stricter.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PLACE: Final = Path(
    os.environ.get("SIDELOG_TEST_VECTORS", Path(__file__).resolve().parents[4] / ".vectors")
)

_BLOCK: Final = re.compile(
    rb"^<!-- *meta=(\{.*?\}) *-->\s*^```http\n(.*?)^```", re.MULTILINE | re.DOTALL
)
_ESCAPE: Final = re.compile(rb'\\(?:x([0-9A-Fa-f]+)|([0-7]{1,3})|([rntf"\\]))')
_LETTERS: Final = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"f": b"\f", b'"': b'"', b"\\": b"\\"}
_STRUCTURE: Final = re.compile(
    rb'\.type= *HTTP_(REQUEST|RESPONSE)\s*,\.raw= *((?:"(?:[^"\\]|\\.)*"\s*)+)'
)
_LITERAL: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class Published(NamedTuple):
    """One input."""

    name: str
    """Where it stands: file and line."""
    is_response: bool
    raw: bytes

    @property
    def with_host(self) -> bytes:
        """A request with the Host that most of them lack, for which alone we would refuse it."""
        head, end, rest = self.raw.partition(b"\r\n")
        if end and not re.search(rb"(?i)\r\nhost *:", self.raw):
            return head + end + b"Host: a\r\n" + rest
        return self.raw


def published(place: Path = PLACE) -> list[Published]:
    """All inputs below a directory, in a fixed order; none where nothing was fetched, which CI does
    not forgive.
    """
    found: list[Published] = []
    for file in sorted(place.rglob("*")):
        if file.suffix == ".md":
            found += _markdown(file)
        elif file.name == "test.c":
            found += _structures(file)

    assert found or not os.environ.get("CI"), f"no vectors in {place}: .ci/vectors fetches them"
    return found


def _markdown(file: Path) -> Iterator[Published]:
    text = file.read_bytes()
    for block in _BLOCK.finditer(text):
        kind = json.loads(block[1])["type"]
        line = text.count(b"\n", 0, block.start(2))
        yield Published(
            f"{file.parent.name}/{file.stem}:{line}",
            kind.startswith("response"),
            _unescape(block[2]),
        )


def _unescape(block: bytes) -> bytes:
    """A backslash joins two lines; other line ends are CR LF; then escapes are read."""
    block = block.removesuffix(b"\n").replace(b"\\\n", b"").replace(b"\n", b"\r\n")
    return _ESCAPE.sub(_unescaped, block)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[3]:
        return _LETTERS[escape[3]]
    code = int(escape[1], 16) if escape[1] else int(escape[2], 8)
    return bytes([code]) if code < 256 else chr(code).encode()


def _structures(file: Path) -> Iterator[Published]:
    text = file.read_bytes()
    for structure in _STRUCTURE.finditer(text):
        raw = b"".join(
            _ESCAPE.sub(_unescaped, literal) for literal in _LITERAL.findall(structure[2])
        )
        line = text.count(b"\n", 0, structure.start())
        yield Published(f"{file.parent.name}:{line}", structure[1] == b"RESPONSE", raw)
