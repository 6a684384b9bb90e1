"""Fields of whose values something stays: names and attributes do, values and tokens go, and what
may be one too.
"""

import base64
import json

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.enrich.redact.fields import redact_cookies, redact_set_cookie, redact_subprotocols
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

S = b"S3CRET"
M = b"[REDACTED]"
CASES = [
    (b"a=S3CRET", b"a=R"),
    (b" a=S3CRET;b=S3CRET;  _c-d.1=", b"a=R; b=R; _c-d.1=R"),
    (b"a=S3CRET=; b=x==S3CRET", b"a=R; b=R"),
    (b"S3CRET", b"R"),
    (b"a=1; S3CRET; b=2", b"a=R; R; b=R"),
    (b'a="x;S3CRET=;S3CRET"; b=1', b"a=R; b=R"),
    (b'a="x;S3CRET=1', b"R"),
    (b'b=1; a="x;S3CRET=1', b"b=R; R"),
    (b"a b=S3CRET", b"R"),
    (b"=S3CRET", b"R"),
    (b"S3CRET%b=x" % (b"." * 64), b"R"),
    (b"a=1, S3CRET=2", b"a=R"),
    (b"[REDACTED]", b"R"),
    (b"", b"R"),
    (b" ; ", b"R"),
]
TOKEN = b"sk-proj-aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9d"
_JSON = base64.b64encode(
    json.dumps({"session_id": "4qB25zPpzwvreveRTA7R9VoP", "expiry": 1795409243}).encode()
)
_HEX = b"c25dcefbe4abc3f524b7eb93b9402f55"
ATTRIBUTES = (
    *(
        b"Secure",
        b"HttpOnly",
        b"Partitioned",
        b"Path=/app/x",
        b"Domain=.example.com",
        b"Max-Age=-1",
    ),
    *(
        b"SameSite=Lax",
        b"Priority=High",
        b"Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        b"expires=Wed, 21-Oct-26 07:28:00 GMT",
    ),
)


@each_of(("value", "expected"), CASES)
def test_names_of_cookies_stay(value: bytes, expected: bytes) -> None:
    """Only where they are evidently names; redacting twice changes nothing."""
    redacted = redact_cookies(value)
    assert redacted == expected.replace(b"R", M)
    assert redact_cookies(redacted) == redacted
    assert S not in redacted


@each_of("attribute", ATTRIBUTES)
def test_attributes_of_a_cookie_stay(attribute: bytes) -> None:
    """They say what a browser does with it, and are the same for everybody."""
    redacted = redact_set_cookie(b"sid=S3CRET; %b; Secure" % attribute)
    assert redacted == b"sid=[REDACTED]; %b; Secure" % attribute
    assert redact_set_cookie(redacted) == redacted


@each_of(
    ("value", "expected"),
    [
        (b"Secure=S3CRET; Secure", b"Secure=R; Secure"),
        (b"Secure; Secure", b"R; Secure"),
        (b"a=S3CRET; Path=/, b=S3CRET; HttpOnly", b"a=R; Path=R; HttpOnly"),
        (b"a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT, b=S3CRET", b"a=R; Expires=R"),
        (
            b"a=1; Domain=S3CRET_; Max-Age=S3CRET; x=S3CRET; S3CRET",
            b"a=R; Domain=R; Max-Age=R; x=R; R",
        ),
        (b'a="1; Path=/; S3CRET', b"R"),
        (b"", b"R"),
    ],
)
def test_what_is_no_attribute_goes(value: bytes, expected: bytes) -> None:
    """A list of cookies in one field, and whatever only looks like one."""
    redacted = redact_set_cookie(value)
    assert redacted == expected.replace(b"R", M)
    assert S not in redacted


@each_of(
    ("line", "expected"),
    [
        ("Referer: https://h/a;token=S3CRET", "Referer: https://h/a;token=[REDACTED]"),
        (
            "location:/cb;token=S3CRET/b?c=d;token=S3CRET",
            "location:/cb;token=[REDACTED]/b?c=d;token=[REDACTED]",
        ),
        ('Link: </a;api_key=S3CRET>; rel="next"', 'Link: </a;api_key=[REDACTED]>; rel="next"'),
        ("X-Original-URI: /a;v=1;password=S3CRET", "X-Original-URI: /a;v=1;password=[REDACTED]"),
        ("Accept: text/html;token=1", "Accept: text/html;token=1"),
    ],
)
def test_parameters_of_paths_in_urls_are_those_of_the_target(line: str, expected: str) -> None:
    """In fields that hold URLs; elsewhere a semicolon has another meaning."""
    assert (
        Redactor().redact_head(f"GET / HTTP/1.1\r\n{line}".encode()).decode()
        == f"GET / HTTP/1.1\r\n{expected}"
    )


def test_cookies_of_a_head() -> None:
    """In any spelling of the fields; a name that looks like a key goes by its looks."""
    key = b"sk-ant-api03-" + b"aB3dE5gH7jK9" * 4
    redactor = Redactor()
    head = (
        b"GET / HTTP/1.1\r\nCookie: a=S3CRET; b=1\r\nset_cookie:c=S3CRET; Secure\r\nCookie: "
        b"%b=1\r\n\r\n" % key
    )
    redacted = redactor.redact_head(head)
    assert (
        b"\r\nCookie: a=[REDACTED]; b=[REDACTED]\r\nset_cookie: c=[REDACTED]; Secure\r\n"
        in redacted
    )
    assert S not in redacted
    assert key not in redacted
    assert key not in redactor.redact_field(b"Cookie: %b=1" % key)
    assert redactor.redact_head(redacted) == redacted


