"""Searches over every backend, judged by `storage.search.meaning`, what a search means."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Storage
from storage.grpc import Grpc
from storage.query import CountQuery, Filter, HistogramQuery, RecordQuery, Scope
from storage.record import LEVELS, Batch, Entry, Payload, Record, Stream, ToolCall, format_id
from storage.relational.reads.text_index import build, merge
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
    joined,
)
from storage.search.meaning import fulfils, pack_address
from storage.search.phrase import Phrase
from storage.search.subject import Subject
from tests.contract.backends import JUDGED
from tests.contract.test_storage_tools import make_call
from tests.storage.samples import START_US, make_body, make_record

RECORDS = 200
PER_BATCH = 50
NAMES = ("a", "A", "gpt-4o", "gpt-4o-mini", "o_1%", "", "a\0b", "0")
PATHS = (
    "/api/users/1",
    "/api/users/",
    "/API/Users/äß",
    "/a_b",
    "/a%b",
    "/a\\b",
    "/a\0b",
    "0",
    "",
    "/caf%C3%A9",
)
AGENTS = ("curl/8.1", "Mozilla/5.0 (X11)", "CURL", "")
ADDRESSES = ("10.1.2.3", "10.200.0.1", "192.168.0.1", "2001:db8::1", "::ffff:10.1.2.3", "unix", "")
HEADERS = (b"x-tenant: Acme", b"X-Tenant: other", b"x-other: acme", b"x-tenant: \xe4cme")
BODIES = (
    b'{"user":{"id":42,"name":"Ann"},"tags":["x","y"]}',
    b'{"user":{"id":100000000000000000000,"name":"cut \\ud83d"},"a.b":"dotted","x":NaN}',
    b"connection\\nreset by peer",
    b"",
    b"Gr\xc3\xbcn \xff",
)
TOOLS = ("search", "add", "Search_all")
DATA = (
    b'{"opcode":"text","text":"connection\\nreset by Ann"}',
    b'{"text":"{\\"name\\":\\"caf\\\\u00e9\\"}"}',
    '{"text":"Grün"}'.encode(),
    b"{}",
)
"""Of events, messages of WebSockets among them."""


def make_entry(chance: random.Random) -> Entry:
    """Make an entry that differs from others in everything a search sees, nulls included."""

    def pick(values: tuple[Any, ...]) -> Any:
        return chance.choice((*values, None))

    record = make_record(
        kind=chance.choice(("exchange", "exchange", "event")), level=chance.choice(LEVELS),
        status=pick((200, 204, 404, 500, 503)), method=pick(("GET", "POST")), host=pick(NAMES), path=pick(PATHS),
        query=pick(("a=1", "q=connection+reset", "")), client_ip=pick(ADDRESSES), user_agent=pick(AGENTS),
        request_id=pick(("req-1", "REQ-2")), error_type=pick(("timeout", "rate_limit")), model=pick(NAMES),
        trace_id=pick(("0af7651916cd43dd8448eb211c80319c",)),
        resolved_model=pick(NAMES), provider=pick(("openai",)), project=pick(("p", "q")),
        upstream=pick(("one:80", "two:80")), duration_us=chance.randrange(1000), data=pick(DATA),
        first_byte_us=pick((0, 5, 900)),
        request_bytes=chance.randrange(5), response_bytes=chance.randrange(5), input_tokens=pick((0, 7)),
        output_tokens=pick((0, 3)), cost_usd=pick((0.0, 0.5)), started_at_us=START_US + chance.randrange(10),
    )  # fmt: skip
    if record.provider is not None:
        record.stream = Stream(
            None, None, None, True, finish_reason=pick(("stop", "length")), tools=pick((["add", "search"], ["search"])),
            failed_tools=pick((["search", "add", "search"], ["add"])),
        )  # fmt: skip
        record.grpc = pick((Grpc(chance.choice((0, 14))), Grpc()))

    if record.request_id == "REQ-2":
        record.request_id = format_id(record.id)
    record.redactions = pick(
        ({"github-token": 1}, {"name:apikey": 2, "github-token": 1}, {"name:user": 1})
    )
    record.message = pick(("no such user", "add: … is missing", "odd * \0"))
    payload = None

    if chance.random() < 0.7:
        head = b"GET / HTTP/1.1\r\n" + chance.choice(HEADERS)
        answer = b"HTTP/1.1 200 OK\r\n" + chance.choice(HEADERS)
        bodies = [
            make_body(chance.choice(BODIES)),
            make_body(chance.choice(BODIES), chance.choice((b"", b"tail"))),
        ]
        asked, answered = (chance.choice((body, None)) for body in bodies)
        payload = Payload(head, answer, asked, answered)

    return Entry(record, payload, _calls(chance, record.id))


def _calls(chance: random.Random, record_id: bytes) -> list[ToolCall]:
    names = chance.sample(TOOLS, chance.choice((0, 0, 1, 2)))
    return [
        make_call(record_id=record_id, position=place, tool_name=name)
        for place, name in enumerate(names)
    ]


class Reader:
    """A filled store, and what is in it."""

    def __init__(self, runner: asyncio.Runner, store: Storage, subjects: list[Subject]) -> None:
        self._run = runner.run
        self._store = store
        self._subjects = subjects

    def check(self, search: Expression, scope: Scope, *, by_id: bool) -> None:
        """Compare the rows, their count and their histogram with the meaning of a search within a
        scope.
        """
        filter = Filter(kind="all", scope=scope, where=search)
        in_scope = [
            each
            for each in self._subjects
            if not scope.projects or each.record.project in scope.projects
        ]
        expected = [each.record for each in in_scope if fulfils(each, search)]
        query = RecordQuery(filter=filter, order="asc", limit=RECORDS, by="id" if by_id else "seq")
        page = self._run(self._store.read(query))
        assert page.complete
        assert page.next_after is None
        assert page.records == expected
        counted = self._run(self._store.read(CountQuery(filter)))
        assert counted.exact
        assert counted.exchanges + counted.events == len(expected)
        shown = self._run(self._store.read(HistogramQuery(filter, START_US - 1, START_US + 10, 4)))
        assert sum(bucket.exchanges + bucket.events for bucket in shown.buckets) == len(expected)

    def check_within_text(self, search: Expression, text: str) -> None:
        """Compare the rows of a search among those that have a text with both by themselves."""

        def select(*parts: Expression) -> list[Record]:
            query = RecordQuery(
                filter=Filter(kind="all", where=joined(parts)), order="asc", limit=RECORDS
            )
            return self._run(self._store.read(query)).records

        with_text = select(Substring(text))
        found = select(search)
        expected = [record for record in with_text if record in found]
        assert 0 < len(expected) < len(with_text)
        assert select(Substring(text), search) == expected


@pytest.fixture(params=JUDGED, ids=lambda backend: backend.name, scope="module")
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """Every backend in turn, filled once; three quarters are in the index of words, in segments,
    cells and gaps.
    """
    directory: Path = tmp_path_factory.mktemp("store")
    chance = random.Random(11)
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "CELL_ROWS", 7)
        patched.setattr(build, "LEAST_CELLS", 4)
        patched.setattr(merge, "MAX_CELLS", 4)
        store: Storage = runner.run(request.param.open(directory))
        entries = [make_entry(chance) for _ in range(RECORDS)]

        for start in range(0, RECORDS, PER_BATCH):
            if start == RECORDS - PER_BATCH:
                runner.run(_index(store))
            runner.run(store.commit(Batch("sidecar-1", entries[start : start + PER_BATCH])))

        subjects = [
            Subject(entry.record, entry.payload, tuple(call.tool_name for call in entry.tool_calls))
            for entry in entries
        ]
        yield Reader(runner, store, subjects)
        runner.run(store.close())


async def _index(store: Storage) -> None:
    while not (await store.index_text()).is_done:
        pass


def _is(field: str, *values: str) -> st.SearchStrategy[Expression]:
    some = st.lists(st.sampled_from((*values, "unknown", "\udc80")), min_size=1, max_size=3)
    return st.builds(Is, st.just(field), some.map(tuple))


def _like(*fields: str) -> st.SearchStrategy[Expression]:
    part = st.sampled_from(
        ("", "a", "/api/users/", "users", "GPT-4O", "curl", "_", "%", "\\", "\0", "e", "\udc80")
    )
    return st.builds(
        Like, st.sampled_from(fields), st.lists(part, min_size=1, max_size=4).map(tuple)
    )


def _between(field: str, *values: float) -> st.SearchStrategy[Expression]:
    bound = st.one_of(st.none(), st.sampled_from((*values, -1, 1 << 62)))
    return st.builds(Between, st.just(field), bound, bound)


def _network(first: str, last: str) -> Expression:
    return InNetwork(pack_address(first) or b"", pack_address(last) or b"")


NETWORKS = (
    _network("10.0.0.0", "10.255.255.255"),
    _network("192.168.0.1", "192.168.0.1"),
    _network("2001:db8::", "2001:db8::f"),
    _network("::ffff:10.0.0.0", "::ffff:10.255.255.255"),
)
LEAVES = st.one_of(
    _is("method", "GET", "get"), _is("host", *NAMES), _is("model", *NAMES), _is("level", *LEVELS), _is("kind", "event"),
    _is("path", *PATHS), _is("request_id", "req-1"), _is("error_type", "timeout"), _is("tool", *TOOLS),
    _is("any_model", *NAMES), _is("finish_reason", "stop", "length"), _is("called_tool", "search", "add"),
    _is("grpc_status", "OK", "UNAVAILABLE"), _is("redacted", "github-token", "name:user"),
    _is("tool_error", "search", "add"), _is("message", "no such user", "odd * \0"),
    _is("upstream", "one:80"), _is("header.x-tenant", "Acme", "other"), _is("body.user.id", "42"),
    _is("body.user.id", "100000000000000000000"), _is("body.a.b", "dotted"), _is('body."a.b"', "dotted"),
    _is("body.x", "NaN"), _is("body.tags", "y"), _is("body.tags.0", "x", "y"),
    _like("any_model", "finish_reason", "called_tool", "grpc_status", "redacted", "tool_error", "message"),
    _like("path", "query", "user_agent", "model", "host", "level", "tool", "request_id", "error_type", "upstream"),
    _like("header.x-tenant", "request_header.x-tenant", "response_header.x-tenant", "body.user.name"),
    st.builds(Has, st.sampled_from(("path", "model", "level", "tool", "cost_usd", "tokens", "header.x-other"))),
    st.builds(Has, st.sampled_from(("called_tool", "any_model", "finish_reason", "grpc_status", "redacted"))),
    st.builds(Has, st.sampled_from(("tool_error", "message"))),
    st.builds(Has, st.sampled_from(("status", "client_ip", "first_byte_us", "upstream", "trace_id", "body.tags"))),
    _between("status", 0, 200, 404, 499, 500), _between("duration_us", 0, 500), _between("first_byte_us", 0, 5),
    _between("bytes", 0, 3, 8), _between("tokens", 0, 3, 10), _between("cost_usd", 0.0, 0.25, 0.5),
    _between("body.user.id", 41, 42.5), _between("started_at_us", START_US + 3, START_US + 7),
    st.sampled_from(NETWORKS),
    st.builds(Text, st.sampled_from(("connection reset", "connection", "GRÜN", "acme", "users 1", "reset by", "café"))
              .map(lambda text: Phrase.of(text) or Phrase(("x",)))),
    st.builds(Has, st.sampled_from(("body.user", "body.user.id", "header.x-tenant"))),
    _is("body.user.name", "Ann", "ann"),
    st.just(Text(Phrase(("conn",), is_prefix=True))), st.just(Substring("NNECT")), st.just(Substring("äß")),
)  # fmt: skip
SEARCHES: st.SearchStrategy[Expression] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(
    search=SEARCHES, scope=st.sampled_from((Scope(), Scope(projects=("p",)))), by_id=st.booleans()
)
def test_a_search_finds_what_it_means(
    reader: Reader, search: Expression, scope: Scope, by_id: bool
) -> None:
    """Every backend answers a search as its meaning does, in rows and in counts, and never outside
    of the scope.
    """
    reader.check(search, scope, by_id=by_id)


@given(leaf=LEAVES)
def test_not_finds_all_others(reader: Reader, leaf: Expression) -> None:
    """A leaf and its negation divide all records between them, also those that do not have the
    field.
    """
    reader.check(leaf, Scope(), by_id=False)
    reader.check(Not(leaf), Scope(), by_id=False)


@pytest.mark.parametrize("field", ["model", "path"])
def test_a_pattern_matches_the_text_of_a_number(reader: Reader, field: str) -> None:
    """A 0 is a text, even where the number 0 is stored for none."""
    for parts in (("0",), ("0", ""), ("", "0", "")):
        reader.check(Like(field, parts), Scope(), by_id=False)
        reader.check(Not(Like(field, parts)), Scope(), by_id=False)


@pytest.mark.parametrize("text", ["us", ':"Ann"}'])
def test_a_search_holds_beside_a_text(reader: Reader, text: str) -> None:
    """Whatever the index of words tells of its alternatives, and whether it knows the text."""
    reader.check_within_text(Or((Text(Phrase(("reset",))), Is("method", ("GET",)))), text)
