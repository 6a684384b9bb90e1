"""Conversations: which there are, what their calls add up to, page by page, within a scope and
above the floors.
"""

from typing import Any

from storage.base import Storage
from storage.conversations import (
    FIGURES,
    MAX_TOKENS,
    Conversation,
    ConversationPage,
    ConversationQuery,
)
from storage.query import CountQuery, RecordQuery, Scope
from storage.record import Batch, Entry, Payload, Record, Stream
from storage.search.expression import Substring
from tests.storage.samples import START_US, make_batch, make_body, make_record
from tests.support.filters import make_filter
from tests.support.memory_conversations import conversation_of

A, B, C = (bytes([number]) * 16 for number in (1, 2, 3))
HOUR_US = 3_600_000_000


def call(conversation: bytes | None, **changes: Any) -> Record:
    """An LLM call."""
    return make_record(
        **({"provider": "openai", "model": "gpt", "conversation": conversation} | changes)
    )


async def page_of(
    store: Storage, limit: int = 50, before: int | None = None, **filter: Any
) -> ConversationPage:
    """A page of the conversations of a filter."""
    return await store.read(
        ConversationQuery(filter=make_filter(**filter), limit=limit, before=before)
    )


async def listed(store: Storage, **filter: Any) -> list[tuple[int, int]]:
    """Conversations by their number, with how many calls each has."""
    page = await page_of(store, **filter)
    assert (page.complete, page.next_before) == (True, None)
    return [(found.id[0], found.turns) for found in page.conversations]


def stream(*tools: str) -> Stream:
    """What is known of an output that called tools."""
    return Stream(None, None, None, True, "tool_calls", tools=list(tools), is_document=True)


async def test_the_calls_of_a_conversation_are_added_up(store: Storage) -> None:
    """Sums are those of its records, as the model adds them; null counts nothing."""
    records = [
        call(
            A,
            input_tokens=10,
            output_tokens=5,
            cache_read_tokens=2,
            cost_usd=0.25,
            stream=stream("read", "write"),
        ),
        call(B),
        call(
            A,
            model="mini",
            input_tokens=20,
            cost_usd=0.5,
            stream=stream("read"),
            status=429,
            level="warn",
        ),
        make_record(),
        call(
            A,
            started_at_us=START_US + 5,
            duration_us=7000,
            error_type="overloaded_error",
            reasoning_tokens=3,
        ),
        call(A, input_tokens=MAX_TOKENS * 5, cost_usd=1e9),
        call(A, kind="event", name="websocket_message", duration_us=90_000, input_tokens=1),
    ]
    await store.commit(make_batch(*records))
    found = {each.id: each for each in (await page_of(store, kind="all")).conversations}
    assert list(found) == [A, B]
    for number in (A, B):
        calls = [record for record in records if record.conversation == number]
        assert found[number] == conversation_of(calls)
    assert (found[A].turns, found[A].failed, found[A].counted, found[A].priced) == (5, 2, 4, 3)
    assert found[A].models == {"gpt": 4, "mini": 1}
    assert found[A].tools == {"read": 2, "write": 1}
    failure = found[A].failure
    assert failure is not None
    assert (failure.seq, found[A].ended_at_us) == (records[4].seq, START_US + 7005)
    assert (found[B].failure, found[B].cost_usd, found[B].tokens["input_tokens"]) == (None, 0.0, 0)


async def test_newest_first_page_by_page(store: Storage) -> None:
    """A conversation is on the page of its newest call, once; one that goes on meanwhile is not
    listed again.
    """
    for number in range(1, 8):
        await store.commit(make_batch(call(bytes([number]) * 16), call(A), call(None)))
    assert [number for number, _ in await listed(store)] == [1, 7, 6, 5, 4, 3, 2]
    first = await page_of(store, limit=3)
    assert [found.id[0] for found in first.conversations] == [1, 7, 6]
    await store.commit(make_batch(call(bytes([5]) * 16)))
    second = await page_of(store, limit=3, before=first.next_before)
    assert [found.id[0] for found in second.conversations] == [4, 3, 2]
    assert second.next_before is None
    assert (await page_of(store, limit=0)).conversations == []


