"""What is summed up of a search that looks into bodies, over every backend: that of the rows it
finds.
"""

import random
from typing import Any

from storage.base import Storage
from storage.query import (
    CountQuery,
    Filter,
    HistogramQuery,
    Kind,
    Query,
    SeriesQuery,
    SummaryQuery,
    TopQuery,
)
from storage.record import Batch, Entry
from storage.relational.time_ranges import HOUR_US
from storage.search.expression import And, Expression, Is, Text
from storage.search.phrase import Phrase
from tests.storage.samples import START_US, make_body, make_payload, make_record

RECORDS = 400
WORD = Text(Phrase(("deadlock",)))
MARK = Is("request_id", ("found",))
"""What records with the word have, too, and no rollup counts."""


def make_entry(number: int, chance: random.Random) -> Entry:
    """Make an exchange or an event, a call of a model or none, of which one in three has the word
    in its body.
    """
    is_found = chance.random() < 1 / 3
    record = make_record(
        kind=chance.choice(("exchange", "exchange", "event")),
        request_id="found" if is_found else "other",
        started_at_us=START_US + number * HOUR_US // 100,
        duration_us=chance.randrange(1000),
        status=chance.choice((200, 404, 503)),
        level=chance.choice(("info", "error")),
        error_type=chance.choice((None, "timeout")),
        service=chance.choice(("a", "b", None)),
        host=chance.choice(("one.example", "two.example")),
    )
    if chance.random() < 1 / 2:
        record.provider, record.model = "openai", chance.choice(("small", "large"))
        record.user_id = chance.choice(("ann", None))
        record.input_tokens, record.output_tokens, record.cost_usd = (
            chance.randrange(9),
            chance.choice((None, 3)),
            0.25,
        )

    payload = make_payload(number)
    payload.response_body = make_body(
        b'{"error": "Deadlock found"}' if is_found else b'{"error": "timed out"}'
    )
    return Entry(record, payload)


def queries(where: Expression, kind: Kind) -> list[Query[Any]]:
    """Ask for everything that is summed up of records."""
    filter = Filter(kind=kind, where=where)
    until_us = START_US + RECORDS * HOUR_US // 100
    tops = ("service", "host", "model", "user", "provider", "endpoint", "status", "failure")
    return [
        SummaryQuery(filter),
        SummaryQuery(filter, only_totals=True),
        *(TopQuery(filter, by) for by in tops),
        SeriesQuery(filter, "model", START_US, until_us, 10),
        HistogramQuery(filter, START_US, until_us, 10),
        CountQuery(filter),
    ]


async def test_sums_of_a_search_are_those_of_its_rows(store: Storage) -> None:
    """With conditions on columns beside the word or without; of exchanges, of events, and of both."""
    chance = random.Random(3)
    for first in range(0, RECORDS, 100):
        await store.commit(
            Batch("sidecar-1", [make_entry(number, chance) for number in range(first, first + 100)])
        )

    status = Is("service", ("a",))
    kinds: tuple[Kind, ...] = ("exchange", "event", "all")
    for kind in kinds:
        for found, marked in ((WORD, MARK), (And((WORD, status)), And((MARK, status)))):
            for asked, expected in zip(queries(found, kind), queries(marked, kind), strict=True):
                assert await store.read(asked) == await store.read(expected), asked
