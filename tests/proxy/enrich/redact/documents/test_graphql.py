"""GraphQL documents: strings of arguments that name a secret go, wherever the document stands."""

import json
from collections import Counter
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import pytest

from proxy.enrich.redact.documents.graphql import GraphqlRedactor
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.names import BUILT_IN, SecretNames
from proxy.enrich.redact.naming.anchors import anchors_of
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.scanner import Scanner
from tests.support.cases import each_of

NAMES = SecretNames(BUILT_IN)
SCANNER = Scanner((), anchors_of(NAMES.spelled))
_SECRET = 'hunter2 \\" ü {}'
_DOCUMENTS = [
    f'mutation {{ login(name: "bob", password: "{_SECRET}") {{ id }} }}',
    f'mutation M {{\n  login(input: {{name: "bob",\n\tapi_token :\n "{_SECRET}", more: 1}})\n}}',
    f'{{ viewer(accessToken:"{_SECRET}") {{ id }} }}',
    f'query {{ a(token: """{_SECRET.replace(chr(92), "")}""") b(secret: "{_SECRET}") }}',
    f'subscription{{s(password:"{_SECRET}")}}',
]


@each_of("document", _DOCUMENTS)
def test_in_a_body(document: str) -> None:
    """As JSON, in an array, in a WebSocket message, as a string in JSON in a string, as a part of a
    form, and plain.
    """
    body = {"query": document, "variables": {"name": "bob"}}
    form = (
        "--b\r\nContent-Disposition: form-data; "
        f"name=operations\r\n\r\n{json.dumps(body)}\r\n--b--\r\n"
    )

    bodies = [
        (json.dumps(body), b"application/json"),
        (json.dumps([body, body]), b"application/json"),
        (json.dumps({"id": "1", "type": "subscribe", "payload": body}), b""),
        (json.dumps({"id": "1", "payload": {"data": json.dumps(body)}}), b""),
        (form, b"multipart/form-data; boundary=b"),
        (document, b"application/graphql"),
    ]
    for text, content_type in bodies:
        redacted, _ = Redactor().redact_body(text.encode(), b"", content_type, is_truncated=False)
        assert b"hunter2" not in redacted, text
        assert b"[REDACTED]" in redacted
        assert (
            Redactor().redact_body(redacted, b"", content_type, is_truncated=False)[0] == redacted
        )
        if content_type == b"application/json":
            json.loads(redacted)


_VARIABLES: list[Any] = [
    {
        "query": "mutation($p: String!) { login(user: $u, password: $p) { id } }",
        "variables": {"u": "bob", "p": "@"},
    },
    {
        "query": "mutation L($p: String) {\n a(input: {password:\t$p}) }",
        "variables": {"p": {"value": "@"}, "u": "bob"},
    },
    {
        "query": "mutation($p: [String]) { a(passwords: [$p]) b(u: $u) }",
        "variables": {"u": "bob", "p": ["@", "@"]},
    },
    {"query": 'query($p: String! = "@", $u: String = "bob") { a(token: $p) }', "variables": None},
    {"query": 'query($apiKey: ID = "@") { a(x: $apiKey, u: "bob") }', "variables": {"apiKey": "@"}},
    {
        "query": 'query($i: In = {user: "bob", password: "@"}) { a(input: $i) }',
        "variables": {"i": {"password": "@"}},
    },
    {
        "variables": {"u": "bob", "p": "@"},
        "extensions": {"persistedQuery": {}},
        "query": "{ a(pin: $p) }",
    },
]


@each_of("body", _VARIABLES)
def test_variables(body: Any) -> None:
    """What an argument takes from a variable: in one operation, in several, in strings, in parts,
    in messages.
    """
    one = json.dumps(body).replace("@", "hunter2")
    bodies = [
        one,
        f'[{one},{{"query":"{{ a }}","variables":{{"q":1}}}}]',
        json.dumps({"payload": one}),
    ]
    bodies.append(
        f'--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{one}\r\n--b--\r\n'
    )
    bodies.append(f'{{"id":"1","type":"subscribe","payload":{one}}}')

    for text in bodies:
        redacted, _ = Redactor().redact_body(
            text.encode(), b"", b"application/json", is_truncated=False
        )
        assert b"hunter2" not in redacted, redacted
        assert b"bob" in redacted
        assert (
            Redactor().redact_body(redacted, b"", b"application/json", is_truncated=False)[0]
            == redacted
        )
        if not text.startswith("--"):
            json.loads(redacted)


