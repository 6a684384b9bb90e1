"""Masked runs: they contain no secret, and unmasking restores the text."""

import base64
import json
import random
import zlib

import pytest

from proxy.enrich.formats.content import content_of
from proxy.enrich.http.bodies import redacted_body
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.redact.masked_runs import mask_runs, masked_text, unmask_runs
from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.redactor import Redactor
from tests.proxy.enrich.redact.secrets import make_further_secrets, make_secrets
from tests.support.cases import each_of

G = random.Random(10)
OCTETS = G.randbytes(3000)
STANDARD = base64.b64encode(OCTETS).decode()
URL = base64.urlsafe_b64encode(OCTETS).decode()
LINES = base64.encodebytes(OCTETS).decode()
SECRETS = make_secrets() | make_further_secrets()
redactor = Redactor()


def redacted(body: bytes, content_type: bytes = b"") -> bytes:
    content = content_of(body, content_type)
    if content == "media":
        return body
    head, tail = redactor.redact_body(body, b"", content_type, False, content=content)
    return head + tail


def test_masked_runs_come_back() -> None:
    """Of any mixture of octets, runs and texts."""
    pieces = [
        OCTETS,
        STANDARD.encode(),
        LINES.encode(),
        b" some text ",
        b"\x00",
        OCTETS.hex().encode(),
        b'"',
        b"\\",
    ]
    for _ in range(200):
        text = b"".join(G.choices(pieces, k=6))
        for content in (None, "octets"):
            masked, runs = mask_runs(text, content)
            assert unmask_runs(masked, runs) == text
            assert len(masked) + sum(map(len, runs)) >= len(text) or not runs


def test_nearly_nothing_is_left_of_runs_and_octets() -> None:
    """Whatever their length, so that a search takes as long."""
    for text in (OCTETS * 20, STANDARD.encode() * 20, base64.encodebytes(OCTETS * 20)):
        assert len(masked_text(text)) < len(text) / 20
    plain = b'{"name": "Ada"}' * 50
    assert masked_text(plain) is plain


@each_of("name", [*SECRETS])
def test_secrets_beside_a_run_are_found(name: str) -> None:
    """Before it, behind it, and where it is in a value beside that of a secret."""
    secret = SECRETS[name]
    for run in (STANDARD, URL, LINES, OCTETS.hex()):
        for place in ('{"image": "%s", "note": "use %s"}', '{"note": "%s", "image": "%s"}'):
            texts = (run, secret) if "use" in place else (secret, run)
            text = place.replace("%s", json.dumps(texts[0])[1:-1], 1).replace(
                "%s", json.dumps(texts[1])[1:-1], 1
            )
            shown = redacted(text.encode(), b"application/json").decode()
            assert json.dumps(secret)[1:-1] not in shown, place
            assert json.dumps(run)[1:-1] in shown
            assert "[REDACTED]" in shown


@each_of("name", [*SECRETS])
def test_secrets_within_a_run_are_found(name: str) -> None:
    """Behind a sign that ends words, wherever: as well as in a text that is no run."""
    secret = SECRETS[name]
    for run, sign in ((STANDARD, "/"), (URL.rstrip("="), "-")):
        for before in (0, 50, 600, 3000):
            text = f'"{run[:before]}{sign}{secret}{sign}{run}"'.encode()
            assert (secret.encode() in redacted(text)) == (
                secret.encode() in SecretPatterns().redact(text)
            ), before


def long_token(size: int = 1200) -> str:
    return base64.urlsafe_b64encode(G.randbytes(size)).decode().rstrip("=")


LONG = {
    "jwt": f"eyJhbGciOiJSUzI1NiJ9.{long_token()}.{long_token(256)}",
    "jwt with a long head": f"eyJ{long_token(900)}.{long_token()}.{long_token(256)}",
    "1password": f"ops_eyJ{long_token()}",
    "grafana": f"glc_eyJ{long_token()}",
    "facebook": "EAA" + "".join(G.choices("ABCDEFabcdef0123456789xyzXYZ", k=600)),
    "aws session": "IQoJb3JpZ2luX2Vj" + base64.b64encode(G.randbytes(900)).decode(),
    "bearer": f"Bearer {long_token()}",
    "basic": "Basic "
    + base64.b64encode(b"c" * 300 + b":" + G.randbytes(90).hex().encode()).decode(),
    "basic in a field": "_auth="
    + base64.b64encode(b"c" * 300 + b":" + G.randbytes(90).hex().encode()).decode(),
    "pem": "-----BEGIN PRIVATE KEY-----\n" + LINES + "-----END PRIVATE KEY-----",
    "pem in base64": base64.b64encode(
        b"-----BEGIN RSA PRIVATE KEY-----\n%b" % base64.encodebytes(OCTETS)
    ).decode(),
    "certificate and key": base64.b64encode(
        b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n%b"
        % (base64.encodebytes(OCTETS), base64.encodebytes(OCTETS))
    ).decode(),
    "docker": base64.b64encode(
        b'{"auths":{"x":{"auth":"%b"}}}' % G.randbytes(400).hex().encode()
    ).decode(),
    "assignment": f"client_secret={STANDARD}",
    "behind a name": f"{URL.rstrip('=')}-password=hunter2hunter2",
}


