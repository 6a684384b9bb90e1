"""Use of language models in every backend, judged by `storage.relational.tally`: stored, replayed,
purged and erased.
"""

import random
from dataclasses import replace
from typing import Any

import pytest

from storage.base import Storage
from storage.errors import StorageRejected
from storage.query import Count, CountQuery, Filter, Scope, SummaryQuery
from storage.record import Record
from storage.relational.time_ranges import HOUR_US
from storage.relational.usage import total
from tests.storage.samples import START_US, make_batch, make_record
from tests.support import memory_aggregates as model
from tests.support.filters import make_filter

HOUR = START_US // HOUR_US * HOUR_US
FILTERS = (
    Filter(),
    Filter(kind="all"),
    Filter(kind="event"),
    make_filter(is_llm=True),
    make_filter(providers=("openai",)),
    make_filter(providers=("openai", "nobody"), models=("small",)),
    make_filter(models=("unknown",)),
    make_filter(models=("small",)),
    make_filter(models=("small-1",)),
    make_filter(models=("large", "small-1"), since_us=HOUR + HOUR_US, until_us=HOUR + 3 * HOUR_US),
    make_filter(models=("small", "large"), is_llm=True, projects=("a",)),
    Filter(scope=Scope(projects=("a",), containers=("c",))),
    make_filter(projects=("a",), services=("s",), routes=("r",), keys=("k",)),
    Filter(since_us=HOUR, until_us=HOUR + 2 * HOUR_US),
    make_filter(
        since_us=HOUR + 17, until_us=HOUR + 2 * HOUR_US + HOUR_US // 2, providers=("openai",)
    ),
    Filter(since_us=HOUR + 20 * HOUR_US),
    make_filter(path_contains="chat"),
    make_filter(statuses=(200,), models=("large",)),
    make_filter(levels=("info",)),
    make_filter(methods=("GET",), status_classes=(2,)),
)


def make_calls(number: int = 120) -> list[Record]:
    """Make LLM calls that differ in everything usage is counted by, among other exchanges."""
    chance = random.Random(5)

    def pick(*values: Any) -> Any:
        return chance.choice((*values, None))

    records = []
    for _ in range(number):
        changes: dict[str, Any] = {
            "started_at_us": HOUR + chance.randrange(3 * HOUR_US) + chance.choice((0, 30 * HOUR_US)),
            "project": pick("a", "b"), "container": pick("c"), "client": pick("x"), "service": pick("s"),
            "route_id": pick("r"), "key_id": pick("k"), "path": pick("/v1/chat/completions", "/x"),
            "kind": chance.choice(("exchange", "exchange", "exchange", "event")),
        }  # fmt: skip
        if chance.random() < 0.7:
            changes |= {
                "provider": chance.choice(("openai", "anthropic")), "model": pick("small", "large"),
                "resolved_model": pick("small-1", "large"),
                "input_tokens": pick(10, 1000, 1 << 62), "output_tokens": pick(7), "cache_read_tokens": pick(3),
                "cache_write_tokens": pick(1), "reasoning_tokens": pick(5), "cost_usd": pick(0.001, 0.25, 1e300),
                "usage_state": "exact",
            }  # fmt: skip
        elif chance.random() < 0.3:
            changes |= {"model": "small", "input_tokens": 5}  # of no provider: no LLM call

        records.append(make_record(**changes))

    return records


async def check(store: Storage, records: list[Record]) -> None:
    """Every filter has the usage, and the number, that its records add up to."""
    for filter in FILTERS:
        expected = model.summary(records, filter)
        assert (await store.read(SummaryQuery(filter))).models == expected.models, filter
        assert await store.read(CountQuery(filter)) == Count(expected.exchanges, expected.events), (
            filter
        )


async def test_usage_is_that_of_the_records(store: Storage) -> None:
    """Over whole hours and parts of them, by any dimension, also by those of rollups that have no
    calls.
    """
    records = make_calls()
    for start in range(0, len(records), 50):
        await store.commit(make_batch(*records[start : start + 50]))
    await check(store, records)
    models = (await store.read(SummaryQuery(Filter()))).models
    assert models is not None
    assert {(found.provider, found.model) for found in models} >= {
        ("openai", "small"),
        ("anthropic", None),
    }
    assert total(models).calls == sum(record.provider is not None for record in records)


async def test_a_refused_batch_counts_nothing(store: Storage) -> None:
    """What comes again after a failure is counted once."""
    records = make_calls(20)
    await store.commit(make_batch(*records))
    again = make_calls(5)
    with pytest.raises(StorageRejected):
        await store.commit(make_batch(*again, again[0]))
    await store.commit(make_batch(*again))
    await check(store, [*records, *again])


async def test_erased_calls_are_taken_off(store: Storage) -> None:
    """A filter's calls are no more counted, those of others are, down to none at all."""
    records = make_calls()
    await store.commit(make_batch(*records))
    await store.erase(make_filter(kind="all", models=("small",)))
    await check(
        store,
        [record for record in records if "small" not in (record.model, record.resolved_model)],
    )
    await store.erase(Filter(kind="all"))
    await check(store, [])
    await store.commit(make_batch(*(later := make_calls(10))))
    await check(store, later)


async def test_purged_calls_are_not_counted(store: Storage) -> None:
    """From the floor on, however far deletion has come."""
    records = make_calls()
    await store.commit(make_batch(*records))
    floor_us = HOUR + 2 * HOUR_US
    await store.move_floors(floor_us, floor_us)
    left = [record for record in records if record.started_at_us >= floor_us]
    await check(store, left)
    while not (await store.purge(30)).is_done:
        pass
    await check(store, left)
    await check_range(store, records, Filter(since_us=HOUR))


async def check_range(store: Storage, records: list[Record], filter: Filter) -> None:
    """A range that begins below the floor has the usage from the floor on."""
    state = await store.retention()
    expected = model.summary(records, replace(filter, since_us=state.purge_floor_us))
    assert (await store.read(SummaryQuery(filter))).models == expected.models