def test_other_variables_stay() -> None:
    """Also those of their name where no document is."""
    for body in (
        {
            "query": "query($id: ID!) { user(id: $id) { token } }",
            "variables": {"id": "7", "p": "x"},
        },
        {"text": "login(password: $p)", "variables": {"p": "x"}},
    ):
        text = json.dumps(body).encode()
        assert Redactor().redact_body(text, b"", b"application/json", is_truncated=False)[0] == text


@pytest.mark.parametrize("encode", [quote, quote_plus])
def test_variables_in_a_query(encode: type[str]) -> None:
    """In any order."""
    document = "query=" + encode("query($p: String) { viewer(token: $p) { id } }")
    variables = "variables=" + encode('{"p": "hunter2", "id": 7}')
    for query in (f"{document}&{variables}", f"{variables}&{document}"):
        redacted = Redactor().redact_query(query.encode()).decode()
        assert unquote_plus(redacted) == unquote_plus(query).replace("hunter2", "[REDACTED]")
        assert Redactor().redact_query(redacted.encode()).decode() == redacted


@each_of("unit", ['"variables":{', '"p":"', '"variables":{"p":"x"}', "$p: A = ", "a(token: $p"])
def test_hostile_repetition_costs_no_more_than_its_length(unit: str) -> None:
    """Half a megabyte of beginnings ends at once."""
    text = '{"query": "query { a(token: $p) }", ' + unit * (500_000 // len(unit))
    assert Redactor().redact_body(text.encode(), b"", b"application/json", is_truncated=False)[0]


@pytest.mark.parametrize("encode", [quote, quote_plus])
def test_in_a_query(encode: type[str]) -> None:
    """The rest of the document can still be read."""
    query = "a=1&query=" + encode('{ viewer(token: "hunter2") { id } }') + "&operationName=V"
    redacted = Redactor().redact_query(query.encode()).decode()
    assert (
        unquote_plus(redacted) == 'a=1&query={ viewer(token: "[REDACTED]") { id } }&operationName=V'
    )
    assert Redactor().redact_query(redacted.encode()).decode() == redacted


def test_a_document_larger_than_a_query_may_be() -> None:
    """In a form: what is behind its beginning counts as a secret, and words that only look for
    something stay.
    """
    document = quote_plus('mutation { login(password: "hunter2") { id } }')
    redacted, _ = Redactor().redact_body(
        f"query={document}{'+' * 65_536}{document}&a=1".encode(),
        b"",
        b"application/x-www-form-urlencoded",
        False,
    )
    assert b"hunter2" not in redacted
    assert redacted.endswith(b"[REDACTED]&a=1")
    words = b"query=" + b"some+words+" * 10_000
    assert Redactor().redact_body(words, b"", b"application/x-www-form-urlencoded", False) == (
        words,
        b"",
    )


@each_of(
    "text",
    [
        '{"query": "mutation L($password: String!) { login(password: $password) { token } }"}',
        '{"query": "{ user(name: \\"token\\") { password: hash } }"}',
        "query=%7Buser%28id%3A1%29%7Bname%7D%7D",
        '{"text": "set password: \\"abc\\" in the file"}',
        '{"text": "the query needs token: \\"abc\\""}',
    ],
)
def test_what_is_none_stays(text: str) -> None:
    """Variables, aliases, documents without arguments, and what is no document."""
    redactor = Redactor()
    assert (
        redactor.redact_body(text.encode(), b"", b"application/json", is_truncated=False)[
            0
        ].decode()
        == text
    )
    assert redactor.redact_query(text.encode()).decode() == text


def test_cut_off() -> None:
    """A string that the window cuts off is gone, and its rest known to be one."""
    redactor = GraphqlRedactor(NAMES, Counter(), SCANNER)
    for fence in ('"', '"""'):
        text, end = redactor.redact(f"mutation {{ login(password: {fence}hunter2".encode())
        assert text == b'mutation { login(password: "[REDACTED]"'
        assert end is End.IN_STRING


def test_documents_full_of_secrets_end() -> None:
    """Each is taken out."""
    redactor = GraphqlRedactor(NAMES, Counter(), SCANNER)
    text, _ = redactor.redact(b"query {" + b' a(token: "hunter2")' * 600)
    assert text == b"query {" + b' a(token: "[REDACTED]")' * 600
