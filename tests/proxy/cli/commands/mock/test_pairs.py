"""Requests that are only spelled differently get one answer; those that mean something else get
their own.
"""

import json
from typing import Final

from api.identity.match import Level
from tests.proxy.cli.commands.mock.exchanges import (
    FORM,
    JSON,
    Asked,
    ask,
    exchange,
    matched,
    service,
)
from tests.support.cases import each_of


def get(target: str, fields: str = "") -> Asked:
    return "GET", target, fields, ""


def post(body: str | bytes, fields: str = JSON, target: str = "/do") -> Asked:
    return "POST", target, fields, body


def graphql(query: str, **more: object) -> Asked:
    return post(json.dumps({"query": query, **more}), target="/graphql")


def multipart(boundary: str, *parts: str) -> Asked:
    body = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
    return post(
        f"{body}--{boundary}--\r\n", f"Content-Type: multipart/form-data; boundary={boundary}"
    )


def compressed(text: str) -> Asked:
    import gzip

    return post(gzip.compress(text.encode()), f"{JSON}\nContent-Encoding: gzip")


SPELLED: Final[dict[str, tuple[Asked, Asked]]] = {
    "query in another order": (get("/a?x=1&y=2"), get("/a?y=2&x=1")),
    "one name twice, in another order": (get("/a?t=1&t=2"), get("/a?t=2&t=1")),
    "escapes in the query": (get("/a?q=caf%C3%A9"), get("/a?q=caf%c3%a9")),
    "a space in the query": (get("/a?q=a+b"), get("/a?q=a%20b")),
    "letters escaped in the query": (get("/a?q=abc"), get("/a?q=%61bc")),
    "a name without its equals sign": (get("/a?flag"), get("/a?flag=")),
    "an empty query": (get("/a"), get("/a?")),
    "JSON in the query": (get("/a?f=%7B%22x%22:1,%22y%22:2%7D"), get("/a?f=%7B%22y%22:2,%22x%22:1%7D")),
    "letters escaped in the path": (get("/users/me"), get("/us%65rs/me")),
    "hexadecimal digits of the path": (get("/a%2fb"), get("/a%2Fb")),
    "a tilde": (get("/~a"), get("/%7Ea")),
    "members in another order": (post('{"a": 1, "b": 2}'), post('{"b": 2, "a": 1}')),
    "nested members in another order": (post('{"a": {"b": 1, "c": [1]}}'), post('{"a": {"c": [1], "b": 1}}')),
    "spaces in JSON": (post('{"a":1}'), post('{ "a" :\n 1 }')),
    "escapes in JSON": (post('{"a": "é/"}'), post('{"a": "\\u00e9\\/"}')),
    "numbers of JSON": (post('{"a": 1}'), post('{"a": 1.0}')),
    "an exponent": (post('{"a": 100}'), post('{"a": 1e2}')),
    "JSON under another type": (post('{"a":1}'), post('{"a": 1}', "Content-Type: text/plain")),
    "JSON that curl labels a form": (post('{"a":1}'), post('{"a": 1}', FORM)),
    "a charset": (post('{"a":"é"}'), post('{"a":"é"}', f"{JSON}; charset=utf-8")),
    "UTF-16": (post('{"a":"é"}'), post('{"a":"é"}'.encode("utf-16"), f"{JSON}; charset=utf-16")),
    "gzip": (post('{"a":1}'), compressed('{"a": 1}')),
    "lines of JSON": (post('{"a":1,"b":2}\n{"c":3}\n'), post('{"b":2,"a":1}\n{"c": 3}')),
    "a form in another order of names": (post("a=1&b=2", FORM), post("b=2&a=1", FORM)),
    "escapes of a form": (post("q=a+b%2Fc", FORM), post("q=a%20b/c", FORM)),
    "multipart with another boundary": (
        multipart("one", 'name="a"\r\n\r\n1', 'name="b"\r\n\r\n2'),
        multipart("2", 'name="a"\r\n\r\n1', 'name="b"\r\n\r\n2'),
    ),
    "multipart in another order of names": (
        multipart("one", 'name="a"\r\n\r\n1', 'name="b"\r\n\r\n2'),
        multipart("one", 'name="b"\r\n\r\n2', 'name="a"\r\n\r\n1'),
    ),
    "JSON in a part": (
        multipart("x", 'name="m"\r\nContent-Type: application/json\r\n\r\n{"a":1,"b":2}'),
        multipart("x", 'name="m"\r\nContent-Type: application/json\r\n\r\n{"b": 2, "a": 1}'),
    ),
    "quotes of a part's name": (multipart("x", 'name="a"\r\n\r\n1'), multipart("x", "name=a\r\n\r\n1")),
    "spaces of GraphQL": (graphql("{ user(id: 1) { name } }"), graphql("{\n  user(id:1){name}\n}")),
    "commas of GraphQL": (graphql("{ a(x: 1, y: 2) }"), graphql("{ a(x: 1 y: 2) }")),
    "comments of GraphQL": (graphql("query A { a }"), graphql("# all of it\nquery A { a } # end")),
    "no variables of GraphQL": (graphql("{ a }"), graphql("{ a }", variables={}, operationName=None)),
    "variables in another order": (
        graphql("query($a: Int) { a }", variables={"a": 1, "b": 2}),
        graphql("query($a:Int){a}", variables={"b": 2, "a": 1}),
    ),
    "names of fields": (get("/a", "Accept: text/html"), get("/a", "ACCEPT: text/html")),
    "spaces in Accept": (
        get("/a", "Accept: text/html, text/plain;q=0.5"),
        get("/a", "Accept: text/html,text/plain; q=0.5"),
    ),
    "any type": (get("/a"), get("/a", "Accept: */*")),
    "quotes of SOAPAction": (post("<a/>", "SOAPAction: urn:x"), post("<a/>", 'SOAPAction: "urn:x"')),
    "another client": (
        get("/a", "User-Agent: curl/8"),
        get("/a", "User-Agent: Mozilla/5.0\nAccept-Encoding: gzip, br"),
    ),
    "a secret": (get("/a?api_key=[REDACTED]&x=1"), get("/a?api_key=hunter2hunter2&x=1")),
    "a secret with a fingerprint": (post('{"password":"[REDACTED:1f3a]"}'), post('{"password": "hunter2hunter2"}')),
    "a trace": (get("/a", "traceparent: 00-1-2-01"), get("/a", "traceparent: 00-3-4-01")),
}  # fmt: skip