async def test_many_conversations_are_paged_through_whole(store: Storage) -> None:
    """Each is met once, whatever the width of the pages."""
    await store.commit(make_batch(*(call(number.to_bytes(16, "big")) for number in range(120))))
    for limit in (23, 99, 100, 101, 120):
        met: list[bytes] = []
        before: int | None = None
        while True:
            page = await page_of(store, limit=limit, before=before)
            met += [found.id for found in page.conversations]
            before = page.next_before
            if before is None:
                break

        assert met == [number.to_bytes(16, "big") for number in reversed(range(120))]


async def test_filters_choose_conversations_not_their_calls(store: Storage) -> None:
    """One matching call brings the whole conversation; of many calls only those with several are
    shown.
    """
    records = [
        call(A), call(B, model="claude", level="error", status=500), call(A, key_id="key-1"), call(C), call(B),
    ]  # fmt: skip
    await store.commit(make_batch(*records))
    assert await listed(store) == [(2, 2), (3, 1), (1, 2)]
    assert await listed(store, models=("claude",)) == [(2, 2)]
    assert await listed(store, levels=("error", "warn")) == [(2, 2)]
    assert await listed(store, keys=("key-1",)) == [(1, 2)]
    assert await listed(store, conversations=(C, A)) == [(3, 1), (1, 2)]
    assert await listed(store, conversations=(b"short",)) == []
    assert await listed(store, providers=("none",)) == []
    several = await store.read(ConversationQuery(min_turns=2))
    assert [found.id for found in several.conversations] == [B, A]
    wanted = make_filter(conversations=(A,))
    page = await store.read(RecordQuery(filter=wanted, order="asc"))
    assert page.records == [records[0], records[2]]
    assert (await store.read(CountQuery(wanted))).exchanges == 2


async def test_text_finds_conversations(store: Storage) -> None:
    """A text in the body of one call finds the conversation, also behind a cursor."""
    bodies = ((A, b"needle"), (B, b"needle"), (A, b"hay"), (B, b"needle"), (C, b"needle"))
    entries = [
        Entry(call(number), Payload(b"POST /", b"HTTP/1.1 200", make_body(body), None))
        for number, body in bodies
    ]
    await store.commit(Batch("sidecar-1", entries))
    first = await page_of(store, limit=1, where=Substring("needle"))
    assert [found.id for found in first.conversations] == [C]
    second = await page_of(store, limit=1, where=Substring("needle"), before=first.next_before)
    assert [(found.id, found.turns) for found in second.conversations] == [(B, 2)]
    third = await page_of(store, where=Substring("needle"), before=second.next_before)
    assert [(found.id, found.turns) for found in third.conversations] == [(A, 2)]


async def test_a_scope_sees_its_own_calls_only(store: Storage) -> None:
    """Two projects that share an id of a conversation see their own half of it, its sums and its
    newest call.
    """
    own = call(A, project="p", input_tokens=1)
    others = (
        call(A, project="q", input_tokens=2, level="error"),
        call(B, project="q"),
        call(A, project="q"),
    )
    await store.commit(make_batch(own, *others))
    [found] = (await page_of(store, scope=Scope(projects=("p",)))).conversations
    assert (found.id, found.turns, found.failed, found.tokens["input_tokens"]) == (A, 1, 0, 1)
    assert (found.first.seq, found.last.seq) == (own.seq, own.seq)
    assert await listed(store, scope=Scope(projects=("q",))) == [(1, 2), (2, 1)]
    assert await listed(store, scope=Scope(projects=("none",))) == []


async def test_what_retention_and_erasure_took_is_not_counted(store: Storage) -> None:
    """A conversation is what is left of it; without any call it is gone."""
    old = START_US // HOUR_US * HOUR_US
    await store.commit(
        make_batch(call(A), call(A, started_at_us=old + 2 * HOUR_US), call(B), call(C))
    )
    await store.erase(make_filter(conversations=(C,)))
    assert await listed(store) == [(2, 1), (1, 2)]
    await store.move_floors(old + HOUR_US, 0)
    assert await listed(store) == [(1, 1)]


