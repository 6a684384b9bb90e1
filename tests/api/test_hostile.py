"""Texts that mean something to a database or to a pattern, and cursors that were not made here,
over every store.
"""

import base64
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from api.access.snapshot_cursor import SnapshotCursors
from api.http.cursor import encode_cursor, encode_received_cursor
from storage.record import Batch, Entry, Record, ToolCall
from storage.search.language.terms import path_spellings
from storage.search.patterns import lower_ascii
from storage.tools import search_text
from storage.tools import spellings as content_spellings
from tests.api.conftest import BEARER, Client, Start, World, ask
from tests.api.samples import START_US, make_record
from tests.contract.backends import USUAL
from tests.contract.listing import settled

LITERALS = (
    "' OR '1'='1", '" OR 1=1 --', "'; DROP TABLE records; --", "1); DELETE FROM records; --", "' UNION SELECT NULL --",
    "'; SELECT pg_sleep(5); --", "' || (SELECT sqlite_version()) || '", "admin'/*", "x' AND 1=CAST((SELECT 1) AS int)",
    "\\'; --", "%27 OR 1=1", "\u2019 OR 1=1", "0x27", "CHAR(39)", "NULL", "null", "$1", ":1", "?1", "@a", "{}", "{0}",
    "%", "_", "%%", "__", "\\", "\\%", "\\_", "a%b", "a_b", "aXb", "[a-z]", "*", "?", "^.$", ".*", "%s", "%d", "${7*7}",
    "\x00", "a\x00b", "\x7f", "\u00e4", "\u00c4", "\U0001f600", "\u202e", "-1", "1e3", "true",
)  # fmt: skip
"""Quotes, comments, statements, marks of parameters; wildcards of LIKE, GLOB and regular
expressions; odd ones.
"""

EQUALS = (
    ("/v1/requests", "project_id", "data"),
    ("/api/proxy-logs/_logs?kind=request", "projectId", "entries"),
    ("/api/proxy-logs/_logs?kind=request", "containerId", "entries"),
    ("/api/proxy-logs/_logs?kind=request", "serviceName", "entries"),
    ("/api/request-logs", "key", "logs"),
    ("/api/mcp-logs", "tool_names", "logs"),
    ("/api/mcp-logs", "server_labels", "logs"),
    ("/api/mcp-logs", "virtual_key_ids", "logs"),
    ("/api/mcp-logs", "llm_request_ids", "logs"),
    *(
        ("/api/records", name, "records")
        for name in (
            *("project", "container", "client", "service", "route", "key", "host"),
            *("provider", "model", "error_type", "tool", "trace_id"),
        )
    ),
)
"""Path, filter and list of rows, where a filter is the whole value."""


def searched(text: str) -> str:
    """What is searched of a tool call that has a text as its argument."""
    return search_text(arguments(text), b"null")


def arguments(text: str) -> bytes:
    """Write the arguments of a tool call."""
    return json.dumps({"text": text}, ensure_ascii=False).encode()


def make_call(number: int, record: Record, text: str) -> ToolCall:
    """Make a tool call that has a text everywhere."""
    call = ToolCall(
        record_id=record.id,
        started_at_us=START_US + number,
        created_at_us=START_US + number,
        tool_name=text,
        server_label=text,
        status="success",
        latency_us=1000,
        cost_usd=0.0,
        arguments=arguments(text),
        result=b"null",
        metadata=b"{}",
        key_id=text,
        key_name=text,
        llm_request_id=text,
    )
    call.search = searched(text)
    return call


@pytest.fixture(params=USUAL, ids=lambda backend: backend.name)
async def full(
    request: pytest.FixtureRequest, tmp_path: Path, start: Start
) -> AsyncIterator[Client]:
    """The application over every backend: a record, and a tool call, for each of the texts."""
    entries = []
    for number, text in enumerate(LITERALS):
        names = dict.fromkeys(
            (
                "project",
                "container",
                "client",
                "service",
                "host",
                "key_id",
                "provider",
                "model",
                "error_type",
            ),
            text,
        )
        record = make_record(
            number, path=f"/{text}/", route_id=text, keyed=True, trace_id=text, **names
        )
        entries.append(Entry(record, None, [make_call(number, record, text)]))

    async with await request.param.open(tmp_path) as storage:
        await storage.commit(Batch("side-1", entries))
        await settled(storage)
        world = World(storage, fanout=SnapshotCursors(secret=bytes(32), ttl_s=900))
        yield await start(world.services())