@each_of("name", [*LONG])
def test_long_secrets_go_whole(name: str) -> None:
    """Nothing of them is left but the word that says what it was: in text, JSON, JSON in JSON."""
    secret = LONG[name]
    kept = URL if name == "behind a name" else ""
    words = [secret[at : at + 24] for at in range(24, len(secret) - 24, 16)]
    words = [
        word
        for word in words
        if word not in kept and "\n" not in word and "CERTIFICATE" not in word
    ]

    written = secret, json.dumps(secret), json.dumps(json.dumps({"a": [secret]}))
    for text in written:
        shown = redacted(
            b'{"note": %b}' % text.encode() if text[0] == '"' else b"see %b here" % text.encode()
        )
        assert b"[REDACTED]" in shown
        assert [word for word in words if word.encode() in shown] == []


@each_of("name", ["password", "SAMLResponse_secret", "clientSecret"])
def test_what_has_a_secret_name_goes_whole(name: str) -> None:
    """However long; what follows it stays."""
    for value in (STANDARD, URL, LINES, OCTETS.hex()):
        text = json.dumps({name: value, "image": value})
        assert json.loads(redacted(text.encode(), b"application/json")) == {
            name: "[REDACTED]",
            "image": value,
        }


def test_octets_keep_their_texts_searched() -> None:
    """Strings of formats of programs, parts of a form, a picture with a text behind it, a picture
    that is none.
    """
    token = b"ghp_" + b"a1B2c3D4e5F6" * 3
    picture = b"\x89PNG\r\n\x1a\n" + OCTETS
    part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    form = (
        part % (b"file", picture)
        + part % (b"password", b"hunter2")
        + part % (b"note", b"use " + token)
        + b"--b--"
    )

    bodies = {
        OCTETS + b"\x12\x28" + token + b"\x18\x01" + OCTETS: b"application/x-protobuf",
        OCTETS + b"\x12\x04note" + token + OCTETS: b"",
        form: b"multipart/form-data; boundary=b",
        picture[:500] + b" then " + token * 20: b"image/png",
        b"GIF89a; token=" + token: b"image/gif",
        b"<svg><text>" + token + b"</text></svg>": b"image/svg+xml",
        b'{"a": "\x00", "b": "' + OCTETS + b'", "token": "' + token + b'"}': b"application/json",
    }
    for body, content_type in bodies.items():
        shown = redacted(body, content_type)
        assert token not in shown
        assert b"hunter2" not in shown
        assert b"[REDACTED]" in shown

    assert redacted(form, b"multipart/form-data; boundary=b").startswith(part % (b"file", picture))


@each_of(
    "content_type",
    [b"image/png", b"", b"application/octet-stream", b"multipart/form-data; boundary=b"],
)
def test_octets_stay_as_they_are(content_type: bytes) -> None:
    """Of pictures, archives, forms with files."""
    picture = b"\x89PNG\r\n\x1a\n" + zlib.compress(OCTETS * 3)
    for body in (
        picture,
        OCTETS,
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + picture + b"\r\n--b--",
    ):
        assert redacted(body, content_type) == body


def test_windows_of_octets() -> None:
    """Of a body that was cut."""
    token = b"ghp_" + b"a1B2c3D4e5F6" * 3
    head, tail = redactor.redact_body(
        OCTETS + b"\0" + token + b"\0" + OCTETS, OCTETS, b"", True, content="octets"
    )
    assert token not in head + tail
    assert OCTETS in head
    picture = DecodedBody(b"\x89PNG\r\n\x1a\n" + OCTETS, OCTETS, 90_000, True, None, 90_000, True)
    stored = redacted_body(picture, b"", redactor, 20_000)
    assert (stored.head, stored.tail, stored.content) == (picture.head, picture.tail, "media")


def test_octets_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 KiB of a picture by no pattern; of other octets a fiftieth, in a few searches, and so of
    base64.
    """
    asked: list[int] = []

    def look(text: bytes) -> bool:
        asked.append(len(text))
        return False

    own = Redactor()
    monkeypatch.setattr(Redactor, "_may_hold", lambda _, text: look(text))
    monkeypatch.setattr(SecretPatterns, "may_hold", lambda _, text: look(text))
    body = G.randbytes(65_536)
    picture = DecodedBody(b"\x89PNG\r\n\x1a\n" + body, b"", 65_544, False, None, 65_544, True)
    assert redacted_body(picture, b"image/png", own, 1 << 20).head is picture.head
    assert asked == []
    own.redact_body(body, b"", b"", False, content="octets")
    own.redact_body(
        json.dumps({"a": base64.b64encode(body).decode()}).encode(), b"", b"application/json", False
    )
    assert sum(asked) < 65_536 / 20
