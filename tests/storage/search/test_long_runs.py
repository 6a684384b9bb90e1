"""Long runs of base64 and hexadecimal digits within texts."""

import base64
import json
import random
import string
import uuid
from collections.abc import Callable

from storage.search.long_runs import MIN_RUN_BYTES, long_runs
from tests.support.cases import each_of

G = random.Random(4)
OCTETS = G.randbytes(900)
STANDARD = base64.b64encode(OCTETS).rstrip(b"=")
URL = base64.urlsafe_b64encode(OCTETS)
LINES = base64.encodebytes(OCTETS).rstrip()
PEM = b"\n".join(STANDARD[at : at + 64] for at in range(0, len(STANDARD), 64))
VECTOR = base64.b64encode(
    b"".join(G.randbytes(3) + bytes((0x3C + G.randrange(3),)) for _ in range(513))
)
JSON = base64.b64encode(
    json.dumps([{"id": number, "name": "Anna"} for number in range(40)]).encode()
).rstrip(b"=")


def runs(text: bytes) -> list[bytes]:
    return [text[start:stop] for start, stop in long_runs(text)]


@each_of(
    "run",
    [STANDARD, URL, LINES, PEM, VECTOR, JSON, OCTETS.hex().encode(), OCTETS.hex().upper().encode()],
)
def test_a_run_is_found_wherever_it_stands(run: bytes) -> None:
    """In JSON, in a data URL, in markup, in a message of mail; alone; twice."""
    for before, behind in (
        *(
            (b'{"a":"', b'"}'),
            (b'{"url":"data:image/png;base64,', b'=="}'),
            (b'<img src="data:;base64,', b'">'),
            (b"", b""),
        ),
        (
            b"Content-Transfer-Encoding: base64\r\n\r\n" if b"\n" not in run else b"encoding: ",
            b" end of it",
        ),
    ):
        assert runs(before + run + behind) == [run]

    assert runs(b"%b %b" % (run, run)) == [run, run]


@each_of("line_end", [b"\r\n", b"\n", rb"\n", rb"\r\n", rb"\\n"])
def test_lines_are_one_run(line_end: bytes) -> None:
    """Those of certificates and of mail, with the shorter line that ends them; escaped ones, too."""
    for lines in (LINES, PEM):
        run = line_end.join(lines.split(b"\n"))
        block = b'"-----BEGIN CERTIFICATE-----%b%b%b-----END CERTIFICATE-----"' % (
            line_end,
            run,
            line_end,
        )
        assert runs(block) == [run]

    joined = line_end.join((b"some words", LINES.replace(b"\n", line_end), b"others"))
    assert runs(joined) == [LINES.replace(b"\n", line_end)]


def test_slashes_may_be_escaped() -> None:
    """As PHP writes them, and what holds that."""
    for slash in (rb"\/", rb"\\\/"):
        run = STANDARD.replace(b"/", slash)
        assert runs(b'"%b"' % run) == [run]
    assert runs(b'"\\t%b\\t"' % STANDARD) == [b"t" + STANDARD]


def test_shorter_ones_are_none() -> None:
    """Keys, hashes, tokens: a text has them as words."""
    assert runs(STANDARD[: MIN_RUN_BYTES - 1]) == []
    assert runs(STANDARD[:MIN_RUN_BYTES]) == [STANDARD[:MIN_RUN_BYTES]]


NO_RUNS: dict[str, Callable[[], bytes]] = {
    "path": lambda: b"/".join(
        G.choice([b"api", b"Users", b"v2", b"orders", b"9f3c"]) for _ in range(100)
    ),
    "long names": lambda: b"/".join(
        b"Customer%04dAddress" % number for number in range(40)
    ).replace(b"C", b"-C"),
    "slug": lambda: b"-".join(
        G.choice([b"how", b"to", b"bake", b"bread", b"fast"]) for _ in range(100)
    ),
    "snake": lambda: b"_".join(b"Long%d" % number for number in range(80)),
    "ids": lambda: "\n".join(str(uuid.UUID(int=G.getrandbits(128))) for _ in range(40)).encode(),
    "hashes": lambda: b"\n".join(G.randbytes(20).hex().encode() for _ in range(40)),
    "words": lambda: b"\\n".join(G.choice([b"Alpha1", b"beta", b"Gamma22"]) for _ in range(200)),
    "letters": lambda: b"a" * 1000,
    "digits": lambda: "".join(G.choices(string.digits, k=1000)).encode(),
    "capitals": lambda: "".join(G.choices(string.ascii_uppercase, k=1000)).encode(),
    "backslashes": lambda: b"\\" * 5000,
    "line ends": lambda: b"\r\n" * 5000,
}


@each_of("name", [*NO_RUNS])
def test_other_long_texts_are_none(name: str) -> None:
    """Paths, lists of names and of hashes, one letter again and again."""
    text = NO_RUNS[name]()
    assert len(text) > MIN_RUN_BYTES
    assert runs(b'"' + text + b'"') == []


def test_runs_of_any_text_are_in_order() -> None:
    """They do not overlap, are long, and are found again when they stand alone."""
    pieces = [
        STANDARD,
        URL,
        LINES,
        LINES.replace(b"\n", rb"\n"),
        b"a" * 300,
        b'"',
        b"\\",
        b"/",
        b"\n",
        b"\r\n",
        b" x ",
    ]
    for _ in range(300):
        text = b"".join(G.choices(pieces, k=8))
        stop_before = 0
        for start, stop in long_runs(text):
            assert start >= stop_before
            assert stop - start >= MIN_RUN_BYTES
            assert stop <= len(text)
            stop_before = stop
