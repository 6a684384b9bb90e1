"""Text that the server looks for: in bodies as they were kept, and words wherever a search looks for them.

Strategy: heads and bodies are plain columns, so the server reads those of a slice of rows and answers which have what.
Words are looked for in text as it is written; where it may read otherwise (escaped, or not of ASCII alone) the server
only says so, and the search looks at the record.

Invariant: no row is left out that has the words.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a bound parameter

from collections.abc import Sequence
from typing import Final, NamedTuple

from storage.relational.session import Session, State
from storage.relational.slices import Range
from storage.relational.sql import DIMENSIONS, Where
from storage.search.clues import Clue

_ERROR_TYPE: Final = DIMENSIONS.index("error_type")
_WINDOWS: Final = ("request_body", "request_tail", "response_body", "response_tail")
"""Columns of `bodies` with text."""
_HEADS: Final = ("request_head", "response_head")
"""The same of `heads`."""
_ASCII: Final = r"^[\x00-\x7F]*$"
_ESCAPED: Final = r"%[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
_LEAST: Final = -(1 << 63) + 1


class _Told(NamedTuple):
    """What the server says of the texts of a row in one table."""

    may_read_otherwise: bool
    has: Sequence[int]
    """Whether each of the clues has a word in one of them."""


def shown_bodies(state: State) -> str:
    """Write the condition on bodies that retention and the cap on size have left."""
    return f"started_at_us >= {state.body_floor_us or _LEAST} AND seq > {state.bodies_through_seq}"


def text_condition(mark: str, seqs: Range, committed: str, state: State) -> str:
    """Write the condition that path, error type or a body contains a text, without regard to ASCII case.

    Args:
        mark: Of the text in lower case.
        seqs: Between which the rows are.
        committed: The condition on rows of batches.
        state: Of the store.
    """
    errors = f"SELECT id FROM dictionary WHERE kind = {_ERROR_TYPE} AND position(lower(value), {mark}) > 0"
    either = " OR ".join(f"position(lower({window}), {mark}) > 0" for window in _WINDOWS)
    bodies = (
        f"SELECT seq FROM bodies WHERE seq BETWEEN {seqs.first} AND {seqs.last} AND {committed} "
        f"AND {shown_bodies(state)} AND ({either})"
    )
    return f"(ifNull(position(lower(path), {mark}), 0) > 0 OR error_type IN ({errors}) OR seq IN ({bodies}))"


async def can_have(session: Session, where: Where, clues: Sequence[Clue]) -> list[int] | None:
    """Find which of some rows can have a word of each clue; see `Session.can_have`."""
    texts = [_wanted(clue) for clue in clues]
    tests = [_test(clue, len(where.parameters) + number) for number, clue in enumerate(clues, 1)]
    sql = _telling("records", ("path", "query", "data"), tests, "error_type <> 0", where.text)
    rows = await session.fetch_part(sql, (*where.parameters, *texts))
    if not rows:
        return None if rows is None else []
    told = {seq: [_Told(bool(odd), has)] for seq, odd, *has in rows}
    # Of most rows all neighbours are asked for, of few rows few.
    within = f"seq BETWEEN {min(told)} AND {max(told)} AND seq IN ({', '.join(map(str, told))})"
    shown = shown_bodies(await session.state())
    tests = [_test(clue, number) for number, clue in enumerate(clues, 1)]
    for table, columns, also in (("heads", _HEADS, ""), ("bodies", _WINDOWS, f" AND {shown}")):
        condition = f"{within} AND {session.dialect.committed}{also}"
        found = await session.fetch_part(_telling(table, columns, tests, "0", condition), texts)
        if found is None:
            return None
        for seq, odd, *has in found:
            told[seq].append(_Told(bool(odd), has))
    return [seq for seq, each in told.items() if _can_have(each)]


def _wanted(clue: Clue) -> str:
    """Write what is looked for: the word, or a pattern of the words."""
    word = b"|".join(clue).decode()
    return word if len(clue) == 1 else f"(?i){word}"


def _test(clue: Clue, number: int) -> str:
    """Write the condition that a column, which is left open, has what `_wanted` says, a parameter of some number."""
    return f"positionCaseInsensitive({{0}}, ${number}) > 0" if len(clue) == 1 else f"match({{0}}, ${number})"


def _telling(table: str, columns: Sequence[str], tests: Sequence[str], odd: str, where: str) -> str:
    """Write the query what the texts of rows say of clues: `seq`, whether they may read otherwise, and of each clue."""
    odd = " OR ".join(
        (
            odd,
            *(
                f"NOT match({column}, '{_quoted(_ASCII)}') OR match({column}, '{_quoted(_ESCAPED)}')"
                for column in columns
            ),
        )
    )
    each = [" OR ".join(map(test.format, columns)) for test in tests]
    return f"SELECT seq, {', '.join(f'ifNull({text}, 0)' for text in (odd, *each))} FROM {table} WHERE {where}"


def _can_have(told: Sequence[_Told]) -> bool:
    if any(each.may_read_otherwise for each in told):
        return True
    return all(map(any, zip(*(each.has for each in told), strict=True)))


def _quoted(pattern: str) -> str:
    return pattern.replace("\\", "\\\\")