async def test_conversation_and_marks_are_kept(store: Storage) -> None:
    """Both come back as they were."""
    await store.commit(make_batch(call(A, marks=b"\0" * 32), call(None)))
    page = await store.read(RecordQuery(filter=make_filter(is_llm=True), order="asc"))
    assert [(record.conversation, record.marks) for record in page.records] == [
        (A, b"\0" * 32),
        (None, None),
    ]


def mixed_calls(conversations: int) -> list[Record]:
    """Calls of conversations of one to four turns, whose figures are in other orders than their
    numbers; some tie.
    """
    records = []
    for turn in range(4):
        for number in range(conversations):
            if number % 4 < turn:
                continue
            spread = number * 37 % 101
            records.append(
                call(
                    number.to_bytes(16, "big"),
                    project=f"project-{number % 2}",
                    started_at_us=START_US + turn * HOUR_US // 4 + spread,
                    duration_us=spread * 1000,
                    input_tokens=spread % 10,
                    output_tokens=spread,
                    cost_usd=None if spread % 7 == 0 else spread / 8,
                    error_type="overloaded_error" if spread % 3 == 0 else None,
                    level="warn" if spread % 5 == 0 else "info",
                )
            )

    return records


async def test_conversations_are_compared_by_figures_of_all_their_calls(store: Storage) -> None:
    """Those with the most, also where a filter matches one call of them; of equal ones the newer."""
    records = mixed_calls(60)
    await store.commit(make_batch(*records))
    calls = dict[bytes, list[Record]]()
    for record in records:
        assert record.conversation is not None
        calls.setdefault(record.conversation, []).append(record)
    newest_first = sorted(map(conversation_of, calls.values()), key=lambda each: -each.last.seq)
    for sort, figure in FIGURES.items():
        best = sorted(newest_first, key=figure, reverse=True)
        page = await store.read(
            ConversationQuery(filter=make_filter(kind="all"), sort=sort, limit=20)
        )
        assert (page.conversations, page.complete, page.next_before) == (best[:20], True, None)
        scoped = make_filter(scope=Scope(projects=("project-1",)), until_us=START_US + HOUR_US // 4)
        page = await store.read(ConversationQuery(filter=scoped, sort=sort, min_turns=2, limit=100))
        assert page.conversations == by_newest_match(
            best, until_us=START_US + HOUR_US // 4, sort=figure
        )


def by_newest_match(best: list[Conversation], until_us: int, sort: Any) -> list[Conversation]:
    """The conversations of a project with two turns, of equal ones that first whose matching call
    is newer.
    """
    of_project = [each for each in best if each.first.project == "project-1" and each.turns > 1]
    assert all(each.first.started_at_us < until_us for each in of_project)
    return sorted(of_project, key=lambda each: (-sort(each), -each.first.seq))


async def test_conversations_with_too_few_failures_or_too_low_a_cost_are_left_out(
    store: Storage,
) -> None:
    """In the order that is asked for, the newest first unless another."""
    await store.commit(make_batch(*mixed_calls(60)))
    everything = (
        await store.read(ConversationQuery(filter=make_filter(kind="all"), limit=100))
    ).conversations
    assert len(everything) == 60
    failed = [each for each in everything if each.failed >= 2]
    page = await store.read(
        ConversationQuery(filter=make_filter(kind="all"), min_failed=2, limit=100)
    )
    assert (page.conversations, page.complete) == (failed, True)
    dear = [each for each in everything if each.cost_usd >= 10]
    query = ConversationQuery(
        filter=make_filter(kind="all"), min_cost_usd=10, sort="cost", limit=100
    )
    assert (await store.read(query)).conversations == sorted(dear, key=lambda each: -each.cost_usd)
    assert 0 < len(failed) < 60
    assert 0 < len(dear) < 60


async def test_none_is_compared_where_none_is_wanted_or_there(store: Storage) -> None:
    """An empty page is whole."""
    assert await store.read(ConversationQuery(sort="cost")) == ConversationPage(
        [], complete=True, next_before=None
    )
    await store.commit(make_batch(call(A, cost_usd=1.0)))
    assert (await store.read(ConversationQuery(sort="cost", limit=0))).conversations == []
    assert (await store.read(ConversationQuery(sort="cost", min_cost_usd=2.0))).conversations == []
