"""Bodies of one conversation, which repeat each other: however a store keeps them, each is its own."""

import random

import pytest

from storage.base import Storage
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Payload
from storage.search.expression import Substring
from tests.contract.backends import DENSE
from tests.storage.samples import START_US, make_body, make_record
from tests.support.filters import make_filter

A, B = bytes([1]) * 16, bytes([2]) * 16
HOUR_US = 3_600_000_000
WORDS = [f"{random.Random(number).getrandbits(40):x}" for number in range(400)]


def history(turn: int, word: str = "hay") -> bytes:
    """A body that begins with that of the turn before."""
    return " ".join((word, *WORDS[: 10 * turn])).encode()


def entry(
    turn: int, conversation: bytes | None = A, word: str = "hay", started_at_us: int = START_US
) -> Entry:
    """A call of a conversation."""
    record = make_record(
        conversation=conversation, provider="openai", model="m", started_at_us=started_at_us
    )
    answer = make_body(f"answer {turn} of {word}".encode())
    return Entry(
        record, Payload(b"POST /", b"HTTP/1.1 200", make_body(history(turn, word)), answer)
    )


async def bodies(store: Storage, *seqs: int) -> list[bytes | None]:
    """Request bodies of records."""
    found = await store.payloads(seqs)
    bodies = [found[seq].request_body for seq in seqs]
    return [None if body is None else body.head for body in bodies]


class Log:
    """A store, and the `seq` of each record that was committed to it, numbered from 1."""

    def __init__(self, store: Storage) -> None:
        self.store = store
        self.seqs = [0]

    async def commit(self, *entries: Entry) -> None:
        """Store a batch."""
        await self.store.commit(Batch("sidecar-1", list(entries)))
        self.seqs += [entry.record.seq for entry in entries]

    async def run(self, turns: int) -> None:
        """Two conversations in turn, one batch a turn, and a call of none; numbers of A are 1, 4, 7
        and so on.
        """
        for turn in range(turns):
            await self.commit(entry(turn), entry(turn, B, "needle"), entry(turn, None))

    async def bodies(self, *numbers: int) -> list[bytes | None]:
        """Request bodies of records."""
        return await bodies(self.store, *(self.seqs[number] for number in numbers))

    async def having(self, text: str) -> list[int]:
        """The numbers of the records that have a text."""
        page = await self.store.read(RecordQuery(filter=Filter(where=Substring(text)), order="asc"))
        return [self.seqs.index(record.seq) for record in page.records]


@pytest.fixture
def log(store: Storage) -> Log:
    """An empty store of every backend in turn."""
    return Log(store)


async def test_each_call_has_its_own_bodies(log: Log) -> None:
    """Of every turn, in any order, request and response."""
    await log.run(30)
    assert await log.bodies(*range(88, 0, -3)) == [history(turn) for turn in reversed(range(30))]
    found = await log.store.payloads(log.seqs)
    assert [found[seq].response_body.head for seq in log.seqs[2::3]] == [  # type: ignore[union-attr]
        f"answer {turn} of needle".encode() for turn in range(30)
    ]


async def test_text_is_found_in_them(log: Log) -> None:
    """In those that have it, and in no other."""
    await log.run(20)
    assert await log.having("needle") == list(range(2, 61, 3))
    assert await log.having(WORDS[150]) == list(range(49, 61))


async def test_what_is_erased_is_gone_and_the_rest_is_whole(log: Log) -> None:
    """One call out of the middle of a conversation, then a whole one; what comes after continues."""
    await log.run(6)
    ids = [record.id for record in (await log.store.read(RecordQuery(order="asc"))).records]
    secret = entry(6, word="secretive")
    await log.commit(secret)
    await log.commit(entry(7))
    await log.store.erase(Filter(where=Substring("secretive")))
    assert await log.store.get(secret.record.id) is None
    assert await log.bodies(*range(1, 17, 3), 20) == [
        history(turn) for turn in (0, 1, 2, 3, 4, 5, 7)
    ]
    await log.commit(entry(8))
    assert await log.bodies(16, 20, 21) == [history(turn) for turn in (5, 7, 8)]
    await log.store.erase(make_filter(conversations=(A,)))
    assert await log.bodies(*range(2, 18, 3)) == [history(turn, "needle") for turn in range(6)]
    assert [await log.store.get(number) is None for number in ids] == [True, False, False] * 6


async def test_they_outlive_the_older_ones(log: Log) -> None:
    """Below the floor of bodies they are gone, above it whole, though they were kept with those."""
    old = START_US // HOUR_US * HOUR_US
    for turn in range(12):
        await log.commit(entry(turn, started_at_us=old + turn * HOUR_US // 3))
    await log.store.move_floors(0, old + 2 * HOUR_US)
    while not (await log.store.purge(1000)).is_done:
        pass
    assert await log.bodies(*range(1, 13)) == [None] * 6 + [history(turn) for turn in range(6, 12)]
    await log.commit(entry(12, started_at_us=old + 4 * HOUR_US))
    assert await log.bodies(12, 13) == [history(11), history(12)]


@pytest.mark.parametrize("backend", DENSE, ids=lambda backend: backend.name)
async def test_they_outlive_what_the_cap_takes(log: Log) -> None:
    """Bodies of the oldest rows go first; those behind them in the same conversation stay."""
    await log.run(20)
    trimmed = await log.store.trim(9)
    assert (trimmed.rows, trimmed.bodies) == (0, 9)
    assert await log.bodies(*range(1, 61, 3)) == [None] * 3 + [
        history(turn) for turn in range(3, 20)
    ]
    assert (await log.having("needle"))[0] == 11
    while (await log.store.trim(9)).bodies:
        pass
    await log.store.trim(9)
    left = (
        await log.store.read(RecordQuery(filter=make_filter(conversations=(A,)), order="asc"))
    ).records
    assert await log.bodies(log.seqs.index(left[-1].seq)) == [history(19)]


@pytest.mark.parametrize("backend", DENSE, ids=lambda backend: backend.name)
async def test_records_beside_them_keep_their_bodies(log: Log) -> None:
    """A conversation's call stands between two records of no conversation, which are kept together."""
    await log.commit(entry(0))
    beside = [entry(turn, None, word="pin") for turn in range(3)]
    await log.commit(beside[0], entry(1), beside[1], entry(2), beside[2])
    await log.store.erase(Filter(where=Substring("answer 0 of pin")))
    assert await log.bodies(3, 4, 5, 6) == [
        history(1),
        history(1, "pin"),
        history(2),
        history(2, "pin"),
    ]
    for turn in range(3, 8):
        await log.commit(entry(turn, None))
    await log.store.trim(4)
    assert await log.bodies(3, 4, 5, 6) == [None, None, history(2), history(2, "pin")]
    await log.store.erase(Filter(where=Substring("answer 2 of hay")))
    assert await log.bodies(6, 7) == [history(2, "pin"), history(3)]


@pytest.mark.parametrize("backend", DENSE, ids=lambda backend: backend.name)
async def test_an_ended_block_does_not_take_its_batch_along(log: Log) -> None:
    """The cap takes a conversation that has ended; the records of its last batch keep what is
    theirs.
    """
    await log.commit(entry(0))
    await log.commit(entry(0, None), entry(1), entry(1, None))
    for turn in range(2, 6):
        await log.commit(entry(turn, None))
    await log.store.trim(3)
    assert await log.bodies(3, 4, 5) == [None, history(1), history(2)]
