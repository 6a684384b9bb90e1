"""Records as rows: what is written reads back, and what a filter matches is found."""

from collections.abc import Sequence

import pytest

from storage.clickhouse.codec import columns_of, decode, numbers_of
from storage.clickhouse.dictionary import TRUSTED_S, Dictionary, text_id
from storage.clickhouse.link import Link
from storage.clickhouse.reads.dialect import dialect
from storage.clickhouse.reads.visible import Commits
from storage.clickhouse.tables import create
from storage.clickhouse.writes.batches import BatchStore
from storage.clickhouse.writes.group import Turn
from storage.clickhouse.writes.rows import Rows
from storage.errors import StorageRejected
from storage.query import Filter, Scope, matches
from storage.record import Batch, Entry, Record, Stream
from storage.relational.sql import conditions, texts
from storage.relational.writes.packing import COLUMNS
from tests.storage.samples import START_US, make_empty_record, make_full_record, make_record

_ODD = ["", "\0", "a\0b", "0", "null", "%_\\'\"", "\U0001f600", "\uffff\U0010ffff", "x" * 300_000]


async def store(link: Link, records: Sequence[Record]) -> None:
    """Commit records to an empty database."""
    await BatchStore(link, await create(link)).store(Batch("a", [Entry(record) for record in records]))


async def found(link: Link, where: str = "1 = 1", parameters: Sequence[object] = ()) -> list[Record]:
    """Read the records that fulfil a condition."""
    committed = (await Commits().read(link)).condition()
    sql = f"SELECT {', '.join(COLUMNS)} FROM records WHERE {committed} AND {where} ORDER BY seq"
    rows = await link.fetch(sql, parameters, limit_s=30)
    known = await Dictionary(link).texts(numbers_of(rows))
    return [decode(row, known) for row in rows]


async def test_every_field_is_kept(link: Link) -> None:
    """A record reads back equal, with and without its nullable fields, with odd text and extreme numbers."""
    columns = ("path", "query", "host", "user_agent", "client_ip", "trace_id", "request_id", "project", "error_type")
    records = [make_record(), make_full_record(kind="event"), make_empty_record()]
    records += [make_full_record(**dict.fromkeys(columns, text)) for text in _ODD]
    extreme = {"duration_us": 2**63 - 1, "started_at_us": -(2**63), "ended_at_us": 0, "input_tokens": 2**63 - 1}
    records.append(make_full_record(status=999, output_tokens=0, cost_usd=5e-324, **extreme))
    records.append(make_record(data=bytes(range(256)), marks=b"\xff\0" * 16, client_ip="2001:db8::1"))
    await store(link, records)
    assert await found(link) == records


async def test_rows_without_a_commit_are_not_read(link: Link) -> None:
    """What an attempt left behind is not seen, above the last commit or below it."""
    await create(link)
    left, kept = [make_record(), make_record()], make_record()
    rows = Rows.write("records", range(2), columns_of(left, {}))
    await link.send("records", [rows.block(Turn(1, 1, 0))], limit_s=30)
    assert await found(link) == []
    await store(link, [kept])
    assert await found(link) == [kept]


async def test_a_request_id_of_its_own_is_a_mark(link: Link) -> None:
    """The id that a record was given as request id is not stored twice, and reads back."""
    record = make_record()
    number = record.id.hex()
    record.request_id = f"{number[:8]}-{number[8:12]}-{number[12:16]}-{number[16:20]}-{number[20:]}"
    await store(link, [record])
    assert await found(link) == [record]
    assert await link.fetch("SELECT length(request_id) FROM records", limit_s=30) == [(1,)]


