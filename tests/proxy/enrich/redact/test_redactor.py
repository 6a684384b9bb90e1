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


@each_of(
    ("head", "expected"),
    [
        (b"GET /?token=S HTTP/1.1\r\nA: b", b"GET /?token=[REDACTED] HTTP/1.1\r\nA: b"),
        (b"GET /?key=S&a=1#token=S HTTP/1.1\r\n", b"GET /?key=[REDACTED]&a=1#token=[REDACTED] HTTP/1.1\r\n"),
        (b"GET /?token=S", b"GET /?token=[REDACTED]"),
        (b"GET /?token=S S\r\nA: b", b"GET /?token=[REDACTED]\r\nA: b"),
        (b"GET /?a=1;token=S HTTP/1.1\r\n", b"GET /?a=1;token=[REDACTED] HTTP/1.1\r\n"),
        (b"GET /a;v=1;token=S/b;sig=S?c HTTP/1.1\r\n", b"GET /a;v=1;token=[REDACTED]/b;sig=[REDACTED]?c HTTP/1.1\r\n"),
        (b"GET /#access_token=S HTTP/1.1\r\n", b"GET /#access_token=[REDACTED] HTTP/1.1\r\n"),
        (b"\r\nGET /?token=S HTTP/1.1\r\n", b"\r\nGET /?token=[REDACTED] HTTP/1.1\r\n"),
        (b"HTTP/1.1 200 OK?\r\nSet-Cookie: S", b"HTTP/1.1 200 OK?\r\nSet-Cookie: [REDACTED]"),
        (b"G\r\nCookie:S\r\n S\r\n\tS\r\nB: c", b"G\r\nCookie: [REDACTED]\r\n [REDACTED]\r\n [REDACTED]\r\nB: c"),
        (b"G\nCookie: S\nB: c\n\n", b"G\nCookie: [REDACTED]\nB: c\n\n"),
        (b"G\r\nA: b\rCookie: S\rS\r\n", b"G\r\nA: b\rCookie: [REDACTED]\r [REDACTED]\r\n"),
        (b"G /\nCookie: S\r\nB: c", b"G /\nCookie: [REDACTED]\r\nB: c"),
        (b"G\r\nCookie : S\r\n", b"G\r\nCookie : [REDACTED]\r\n"),
        (b"G\r\n Cookie: S\r\n", b"G\r\n Cookie: [REDACTED]\r\n"),
        (
            b"G\r\nReferer: http://a/?x=1&token=S'S#sig=S\r\nLink: <http://a/?sig=S>; rel=next",
            b"G\r\nReferer: http://a/?x=1&token=[REDACTED]\r\nLink: <http://a/?sig=[REDACTED]>; "
            b"rel=next",
        ),
        (b"G\r\nHost: user:S=S@a:80\r\nB: c@d", b"G\r\nHost: [REDACTED]@a:80\r\nB: c@d"),
        (b"G\r\n:authority: user:S=S@a b\r\nB: c", b"G\r\n:authority: [REDACTED]@a b\r\nB: c"),
        (b"G\r\n:authorization: =S\r\n =S", b"G\r\n:authorization: [REDACTED]\r\n [REDACTED]"),
        (b'G\r\nX-Who: {"token": "=S", "a": 1}\r\n', b'G\r\nX-Who: {"token": "[REDACTED]", "a": 1}\r\n'),
        (b"G\r\nX-Auth: a=S\r\nX-Cookie: a=S\r\n", b"G\r\nX-Auth: [REDACTED]\r\nX-Cookie: [REDACTED]\r\n"),
        (b"GET /a;jsessionid=S?sid=S HTTP/1.1\r\n", b"GET /a;jsessionid=[REDACTED]?sid=[REDACTED] HTTP/1.1\r\n"),
        (b"", b""),
    ],
)  # fmt: skip
def test_odd_heads(head: bytes, expected: bytes) -> None:
    """Broken request lines, odd line ends, folded values, URLs in values."""
    redactor = Redactor()
    shown = redactor.redact_head(head)
    assert shown == expected
    assert b"=S" not in shown
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


