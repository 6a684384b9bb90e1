"""What is counted by rule."""

import json
from urllib.parse import quote, quote_plus

from proxy.enrich.redact.redactor import Redactor
from tests.proxy.enrich.redact.secrets import make_secrets
from tests.support.cases import each_of

PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\nhunter22\r\n'
FORM = "application/x-www-form-urlencoded"


GITHUB = make_secrets()["github"]


def json_in_json(depth: int) -> str:
    """Return JSON with two secrets, as text in JSON in JSON …"""
    text = json.dumps({"password": 'a"b', "n": GITHUB})
    for _ in range(depth):
        text = json.dumps({"a": text})
    return text


@each_of(
    ("content_type", "text", "expected"),
    [
        (
            "multipart/form-data; boundary=x",
            PART.format("password") + PART.format("a") + "--x--",
            {"name:password": 1},
        ),
        ("multipart/form-data; boundary=x", PART.format("a") * 1002 + "--x--", {"rest-of-many": 1}),
        (FORM, "x;token=abc;y=2&https://x/?token=a", {"name:token": 2}),
        (FORM, "a=1;token=abc;y=2", {"name:token": 1}),
        ("message/http", "GET /a;token=x/b HTTP/1.1\r\n\r\n", {"name:token": 1}),
        ("text/plain", "query { a }", None),
        ("application/json", json_in_json(0), {"name:password": 1, "github-token": 1}),
        ("application/json", json_in_json(2), {"name:password": 1, "github-token": 1}),
        (
            "application/json",
            json.dumps({"note": GITHUB, "secret": {"a": GITHUB, "b": ["x", "y"]}}),
            {"github-token": 1, "name:secret": 3},
        ),
        (FORM, "u=" + quote_plus('{"password": "a b"}'), {"name:password": 1}),
        (FORM, "u=" + quote("https://x/?api_key=hunter2000&b=c", safe=""), {"name:api_key": 1}),
        (FORM, "u=" + quote_plus("x=" + quote_plus('{"token": "a/b"}')), {"name:token": 1}),
        (
            FORM,
            "query="
            + quote_plus('mutation($p: String) { login(password: "hunter2", pin: $p) }')
            + "&variables="
            + quote_plus('{"p": "1 2"}'),
            {"name:password": 1, "name:p": 1},
        ),
        (
            "application/yaml",
            "password: hunter2\ntoken: |\n  abc\n",
            {"name:password": 1, "name:token": 1},
        ),
        ("text/csv", 'a,password\r\n1,x\r\n2,"y z"\r\n', {"name:password": 2}),
        (
            "text/xml",
            "<a><password>hunter2</password><b token='k3YX9q2w'/></a>",
            {"name:password": 1, "name:token": 1},
        ),
    ],
)
def test_what_is_taken_out_is_counted(
    content_type: str, text: str, expected: dict[str, int] | None
) -> None:
    """Also of parts and of paths, by the name as such; what stood before it is none of it."""
    redactor = Redactor()
    redacted, _ = redactor.redact_body(text.encode(), b"", content_type.encode(), False)
    assert redactor.take_hits() == expected
    assert redactor.redact_body(redacted, b"", content_type.encode(), False)[0] == redacted
    assert redactor.take_hits() is None
