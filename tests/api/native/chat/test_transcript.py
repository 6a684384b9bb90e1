"""A conversation as text, through a whole application."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.native.chat.transcript import LEAST_CHARACTERS, written
from api.native.chat.turns import Piece, Turn
from storage.record import Entry, Record, format_id
from tests.api.conftest import Client, World, ask
from tests.api.samples import make_body, make_payload, make_record

RUN = bytes([9]) * 16
NOISE = "z" * 4000
WHY = "no such file: " + "w" * 1500


async def store_run(world: World, calls: int = 6) -> list[Record]:
    """Store a run that calls a tool in each turn; in the third the tool fails."""
    said: list[dict[str, Any]] = [{"role": "user", "content": "Fix the failing test"}]
    entries = []
    for number in range(calls):
        use = {
            "type": "tool_use",
            "id": f"t{number}",
            "name": "read",
            "input": {"path": f"{number}.py"},
        }
        answer = {"role": "assistant", "content": [{"type": "text", "text": f"step {number}"}, use]}
        record = make_record(
            number,
            provider="anthropic",
            model="claude",
            conversation=RUN,
            marks=bytes(16),
            input_tokens=7,
        )
        bodies = [json.dumps(each).encode() for each in ({"messages": said}, answer)]
        entries.append(Entry(record, make_payload(*map(make_body, bodies))))
        result: dict[str, Any] = {
            "type": "tool_result",
            "tool_use_id": f"t{number}",
            "content": f"{number} {NOISE}",
        }
        result |= {"content": WHY, "is_error": True} if number == 2 else {}
        said = [*said, answer, {"role": "user", "content": [result]}]

    await world.store(*entries)
    return [entry.record for entry in entries]


async def read(client: Client, status: int = 200, **parameters: Any) -> Any:
    """Ask for the transcript."""
    return await ask(
        client, f"/api/conversations/{format_id(RUN)}/transcript", status, **parameters
    )


async def test_a_run_is_read_within_a_number_of_characters(world: World, client: Client) -> None:
    """Calls, results and answers in order; what failed is whole, the others share the rest."""
    records = await store_run(world)
    found = await read(client, characters=6000)
    text = found["text"]
    assert (found["calls_shown"], found["next_cursor"], found["turns"]) == (6, None, 6)
    assert 5000 < len(text) <= 6000
    heads = [
        line
        for line in text.split("\n")
        if line.endswith(tuple(format_id(each.id) for each in records))
    ]
    assert [head.rpartition(" ")[2] for head in heads] == [
        format_id(record.id) for record in records
    ]
    assert '[user] Fix the failing test\n[assistant] step 0\n[call read] {"path":"0.py"}\n' in text
    assert f"[result read FAILED] {WHY}\n" in text
    assert text.count("Fix the failing test") == 1
    assert text.count("[result read] ") == 4
    assert text.count(" characters …] zzz") == 4


async def test_a_cursor_leads_through_all_calls(world: World, client: Client) -> None:
    """Each once, with nothing on a page that one before had; a page is never longer than it may be."""
    records = await store_run(world, 9)
    shown: list[str] = []
    asked: dict[str, Any] = {"characters": 1000}

    cursor: str | None = ""
    while cursor is not None:
        found = await read(client, **asked)
        assert len(found["text"]) <= 1000
        assert found["calls_shown"] > 0
        shown.append(found["text"])
        cursor = found["next_cursor"]
        asked["cursor"] = cursor

    assert len(shown) > 2
    ids = [format_id(record.id) for record in records]
    assert [each for each in ids if any(each in page for page in shown)] == ids
    joined = "".join(shown)
    assert [joined.count(f"step {number}\n") for number in range(9)] == [1] * 9
    assert joined.count("Fix the failing test") == 1
    whole = await read(client, characters=200_000)
    assert f"[result read] 0 {NOISE}\n" in whole["text"]


async def test_what_is_asked_wrongly_is_refused(world: World, client: Client) -> None:
    """With the limits, or that there is no such conversation."""
    assert "no conversation" in (await read(client, 404))["detail"]
    await store_run(world, 1)
    assert "from 1000 to 200000" in (await read(client, 400, characters=10))["detail"]
    assert "cursor" in (await read(client, 400, cursor="x"))["detail"]
    assert "parameters characters, cursor" in (await read(client, 400, page=1))["detail"]


_PIECES = st.builds(
    Piece,
    st.sampled_from(("user", "result read FAILED")),
    st.integers(0, 3000).map("x".__mul__),
    st.booleans(),
)


@given(st.lists(_PIECES, max_size=80), st.integers(LEAST_CHARACTERS, 9000))
def test_one_call_is_never_longer_than_asked_for(pieces: list[Piece], characters: int) -> None:
    """With however many texts; of too many the newest are shown, and how many are missing."""
    text = written([Turn(1, "head", pieces)], characters)
    assert len(text) <= characters
    missing = len(pieces) - text.count("\n[user]") - text.count("\n[result read FAILED]")
    assert (f"that are not shown: {missing}\n" in text) == (missing > 0)
    if sum(len(piece.text) + 70 for piece in pieces) < characters - LEAST_CHARACTERS:
        assert all(f"[{piece.label}] {piece.text}\n" in text for piece in pieces)
