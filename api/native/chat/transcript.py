"""A conversation as text: its calls in order, shortened to a number of characters.

A page has as many calls as can be shown with beginning and end of each text. Failed calls are kept
whole first; the others share the rest, short ones whole. The cursor leads to the next calls.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from api.http.cursor import cursor_after, read_cursor
from api.http.params import read_int, refuse_unknown
from api.http.responses import filled, json_response
from api.native.chat.shortened import MARK_CHARACTERS, MIN_CHARACTERS, cut, share_of
from api.native.chat.turns import Piece, Turn, Turns
from api.native.conversations import ConversationShown, calls_of, read_conversation
from api.services import services_of

DEFAULT_CHARACTERS: Final = 12_000
LEAST_CHARACTERS: Final = 1_000
MAX_CHARACTERS: Final = 200_000
MAX_CALLS: Final = 100
"""Largest number of calls per page; the bodies of each are read."""
_OF_LINE: Final = len("[] \n") + MARK_CHARACTERS


class Transcript(ConversationShown, kw_only=True):
    """A conversation, and a page of its calls as text.

    A call begins with a line of its own, which ends with its id. Its texts follow: who says it, or
    which tool is called or answers, stands in brackets before each.
    """

    text: str
    calls_shown: int
    next_cursor: str | None
    complete: bool


async def get_transcript(request: web.Request) -> web.Response:
    """Return a conversation as text of at most a number of characters, oldest call first."""
    services = services_of(request)
    query = request.query
    refuse_unknown(query, frozenset(("characters", "cursor")))
    characters = read_int(
        query, "characters", DEFAULT_CHARACTERS, minimum=LEAST_CHARACTERS, maximum=MAX_CHARACTERS
    )  # fmt: skip
    after = read_cursor(query.get("cursor"), "asc")
    storage = services.storage
    found, shown = await read_conversation(storage, request.match_info["id"])
    # The call before the page is read once more: what it said is not new.
    start = None if after is None else after - 1
    page = await storage.read(calls_of(found, MAX_CALLS + 1, start))
    reader = Turns()
    turns = list[Turn]()
    room = characters
    next_after = page.next_after

    for record in page.records:
        turn = reader.read(record, (await storage.payloads([record.seq])).get(record.seq))
        await asyncio.sleep(0)  # a large body takes some milliseconds
        if after is not None and record.seq <= after:
            continue

        room -= least_of(turn)
        if turns and room < 0:
            next_after = turns[-1].seq
            break

        turns.append(turn)

    cursor = cursor_after("asc", next_after)
    text = written(turns, characters)
    return json_response(
        filled(Transcript, shown, page, text=text, calls_shown=len(turns), next_cursor=cursor)
    )


def written(turns: Sequence[Turn], characters: int) -> str:
    """Return calls in at most a number of characters, which must suffice for the shortest call."""
    turns = [_fitting(turn, characters) for turn in turns]
    pieces = [piece for turn in turns for piece in turn.pieces]
    room = characters - sum(len(turn.head) + 2 for turn in turns)
    room -= sum(len(piece.label) + _OF_LINE for piece in pieces)
    failed = [len(piece.text) for piece in pieces if piece.has_failed]
    others = [len(piece.text) for piece in pieces if not piece.has_failed]
    least = sum(min(length, MIN_CHARACTERS) for length in others)
    of_failed = share_of(failed, room - least)
    of_others = share_of(others, room - sum(min(length, of_failed) for length in failed))
    return "\n".join(_lines(turn, of_failed, of_others) for turn in turns)


def _lines(turn: Turn, of_failed: int, of_others: int) -> str:
    shown = [
        f"[{piece.label}] {cut(piece.text, of_failed if piece.has_failed else of_others)}\n"
        for piece in turn.pieces
    ]
    return f"{turn.head}\n{''.join(shown)}"


def least_of(turn: Turn) -> int:
    """Return the length of a call's shortest form."""
    return len(turn.head) + 2 + sum(map(_least_of_piece, turn.pieces))


def _least_of_piece(piece: Piece) -> int:
    return len(piece.label) + _OF_LINE + min(len(piece.text), MIN_CHARACTERS)


def _fitting(turn: Turn, characters: int) -> Turn:
    """Leave out the oldest texts after the first in a call that has too many, and state how many."""
    surplus = least_of(turn) - (characters - LEAST_CHARACTERS // 4)
    first = turn.pieces[:1]
    rest = turn.pieces[1:]
    missing = 0
    while surplus > 0 and missing < len(rest) - 1:
        surplus -= _least_of_piece(rest[missing])
        missing += 1
    if not missing:
        return turn

    note = Piece("…", f"texts of this call that are not shown: {missing:,}")
    return turn._replace(pieces=[*first, note, *rest[missing:]])
