"""Fill a store with records, straight through its own `commit`: `python -m bench.generate --records
1000000`.

The records are those of a mixed service over some days: 12 projects, 20 services, each with 10
keys, 449 endpoints, 160 hosts, many paths, one in ten an LLM call of some conversation, one in
fifty an error. Bodies are JSON, HTML and lines of logs, 40 % of them with characters beyond ASCII;
some carry a message of an error, and how many do is known (`MESSAGES`). Always the same for the
same numbers. What remains is a store, to be measured by `python -m bench.queries`. Where it was
stopped it goes on when it is started again.
"""

import argparse
import asyncio
import hashlib
import time
from pathlib import Path
from random import Random
from typing import Any, Final

import asyncpg

from bench.contents import texts
from bench.contents.documents import encoded, order
from bench.contents.words import Language
from storage.backends import open_storage
from storage.base import Storage
from storage.postgres import partitions
from storage.query import RecordQuery
from storage.record import Batch, Body, Entry, Payload, Position, Record, new_id, now_us
from storage.relational.time_ranges import DAY_US
from tests.storage.samples import START_US
from tests.storage.samples import make_record as make_get

BATCH: Final = 3000
ENDPOINTS: Final = 449
HOSTS: Final = 160
TURNS: Final = 20
"""Calls of a conversation, about."""
SOURCE: Final = bytes(15) + b"\x09"

_METHODS: Final = ("GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE")
_MODELS: Final = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet"),
    ("gemini", "flash"),
)
_FOREIGN: Final[dict[int, Language]] = {7: "German", 17: "Russian", 27: "Chinese"}
MESSAGES: Final[dict[int, str]] = {
    2: "checksum verified",
    100: "deadlock detected while waiting for ShareLock",
    300: "数据库死锁，请稍后重试",
    301: "взаимная блокировка обнаружена",
    302: "Zeitüberschreitung beim Öffnen der Größentabelle",
    1000: "quiesced replica refused the transaction",
    10_000: "livelock suspected in scheduler",
    100_000: "kernelpanic imminent",
}
"""One in so many records → a message that only its body has."""
_USERS: Final = 5000
_PAGE_BYTES: Final = 2048
_LOG_BYTES: Final = 1536
_HEAD: Final = (
    b"%s /api/items/%d HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: Mozilla/5.0\r\naccept: "
    b"*/*\r\nx-user: user-%d"
)
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 470\r\nserver: nginx"
)


