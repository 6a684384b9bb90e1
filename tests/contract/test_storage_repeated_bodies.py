"""Bodies of one conversation, which repeat each other: however a store keeps them, each is its own."""

import random

from storage.base import Storage
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Payload
from tests.storage.samples import START_US, make_body, make_record

A, B = bytes([1]) * 16, bytes([2]) * 16
HOUR_US = 3_600_000_000
WORDS = [f"{random.Random(number).getrandbits(40):x}" for number in range(400)]


def history(turn: int, word: str = "hay") -> bytes:
    """A body that begins with that of the turn before."""
    return " ".join((word, *WORDS[: 10 * turn])).encode()


def entry(turn: int, conversation: bytes | None = A, word: str = "hay", started_at_us: int = START_US) -> Entry:
    """A call of a conversation."""
    record = make_record(conversation=conversation, provider="openai", model="m", started_at_us=started_at_us)
    answer = make_body(f"answer {turn} of {word}".encode())
    return Entry(record, Payload(b"POST /", b"HTTP/1.1 200", make_body(history(turn, word)), answer))


async def bodies(store: Storage, *seqs: int) -> list[bytes | None]:
    """Request bodies of records."""
    found = await store.payloads(seqs)
    return [None if found[seq].request_body is None else found[seq].request_body.head for seq in seqs]  # type: ignore[union-attr]


async def run(store: Storage, turns: int) -> None:
    """Two conversations in turn, one batch a turn, and a call of none; seqs of A are 1, 4, 7 and so on."""
    for turn in range(turns):
        await store.commit(Batch("sidecar-1", [entry(turn), entry(turn, B, "needle"), entry(turn, None)]))


async def test_each_call_has_its_own_bodies(store: Storage) -> None:
    """Of every turn, in any order, request and response."""
    await run(store, 30)
    assert await bodies(store, *range(88, 0, -3)) == [history(turn) for turn in reversed(range(30))]
    found = await store.payloads(range(1, 91))
    assert [found[3 * turn + 2].response_body.head for turn in range(30)] == [  # type: ignore[union-attr]
        f"answer {turn} of needle".encode() for turn in range(30)
    ]


async def test_text_is_found_in_them(store: Storage) -> None:
    """In those that have it, and in no other."""
    await run(store, 20)
    page = await store.select(RecordQuery(filter=Filter(text="needle"), order="asc"))
    assert [record.seq for record in page.records] == list(range(2, 61, 3))
    page = await store.select(RecordQuery(filter=Filter(text=WORDS[150]), order="asc"))
    assert [record.seq for record in page.records] == list(range(49, 61))


async def test_what_is_erased_is_gone_and_the_rest_is_whole(store: Storage) -> None:
    """One call out of the middle of a conversation, then a whole one; what comes after continues."""
    await run(store, 6)
    ids = [record.id for record in (await store.select(RecordQuery(order="asc"))).records]
    secret = entry(6, word="secretive")
    await store.commit(Batch("sidecar-1", [secret]))
    await store.commit(Batch("sidecar-1", [entry(7)]))
    await store.erase(Filter(text="secretive"))
    assert await store.get(secret.record.id) is None
    assert await bodies(store, *range(1, 17, 3), 20) == [history(turn) for turn in (0, 1, 2, 3, 4, 5, 7)]
    await store.commit(Batch("sidecar-1", [entry(8)]))
    assert await bodies(store, 16, 20, 21) == [history(turn) for turn in (5, 7, 8)]
    await store.erase(Filter(conversations=(A,)))
    assert await bodies(store, *range(2, 18, 3)) == [history(turn, "needle") for turn in range(6)]
    assert [await store.get(number) is None for number in ids] == [True, False, False] * 6


async def test_they_outlive_the_older_ones(store: Storage) -> None:
    """Below the floor of bodies they are gone, above it whole, though they were kept with those."""
    old = START_US // HOUR_US * HOUR_US
    for turn in range(12):
        await store.commit(Batch("sidecar-1", [entry(turn, started_at_us=old + turn * HOUR_US // 3)]))
    await store.raise_floors(0, old + 2 * HOUR_US)
    while not (await store.purge(1000)).is_done:
        pass
    assert await bodies(store, *range(1, 13)) == [None] * 6 + [history(turn) for turn in range(6, 12)]
    await store.commit(Batch("sidecar-1", [entry(12, started_at_us=old + 4 * HOUR_US)]))
    assert await bodies(store, 12, 13) == [history(11), history(12)]


async def test_they_outlive_what_the_cap_takes(store: Storage) -> None:
    """Bodies of the oldest rows go first; those behind them in the same conversation stay."""
    await run(store, 20)
    trimmed = await store.trim(9)
    assert (trimmed.rows, trimmed.bodies) == (0, 9)
    assert await bodies(store, *range(1, 61, 3)) == [None] * 3 + [history(turn) for turn in range(3, 20)]
    page = await store.select(RecordQuery(filter=Filter(text="needle"), order="asc"))
    assert page.records[0].seq == 11
    while (await store.trim(9)).bodies:
        pass
    await store.trim(9)
    left = (await store.select(RecordQuery(filter=Filter(conversations=(A,)), order="asc"))).records
    assert await bodies(store, left[-1].seq) == [history(19)]


async def test_records_beside_them_keep_their_bodies(store: Storage) -> None:
    """A conversation's call stands between two records of no conversation, which are kept together."""
    await store.commit(Batch("sidecar-1", [entry(0)]))
    beside = [entry(turn, None, word="pin") for turn in range(3)]
    await store.commit(Batch("sidecar-1", [beside[0], entry(1), beside[1], entry(2), beside[2]]))
    await store.erase(Filter(text="answer 0 of pin"))
    assert await bodies(store, 3, 4, 5, 6) == [history(1), history(1, "pin"), history(2), history(2, "pin")]
    for turn in range(3, 8):
        await store.commit(Batch("sidecar-1", [entry(turn, None)]))
    await store.trim(4)
    assert await bodies(store, 3, 4, 5, 6) == [None, None, history(2), history(2, "pin")]
    await store.erase(Filter(text="answer 2 of hay"))
    assert await bodies(store, 6, 7) == [history(2, "pin"), history(3)]


async def test_an_ended_block_does_not_take_its_batch_along(store: Storage) -> None:
    """The cap takes a conversation that has ended; the records of its last batch keep what is theirs."""
    await store.commit(Batch("sidecar-1", [entry(0)]))
    await store.commit(Batch("sidecar-1", [entry(0, None), entry(1), entry(1, None)]))
    for turn in range(2, 6):
        await store.commit(Batch("sidecar-1", [entry(turn, None)]))
    await store.trim(3)
    assert await bodies(store, 3, 4, 5) == [None, history(1), history(2)]
