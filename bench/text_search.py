"""Text search over many records: our index beside SQLite FTS5 and Postgres GIN, over the same texts.

    python -m bench.text_search --records 200000
    python -m bench.text_search --records 200000 --texts repeats --own-postgres
    python -m bench.text_search --records 1000000 --texts repeats --own-clickhouse debian
    python -m bench.text_search --records 10000000 --texts repeats --directory DIR --only-ours    # of what is made
    python -m bench.text_search --records 30000 --texts gets --only-ours --behind

The index is made beside the commits, as a collector does that keeps up: of what was committed a moment ago. With
`--behind` it is made when all is committed, of what is stored: so does one that was too busy, or off.

Records are POSTs of 1 KB each way, with ids that never come again: `prose` is JSON with sentences of Python's own
documentation, `repeats` the bodies of `bench.macro`; `gets` are GETs without one. Reported are the size of each index
in bytes a record, the processor time to make it in µs a record (of this process: a server's is not in it), and how
long searches take: for a word that one record has, one in a thousand, or none, for two words, and for a phrase. Ours
answers with a page of 100 records, as the API does; FTS5, without the texts, and GIN with 100 numbers of rows.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, Final

import asyncpg

from bench.generate import make_record
from bench.macro.machine import machine
from bench.macro.scenarios import json_text
from bench.micro.postgres_write import make_database, running
from bench.queries import Measured, measure
from proxy.process.memory.malloc import tune
from storage.backends import open_storage
from storage.base import Storage
from storage.query import Filter, RecordQuery
from storage.record import Batch, Body, Entry, Payload, Position
from storage.search.expression import And, Expression, Text
from storage.search.phrase import Phrase
from tests.support.clickhouse import own_server

BATCH: Final = 1000
SOURCE: Final = bytes(15) + b"\x0a"
BODY_BYTES: Final = 1024
_PROSE: Final = " ".join(" ".join(topics.values()).encode("ascii", "ignore").decode().split()).split(" ")
_HEAD: Final = (
    "POST /api/users/{user}?run={run:x} HTTP/1.1\r\nHost: bench.local\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n"
    "Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: 1024\r\nX-Request-Id: {id:032x}"
)
_GET: Final = (
    "GET /api/users/{user}?own=own{number}x HTTP/1.1\r\nHost: bench.local\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n"
    "Accept: application/json\r\nX-Request-Id: {id:032x}"
)
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nContent-Length: 1024"

Search = Callable[[str], Awaitable[Any]]


def make_body(number: int, chosen: random.Random, texts: str) -> str:
    """Make a body of about a kilobyte, with a word of its own, one that a thousandth has, and a phrase now and then."""
    own = f"own{number}x"
    if number % 1000 == 7:
        own += " thousandfold"
    if number % 20_000 == 11:
        own += " quiet harbour lights"
    if texts == "repeats":
        return json_text(BODY_BYTES, name=f"{chosen.randrange(10**8):08d} {own}")
    start = chosen.randrange(len(_PROSE) - 200)
    document = {
        "id": chosen.randrange(10**7),
        "user": {"id": f"{chosen.getrandbits(128):032x}", "email": f"user{chosen.randrange(10**5)}@example.com"},
        "name": own,
        "amount": round(chosen.random() * 1000, 2),
        "text": " ".join(_PROSE[start : start + 200]),
    }
    return json.dumps(document)[:BODY_BYTES]


def entries(first: int, last: int, total: int, texts: str) -> Iterator[Entry]:
    """Make the records with some numbers, always the same."""
    for number in range(first, last):
        chosen = random.Random(number)
        if texts == "gets":
            head = _GET.format(user=chosen.randrange(5000), number=number, id=chosen.getrandbits(128))
            yield Entry(make_record(number, total, 2.0), Payload(head.encode(), _ANSWER, None, None))
            continue
        head = _HEAD.format(user=chosen.randrange(5000), run=chosen.getrandbits(32), id=chosen.getrandbits(128))
        asked, answered = (make_body(number, chosen, texts).encode() for _ in range(2))
        request, response = (Body(text, b"", len(text), False, None, None) for text in (asked, answered))
        yield Entry(make_record(number, total, 2.0), Payload(head.encode(), _ANSWER, request, response))


def text_of(entry: Entry) -> str:
    """Join everything that is searched in a record, for the other indexes."""
    payload, record = entry.payload, entry.record
    assert payload is not None
    assert payload.request_body is not None
    assert payload.response_body is not None
    parts = (payload.request_head, payload.response_head, payload.request_body.head, payload.response_body.head)
    return "\n".join((record.path or "", *(part.decode("utf-8", "replace") for part in parts)))


def asked(total: int) -> dict[str, list[str]]:
    """Name the kinds of searches, each with what is searched for."""
    numbers = random.Random(3).sample(range(total), 12)
    return {
        "one record": [f"own{number}x" for number in numbers],
        "one in a thousand": ["thousandfold"] * 12,
        "none": [f"absent{number}x" for number in numbers],
        "two words": [f"own{number}x lorem" if number % 2 else f"thousandfold own{number}x" for number in numbers],
        "phrase": ["quiet harbour lights"] * 12,
    }


async def timed(search: Search, total: int) -> dict[str, Measured]:
    """Search everything, and print it."""
    found = {}
    for kind, words in asked(total).items():
        rounds = iter(words)
        found[kind] = measured = await measure(lambda number, rounds=rounds: search(next(rounds)), len(words))  # type: ignore[misc]
        told = (
            f"first {measured.first_ms:8} ms, p50 {measured.p50_ms:8}, p95 {measured.p95_ms:8}, CPU {measured.cpu_ms:8}"
        )
        print(f"  {kind:20} {told}{', not complete' if measured.complete is False else ''}", flush=True)
    return found


async def measure_ours(url: str, directory: Path, total: int, texts: str, *, is_behind: bool) -> dict[str, Any]:
    """Fill a store, make its index, and search it."""
    async with await open_storage(url, directory, durability="fast") as storage:
        records, cpu_s = (0, 0.0) if is_behind else await _index(storage)
        for first in range(await storage.last_seq(), total, BATCH):
            batch = list(entries(first, min(first + BATCH, total), total, texts))
            taken = first + len(batch)
            position = Position(offset=taken * 500, taken=taken, stored=taken, received=taken)
            await storage.commit(Batch("sidecar-1", batch, {SOURCE: position}))
            if not is_behind:
                made, took_s = await _index(storage)
                records, cpu_s = records + made, cpu_s + took_s
        made, took_s = await _index(storage)
        records, cpu_s = records + made, cpu_s + took_s
        cpu_us = cpu_s * 1e6 / records if records else None
        size = (await storage.text_index()).size_bytes
    told = "made before" if cpu_us is None else f"{cpu_us:.1f} µs a record, {records} of them"
    print(f"ours, {url.partition(':')[0]}: {size / total:.1f} bytes a record, {told}")
    async with await open_storage(url, directory, durability="fast") as storage:
        searches = await timed(lambda words: _page(storage, words), total)
    return _shown(size / total, cpu_us, searches)


async def _index(storage: Storage) -> tuple[int, float]:
    """Make the index until there is nothing to do; returns of how many records, and in how many seconds of CPU."""
    began_s, records = time.process_time(), 0
    while not (step := await storage.index_text()).is_done:
        records += step.records
    return records, time.process_time() - began_s


async def _page(storage: Storage, words: str) -> object:
    return await storage.select(RecordQuery(filter=Filter(where=expression_of(words), kind="all")))


def expression_of(words: str) -> Expression:
    """Ask for a phrase, or for each of some words."""
    phrases = [words] if words.startswith("quiet") else words.split(" ")
    return And(tuple(Text(Phrase(tuple(word.split(" ")))) for word in phrases))


async def measure_fts5(directory: Path, total: int, texts: str) -> dict[str, Any]:
    """Do the same with FTS5, contentless, in a file of its own."""
    path = directory / "fts5.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='unicode61')")
    cpu_s = 0.0
    for first in range(0, total, BATCH):
        some = [(text_of(entry),) for entry in entries(first, min(first + BATCH, total), total, texts)]
        began_s = time.process_time()
        with connection:
            connection.executemany("INSERT INTO texts (text) VALUES (?)", some)
        cpu_s += time.process_time() - began_s
    connection.execute("PRAGMA wal_checkpoint(truncate)")
    size, cpu_us = path.stat().st_size, cpu_s * 1e6 / total
    print(f"FTS5: {size / total:.1f} bytes and {cpu_us:.1f} µs a record")

    async def search(words: str) -> object:
        match = f'"{words}"' if words.startswith("quiet") else words
        sql = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rowid DESC LIMIT 100"
        return connection.execute(sql, (match,)).fetchall()

    searches = await timed(search, total)
    connection.close()
    return _shown(size / total, cpu_us, searches)


async def measure_gin(url: str, total: int, texts: str) -> dict[str, Any]:
    """Do the same with a GIN index over text vectors, which Postgres needs the vectors for."""
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE texts (id bigint PRIMARY KEY, words tsvector)")
    await connection.execute("CREATE INDEX texts_words ON texts USING gin (words)")
    began_s = time.perf_counter()
    for first in range(0, total, BATCH):
        some = enumerate(entries(first, min(first + BATCH, total), total, texts), first)
        rows = [(number, text_of(each)) for number, each in some]
        await connection.executemany("INSERT INTO texts VALUES ($1, to_tsvector('simple', $2))", rows)
    took_us = (time.perf_counter() - began_s) * 1e6 / total
    await connection.execute("VACUUM ANALYZE texts")
    size = "SELECT pg_relation_size($1::text::regclass)"
    index, table = [int(await connection.fetchval(size, name)) for name in ("texts_words", "texts")]
    print(f"GIN: {index / total:.1f} bytes a record, {table / total:.1f} for vectors, {took_us:.1f} µs of time")

    async def search(words: str) -> object:
        query = "phraseto_tsquery" if words.startswith("quiet") else "plainto_tsquery"
        sql = f"SELECT id FROM texts WHERE words @@ {query}('simple', $1) ORDER BY id DESC LIMIT 100"
        return await connection.fetch(sql, words)

    searches = await timed(search, total)
    await connection.close()
    return _shown(index / total, took_us, searches) | {"vectors_bytes_per_record": round(table / total, 1)}


def _shown(size: float, cost_us: float | None, searches: dict[str, Measured]) -> dict[str, Any]:
    shown = {kind: asdict(found) for kind, found in searches.items()}
    us = None if cost_us is None else round(cost_us, 1)
    return {"bytes_per_record": round(size, 1), "us_per_record": us, "searches": shown}


@contextlib.asynccontextmanager
async def _server(options: argparse.Namespace) -> AsyncIterator[tuple[str, str | None] | None]:
    if options.own_clickhouse:
        with own_server(options.own_clickhouse, place=options.directory) as own:
            yield own.url(own.database()), None
    elif options.own_postgres:
        with running(str(options.directory)) as server:
            yield await make_database(server, "ours"), await make_database(server, "gin")
    else:
        yield None


async def _run(options: argparse.Namespace) -> None:
    tune()  # As the collector does, in which searches run: else a third of one is spent on giving memory back.
    total, texts, results = options.records, options.texts, {}
    options.directory.mkdir(parents=True, exist_ok=True)
    async with _server(options) as urls:
        if urls is None:
            url = f"sqlite:///text-{texts}-{total}.db"
            results["ours"] = await measure_ours(url, options.directory, total, texts, is_behind=options.behind)
            if not options.only_ours:
                results["fts5"] = await measure_fts5(options.directory, total, texts)
        else:
            results["ours"] = await measure_ours(urls[0], options.directory, total, texts, is_behind=options.behind)
            if urls[1] is not None and not options.only_ours:
                results["gin"] = await measure_gin(urls[1], total, texts)
    clickhouse = f"clickhouse-{options.own_clickhouse}" if options.own_clickhouse else ""
    backend = clickhouse or ("postgres" if options.own_postgres else "sqlite")
    document = {"machine": machine(), "records": total, "texts": texts, "results": results}
    alone = ("-only-ours" if options.only_ours else "") + ("-behind" if options.behind else "")
    path = Path("bench/results") / f"text-search-{backend}-{texts}-{total}{alone}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Compare over as many records as the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--texts", choices=("prose", "repeats", "gets"), default="prose")
    parser.add_argument("--own-postgres", action="store_true", help="in a Postgres of its own instead of SQLite")
    parser.add_argument("--own-clickhouse", choices=("debian", "chdb"), help="in a ClickHouse of its own; only ours")
    parser.add_argument("--behind", action="store_true", help="make the index when all is stored")
    parser.add_argument("--only-ours", action="store_true", help="no other index beside it")
    parser.add_argument("--directory", type=Path, default=Path("/tmp/text-search"), help="where stores are made")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