def test_there_are_enough_pairs() -> None:
    """Forty of each kind."""
    assert len(SPELLED) >= 40
    assert len(MEANT) >= 40


@each_of(("name", "pair"), SPELLED.items())
def test_spelling_is_no_difference(name: str, pair: tuple[Asked, Asked]) -> None:
    """Both requests of a pair match exactly, in both directions; a coded body is recorded decoded."""
    is_coded = isinstance(pair[1][3], bytes)
    for recorded, asked in (pair,) if is_coded else (pair, pair[::-1]):
        reply = ask(service(exchange(recorded, "answer")), asked)
        assert (reply.status, reply.content) == (200, b"answer"), f"{name}: {reply.content!r}"
        assert matched(reply).startswith("exact")


MEANT: Final[dict[str, tuple[Asked, Asked]]] = {
    "method": (get("/a"), ("DELETE", "/a", "", "")),
    "path": (get("/a"), get("/b")),
    "case of the path": (get("/a"), get("/A")),
    "a slash at the end": (get("/a"), get("/a/")),
    "an escaped slash": (get("/a/b"), get("/a%2Fb")),
    "an id in the path": (get("/users/7"), get("/users/8")),
    "a UUID in the path": (
        get("/u/0192f3c4-0000-7000-8000-000000000001"), get("/u/0192f3c4-0000-7000-8000-000000000002"),
    ),
    "a name in the path": (get("/users/ann"), get("/users/bob")),
    "a value of the query": (get("/a?page=1"), get("/a?page=2")),
    "a name of the query": (get("/a?page=1"), get("/a?size=1")),
    "case of a value": (get("/a?q=x"), get("/a?q=X")),
    "one value more": (get("/a?t=1"), get("/a?t=1&t=1")),
    "a query or none": (get("/a"), get("/a?x=1")),
    "a date of the query": (get("/a?day=2026-01-01"), get("/a?day=2026-01-02")),
    "a moment of the query": (get("/a?since=2026-01-01T00:00:00Z"), get("/a?since=2026-01-02T00:00:00Z")),
    "a plus sign": (get("/a?q=1+1"), get("/a?q=1%2B1")),
    "a value of JSON": (post('{"a": 1}'), post('{"a": 2}')),
    "a type of JSON": (post('{"a": 1}'), post('{"a": "1"}')),
    "true is not 1": (post('{"a": true}'), post('{"a": 1}')),
    "null is not absent": (post('{"a": null}'), post("{}")),
    "order of an array": (post("[1, 2]"), post("[2, 1]")),
    "a name of JSON": (post('{"a": 1}'), post('{"A": 1}')),
    "an id in JSON": (post('{"user_id": 7}'), post('{"user_id": 8}')),
    "a large number": (post('{"a": 9007199254740993}'), post('{"a": 9007199254740992}')),
    "a nested value": (post('{"a": [{"b": 1}]}'), post('{"a": [{"b": 2}]}')),
    "a body or none": (post(""), post("{}")),
    "a value of a form": (post("a=1", FORM), post("a=2", FORM)),
    "order within a name of a form": (post("a=1&a=2", FORM), post("a=2&a=1", FORM)),
    "a form or JSON": (post("a=1", FORM), post('{"a": ["1"]}')),
    "a part's value": (multipart("x", 'name="a"\r\n\r\n1'), multipart("x", 'name="a"\r\n\r\n2')),
    "a part's name": (multipart("x", 'name="a"\r\n\r\n1'), multipart("x", 'name="b"\r\n\r\n1')),
    "a part's file name": (
        multipart("x", 'name="a"; filename="1.txt"\r\n\r\n1'), multipart("x", 'name="a"; filename="2.txt"\r\n\r\n1'),
    ),
    "an operation of GraphQL": (graphql("{ user { name } }"), graphql("{ user { email } }")),
    "a text in GraphQL": (graphql('{ a(q: "x y") }'), graphql('{ a(q: "x  y") }')),
    "variables of GraphQL": (graphql("{ a }", variables={"a": 1}), graphql("{ a }", variables={"a": 2})),
    "the operation that is named": (
        graphql("query A { a } query B { b }", operationName="A"),
        graphql("query A { a } query B { b }", operationName="B"),
    ),
    "spaces of a text": (post("a b", "Content-Type: text/plain"), post("a  b", "Content-Type: text/plain")),
    "bytes": (post(b"\xff\x00\x01", "Content-Type: image/png"), post(b"\xff\x00\x02", "Content-Type: image/png")),
    "Accept": (get("/a", "Accept: application/xml"), get("/a", "Accept: application/json")),
    "Range": (get("/a", "Range: bytes=0-1"), get("/a", "Range: bytes=2-3")),
    "SOAPAction": (post("<a/>", "SOAPAction: urn:x"), post("<a/>", "SOAPAction: urn:y")),
    "an id of a request": (post('{"request_id": "a"}'), post('{"request_id": "b"}')),
}  # fmt: skip