def test_paths_lose_the_secrets_of_their_parameters() -> None:
    """Parameters of segments and of a fragment; a path without them comes back itself."""
    redactor = Redactor()
    assert (
        redactor.redact_path(b"/a;Token=S;v=1/b#a=1&sig=S/S")
        == b"/a;Token=[REDACTED];v=1/b#a=1&sig=[REDACTED]"
    )
    path = b"/plain/path=1"
    assert redactor.redact_path(path) is path


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


@each_of(
    ("body", "content_type", "expected"),
    [
        (b"a=1&password=S&b=2", FORM, b"a=1&password=[REDACTED]&b=2"),
        (b"a=1&password=S", b"", b"a=1&password=[REDACTED]"),
        (b"password=S\r\n", b"text/plain", b"password=[REDACTED]"),
        (b"key=k&a=1", FORM, b"key=k&a=1"),
        (b'{"password": "a&token=S"}', FORM, b'{"password": "[REDACTED]"}'),
        (b'{"q": "a&token=b"}', FORM, b'{"q": "a&token=b"}'),
        (b'{"password": "S"}', b"image/png", b'{"password": "[REDACTED]"}'),
        (
            b'data: {"token": "S"}\n\n: c\n\n',
            b"text/event-stream",
            b'data: {"token": "[REDACTED]"}\n\n: c\n\n',
        ),
        (b"plain words, password = none", b"text/plain", b"plain words, password = none"),
        (b"\x00\xff" * 50, b"application/octet-stream", b"\x00\xff" * 50),
        (b"", b"application/json", b""),
    ],
)
def test_whole_bodies(body: bytes, content_type: bytes, expected: bytes) -> None:
    """Each kind of body is read by its kind; the content type is not believed against the body."""
    redactor = Redactor()
    assert redactor.redact_body(body, b"", content_type, False) == (expected, b"")
    assert redactor.redact_body(expected, b"", content_type, False) == (expected, b"")


def test_windows_that_meet_are_one_body() -> None:
    """Without a gap a secret that lies across both windows is found, and the tail is part of the
    head.
    """
    body = b'{"a": 1, "password": "' + SECRET.encode() + b'"}'
    for cut in range(len(body)):
        assert Redactor().redact_body(body[:cut], body[cut:], b"", False) == (
            b'{"a": 1, "password": "[REDACTED]"}',
            b"",
        )


def survivors(text: bytes) -> list[str]:
    """Pieces of the secret, of 6 characters or more, that are in a text."""
    return [SECRET[i : i + 6] for i in range(len(SECRET) - 5) if SECRET[i : i + 6].encode() in text]


@each_of(
    ("template", "content_type"),
    [
        ('{"first": [1, 2], "password": "%s", "last": {"x": "y"}, "end": 1}', b"application/json"),
        ('{"arguments": "{\\"password\\": \\"%s\\", \\"x\\": 1}", "end": 1}', b"application/json"),
        ('{"password": "%s and blanks, and commas", "end": 1}', b"application/json"),
        ('data: {"token": "%s"}\n\ndata: {"a": 1}\n\n', b"text/event-stream"),
        ("first=1&password=%s&end=1", FORM),
        ("first=1&end=1&password=%s", FORM),
        (
            '--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
            '--B\r\nContent-Disposition: form-data; name="password"\r\n\r\n%s\r\n--B--\r\n',
            b"multipart/form-data; boundary=B",
        ),
    ],
)
def test_no_half_secret_survives_at_the_edge_of_a_window(
    template: str, content_type: bytes
) -> None:
    """Wherever head window and tail window end and begin, no piece of the secret is kept."""
    body = (template % SECRET).encode()
    redactor = Redactor()
    for end in range(1, len(body)):
        for start in range(end + 1, len(body), 3):
            head, tail = redactor.redact_body(body[:end], body[start:], content_type, True)
            assert survivors(head + b"|" + tail) == [], (end, start)


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
