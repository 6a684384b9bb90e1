"""Where in a text as it was sent something is taken out, and by which rule."""

import base64
import json
import random
from functools import partial
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.edits import Hits
from proxy.enrich.redact.explain import Found, explain
from proxy.enrich.redact.redactor import Redactor
from tests.proxy.enrich.llm.test_bedrock import KIND, invoked
from tests.proxy.enrich.redact.patterns.test_secrets import PIECES
from tests.proxy.enrich.redact.secrets import make_secrets
from tests.support.cases import each_of

GITHUB = make_secrets()["github"]
IBAN = "DE89 3704 0044 0532 0130 00"
FORM = "application/x-www-form-urlencoded"


def make(hits: Hits) -> Redactor:
    return Redactor(hits=hits)


def taken(text: str, content_type: str) -> list[tuple[str, str]]:
    """Explain a text; return what stands where something is taken out, with its rule."""
    lines = [line.decode(errors="replace") for line in text.encode().splitlines(keepends=True)]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    whole = "".join(lines)
    found = explain(make, text.encode(), content_type.encode()).found
    places = [(starts[each.line - 1] + each.column - 1, each) for each in found]
    return [(whole[start : start + each.length], each.rule) for start, each in places]


def json_in_json(depth: int) -> str:
    """Write a secret as deep."""
    text = json.dumps({"password": 'a"b', "n": GITHUB})
    for _ in range(depth):
        text = json.dumps({"a": text})
    return text


@each_of(
    ("content_type", "text", "expected"),
    [
        ("text/plain", "nothing here", []),
        (
            "text/plain",
            f"see {GITHUB} and\nexport DB_PASSWORD=hunter22x; {IBAN} é 4111111111111111",
            [(GITHUB, "github-token"), ("hunter22x", "name:db_password"), (IBAN, "iban"),
             ("4111111111111111", "card-number")],
        ),
        ("application/json", '{"pin": 1234, "a": [4111111111111111]}',
         [("1234", "name:pin"), ("4111111111111111", "card-number")]),
        ("application/json", json_in_json(0), [(r"a\"b", "name:password"), (GITHUB, "github-token")]),
        ("application/json", json_in_json(1), [(r"a\\\"b", "name:password"), (GITHUB, "github-token")]),
        ("application/json", json_in_json(2), [(r"a\\\\\\\"b", "name:password"), (GITHUB, "github-token")]),
        # The same secret twice, by two rules of which the later one is asked first.
        (
            "application/json",
            json.dumps({"note": GITHUB, "secret": {"a": GITHUB, "b": ["x", "y"]}, "z": GITHUB}),
            [(GITHUB, "github-token"), (GITHUB, "name:secret"), ("x", "name:secret"), ("y", "name:secret"),
             (GITHUB, "github-token")],
        ),
        (FORM, f"has_password=x&password=x&b={GITHUB}", [("x", "name:password"), (GITHUB, "github-token")]),
        (FORM, "a=1&password=x&password=x&c=;token=y;b=1&d=2",
         [("x", "name:password"), ("x", "name:password"), ("y;b=1", "name:token")]),
        (FORM, "u=" + quote_plus('{"password": "a b"}') + "&url=" + quote("https://x/?api_key=hunter2000&b=c", safe=""),
         [("a+b", "name:password"), ("hunter2000", "name:api_key")]),
        (FORM, "u=" + quote_plus("x=" + quote_plus('{"token": "a/b"}')), [("a%252Fb", "name:token")]),
        (FORM, "u=%7B%22%61%22%3A1%7D&v=%3d", []),
        (FORM, "query=" + quote_plus('mutation($p: String) { login(password: "hunter2", pin: $p) }') + "&variables="
         + quote_plus('{"p": "1 2"}'), [("hunter2", "name:password"), ("1+2", "name:p")]),
        ("application/yaml", "password: hunter2\ntoken: |\n  abc\n  def\nz: 1\n",
         [("hunter2", "name:password"), ("|\n  abc\n  def", "name:token")]),
        ("application/toml", '[db.secret]\na = 1\n[x]\npassword = "y"\n',
         [("a = 1", "name:secret"), ("y", "name:password")]),
        ("text/xml", "<a><password>hunter2</password><b token='k3yX9q2w'/></a>",
         [("hunter2", "name:password"), ("k3yX9q2w", "name:token")]),
        ("text/csv", 'a,password\r\n1,x\r\n2,"y z"\r\n', [("x", "name:password"), ("y z", "name:password")]),
        (
            "message/http",
            "POST /a;sid=1?token=abc HTTP/1.1\r\nHost: bob@example.com\r\nCookie: a=1; b=2\r\n"
            f'Authorization: Basic x\r\n y\r\nX: {GITHUB}\r\n\r\n{{"password": "z"}}',
            [("1", "name:sid"), ("abc", "name:token"), ("bob", "url-password"), ("1", "name:cookie"),
             ("2", "name:cookie"), ("Basic x", "name:authorization"), ("y", "name:authorization"),
             (GITHUB, "github-token"),
             ("z", "name:password")],
        ),
    ],
)  # fmt: skip
def test_places_are_those_of_the_text_as_sent(
    content_type: str, text: str, expected: list[tuple[str, str]]
) -> None:
    """Of a value all that stands for it, escapes included; without the quotes around it."""
    assert taken(text, content_type) == expected


