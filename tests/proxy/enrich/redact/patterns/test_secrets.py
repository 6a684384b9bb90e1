"""Secrets by their looks: what is found, what is left, and what text is left alone."""

import base64
import hashlib
import html
import json
import random
import string
import sysconfig
import uuid
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

import proxy
from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.redactor import Redactor
from tests.proxy.enrich.redact.secrets import make_further_secrets, make_secrets
from tests.support.cases import each_of

redact_patterns = SecretPatterns().redact
SECRETS = make_secrets()
FURTHER = make_further_secrets()


def percent(text: str) -> str:
    """Every character percent-encoded."""
    return "".join(f"%{ord(character):02x}" for character in text)


@each_of("kind", [*SECRETS, *FURTHER])
def test_every_kind_is_found(kind: str) -> None:
    """Alone, in prose, in JSON, behind an escaped line end, in a query, with escaped letters:
    nothing of it stays.
    """
    secret = (SECRETS | FURTHER)[kind]
    escaped = json.dumps(secret)[1:-1]

    places = {
        "alone": secret,
        "prose": f"my key is {secret}, keep it",
        "json": json.dumps({"note": f"see:\n{secret}\n"}),
        "query": f"/x?q={secret}",
        "slashes": json.dumps({"note": f"see {secret}"}).replace("/", "\\/"),
        "ampersands": json.dumps({"note": f"see {secret}"})
        .replace("&", "\\u0026")
        .replace("=", "\\u003d"),
        "json in json": json.dumps(json.dumps({"note": secret}).replace("/", "\\/")),
        "letters": "".join(chr(92) + f"u{ord(c):04x}" if c in "sAeg" else c for c in escaped),
        "percent": f"a=1&q={percent(secret)}",
        "percent twice": f"a=1&q={quote(percent(secret))}&b=2",
        "markup": f"<p>{html.escape(secret)}</p>",
    }
    for place, text in places.items():
        redacted = redact_patterns(text.encode())
        assert b"[REDACTED]" in redacted, place
        for piece in (secret, secret[10:30], secret[-15:]):
            if len(piece) >= 15:
                assert piece.encode() not in unquote_to_bytes(unquote_to_bytes(redacted)), place
        assert redact_patterns(redacted) == redacted, place


WORDS = tuple(
    word
    for line in (
        "the of and to in a is that for it as was with be by on not he his but at are this have "
        "from or had an they",
        "one you were all her she there would their we him been has when who will no more if out "
        "so up said what its",
        "than into them can only other time new some could these two may first then do any like "
        "my now over such our",
        "token secret password key bearer basic session signature request-response "
        "state-of-the-art e-mail sk task",
    )
    for word in line.split()
)


def ordinary_texts() -> list[str]:
    """Prose, identifiers, hashes, numbers, addresses, documents, and all source code of this
    program.
    """
    g = random.Random(7)
    texts: list[str] = []
    for number in range(3000):
        texts.append(" ".join(g.choice(WORDS) for _ in range(g.randrange(5, 60))))
        texts.append("-".join(g.choice(WORDS) for _ in range(g.randrange(2, 9))))
        raw = g.randbytes(g.choice((16, 20, 32, 64)))
        texts += [raw.hex(), base64.b64encode(raw).decode(), str(uuid.UUID(bytes=raw[:16]))]
        texts.append(hashlib.sha256(raw).hexdigest()[: g.randrange(7, 40)])
        texts.append(
            f"https://example.com/{g.choice(WORDS)}/{number}?page={number}&q={g.choice(WORDS)}#{number}"
        )
        texts.append(
            json.dumps(
                {"id": raw.hex(), "etag": f'W/"{raw.hex()}"', "n": number, "text": g.choice(WORDS)}
            )
        )
        texts.append(
            "".join(
                g.choice(string.ascii_letters + string.digits + "-_")
                for _ in range(g.randrange(4, 120))
            )
        )
        texts.append(
            f"2026-11-20T10:{number % 60:02}:00Z {g.choice(WORDS)}@{g.choice(WORDS)}.example took "
            f"{number} ms"
        )

    root = Path(proxy.__file__).parents[1]
    for package in ("proxy", "storage", "api"):
        for file in sorted((root / package).rglob("*.py")):
            texts += file.read_text().splitlines()
    return texts


def test_ordinary_text_is_left_alone() -> None:
    """Of ordinary lines, at most one in a thousand is changed; a redactor that changes everything
    fails here.
    """
    texts = ordinary_texts()
    changed = [text for text in texts if redact_patterns(text.encode()) != text.encode()]
    assert len(texts) > 30_000
    assert len(changed) <= len(texts) // 1000, changed[:20]