@given(
    st.lists(
        st.sampled_from([S, b"=", b";", b'"', b" ", b",", b"a", b"Path=/", b"\\"]), max_size=12
    ).map(b"".join)
)
@example(b"a;Path=/S3CRET")
def test_no_value_survives(value: bytes) -> None:
    """A secret stays only where the name of a cookie is expected, alone before the first equals
    sign, or in a path.
    """
    cookie = redact_cookies(value).split(b"; ")
    set_cookie = redact_set_cookie(value).split(b"; ")
    for piece in (
        *cookie,
        set_cookie[0],
        *(piece for piece in set_cookie[1:] if not piece.startswith(b"Path=/")),
    ):
        name, _, rest = piece.partition(b"=")
        assert S not in rest
        assert S not in name or rest == M


@each_of(
    "value",
    [
        *(
            b"graphql-transport-ws",
            b"mqtt, mqttv3.1",
            b"v1.kernel.websocket.jupyter.org",
            b"ocpp1.6, ocpp2.0.1",
        ),
        *(
            b"v5.channel.k8s.io, v4.channel.k8s.io",
            b"wamp.2.msgpack.batched",
            b"actioncable-v1-json",
            b"binary, base64",
        ),
        *(b"realtime, openai-beta.realtime-v1", b"vnd.example.notification-stream.v2", b""),
    ],
)
def test_names_of_subprotocols_stay(value: bytes) -> None:
    """Byte for byte."""
    assert redact_subprotocols(value) == value


@each_of(
    ("value", "expected"),
    [
        (b"bokeh, " + _JSON, b"bokeh, [REDACTED]"),
        (b"streamlit, 2|3ead2153|" + _HEX + b"|1795408934", b"streamlit, [REDACTED]"),
        (b"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io." + _JSON,
         b"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.[REDACTED]"),
        (b"v1.token.websocket.jupyter.org." + _HEX, b"v1.token.websocket.jupyter.org.[REDACTED]"),
        (b"x7Gh29LqW1", b"[REDACTED]"),
        (b"a" * 65, b"[REDACTED]"),
    ],
)  # fmt: skip
def test_tokens_among_subprotocols_go(value: bytes, expected: bytes) -> None:
    """The name before a token stays; redacting twice changes nothing."""
    assert redact_subprotocols(value) == expected
    assert redact_subprotocols(expected) == expected


def test_subprotocols_of_a_head() -> None:
    """In either spelling of the name, as one of many lines."""
    head = b"GET /ws HTTP/1.1\r\nHost: a\r\nsec-websocket-protocol: bokeh, " + _JSON + b"\r\nA: b"
    assert Redactor().redact_head(head) == (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nsec-websocket-protocol: bokeh, [REDACTED]\r\nA: b"
    )


@each_of(
    ("line", "expected"),
    [
        (b"x-api-key-bin: UzNDUkVU", b"x-api-key-bin: R"),
        (b"Authorization-Bin: UzNDUkVU, UzNDUkVU", b"Authorization-Bin: R"),
        (b"x-note-bin: AAAA," + base64.b64encode(TOKEN) + b",AAA=", b"x-note-bin: AAAA,R,AAA="),
        (b"x-note-bin:" + base64.urlsafe_b64encode(b"\xff\xfe\xff" + TOKEN), b"x-note-bin:R"),
        (b"x-note-bin: " + base64.b64encode(TOKEN) + b"A", b"x-note-bin: R"),
        (
            b"x-note-bin: " + base64.b64encode(b'{"password": "S3CRET"}').rstrip(b"="),
            b"x-note-bin: R",
        ),
        (b"x-note-bin: " + base64.b64encode(b"\x123" + TOKEN), b"x-note-bin: R"),
        (b"x-note-bin: " + base64.b64encode(b"23" + TOKEN), b"x-note-bin: R"),
        (b"x-note-bin: " + base64.b64encode(b"\x123risk-averse-people"), None),
        (b"x-note-bin: A", None),
    ],
)
def test_binary_metadata_is_looked_into(line: bytes, expected: bytes | None) -> None:
    """By name, by what it says in either alphabet of base64, and whatever the length before a text
    looks like.
    """
    redacted = Redactor().redact_field(line)
    assert redacted == (line if expected is None else expected.replace(b"R", M))
    assert Redactor().redact_head(b"GET / HTTP/1.1\r\n" + line) == b"GET / HTTP/1.1\r\n" + redacted


def test_json_that_is_percent_encoded_is_redacted_in_fields() -> None:
    """As in `grpc-message`; what has none of it stays as it was sent."""
    redact = Redactor().redact_field
    line = b"grpc-message: %7B%22password%22%3A%22S3CRET%22%2C%22a%22%3A1%7D"
    assert redact(line) == b"grpc-message: %7B%22password%22%3A%22[REDACTED]%22%2C%22a%22%3A1%7D"
    assert (
        redact(b"grpc-message: no%20such%20%22file%22") == b"grpc-message: no%20such%20%22file%22"
    )


def test_a_name_that_is_excepted_makes_no_secret_of_a_field() -> None:
    """Also where patterns judge by it; what is a secret by its form goes there, too."""
    redactor = Redactor(excepted=["x-csrf-token", "cookie", "X_Api_Key"])
    lines = b"X-CSRF-Token: abc123def45\r\nCookie: a=bcdefg\r\nx-api-key: abc123def45"
    assert redactor.redact_head(b"GET / HTTP/1.1\r\n" + lines) == b"GET / HTTP/1.1\r\n" + lines
    for line in lines.split(b"\r\n"):
        assert redactor.redact_field(line) == line
    assert redactor.redact_field(b"X-Api-Key: " + TOKEN) == b"X-Api-Key: [REDACTED]"
    assert redactor.redact_field(b"X-Api-Token: abc123def45") == b"X-Api-Token: [REDACTED]"