def test_lines_and_columns_are_those_of_an_editor() -> None:
    """Both from 1 on; of characters, whatever the charset; a byte order mark is none."""
    text = f"é€😀\n\tü {GITHUB}\r\npassword=hunter22 x"
    expected = [Found(2, 4, 40, "github-token"), Found(3, 10, 8, "name:password")]
    assert explain(make, text.encode()).found == expected
    assert explain(make, text.encode("utf-16"), b"text/plain").found == expected
    assert explain(make, text.encode("utf-8-sig")).found == expected
    latin = f"é {GITHUB}".encode("latin-1")
    assert explain(make, latin, b"text/plain; charset=iso-8859-1").found == [
        Found(1, 3, 40, "github-token")
    ]
    assert explain(make, b"\x80\x81 " + GITHUB.encode(), b"text/plain").found == [
        Found(1, 4, 40, "github-token")
    ]


def test_secrets_in_base64_are_where_it_is() -> None:
    """Known by its beginning, below a name although its middle is set aside, and within documents
    of events.
    """
    pem = base64.b64encode(b"-----BEGIN EC PRIVATE KEY-----\n" + b"A" * 900).decode()
    long = base64.b64encode(bytes(range(256)) * 8).decode()
    text = f"k: {pem} " + json.dumps({"a": long, "password": long, "b": GITHUB})
    assert taken(text, "text/plain") == [
        (pem, "kubernetes-pem"),
        (long, "name:password"),
        (GITHUB, "github-token"),
    ]
    messages = [
        {"type": "x", "delta": {"text": piece}}
        for piece in (f"see {GITHUB[:9]}", GITHUB[9:], " and more")
    ]
    body = b"".join(invoked({"type": "start"}, *messages))
    explanation = explain(make, body, KIND.encode())
    assert [each.rule for each in explanation.found] == ["github-token", "github-token"]
    values = [
        base64.b64encode(json.dumps(message, separators=(",", ":")).encode()).decode()
        for message in messages
    ]
    assert [each.length for each in explanation.found] == [len(value) for value in values[:2]]
    assert explanation.redacted == Redactor().redact_body(body, b"", KIND.encode(), False)[0]


def test_what_frames_split_is_in_each_of_them() -> None:
    """The mark is in the first one."""
    pieces = ("see " + GITHUB[:9], GITHUB[9:20], GITHUB[20:] + " x")
    frames = "".join(f'data: {{"delta": {{"content": "{piece}"}}}}\n\n' for piece in pieces)
    found = [(part, "github-token") for part in (GITHUB[:9], GITHUB[9:20], GITHUB[20:])]
    assert taken(frames, "text/event-stream") == found