@each_of(("name", "pair"), MEANT.items())
def test_meaning_is_a_difference(name: str, pair: tuple[Asked, Asked]) -> None:
    """Each gets its own answer, in whichever order the two were recorded and are asked for."""
    for first, second in (pair, pair[::-1]):
        mock = service(exchange(first, "first"), exchange(second, "second"))
        answers = [ask(mock, each).content for each in (second, first, second)]
        assert answers == [b"second", b"first", b"second"], name


def test_a_header_that_the_answer_varies_by_counts() -> None:
    """One that it does not name does not."""
    german = get("/a", "Accept-Language: de")
    english = get("/a", "Accept-Language: en")
    suite = [
        exchange(each, each[2], fields="Vary: Accept-Language, Accept-Encoding")
        for each in (german, english)
    ]
    mock = service(*suite)
    assert [ask(mock, each).content for each in (english, german)] == [
        english[2].encode(),
        german[2].encode(),
    ]
    assert ask(mock, get("/a", "Accept-Language: fr")).status == 404
    plain = service(exchange(german, "any"))
    assert ask(plain, english).content == b"any"


def test_what_is_made_anew_is_set_apart() -> None:
    """Moments and ids of requests; ids of the path and UUIDs as well; not numbers, dates, words."""
    recorded = post(
        '{"at": "2026-01-01T00:00:00Z", "request_id": "a", "sent_at": 1718201234, "n": 1}',
        target="/u/7",
    )
    again = post(
        '{"at": "2026-02-02T10:00:00Z", "request_id": "b", "sent_at": 1718209999, "n": 1}',
        target="/u/7",
    )
    mock = service(exchange(recorded, "yes", name="it"))
    expected = "same; recorded=it; differs=body.at; differs=body.request_id; differs=body.sent_at"
    assert matched(ask(mock, again)) == expected
    other = ask(mock, ("POST", "/u/8", JSON, recorded[3]))
    assert matched(other) == "same; recorded=it; differs=path[2]"

    for member in ('"n": 2', '"day": "2026-01-01"'):
        assert (
            ask(mock, post(f'{{"at": "2026-02-02T10:00:00Z", {member}}}', target="/u/7")).status
            == 404
        )


def test_strength_decides_what_is_refused() -> None:
    """Exact, same, endpoint: a weaker match than wanted is a miss."""
    suite = (exchange(get("/users/7?full=1"), "7"),)
    asked = {
        "exact": get("/users/7?full=1"),
        "same": get("/users/8?full=1"),
        "endpoint": get("/users/8?full=0"),
    }
    for least, answered in ((Level.EXACT, 1), (Level.SAME, 2), (Level.ENDPOINT, 3)):
        mock = service(*suite, least=least)
        found = [matched(ask(mock, each)).partition(";")[0] for each in asked.values()]
        assert found == [*[*asked][:answered], *["none"] * (3 - answered)]