@pytest.mark.parametrize(
    ("root", "pattern", "at_least"),
    [
        ("stdlib", "*.py", 80_000),
        ("purelib", "*.dist-info/METADATA", 5_000),
        ("purelib", "*.dist-info/**/*LICEN*", 2_000),
    ],
    ids=["sources of the standard library", "descriptions of packages", "licences"],
)
def test_text_that_people_wrote_is_left_alone(root: str, pattern: str, at_least: int) -> None:
    """Of what is installed here, at most one line in a thousand is changed: 0 of 300 000, 6 of 61
    000 when measured.
    """
    files = [
        file for file in sorted(Path(sysconfig.get_paths()[root]).glob(pattern)) if file.is_file()
    ]
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    changed = [line for line in lines if redact_patterns(line) != line]
    assert len(lines) > at_least
    assert len(changed) <= len(lines) // 1000, changed[:20]


def test_patterns_can_be_switched_off() -> None:
    """Then only names count."""
    text = json.dumps({"note": SECRETS["github"], "password": "x"}).encode()
    redactor = Redactor(patterns=False)
    assert (
        SECRETS["github"].encode() in redactor.redact_body(text, b"", b"application/json", False)[0]
    )
    assert (
        b'"password": "[REDACTED]"'
        in redactor.redact_body(text, b"", b"application/json", False)[0]
    )


@each_of("kind", SECRETS)
@each_of("content_type", [b"text/plain", b"application/json", b"text/event-stream"])
def test_no_half_secret_survives_a_window(kind: str, content_type: bytes) -> None:
    """Wherever a window ends or begins within a secret, no part of eight characters of it is kept."""
    secret = json.dumps(SECRETS[kind])[1:-1].encode()
    text = b'{"note": "before ' + secret + b' after"}\n' + b'{"more": 1}\n'
    redactor = Redactor()

    begin = text.index(secret)
    for cut in range(begin + 8, begin + len(secret), 7):
        head, tail = redactor.redact_body(text[:cut], text[cut + 1 :], content_type, True)
        kept = head + b"|" + tail
        parts = [
            secret[place : place + 12]
            for place in range(32 if kind == "pem" else 13, len(secret) - 40)
        ]
        assert [part for part in parts if part in kept] == [], (cut - begin, kept)