_FILTERS = [
    Filter(),
    Filter(kind="all"),
    Filter(kind="event", levels=("info", "error")),
    Filter(kind="all", scope=Scope(projects=("p", "q"))),
    Filter(kind="all", scope=Scope(clients=("c",)), services=("s",)),
    Filter(kind="all", projects=("nobody",)),
    Filter(kind="all", statuses=(404, 200)),
    Filter(kind="all", statuses=(404,), status_classes=(5,)),
    Filter(kind="all", status_classes=(2,)),
    Filter(kind="all", levels=("warn", "error")),
    Filter(kind="all", methods=("GET",), hosts=("h",)),
    Filter(kind="all", since_us=START_US + 1, until_us=START_US + 3),
    Filter(kind="all", min_duration_us=5, max_duration_us=10),
    Filter(kind="all", path_contains="/A_"),
    Filter(kind="all", path_contains=""),
    Filter(kind="all", path_contains="'\\%\0"),
    Filter(kind="all", trace_id="0af7651916cd43dd8448eb211c80319c"),
    Filter(kind="all", keyed=True),
    Filter(kind="all", keys=("key-1",)),
    Filter(kind="all", is_llm=True),
    Filter(kind="all", models=("gpt", "gpt-2")),
    Filter(kind="all", models=("gpt-2",)),
    Filter(kind="all", providers=("openai",), finish_reasons=("stop",)),
    Filter(kind="all", called_tools=("search",)),
    Filter(kind="all", conversations=(bytes(range(16)),)),
    Filter(kind="all", endpoints=("/v1/chat/{id}",), outcomes=("ok",)),
    Filter(kind="all", error_types=("rate_limit",)),
]


async def test_a_filter_finds_what_it_matches(link: Link) -> None:
    """Each condition on rows, as the server understands it, means what the filter says."""
    records = [
        make_record(project="p", status=200, path="/a_b", host="h", started_at_us=START_US),
        make_record(project="q", status=404, level="warn", path="/axb", duration_us=7, started_at_us=START_US + 1),
        make_record(client="c", service="s", status=503, level="error", path=None, started_at_us=START_US + 2),
        make_record(kind="event", level="info", status=None, started_at_us=START_US + 3),
        make_record(path="/'\\%\0", keyed=True, method="POST", duration_us=10),
        make_full_record(stream=Stream(1, 1, None, True, finish_reason="stop", tools=["search", "find"])),
        make_full_record(model=None, conversation=None, path="/A_"),
        make_empty_record(),
    ]
    await store(link, records)
    for filter in _FILTERS:
        ids = {column: {text: text_id(column, text) for text in each} for column, each in texts(filter).items()}
        where = conditions(filter, ids, dialect())
        assert where is not None, filter
        assert await found(link, where.text, where.parameters) == [r for r in records if matches(filter, r)], filter


async def test_spans_say_where_records_lie(link: Link) -> None:
    """The least and the most of no span at all are null."""
    await create(link)
    sql = "SELECT coalesce(min(first_seq), 1), coalesce(max(last_seq), 0), min(min_started_at_us) FROM spans"
    assert await link.fetch(sql, limit_s=30) == [(1, 0, None)]
    await store(link, [make_record(), make_record()])
    assert await link.fetch(sql, limit_s=30) == [(1, 2, START_US)]


async def test_a_number_stands_for_one_text(link: Link) -> None:
    """A text whose number is another one's is refused; one that is stored already is not stored again."""
    await create(link)
    await Dictionary(link).learn({text_id("host", "a"): ("host", "a")})
    await Dictionary(link).learn({text_id("host", "a"): ("host", "a"), text_id("name", "a"): ("name", "a")})
    assert await link.fetch("SELECT count() FROM dictionary", limit_s=30) == [(2,)]
    with pytest.raises(StorageRejected, match="number of another text"):
        await Dictionary(link).learn({text_id("host", "a"): ("host", "b")})


async def test_a_text_that_the_server_has_lost_is_stored_again(link: Link) -> None:
    """As in a power cut, or when it was restored: nobody tells, and the sidecar goes on."""
    now_s = 0.0
    dictionary, values = Dictionary(link, lambda: now_s), {text_id("host", "a"): ("host", "a")}
    await create(link)
    await dictionary.learn(values)
    await link.execute("RENAME TABLE dictionary TO elsewhere", limit_s=30)
    await create(link)
    now_s = TRUSTED_S
    await dictionary.learn(values)
    assert await link.fetch("SELECT value FROM dictionary", limit_s=30) == [("a",)]


def test_unknown_words_and_lone_surrogates_are_refused() -> None:
    """What no row can hold is refused before anything is sent."""
    for record in (make_record(level="fatal"), make_record(kind="thing"), make_record(project="\udc80")):
        with pytest.raises(ValueError, match=r"is not one of|surrogates"):
            columns_of([record], {})