def make_record(number: int, total: int, days: float, start_us: int = START_US) -> Record:
    """Make the record with a number, of so many, spread evenly over some days from a time on."""
    chance = int.from_bytes(
        hashlib.blake2b(number.to_bytes(8, "big"), digest_size=8).digest(), "big"
    )
    started_at_us = start_us + int(number * days * DAY_US / total)
    status = 500 if chance % 100 == 0 else 404 if chance % 100 == 1 else 200
    endpoint = (chance >> 8) % ENDPOINTS
    service = endpoint % 20
    duration_us = 1000 + (chance >> 16) % 5000 * ((chance >> 30) % 40)
    return make_get(
        id=new_id(started_at_us * 1000, 4711, number & 0xFFFFF),
        started_at_us=started_at_us,
        ended_at_us=started_at_us + duration_us,
        level="error" if status == 500 else "warn" if status == 404 else "info",
        status=status,
        method=_METHODS[endpoint % 8],
        endpoint=f"/api/{service}/items{endpoint}/{{id}}",
        path=f"/api/{service}/items/{chance % 1_000_003}",
        duration_us=duration_us,
        first_byte_us=duration_us - 100,
        upstream_us=duration_us - 100,
        upstream_sent_at_us=started_at_us + 50,
        upstream_done_at_us=started_at_us + duration_us - 50,
        client_ip=f"10.1.2.{chance % 250}",
        stage="production",
        trace_id=f"{chance:032x}" if chance % 4 == 0 else None,
        span_id=f"{chance:016x}" if chance % 4 == 0 else None,
        request_id=f"0192f3a4-{number:08x}",
        user_agent=f"Mozilla/5.0 agent/{chance % 20}",
        error_type="internal" if status == 500 else None,
        key_id=f"key-{service * 10 + (chance >> 24) % 10}" if chance % 10 == 3 else None,
        **_place_of(service, service + 20 * ((chance >> 40) % (HOSTS // 20))),
        **(_call_of(chance, number) if chance % 10 == 0 else {}),
    )


def _place_of(service: int, host: int) -> dict[str, Any]:
    return {
        "route_id": f"route-{service}",
        "service": f"service-{service}",
        "container": f"container-{service}",
        "project": f"project-{service % 12}",
        "client": "acme",
        "host": f"api-{host}.example.com",
    }


def _call_of(chance: int, number: int) -> dict[str, Any]:
    """Say what is known of an LLM call: fifty conversations run at a time."""
    provider, model = _MODELS[(chance >> 10) % 4]
    conversation = number // (10 * TURNS * 50) * 50 + (chance >> 20) % 50
    return {
        "provider": provider,
        "model": model,
        "input_tokens": chance % 900,
        "output_tokens": chance % 300,
        "usage_state": "exact",
        "cost_usd": chance % 900 / 100_000,
        "user_id": f"user-{(chance >> 30) % 5000}",
        "conversation": conversation.to_bytes(16, "big"),
    }


def make_payload(number: int, record: Record) -> Payload:
    """Make heads and a body of one or two kilobytes: an order in JSON, one in ten not in English,
    HTML, or a log.
    """
    draw = Random(number)
    text = _body(number, record, draw, " | ".join(messages(number)))
    body = Body(text, b"", len(text), False, None, None)
    assert record.method is not None
    return Payload(_HEAD % (record.method.encode(), number, number % _USERS), _ANSWER, None, body)


def messages(number: int) -> list[str]:
    """List the messages that the body of a record has."""
    return [message for every, message in MESSAGES.items() if number % every == every // 2]


def _body(number: int, record: Record, draw: Random, message: str) -> bytes:
    kind = number % 10
    if kind == 8:
        return texts.page(draw, _PAGE_BYTES) + f"<p>{message}</p>".encode()
    if kind == 9:
        return texts.log(draw, _LOG_BYTES) + f"{message}\n".encode()

    content = order(draw, _FOREIGN.get(number % 30, "English"))
    if kind in (1, 3, 5):
        content["note"] = f"“{content['note']}” – it’s…"
    known = {"id": number, "path": record.path, "message": message, "order": content}
    return encoded(known).encode()


async def fill(
    storage: Storage,
    records: int,
    days: float,
    *,
    has_payloads: bool,
    start_us: int = START_US,
    first: int = 0,
) -> float:
    """Commit the records from the number `first` on; answers the seconds of the commits alone."""
    seconds = 0.0
    for start in range(first, records, BATCH):
        entries = []
        for number in range(start, min(start + BATCH, records)):
            record = make_record(number, records, days, start_us)
            entries.append(Entry(record, make_payload(number, record) if has_payloads else None))
        taken = start + len(entries)
        position = Position(offset=taken * 500, taken=taken, stored=taken)
        began_s = time.perf_counter()
        await storage.commit(Batch("sidecar-1", entries, {SOURCE: position}))
        seconds += time.perf_counter() - began_s

    return seconds


async def fill_up(
    storage: Storage, records: int, days: float, *, has_payloads: bool, is_recent: bool
) -> float:
    """Commit what a store that was filled in part lacks of the records, with the same numbers."""
    oldest = await storage.read(RecordQuery(order="asc", limit=1))
    start_us = now_us() - int(days * DAY_US) if is_recent else START_US
    if oldest.records:
        start_us = oldest.records[0].started_at_us
    first = await storage.last_seq()
    return await fill(
        storage, records, days, has_payloads=has_payloads, start_us=start_us, first=first
    )


async def make_days(url: str, days: float) -> None:
    """Make the partitions of the days until now, which a Postgres store would have made as each of
    them came.
    """
    if not url.startswith("postgres"):
        return
    connection = await asyncpg.connect(url)
    today = partitions.day_of(now_us())
    for day in range(today - int(days), today + 1):
        await partitions.prepare(connection, day)
    await connection.close()


async def _run(options: argparse.Namespace) -> None:
    async with await open_storage(
        options.storage, Path(options.directory), durability="fast"
    ) as storage:
        before = await storage.last_seq()
        if options.recent:
            await make_days(options.storage, options.days)
        seconds = await fill_up(
            storage,
            options.records,
            options.days,
            has_payloads=options.payloads,
            is_recent=options.recent,
        )
        info = await storage.info()

    rate = (info.last_seq - before) / max(seconds, 0.001)
    print(
        f"{info.rows} rows, {info.size_bytes / info.rows:.0f} bytes a row, {rate:.0f} rows/s in "
        "commits"
    )


def main() -> None:
    """Fill the store that the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument(
        "--recent", action="store_true", help="ending now, so that retention leaves them"
    )
    parser.add_argument("--payloads", action="store_true", help="with heads and bodies")
    parser.add_argument("--storage", default="sqlite:///bench.db", help="storage URL")
    parser.add_argument("--directory", default=".", help="where a relative path of the URL begins")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
