"""The texts of some rows, read for the index of words, and how much there is of them."""

# ruff: noqa: S608 -- identifiers come from here, every value is a number

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from storage.clickhouse.reads.selection import started_among
from storage.clickhouse.reads.session import ClickhouseSession
from storage.clickhouse.reads.texts import shown_bodies
from storage.relational.search.holders import Cell
from storage.relational.slices import Range
from storage.search.index.terms import Terms

_SIZES: Final = (
    "SELECT intDiv(seq - {first}, {step}) AS step, toInt64(sum(ifNull({bytes}, 0))) FROM {table} WHERE {where} "
    "GROUP BY step"
)
_HEAD_TEXTS: Final = ("request_head", "response_head")
_BODY_TEXTS: Final = ("request_body", "request_tail", "response_body", "response_tail")


class Texts:
    """The texts of some rows, by `seq`."""

    def __init__(self) -> None:
        self._heads: dict[int, tuple[bytes, ...]] = {}
        self._bodies: dict[int, tuple[bytes, ...]] = {}
        self._others: dict[int, tuple[str | None, ...]] = {}
        self._body_us: dict[int, int] = {}
        self._data: dict[int, bytes] = {}

    def add(
        self,
        others: Sequence[Any],
        heads: Sequence[Any],
        bodies: Sequence[Any],
        errors: Mapping[int | None, str | None],
    ) -> None:
        self._others = {seq: (path, query, errors.get(error)) for seq, path, query, _, error in others}
        self._data = {seq: _bytes(data) for seq, _, _, data, _ in others if data}
        self._heads = {seq: tuple(map(_bytes, texts)) for seq, *texts in heads}
        for seq, started_at_us, *texts in bodies:
            self._bodies[seq] = tuple(_bytes(text) for text in texts if text)
            self._body_us[seq] = started_at_us

    def cell(self, rows: Range) -> Cell:
        """Make the cell of some rows."""
        numbers, terms = range(rows.first, rows.last + 1), Terms()
        terms.add_texts({text for seq in numbers for text in self._others.get(seq, ()) if text})
        terms.add_heads([text for seq in numbers for text in self._heads.get(seq, ())])
        terms.add_bodies([text for seq in numbers for text in self._bodies.get(seq, ())])
        terms.add_bodies([self._data[seq] for seq in numbers if seq in self._data])
        newest_us = max((self._body_us[seq] for seq in numbers if seq in self._body_us), default=0)
        return Cell(rows, terms.signature(), newest_us)


async def read_sizes(session: ClickhouseSession, chunk: Range, step_rows: int) -> dict[int, int]:
    """Ask how many bytes of text each so many rows of some have, by their number from 0."""
    found: dict[int, int] = defaultdict(int)
    shown = await _shown(session)
    for table, texts, where in (("heads", _HEAD_TEXTS, ""), ("bodies", _BODY_TEXTS, shown), ("records", ("data",), "")):
        sql = _SIZES.format(
            first=chunk.first, step=step_rows, bytes=" + ".join(f"length({text})" for text in texts), table=table,
            where=_rows(session, chunk) + where,
        )  # fmt: skip
        for step, size_bytes in await session.fetch(sql):
            found[step] += size_bytes
    return found


async def read_texts(session: ClickhouseSession, rows: Range) -> Texts:
    where = _rows(session, rows)
    others = await session.fetch(f"SELECT seq, path, query, data, error_type FROM records WHERE {where}")
    heads = await session.fetch(f"SELECT seq, {', '.join(_HEAD_TEXTS)} FROM heads WHERE {where}")
    shown = await _shown(session)
    bodies = await session.fetch(
        f"SELECT seq, started_at_us, {', '.join(_BODY_TEXTS)} FROM bodies WHERE {where}{shown}"
    )
    texts = Texts()
    texts.add(others, heads, bodies, await session.text_of({error for *_, error in others if error}))
    return texts


def _rows(session: ClickhouseSession, rows: Range) -> str:
    bounds = f"seq BETWEEN {rows.first} AND {rows.last}"
    return f"{bounds} AND {session.dialect.committed} AND {started_among(rows)}"


async def _shown(session: ClickhouseSession) -> str:
    return f" AND {shown_bodies(await session.state())}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
