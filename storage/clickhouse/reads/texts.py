"""Text that the server looks for: in bodies as they were kept, and words wherever a search looks for them.

Invariant: no row is left out that has the words.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a bound parameter

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from storage.clickhouse.payloads import BODIES
from storage.clickhouse.texts import has_word
from storage.relational.session import Session, State
from storage.relational.sql import MAX_INT, Where
from storage.search.clues import Clue
from storage.search.patterns import lower_ascii

_RUN: Final = re.compile(r"[0-9a-z_]+")
_LEAST_CHARACTERS: Final = 3
"""Too many words have a shorter one in them: the index takes long to say so."""


def text_condition(text: str, state: State, add: Callable[[Any], str]) -> str:
    """Write the condition that path, error type or a body contains a text, without regard to ASCII case.

    The longest word in it chooses the rows that are looked into.
    """
    wanted = lower_ascii(text)
    longest = max(_RUN.findall(wanted), key=len, default="")
    words = [has_word(longest, add)] if len(longest) >= _LEAST_CHARACTERS else []
    mark = add(wanted)
    bodies = " OR ".join(f"position(lower({window}), {mark}) > 0" for window in BODIES)
    shown = f"started_at_us >= {state.body_floor_us or -MAX_INT} AND seq > {state.bodies_through_seq}"
    either = (
        f"(ifNull(position(lower(path), {mark}), 0) > 0 OR position(lower(error_type), {mark}) > 0 "
        f"OR ({shown} AND ({bodies})))"
    )
    return " AND ".join((*words, either))


async def can_have(session: Session, where: Where, clues: Sequence[Clue]) -> list[int] | None:
    """Find which of some rows can have a word of each clue; see `Session.can_have`."""
    parameters = list(where.parameters)

    def add(value: Any) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    long = [clue for clue in clues if min(map(len, clue)) >= _LEAST_CHARACTERS]
    each = [" OR ".join(f"({has_word(word.decode(), add)})" for word in clue) for clue in long or clues]
    told = " AND ".join(f"({either})" for either in each)
    rows = await session.fetch_part(f"SELECT seq FROM records WHERE {where.text} AND {told}", parameters)
    return None if rows is None else [seq for (seq,) in rows]