async def count(client: Client, path: str, name: str, text: str, member: str) -> int:
    """Ask with a filter, and count the rows."""
    return len((await ask(client, path, **{name: text, "limit": "200"}))[member])


async def test_filters_are_literal(full: Client) -> None:
    """Each text finds the row that has it, in every filter of every dialect, and nothing is gone
    afterwards.
    """
    for place, (path, name, member) in enumerate(EQUALS):
        # A third each: all of them in every store and dialect.
        for text in LITERALS[place % 3 :: 3]:
            # Trace ids are compared in lower case, as they are stored.
            wanted = [
                other
                for other in LITERALS
                if (other == text.lower() if name == "trace_id" else other == text)
            ]
            assert await count(full, path, name, text, member) == len(wanted), (path, name, text)

    for text in LITERALS:
        response = await full.get(
            f"/api/clients/{quote(text, safe='')}/proxies/{quote(text, safe='')}/requests",
            headers=BEARER,
        )
        assert response.status == 200, (text, await response.text())
        assert [row["pKey"] for row in (await response.json())["requests"]] == [text]

    assert await count(full, "/v1/requests", "limit", "200", "data") == len(LITERALS)


async def test_parts_are_literal(full: Client) -> None:
    """Wildcards and quotes find only themselves; case is folded, of ASCII in paths and of all
    letters in tool calls.
    """
    for text in LITERALS:
        spellings = [lower_ascii(spelling) for spelling in path_spellings(text)]
        in_paths = sum(
            any(part in lower_ascii(f"/{other}/") for part in spellings) for other in LITERALS
        )
        for path, name in (("/api/request-logs", "endpoint"), ("/api/records", "path")):
            member = "logs" if name == "endpoint" else "records"
            assert await count(full, path, name, text, member) == in_paths, (path, text)
        in_calls = sum(
            any(part in searched(other) for part in content_spellings(text)) for other in LITERALS
        )
        assert await count(full, "/api/mcp-logs", "content_search", text, "logs") == in_calls, text


def tampered(cursor: str) -> list[str]:
    """Change a cursor in every kind of way, at some of its places."""
    chance = random.Random(cursor)
    places = sorted(chance.sample(range(len(cursor)), min(len(cursor), 12)))
    changed = [cursor[:place] + "A" + cursor[place + 1 :] for place in places]
    cut = [cursor[:length] for length in range(1, len(cursor), 9)]
    other = [
        encode_cursor("asc", 5),
        encode_cursor("desc", 5),
        *map(encode_received_cursor, (5, 1 << 127)),
    ]
    odd = [
        base64.urlsafe_b64encode(chance.randbytes(n)).rstrip(b"=").decode() for n in range(1, 40, 4)
    ]
    ends = (cursor + "A", cursor + "=", cursor * 40)
    return [*changed, *cut, *other, *odd, *ends, "null", "[]", "' OR 1=1", "\x00", "\u0661"]


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("/api/proxy-logs/_logs?limit=3", "nextCursor"),
        ("/api/request-logs?limit=3", "next_cursor"),
        ("/api/clients/%25/proxies/%25/requests?limit=0", None),
        ("/api/records?limit=3", "next_cursor"),
        ("/api/export?format=csv", None),
    ],
)
async def test_a_tampered_cursor_is_another_page_or_400(
    full: Client, path: str, member: str | None
) -> None:
    """Whatever is sent as a cursor, the answer is a page or a refusal, never our own error."""
    good = (
        encode_received_cursor(1 << 100)
        if path.startswith("/api/clients")
        else encode_cursor("desc", 7)
    )
    if member is not None:
        good = (await (await full.get(path, headers=BEARER)).json())[member]
        response = await full.get(f"{path}&cursor={quote(good)}", headers=BEARER)
        assert response.status == 200

    is_signed = path.startswith("/api/proxy-logs")
    for text in tampered(good):
        if text == good:
            continue
        response = await full.get(f"{path}&cursor={quote(text)}", headers=BEARER)
        await response.read()
        assert response.status in ((400,) if is_signed else (200, 400)), (text, response.status)
