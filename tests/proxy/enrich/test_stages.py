"""Records are made in stages, and are what they would be if each were made alone."""

import gc
import gzip
import weakref
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.micro import enrich
from proxy.enrich.http.bodies import TooLong
from proxy.enrich.records import RecordBuilder
from proxy.enrich.stages import stage, whole_stage
from proxy.ring.descriptor import Descriptor
from proxy.ring.exchange import KIND_EXCHANGE, CapturedExchange
from storage.record import Entry
from tests.proxy.enrich.exchanges import descriptor_of

LIMIT_BYTES = 4096
CALL = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"add","arguments":{"token":"x"}}}'
RESULT = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[]}}'
CODED = "Content-Encoding: gzip\r\n"
ENTRIES = (
    enrich.entry("GET", "/items/1?limit=5&token=abc", b"", enrich.DOCUMENT),
    enrich.entry("GET", "/items/2", b"", enrich.LARGE),
    *(enrich.varied("POST", enrich.DOCUMENT, enrich.DOCUMENT, number) for number in range(3)),
    enrich.entry(
        "POST", "/v1/chat/completions", enrich.CHAT, enrich.chat_stream(3), "text/event-stream"
    ),
    *(enrich.entry("POST", "/mcp", CALL % number, RESULT % number) for number in range(2)),
    enrich.entry("POST", "/a", gzip.compress(b"a" * (LIMIT_BYTES - 1)), b"", more_headers=CODED),
    enrich.entry("POST", "/b", gzip.compress(b"b" * LIMIT_BYTES), b"", more_headers=CODED),
    enrich.entry("POST", "/c", b"no gzip", b"", more_headers=CODED),
    *(
        enrich.entry("PUT", f"/items/{number}", b'{"name":"n"}', enrich.DOCUMENT)
        for number in range(3)
    ),
    enrich.entry("PUT", "/items/3", b'{"name":"sk-0123456789abcdefghij0123456789"}', b'{"a":1}'),
    enrich.entry(
        "POST",
        "/d",
        b'{"password":"x"}',
        b"",
        more_headers="Authorization: Bearer x\r\nCookie: a=b\r\n",
    ),
)


@pytest.fixture(scope="module")
def descriptor() -> Descriptor:
    return descriptor_of(enrich.SETTINGS)


def together(
    builder: RecordBuilder, entries: list[tuple[bytes, bytes]], descriptor: Descriptor
) -> Iterator[Entry]:
    """Build in stages, as the collector does: what would take long is built apart, and what follows
    waits.
    """
    raws = [(KIND_EXCHANGE, header, memoryview(sections), 0) for header, sections in entries]
    for entry, made in zip(entries, builder.build_each(raws, descriptor, LIMIT_BYTES), strict=True):
        if isinstance(made, Exception):
            assert isinstance(made, TooLong)
            made = builder.build(CapturedExchange(*entry), descriptor)
        yield made


def alone(
    builder: RecordBuilder, entries: list[tuple[bytes, bytes]], descriptor: Descriptor
) -> Iterator[Entry]:
    """Build one after the other."""
    for entry in entries:
        try:
            yield builder.build(CapturedExchange(*entry), descriptor, LIMIT_BYTES)
        except TooLong:
            yield builder.build(CapturedExchange(*entry), descriptor)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(ENTRIES), max_size=12))
def test_stages_change_nothing(descriptor: Descriptor, entries: list[tuple[bytes, bytes]]) -> None:
    """Neither the records nor what is remembered between them, whatever fails or is built apart."""
    builders = [RecordBuilder("a", enrich.SETTINGS) for _ in range(2)]
    for _ in range(2):
        made = together(builders[0], entries, descriptor)
        expected = alone(builders[1], entries, descriptor)
        assert [same(entry) for entry in made] == [same(entry) for entry in expected]


def same(entry: Entry) -> Entry:
    """Leave out when a tool call was noted, which is read from the clock."""
    for call in entry.tool_calls:
        call.created_at_us = 0
    return entry


def test_what_fails_keeps_its_place() -> None:
    """An exception goes through the stages behind it; others are not touched by it."""
    halved = whole_stage(lambda number: 6 // number, [1, 0, 2])
    assert halved[::2] == [6, 3]
    assert isinstance(halved[1], ZeroDivisionError)
    assert whole_stage(str, halved) == list(stage(str, halved)) == ["6", halved[1], "3"]
    again = list(stage(lambda number: 6 // number, [1, 0]))
    assert again[0] == 6
    assert isinstance(again[1], ZeroDivisionError)


def test_steps_are_taken_as_they_are_asked_for() -> None:
    """So that a caller may pause between them."""
    taken: list[int] = []
    steps = stage(taken.append, [1, 2])
    assert taken == []
    next(steps)
    assert taken == [1]


class Item:
    """Something that can be watched."""


@pytest.mark.parametrize("error", [TooLong, ValueError("no such thing")])
@pytest.mark.parametrize("run", [whole_stage, lambda step, items: list(stage(step, items))])
def test_a_step_that_fails_holds_nothing(
    run: Callable[[Callable[[Item], None], list[Item]], list[object]],
    error: type[Exception] | Exception,
) -> None:
    """Its item is free when nobody else has it, without a collection of cycles; a fault says where
    it was.
    """

    def step(item: Item) -> None:
        raise error

    item = Item()
    watched = weakref.ref(item)
    gc.disable()

    try:
        (result,) = run(step, [item])
        del item
        assert watched() is None
    finally:
        gc.enable()

    notes = getattr(result, "__notes__", [])
    assert any("in step" in note for note in notes) == isinstance(error, ValueError)