def test_parts_are_looked_into() -> None:
    """By their names, by their types, and at the end no more of them."""
    part = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    parts = part.format("password", "", "hunter22") + part.format(
        "a", "\r\nContent-Type: application/json", '{"token": "b"}'
    )
    kind = "multipart/form-data; boundary=x"
    expected = [("hunter22", "name:password"), ("b", "name:token")]
    assert taken(f"{parts}--x--", kind) == expected
    assert taken(parts * 2 + "--x--", kind) == expected * 2
    many = part.format("a", "", "b") * 1001
    ((gone, rule),) = taken(f"{many}--x--", kind)
    assert rule == "rest-of-many"
    assert many.endswith(gone.removesuffix("--x--"))


def test_so_many_are_found_one_by_one() -> None:
    """Each once."""
    text = f"{GITHUB}\n" * 510
    found = explain(make, text.encode()).found
    assert [(each.line, each.column, each.length) for each in found] == [
        (n, 1, 40) for n in range(1, 511)
    ]
    form = "&".join(f"password=x{number}" for number in range(700))
    assert len(explain(make, form.encode(), FORM.encode()).found) == 700


def test_what_is_no_text_is_not_looked_into() -> None:
    """Pictures and archives are stored as they came; of others what reads as text."""
    picture = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(400) + GITHUB.encode()
    assert explain(make, picture, b"image/png") == ([], picture, "media")
    octets = b"\x0a\x28" + GITHUB.encode() + b"\x10\x01\xff\xfe"
    explanation = explain(make, octets, b"application/x-protobuf")
    assert [each.rule for each in explanation.found] == ["github-token"]


def test_what_has_no_step_is_found_by_what_differs() -> None:
    """A secret in binary metadata was only looked at, and its line is other."""
    run = base64.b64encode(f"\x01x {GITHUB} ".encode()).decode()
    head = f"HTTP/1.1 200 OK\r\nx-bin: {run}\r\n\r\n"
    assert taken(head, "message/http") == [(run, "other")]


values = st.recursive(
    st.one_of(st.sampled_from((*PIECES, GITHUB, IBAN)), st.integers(0, 99999)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(("password", "a", "token", "db.pin", "session")), inner, max_size=3
        ),
        inner.map(json.dumps),
    ),
    max_leaves=8,
)


@given(values, st.sampled_from(("application/json", "text/plain", "application/yaml")))
def test_all_that_is_gone_is_found_and_nothing_else(value: object, content_type: str) -> None:
    """What is left between the places is what is left between the marks."""
    text = json.dumps(value, ensure_ascii=False)
    explanation = explain(make, text.encode(), content_type.encode())
    rest = ""
    at = 0
    for found in explanation.found:
        rest += text[at : found.column - 1]
        at = found.column - 1 + found.length
    assert _bare(rest + text[at:]) == _bare(explanation.redacted.decode().replace("[REDACTED]", ""))
    assert "other" not in {found.rule for found in explanation.found}


def _bare(text: str) -> str:
    """Leave out what marks have around them."""
    return text.translate(str.maketrans("", "", "\"'\\ "))


parts = st.lists(
    st.tuples(
        st.sampled_from(("password", "a", "has_password", "query", "token")),
        st.sampled_from((*PIECES, GITHUB, '{"token": "x y"}', "b=1&token=c", "mutation { a(password: \"b c\") }")),
        st.sampled_from((str, quote_plus, partial(quote, safe=""))),
    ),
    max_size=6,
)  # fmt: skip


@given(parts)
def test_each_step_of_a_form_is_followed(pairs: list[tuple[str, str, object]]) -> None:
    """Whatever values are there twice, and however they are encoded."""
    text = "&".join(f"{name}={write(value)}" for name, value, write in pairs)  # type: ignore[operator]
    explanation = explain(make, text.encode(), FORM.encode())
    assert "other" not in {found.rule for found in explanation.found}
    assert bool(explanation.found) >= (b"[REDACTED]" in explanation.redacted)
