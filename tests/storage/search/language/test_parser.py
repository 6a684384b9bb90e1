"""The grammar of the search language: what a text means, what is refused and where, and that
nothing crashes.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    InNetwork,
    Is,
    Like,
    Not,
    Or,
    Substring,
    Text,
)
from storage.search.language.errors import SearchError
from storage.search.language.parser import MAX_CHARACTERS, MAX_DEPTH, MAX_TERMS, parse_search
from storage.search.language.terms import read_network
from storage.search.language.words import PREFIXES, WORDS
from storage.search.phrase import Phrase
from tests.support.cases import each_of

NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
GET = Is("method", ("GET",))
PUT = Is("method", ("PUT",))
NOT_FOUND = Between("status", 404, 404)


def parsed(text: str) -> Expression | None:
    return parse_search(text, NOW_US)


def words(*found: str, is_prefix: bool = False) -> Text:
    return Text(Phrase(found, is_prefix))


@each_of(
    ("text", "expected"),
    [
        ("", None),
        ("  ", None),
        ("method:GET", GET),
        ("method:get", GET),
        ("METHOD:get", GET),
        ("method:GET status:404", And((GET, NOT_FOUND))),
        ("method:GET AND status:404", And((GET, NOT_FOUND))),
        ("method:GET or method:PUT status:404", Or((GET, And((PUT, NOT_FOUND))))),
        ("(method:GET or method:PUT) status:404", And((Or((GET, PUT)), NOT_FOUND))),
        ("(method:GET)(status:404)", And((GET, NOT_FOUND))),
        ("-method:GET", Not(GET)),
        ("not method:GET", Not(GET)),
        ("-(method:GET or status:404)", Not(Or((GET, NOT_FOUND)))),
        ("--method:GET", Not(Not(GET))),
        ("method:GET,PUT", Is("method", ("GET", "PUT"))),
        ("status:404,500..599", Or((NOT_FOUND, Between("status", 500, 599)))),
        ("status:5xx", Between("status", 500, 599)),
        ("status:>=400", Between("status", 400, None)),
        ("status:600..999", Between("status", 600, 999)),
        ("status:>599", Between("status", 600, None)),
        ("method:propfind,PURGE", Is("method", ("PROPFIND", "propfind", "PURGE"))),
        ('method:"purge"', Is("method", ("PURGE", "purge"))),
        ('method:"GTE"', Is("method", ("GTE",))),
        ("weight:>1", Between("weight", math.nextafter(1, math.inf), None)),
        ("alpha and beta", And((words("alpha"), words("beta")))),
        ("alpha or not beta", Or((words("alpha"), Not(words("beta"))))),
        ('alpha "and" beta', And((words("alpha"), words("and"), words("beta")))),
        ("status:*", Has("status")),
        ("path:/api", Like("path", ("", "/api", ""))),
        ("path:=/api", Like("path", ("/api",))),
        ("path:=/api/*", Like("path", ("/api/", ""))),
        ('path:"="', Like("path", ("", "=", ""))),
        (r"path:\=/api", Like("path", ("", "=/api", ""))),
        (r"path:=/a\ \(b\)", Or((Like("path", ("/a (b)",)), Like("path", ("/a%20(b)",))))),
        ('ua:="a b"', Like("user_agent", ("a b",))),
        (r"body.n:\>4", Is("body.n", (">4",))),
        ('body.n:>"4"', Between("body.n", math.nextafter(4, math.inf), None)),
        (r"\or", words("or")),
        (r"/a\*b", Like("path", ("", "/a*b", ""))),
        ("path:/api/*/x", Like("path", ("/api/", "/x"))),
        (r"path:a\*b", Like("path", ("", "a*b", ""))),
        ('path:"a*b"', Like("path", ("", "a*b", ""))),
        ('path:"a b"', Or((Like("path", ("", "a b", "")), Like("path", ("", "a%20b", ""))))),
        ('query:"a b"', Like("query", ("", "a b", ""))),
        (
            "path:caf\u00e9",
            Or((Like("path", ("", "caf\u00e9", "")), Like("path", ("", "caf%C3%A9", "")))),
        ),
        ("/api/users", Like("path", ("", "/api/users", ""))),
        ("/users?page=2", And((Like("path", ("", "/users")), Like("query", ("page=2", ""))))),
        ("path:/a*?b=*", And((Like("path", ("/a", "")), Like("query", ("b=", ""))))),
        ("path:=/a?b=1", And((Like("path", ("/a",)), Like("query", ("b=1",))))),
        ("-/a?b?c", Not(And((Like("path", ("", "/a")), Like("query", ("b?c", "")))))),
        ('path:"a?"', Or((Like("path", ("", "a?", "")), Like("path", ("", "a%3F", ""))))),
        ("model:gpt-*", Like("any_model", ("gpt-", ""))),
        ("model:gpt-4o", Is("any_model", ("gpt-4o",))),
        ("model:*", Has("any_model")),
        ("header.X-Tenant:acme", Like("header.x-tenant", ("", "acme", ""))),
        ("response_header.via:*", Has("response_header.via")),
        ("body.user.Id:42", Is("body.user.Id", ("42",))),
        ("body.n:>=4", Between("body.n", 4.0, None)),
        ("body.n:-5..5", Between("body.n", -5.0, 5.0)),
        ("body.n:-5", Is("body.n", ("-5",))),
        ("body.@type:Person", Is("body.@type", ("Person",))),
        (
            "response_body.größe:>5",
            Between("response_body.größe", math.nextafter(5, math.inf), None),
        ),
        ("header.X!a:b", Like("header.x!a", ("", "b", ""))),
        ("-body.$ref:*", Not(Has("body.$ref"))),
        ("client:acme", Is("client", ("acme",))),
        ('client:"10.0.*"', Is("client", ("10.0.*",))),
        ("client:4.2", Is("client", ("4.2",))),
        ("client:10.0.0.0/8", read_network("10.0.0.0/8")),
        ("client_ip:10.0.0.1", read_network("10.0.0.1")),
        ("ip:::1", InNetwork(bytes(15) + b"\1", bytes(15) + b"\1")),
        ("ua:curl", Like("user_agent", ("", "curl", ""))),
        ("duration:>500ms", Between("duration_us", 500_001, None)),
        ("latency:1s..1.5s", Between("duration_us", 1_000_000, 1_500_000)),
        ("min_latency_ms:7", Between("duration_us", 7000, None)),
        ("max_latency_ms:7", Between("duration_us", None, 7000)),
        ("q:nnect", Substring("nnect")),
        ('q:"a  b"', Substring("a  b")),
        ("bytes:<1KiB", Between("bytes", None, 1023)),
        ("level:>=warn", Is("level", ("warn", "error"))),
        ("kind:all", Has("kind")),
        ("since:-1h", Between("started_at_us", NOW_US - HOUR_US, None)),
        ("until:1h", Between("started_at_us", None, NOW_US - HOUR_US - 1)),
        (
            "trace:0AF76519-16CD-43DD-8448-EB211C80319C",
            Is("trace_id", ("0af7651916cd43dd8448eb211c80319c",)),
        ),
        ("connection", words("connection")),
        ('"Connection  reset"', words("connection", "reset")),
        ("user@example.com", words("user", "example", "com")),
        ("conn*", words("conn", is_prefix=True)),
        ("*nnect*", Substring("nnect")),
        ('text:"or"', words("or")),
        ('"or"', words("or")),
        ("12:30", words("12", "30")),
        ("tool:search", Is("tool", ("search",))),
        ('"!important"', words("important")),
        ('"status>=500"', words("status", "500")),
        ("name<b", words("name", "b")),
        ("x>=500", words("x", "500")),
        ("path->next", words("path", "next")),
    ],
)
def test_what_a_search_means(text: str, expected: Expression | None) -> None:
    """Each form of the grammar."""
    assert parsed(text) == expected


@each_of(
    ("text", "position", "length", "reason"),
    [
        ("a body.items[0].price:5", 2, 19, "as in body.items.0.price"),
        ("body.items[].price:5", 0, 18, "as in body.items.price"),
        ("body.tags[]:x", 0, 11, "as in body.tags"),
        ("body.a:b,", 0, 9, "has no value"),
        ("statsu:500", 0, 6, "did you mean status?"),
        ("method:GET colour:red", 11, 6, "the words are status, method"),
        ("xheader.x:1", 0, 9, "is an unknown search word"),
        (
            "body:timeout",
            0,
            4,
            'did you mean body.NAME? To find text in a body, write it alone: "…"',
        ),
        ("status:600x", 7, 4, "expected a status from 100 to 599"),
        ("status:0xx", 7, 3, "expected a status from 100 to 599"),
        ("status:404,x", 11, 1, "a range such as 600..999"),
        ("status:6xx", 7, 3, "status is '6xx', expected a status from 100 to 599"),
        ("status:700", 7, 3, "a class from 1xx to 5xx"),
        ("method:GTE", 7, 3, "method is 'GTE', did you mean GET?"),
        ("-method:get,pots", 12, 4, "did you mean POST?"),
        ("weight:>x", 7, 2, "weight is '>x', expected a number such as 0.01"),
        ("cost:cheap", 5, 5, "cost is 'cheap', expected a number such as 0.01"),
        ("min_latency_ms:1.5s", 15, 4, "min_latency_ms is '1.5s', expected whole milliseconds"),
        ('q:""', 2, 2, "at both ends of a part of a text"),
        ("status:", 0, 7, "has no value"),
        ("method:GET or", 13, 0, "missing at the end"),
        ("or method:GET", 0, 2, "something to look for is expected"),
        ("(method:GET", 0, 1, "not closed"),
        ("method:GET)", 10, 1, "closes none"),
        ("()", 1, 1, "something to look for is expected"),
        ('path:"a', 5, 2, "quote is not closed"),
        ("duration:>", 9, 1, "expected a duration"),
        ("duration:1parsec", 9, 7, "expected a duration"),
        ("duration:5s..1s", 9, 6, "expected a duration"),
        ("body.file:../x", 10, 4, "text in quotes"),
        ("client:10.0.*", 7, 6, "an address or a network"),
        ("client:10.0.0.0/99", 7, 11, "an address or a network"),
        ("ip:10.0.0.0/99", 3, 11, "an address or a network"),
        ("level:loud", 6, 4, "one of debug, info, warn, error"),
        ("since:lastweek", 6, 8, "RFC 3339"),
        ("id:abc", 3, 3, "id is 'abc', expected an id, which is a UUID"),
        ("a*b", 0, 3, "behind the beginning of a word"),
        ("!!", 0, 2, "*!!* finds it"),
        (r"\*", 0, 2, '*"*"* finds it'),
        ("path:/a !status:200", 8, 1, "write - or not"),
        ('!"connection reset"', 0, 1, "write - or not"),
        ("!(a b)", 0, 1, "write - or not"),
        ("path:/a status>=500", 8, 11, "as in status:>=500"),
        ("level>=warn", 0, 11, "as in level:>=warn"),
        ("-duration>1s", 1, 11, "as in duration:>1s"),
        ("method!=GET", 0, 11, "as in -method:GET"),
        ("body.price<5", 0, 12, "as in body.price:<5"),
        ("*", 0, 1, "no letter or digit"),
    ],
)
def test_what_is_refused(text: str, position: int, length: int, reason: str) -> None:
    """An error says where it is and what is possible there."""
    with pytest.raises(SearchError) as caught:
        parsed(text)
    assert (caught.value.position, caught.value.length) == (position, length)
    assert reason in str(caught.value)


def test_limits() -> None:
    """Length, number of values and depth have an end, each told with its value and its limit."""
    assert parsed("method:" + ",".join(["GET"] * MAX_TERMS)) == GET
    deep = "(" * (MAX_DEPTH - 1)
    assert parsed(f"{deep}method:GET{')' * (MAX_DEPTH - 1)}") == GET

    for text, value, limit in (
        ("a" * (MAX_CHARACTERS + 1), MAX_CHARACTERS + 1, MAX_CHARACTERS),
        ("a " * (MAX_TERMS + 1), MAX_TERMS + 1, MAX_TERMS),
        ("-" * 3000 + "a", "more than", MAX_DEPTH),
        ("(" * 3000, "more than", MAX_DEPTH),
    ):
        with pytest.raises(SearchError, match=str(value)) as caught:
            parsed(text)
        assert str(limit) in str(caught.value)


def test_every_example_is_a_search() -> None:
    """What the words offer as an example can be read."""
    for word in (*WORDS.values(), *PREFIXES.values()):
        assert parsed(word.example) is not None


PIECES = st.one_of(
    st.sampled_from(
        ("(", ")", "or", "and", "not", "-", '"', "\\", "*", ":", ",", " ", "..", ">", ">=", "status:", "path:", "5xx",
         "body.a.", "header.x:", "duration:", "1s", "client:", "10.0.0.0/8", "since:", "-1h", "id:", "\0", "\udc80")
    ),
    st.text(max_size=4),
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
def test_nothing_crashes(text: str) -> None:
    """Any text is read, or refused with a place inside it."""
    refused = None
    try:
        parsed(text)
    except SearchError as error:
        refused = error

    if refused is not None:
        assert 0 <= refused.position <= len(text)
        assert refused.length >= 0
