"""What people type into the search box, asked of the store that `bench.generate` fills.

Words and phrases of known frequency, in three scripts, beginnings and parts of words, names with
values: a page of each, and of some the figures beside the page.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from storage.base import Storage
from storage.query import Filter, HistogramQuery, RecordQuery, SummaryQuery, TopQuery
from storage.query import Query as AnyQuery
from storage.record import Record
from storage.search.language.parser import parse_search

Query = Callable[[int], Awaitable[object]]
"""From the number of the round to an answer."""

_PAGE_RECORDS: Final = 100
_BUCKETS: Final = 60

TEXTS: Final[dict[str, str]] = {
    "word, in 0.5": "checksum",
    "word, in 1e-2": "deadlock",
    "word, in 1e-3": "quiesced",
    "word, in 1e-4": "livelock",
    "word, in 1e-5": "kernelpanic",
    "word, in none": "absentword",
    "two words, in 1e-2": "deadlock ShareLock",
    "two words that never meet": "deadlock quiesced",
    "phrase, in 1e-2": '"while waiting for ShareLock"',
    "phrase, in 1e-3": '"quiesced replica refused"',
    "phrase, German, in 3e-3": '"Zeitüberschreitung beim Öffnen"',
    "phrase, Russian, in 3e-3": '"взаимная блокировка"',
    "phrase, Chinese, in 3e-3": "数据库死锁",
    "part of a word, in 1e-2": "*eadloc*",
    "part of a word, in 1e-4": "*iveloc*",
    "beginning of a word, in 1e-2": "deadl*",
}
"""Name → what is typed."""
_SUMMED: Final = ("word, in 1e-2", "word, in 1e-3", "phrase, Chinese, in 3e-3")


def text_queries(
    storage: Storage, example: Record, oldest_us: int, newest_us: int
) -> dict[str, Query]:
    """Ask for a page of each text, and for the summary, the histogram and the top of some.

    Args:
        storage: A filled store.
        example: One of its records.
        oldest_us: When the oldest record started.
        newest_us: The newest.
    """
    found: dict[str, Query] = {}
    number = int((example.request_id or "0-0").rpartition("-")[2], 16)
    texts = {
        **TEXTS,
        "beginning of an id": f"{(example.request_id or '')[:-2]}*",
        "header with a value": f"header.x-user:user-{number % 5000}",
        "body with a value, one": f"body.id:{number}",
        "body with a value, none": "body.order.customer.email:nobody.there@example.com",
        "body with a value, one in five": "body.order.status:shipped",
    }
    for name, text in texts.items():
        found[f"text page, {name}"] = _page(storage, text, newest_us)
    for name in _SUMMED:
        filter = filter_of(TEXTS[name], newest_us)
        found[f"text summary, {name}"] = _asked(storage, SummaryQuery(filter))
        found[f"text series, {name}"] = _asked(
            storage, HistogramQuery(filter, oldest_us, newest_us + 1, _BUCKETS)
        )
        found[f"text top, {name}"] = _asked(storage, TopQuery(filter, "service"))

    return found


def filter_of(text: str, now_us: int) -> Filter:
    """Read what is typed."""
    return Filter(where=parse_search(text, now_us))


def _page(storage: Storage, text: str, now_us: int) -> Query:
    return _asked(storage, RecordQuery(filter=filter_of(text, now_us), limit=_PAGE_RECORDS))


def _asked(storage: Storage, query: AnyQuery[Any]) -> Query:
    return lambda _: storage.read(query)