def test_hostile_text_is_linear() -> None:
    """A megabyte of what nearly matches costs milliseconds, not minutes."""
    for piece in (
        b"sk-",
        b"://a:",
        b"-----BEGIN PRIVATE KEY-----",
        b"eyJ",
        b"bearer ",
        b"?token=",
        b"\\u0073",
        b"%73",
        b"-",
    ):
        text = piece * (1_000_000 // len(piece))
        assert len(redact_patterns(text)) <= len(text)


@each_of(
    "piece",
    [
        '"password": "hunter%d", ',
        "ghp_%08daB3dE5fG7hI9jK1lM2nO4pQ6rS8t ",
        "0123456789abcdef01234567%08d-us1 ",
        "token=h%08dunter1x ",
        "<password>hunter%d</password> ",
        "2687294%08d|Zk3v0QmT8xR1yLwBn5sKdE7hUaJ ",
    ],
)
def test_of_a_text_full_of_secrets_all_else_is_left(piece: str) -> None:
    """However many there are: each is taken out by itself, and what stands between them stays."""
    text = "{" + "".join(piece % number for number in range(2000)) + "the end"
    for kind in (b"application/json", b"text/plain"):
        redacted, _ = Redactor().redact_body(text.encode(), b"", kind, False)
        assert redacted.count(b"[REDACTED]") == 2000
        assert redacted.endswith(b"the end")
        assert b"hunter" not in redacted
        assert b"0000" not in redacted


@each_of(
    "escape",
    [
        *(
            r"\f",
            r"\b",
            r"\n",
            r"\t",
            r"\r",
            r"\/",
            r"\u000c",
            r"\u0008",
            r"\u0020",
            r"\\f",
            r"\\\\b",
            r"\\u000c",
        ),
        *(r"\v", r"\0", r"\e", r"\a", r"\x0c", r"\u{c}", r"\U0000000c"),
        *("&#10;", "&#x0c;", "&nbsp;", "&quot;", "%0c", "%08"),
    ],
)
def test_an_escape_ends_a_word(escape: str) -> None:
    """Of JSON, of JSON within it, of programs, markup and addresses: what is behind is no part of a
    word before.
    """
    redactor = Redactor()
    for secret in (
        "Bearer Zq9xWv7uTs5rQp3oLk1j", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "4111111111111111",
        "password=Zq9xWv7uTs5", "http://bob:Zq9xWv7uTs5@h/", "0123456789abcdef0123456789abcdef-us1",
    ):  # fmt: skip
        for text in (f'{{"f":"zqxauth{escape}{secret}"}}', f"zqxauth{escape}{secret}"):
            for kind in (b"application/json", b"text/plain"):
                shown, _ = redactor.redact_body(text.encode(), b"", kind, False)
                assert b"[REDACTED]" in shown, (text, kind)
                assert secret[-9:].strip("@h/").encode() not in shown


@each_of(
    "piece",
    [
        "12260256|", "|314|162|159|\n", "8=FIX.4.4|9=148|35=D|34=1080|49=TESTBUY1|", "PID|1||1001^^^H^MR||DOE^JANE|",
        "en-us,", "test_it PASSED\n", "sk-ip\n", "https://a.example/en-us/hooks/x\n", ":AA-us0Q~", "/hooks/t/",
        ",EAAuB,SAASA,SCAU;", "://", "identified by ", "msh.v1._secret_",
    ],
)  # fmt: skip
def test_a_text_full_of_literals_stays(piece: str) -> None:
    """Ordinary texts are full of what one rule or another begins with, or has in its middle."""
    text = piece.encode() * (20_000 // len(piece))
    assert Redactor().redact_body(text, b"", b"text/plain", False)[0] == text
    secret = b" 0123456789abcdef0123456789abcdef-us1 hunter2"
    shown = Redactor().redact_body(text + secret, b"", b"text/plain", False)[0]
    assert shown == text + b" [REDACTED] hunter2"


@pytest.mark.parametrize("end", [b"/ x", b" \\u0026 x", b"u00 \\/"])
def test_a_run_of_backslashes_is_read_once(end: bytes) -> None:
    """However long: one client's bytes must not hold the collector. Read from each of its places it
    takes minutes.
    """
    text = b"\\" * 1_000_000 + end
    assert redact_patterns(text) == text


def test_what_is_redacted_behind_escapes_is_redacted_once() -> None:
    """Also where many backslashes stand beside it."""
    once = redact_patterns(b"passcode:hunter22 " + b"\\" * 10 + b"/x")
    assert once.startswith(b"passcode:[REDACTED] ")
    assert redact_patterns(once) == once


OWN = (r"\bE-\d{6}\b", r"(?i)file no[.:]? *([a-z]{2}/\d{4})", r"\b\d{9}\b")


@each_of(
    ("text", "expected"),
    [
        ("see E-123456, E-1234567", "see [REDACTED], E-1234567"),
        (r'{"a":"x\nE-123456\ty"}', r'{"a":"x\n[REDACTED]\ty"}'),
        (r'{"a":"{\"b\":\"File No: AB\/1234\"}"}', r'{"a":"{\"b\":\"File No: [REDACTED]\"}"}'),
        ("a=file+no+ab%2F1234&b=1", "a=file+no+[REDACTED]&b=1"),
        ('{"n": 123456789, "m": [1, 123456789]}', '{"n": "[REDACTED]", "m": [1, "[REDACTED]"]}'),
        ("ghp_" + "Ab1" * 12 + " E-123456", "[REDACTED] [REDACTED]"),
        ("E-123456", "[REDACTED]"),
    ],
)
def test_own_patterns_are_searched_like_the_others(text: str, expected: str) -> None:
    """In what a text says, however short it is; of one with a group only that goes; twice changes
    nothing.
    """
    patterns = SecretPatterns(OWN)
    assert patterns.redact(text.encode()).decode() == expected
    assert patterns.redact(expected.encode()).decode() == expected
    redactor = Redactor(patterns=OWN)
    assert redactor.redact_value(text.encode()).decode() == expected
    assert not redactor.are_clean([text.encode()])


def test_own_patterns_are_found_across_frames() -> None:
    """Of a stream; and in heads and queries."""
    redactor = Redactor(patterns=OWN)
    frames = "".join(
        f'data: {{"delta": {{"content": "{piece}"}}}}\n\n' for piece in ("no E-12", "34", "56 x")
    )
    shown, _ = redactor.redact_body(frames.encode(), b"", b"text/event-stream", False)
    assert b"34" not in shown
    assert redactor.redact_query(b"e=E-123456") == b"e=[REDACTED]"
    assert redactor.redact_head(b"GET /E-123456 HTTP/1.1\r\nX-A: E-123456\r\n\r\n") == (
        b"GET /[REDACTED] HTTP/1.1\r\nX-A: [REDACTED]\r\n\r\n"
    )


def test_a_text_full_of_own_secrets() -> None:
    """As it is of others."""
    assert SecretPatterns(OWN).redact(b"E-123456 " * 3000) == b"[REDACTED] " * 3000


PIECES = (
    *(
        "password = hunter2", "TOKEN=abc123x", "4111 1111 1111 1111", "4111111111111111", "DE89370400440532013000",
        "E-123456",
    ),
    *("Bearer Zq9xWv7uTs5rQp3oNm1l", "://u:p@", "PASSWORD 'x'", "secret: 'a b", "machine h login u password p9x9"),
    *(
        "\\", "\\n", "\\\\n", '\\"', '"', "'", "%", "%0A", "%22", "&amp;", "&", "=", ": ", ", ", "\n", "+", "[", "x",
        "4", "{", "}",
    ),
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_twice_is_once(pieces: list[str]) -> None:
    """Whatever stands beside a secret, and whatever escapes are cut by it."""
    for patterns in (SecretPatterns(), SecretPatterns(OWN)):
        once = patterns.redact("".join(pieces).encode())
        assert patterns.redact(once) == once
