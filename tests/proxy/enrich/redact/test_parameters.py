"""Parameters of queries and forms, by name."""

import json
from urllib.parse import quote, unquote_plus, urlencode

import pytest

from proxy.enrich.http.request_lines import RequestLineReader
from proxy.enrich.redact.names import BUILT_IN, SecretNames, parameter_parts
from proxy.enrich.redact.parameters import redact_parameters
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of


@each_of(
    ("text", "expected"),
    [
        (b"a=1&token=x&b=2", b"a=1&token=[REDACTED]&b=2"),
        (b"a=1;token=x;b=2&c=3", b"a=1;token=[REDACTED]&c=3"),
        (b"db=x&u=admin&p=hunter2", b"db=x&u=admin&p=[REDACTED]"),
        (b"p=hunter2&u=admin", b"p=[REDACTED]&u=admin"),
        (b"u=bob&p=12", b"u=bob&p=12"),
        (b"q=hats&p=hunter2", b"q=hats&p=hunter2"),
        (b"code=4/0AbCdEfGhIj&state=x", b"code=[REDACTED]&state=x"),
        (
            b"grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA",
            b"grant_type=authorization_code&code=[REDACTED]",
        ),
        (b"code=4/0AbCdEfGhIj&scope=x", b"code=[REDACTED]&scope=x"),
        (b"code=94103&state=CA", b"code=94103&state=CA"),
        (b"code=SplxlOBeZQQYbYS6WxSbIA&x=1", b"code=SplxlOBeZQQYbYS6WxSbIA&x=1"),
        (b"nothing", b"nothing"),
    ],
)
def test_by_name(text: bytes, expected: bytes) -> None:
    """A password is one by its name, or beside the user it belongs to."""
    names = SecretNames(BUILT_IN, parts_of=parameter_parts)
    assert redact_parameters(text, names) == expected
    assert Redactor().redact_query_names(text) == expected
    assert Redactor().redact_query(text) == expected


def test_pass_is_a_password_but_in_json() -> None:
    """There it counts what did not fail."""
    redactor = Redactor()
    assert redactor.redact_query(b"user=a&pass=b") == b"user=a&pass=[REDACTED]"
    form = b"application/x-www-form-urlencoded"
    assert (
        redactor.redact_body(b"user=a&pass=b", b"", form, is_truncated=False)[0]
        == b"user=a&pass=[REDACTED]"
    )

    for document in (b'{"pass": 3}', b'{"assertion": "a equals b"}'):
        assert (
            redactor.redact_body(document, b"", b"application/json", is_truncated=False)[0]
            == document
        )

    assert redactor.redact_query(b"assertion=PHNhbWw&a=b") == b"assertion=[REDACTED]&a=b"


@pytest.mark.parametrize("has_user", [False, True])
def test_many_short_names_are_linear(has_user: bool) -> None:
    """A target of 8 KiB took 0.15 s, a form of 256 KiB minutes: each `p` looked through all parts
    for its user.
    """
    text = b"a=1&" + b"p=hunter2&" * 100_000 + b"u=a" * has_user
    redacted = redact_parameters(text, SecretNames(BUILT_IN, parts_of=parameter_parts))
    assert redacted.count(b"hunter2") == (0 if has_user else 100_000)


HELD = {
    "json": json.dumps({"a": 1, "password": "hunter2"}),
    "json in json": json.dumps({"a": json.dumps({"token": "hunter2"})}),
    "url": "https://x.test/a?pwd=hunter2&b=1",
    "fragment": "https://x.test/a#id_token=hunter2",
    "form": "b=1&passwd=hunter2",
}


@each_of("held", HELD)
@each_of("rounds", [0, 1, 2])
def test_what_a_value_holds_is_redacted_by_name(held: str, rounds: int) -> None:
    """JSON, a URL or a form within a parameter, as Slack's payloads and variables of GraphQL;
    encoded again.
    """
    value = HELD[held]
    for _ in range(rounds):
        value = quote(value)
    text = urlencode({"x": "1 2", "payload": value, "y": "%3D"}).encode()
    redactor = Redactor()
    query = redactor.redact_query(text)
    form, _ = redactor.redact_body(
        text, b"", b"application/x-www-form-urlencoded", is_truncated=False
    )
    line = RequestLineReader(redactor).read(b"GET /a?%b HTTP/1.1" % text)

    without_patterns = RequestLineReader(Redactor(patterns=False)).read(
        b"GET /a?%b HTTP/1.1" % text
    )
    for shown in (query.decode(), form.decode(), line.query or "", without_patterns.query or ""):
        assert "hunter2" not in shown
        assert shown.startswith("x=1+2&payload=")
        assert shown.endswith("&y=%253D")
        plain = shown
        for _ in range(rounds + 1):
            plain = unquote_plus(plain)
        assert "[REDACTED]" in plain
        assert redactor.redact_query(shown.encode()).decode() == shown


def test_json_in_a_query_need_not_be_encoded() -> None:
    """Many servers take it."""
    assert Redactor().redact_query(b'q={"pwd":"a","b":1}') == b'q={"pwd":"[REDACTED]","b":1}'


def test_what_a_value_holds_without_names_stays() -> None:
    """Byte for byte, however it is encoded."""
    for text in (
        b"a=%7b%22b%22%3a+1%7d&c=d%3De",
        b"next=https%3A%2F%2Fx%3Fa%3Db%20c",
        b"a=%22%3",
        b"%22=%3D",
    ):
        assert Redactor().redact_query(text) == text


def test_hostile_encodings_are_linear() -> None:
    """Whatever is encoded how often."""
    for piece in (
        b"a=%22&",
        b"a=%25252522",
        b"%25",
        b"a=%3D%2522password%2522%253A&",
        b"query=%22&",
        b"a=%26%3D",
    ):
        text = piece * (300_000 // len(piece))
        assert len(Redactor().redact_query(text)) <= 3 * len(text)
