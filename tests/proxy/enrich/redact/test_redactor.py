"""Redaction of heads, queries, forms and windows: no planted secret survives, nothing else is lost."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.names import (
    BUILT_IN,
    ENDINGS,
    HEADER_ENDINGS,
    HEADERS_ONLY,
    PARAMETERS_ONLY,
    QUERY_ONLY,
    normalise,
)
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

SECRET = "hunter2-Zq7Xv9Kw4Jd8"
SECRETS_COMPARED = {
    normalise(name.encode()) for name in (*BUILT_IN, *QUERY_ONLY, *PARAMETERS_ONLY, *HEADERS_ONLY)
}
ENDINGS_COMPARED = tuple(normalise(name.encode()) for name in (*ENDINGS, *HEADER_ENDINGS))


OWN = Redactor()


def is_plain(name: str) -> bool:
    compared = normalise(name.encode())
    if compared in SECRETS_COMPARED or compared.endswith(ENDINGS_COMPARED):
        return False
    # `Cookie0`: digits behind a name say which of several it is.
    return not OWN.is_secret_header(name.encode())


plain_names = st.text(
    "abcdefghijklmnopqrstuvwxyz-_ABCXYZ0123456789", min_size=1, max_size=12
).filter(is_plain)
plain_values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="?#"), max_size=30
)


@st.composite
def secret_names(draw: st.DrawFn, names: tuple[str, ...] = BUILT_IN) -> str:
    """Draw a secret name in some spelling of it."""
    name = draw(st.sampled_from(names)).replace("-", "").replace("_", "")
    spelled = (letter.upper() if draw(st.booleans()) else letter for letter in name)
    return "".join(letter + draw(st.sampled_from(["", "", "", "-", "_"])) for letter in spelled)


def head_of(lines: list[str]) -> bytes:
    """Join a head."""
    return "\r\n".join(lines).encode()


@given(
    st.lists(
        st.one_of(st.tuples(plain_names, plain_values), st.tuples(secret_names(), st.just(SECRET))),
        max_size=12,
    )
)
def test_heads_lose_their_secrets_and_nothing_else(fields: list[tuple[str, str]]) -> None:
    """Secret values are replaced, all other lines stay as they are, twice is the same as once."""
    redactor = Redactor()
    head = head_of(["GET /a?b=c HTTP/1.1", *(f"{name}: {value}" for name, value in fields)])
    shown = redactor.redact_head(head)
    expected = [f"{name}: {'[REDACTED]' if value == SECRET else value}" for name, value in fields]
    assert shown == head_of(["GET /a?b=c HTTP/1.1", *expected])
    assert redactor.redact_head(head) == shown, "from memory"
    assert redactor.redact_head(shown) == shown


@given(st.binary(max_size=400))
def test_any_head_is_taken(head: bytes) -> None:
    """Nothing raises, and a second pass changes nothing."""
    redactor = Redactor()
    shown = redactor.redact_head(head)
    assert redactor.redact_head(shown) == shown


@given(st.data(), st.integers(0, 2))
def test_queries_lose_their_secrets_and_nothing_else(data: st.DataObject, rounds: int) -> None:
    """Secret parameters, percent-encoded or not, lose their value; the others stay byte for byte."""
    parts = []
    expected = []
    for is_secret in data.draw(st.lists(st.booleans(), max_size=8)):
        name = (
            data.draw(secret_names(BUILT_IN + QUERY_ONLY)) if is_secret else data.draw(plain_names)
        )
        for _ in range(rounds):
            name = "".join(
                f"%{ord(letter):02x}" if data.draw(st.booleans()) else letter
                for letter in quote(name, safe="")
            )

        value = SECRET if is_secret else quote(data.draw(plain_values))
        parts.append(f"{name}={value}")
        expected.append(f"{name}=[REDACTED]" if is_secret else parts[-1])

    query = "&".join(parts).encode()
    redacted = "&".join(expected).encode()
    redactor = Redactor()
    assert redactor.redact_query(query) == redacted
    assert redactor.redact_query(redacted) == redacted


@given(
    st.lists(
        st.sampled_from(
            ["a", "a=1", "token", "token=S", "b;token=S", "x?sig=S", "#key=S", "", "%74oken=S"]
        )
    )
)
def test_a_query_without_names_of_secrets_comes_back_itself(parts: list[str]) -> None:
    """Any other is redacted as queries are."""
    redactor = Redactor()
    query = "&".join(parts).encode()
    redacted = redactor.redact_query_names(query)
    assert redacted == redactor.redact_query(query)
    assert (redacted is query) == (redacted == query)


TEXTS = st.sampled_from(
    [
        *(
            b'{"a": 1}',
            b'{"token": 1}',
            b'{"token"',
            b": 1}",
            b"",
            b"Bearer",
            b"0123456789abcdefghij",
            b"plain\n",
        ),
        *(
            b"Bearer 0123456789abcdefghij",
            b"sk-0123456789abcdefghij0123456789",
            b"-----BEGIN PRIVATE KEY-----",
        ),
        *(
            b"ask-0123456789abcdefghij0123456789",
            b"sk-",
            b"http://a:b@c",
            b"\\u0073k",
            b'"password',
            b'":1',
        ),
    ]
)


@given(st.lists(TEXTS, max_size=5))
def test_texts_that_are_clean_together_are_clean_each(texts: list[bytes]) -> None:
    """So that none needs to be searched by itself."""
    redactor = Redactor()
    assert not redactor.are_clean(texts) or all(redactor.are_clean([text]) for text in texts)
    assert not redactor.are_clean([b"{}", b'{ login(password: "x") { id } }'])
    assert redactor.are_clean(
        [text for text in texts if text in (b'{"a": 1}', b"", b"plain\n", b"sk-")]
    )


def test_query_of_any_text_is_taken() -> None:
    """Bytes beyond ASCII, and those of no character, pass through."""
    assert (
        Redactor().redact_query(b"\xc3\xbc=\xed\xa0\x80&token=\xfc")
        == b"\xc3\xbc=\xed\xa0\x80&token=[REDACTED]"
    )


def test_configured_names_are_redacted_where_they_belong() -> None:
    """Headers, query and JSON have lists of their own; forms follow query and JSON."""
    redactor = Redactor(headers=["X-Mine"], query=["q"], json_keys=["my_key"])
    assert redactor.redact_head(b"G\r\nx_mine: S\r\nq: 1") == b"G\r\nx_mine: [REDACTED]\r\nq: 1"
    assert redactor.redact_query(b"q=S&mykey=1&x-mine=2") == b"q=[REDACTED]&mykey=1&x-mine=2"
    assert (
        redactor.redact_body(b'{"myKey": "S", "q": 1}', b"", b"", False)[0]
        == b'{"myKey": "[REDACTED]", "q": 1}'
    )
    form = redactor.redact_body(
        b"q=S&my-key=S&a=1", b"", b"application/x-www-form-urlencoded", False
    )[0]
    assert form == b"q=[REDACTED]&my-key=[REDACTED]&a=1"


FORM = b"application/x-www-form-urlencoded"


def test_tail_keeps_what_is_safe() -> None:
    """Of a long stream's tail only the edge goes: up to the next key or line, or a bounded number
    of bytes.
    """
    redactor = Redactor()
    head, tail = redactor.redact_body(
        b'{"a": "x', b'yz", "usage": {"total": 7}}', b"application/json", True
    )
    assert (head, tail) == (b'{"a": "', b'"usage": {"total": 7}}')
    prose = b"some words of prose " * 100
    assert len(redactor.redact_body(prose, prose, b"text/plain", True)[1]) >= len(prose) - 256 - 10
    token = b"t0k3n." * 200 + b' "rest'
    assert redactor.redact_body(b"x", token, b"text/plain", True)[1] == b' "rest'
    assert redactor.redact_body(b'{"session": {"a": 1', b'2, "b": "S"}}', b"", True) == (
        b'{"session": {"a": ',
        b"",
    )
    assert redactor.redact_body(b'{"token": "a', b"b" * 1000, b"", True)[1] == b""
    assert redactor.redact_body(b"a=1", b"b" * 1000, FORM, True)[1] == b""
    assert redactor.redact_body(b"x ", b"", b"", True) == (b"x ", b"")


@given(
    st.binary(max_size=500),
    st.binary(max_size=500),
    st.sampled_from([b"", FORM, b"multipart/form-data; boundary=B"]),
)
def test_any_body_is_taken(head: bytes, tail: bytes, content_type: bytes) -> None:
    """Nothing raises; a second pass over a whole body changes nothing."""
    redactor = Redactor()
    redactor.redact_body(head, tail, content_type, True)
    shown, _ = redactor.redact_body(head, tail, content_type, False)
    assert redactor.redact_body(shown, b"", content_type, False)[0] == shown


def test_an_argument_that_is_repeated_in_a_header() -> None:
    """A client of MCP does so where the tool's schema says; it is as secret as in the body,
    whatever its value is.
    """
    redactor = Redactor(json_keys=["ssn"])
    head = head_of([
        "POST /mcp HTTP/1.1", "Mcp-Name: login", "Mcp-Param-City: Bern", "Mcp-Param-Password: hunter2",
        "mcp-param-api-key: k1", "Mcp-Param-Ssn: =?base64?MTIz?=", "Ssn: no argument",
    ])  # fmt: skip
    redacted = redactor.redact_head(head)
    assert not any(secret in redacted for secret in (b"hunter2", b"k1", b"MTIz"))
    assert all(
        line in redacted
        for line in (b"Mcp-Name: login", b"Mcp-Param-City: Bern", b"Ssn: no argument")
    )


def test_a_text_that_was_cut_ends_in_no_half_secret() -> None:
    """Names and messages are cut before they are redacted; what is shorter than the limit is whole."""
    redactor = Redactor()
    for half in ("ghp_AbCd0123", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0", "key=AIzaSyA0123"):
        words = "no such user, said the server " * 20
        shown = redactor.redact_text(words[: 255 - len(half)] + " " + half) or ""
        assert shown.endswith("[REDACTED]")
        assert half[-8:] not in shown
        assert redactor.redact_text(f"a short text, {half}") == f"a short text, {half}"

    assert redactor.redact_text("word " * 60) == "word " * 60


@each_of("size", [48, 57, 65, 90, 97, 122])
@each_of(
    ("content_type", "before"),
    [
        (b"application/proto", b"2"), (b"", b"\n"), (b"application/octet-stream", b"\n\x05hello\x12"),
        (b"application/msgpack", b"\x81\xa3key\xd9"), (b"", b"\x81\xa3key\xd9"), (b"application/cbor", b"\xa1\x63keyx"),
        (b"", b"\0\0\0"),
    ],
)  # fmt: skip
def test_a_length_hides_no_token(content_type: bytes, before: bytes, size: int) -> None:
    """Before a text in a binary format stands its length, which may be a letter or a digit."""
    token = ("sk-proj-" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3" * 4)[:size].encode()
    body = before + bytes((size,)) + token
    redacted, _ = Redactor().redact_body(body, b"", content_type, False)
    assert redacted == body.replace(token, b"[REDACTED]")
    assert Redactor().redact_body(redacted, b"", content_type, False)[0] == redacted
