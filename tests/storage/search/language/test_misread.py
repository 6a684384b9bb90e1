"""Searches in the manner of other tools: refused with the form that is meant, never read as other
text.
"""

from contextlib import suppress

import pytest

from storage.search.language.errors import SearchError
from storage.search.language.parser import parse_search
from tests.support.cases import each_of


@each_of(
    ("search", "meant"),
    [
        ("status=500", "status:500"),
        ("status==500", "status:500"),
        ("status = 500", "status:500"),
        ("status :500", "status:500"),
        ("status= 500", "status:…"),
        ("status!=500", "-status:500"),
        ("status <> 500", "-status:500"),
        ("status >= 500", "status:>=500"),
        ("status:!=500", "-status:500"),
        ("method=POST", "method:POST"),
        ("host = x", "host:x"),
        ("host:=x", "host:x"),
        ("host:!x", "-host:x"),
        ("path:==/x", "path:/x"),
        ('model="gpt-4o"', "model:gpt-4o"),
        ("header.x-tenant=acme", "header.x-tenant:acme"),
        ("body.user.id=5", "body.user.id:5"),
        ("body.n>5", "body.n:>5"),
        ("level>warn", "level:>warn"),
        ("duration > 5s", "duration:>5s"),
        ("duration >5s", "duration:>5s"),
        (">500ms", "duration:>500ms"),
        ("status:>400 and <500", "duration:<500"),
        ("duration:>5 s", "duration:>5s"),
        ("duration:1s..5 min", "duration:1s..5min"),
        ("bytes:>1 MB", "bytes:>1MB"),
        ("tokens:>1 k", "tokens:>1k"),
        ("since:2026-11-20 10:00", 'since:"2026-11-20 10:00"'),
        ("since:5 min", 'since:"5 min"'),
        ("until:2026-11-20T10:00 +02:00", 'until:"2026-11-20T10:00 +02:00"'),
        ("/user.*/", "path:/api/users/*"),
        ("/^user/i", "path:/api/users/*"),
        ("path:/[0-9]+/", "path:/api/users/*"),
        ("path:~^/x", "path:/api/users/*"),
        ("path:^/x", "path:/api/users/*"),
        ("path=~^/x", "path:/api/users/*"),
        ("ua:/curl.*/", "ua:curl"),
        ("error ~ timeout", "error:*timeout*"),
        ("reset && closed", "and"),
        ("reset||closed", "reset or closed"),
        ("method:GET|POST", "method:GET,POST"),
        ("status:404||500", "status:404,500"),
        ("'connection reset'", '"connection…"'),
        ("“connection reset”", '"connection…"'),
        ("host:'x'", 'host:"x…"'),
        ("5xx", "status:5xx"),
        ("https://example.com/api?x=1", "host:example.com path:/api"),
    ],
)
def test_what_looks_like_something_else_is_refused_with_the_form_that_is_meant(
    search: str, meant: str
) -> None:
    """Read as text it would find something else, or nothing, without a word."""
    with pytest.raises(SearchError) as caught:
        parse_search(search, 0)
    assert caught.value.expected == (meant,)
    assert f"as in {meant}; text goes in quotes" in str(caught.value)


@each_of(
    "search", ["http://[x", "/" + "[" * 3000 + "/", "/" + ".[a" * 1300, "a|" * 1500, ">" * 4000]
)
def test_no_search_takes_long_or_breaks(search: str) -> None:
    """Whatever is typed is read, or refused as a search."""
    with suppress(SearchError):
        parse_search(search, 0)


@each_of(
    "search",
    [
        "path:=/x", "path:/api/.*", "path:/v1.0/x/", "/api/users/", "query:a=b", "text:a=b", "page=2", "a=b",
        "x >important", "<html>", "name<b", "user <b>", 'host:"x|y"', '"status=500"', '"it\'s"', "it's", r"\/user.*/",
        '"5xx"', "15xx", "status:500 5", 'since:"2026-11-20 10:00"', "a AND b OR NOT c", "12:30", "body.n:<5",
        "endpoint:/users/{id}/",
    ],
)  # fmt: skip
def test_what_only_resembles_it_is_read(search: str) -> None:
    """Text, patterns and quoted texts stay what they are."""
    assert parse_search(search, 0) is not None
