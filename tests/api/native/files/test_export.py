"""Exports: whole, resumable, constant in memory, and harmless in a spreadsheet."""

import asyncio
import base64
import csv
import io
import json
import logging
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from api.app import make_app
from api.http.cursor import encode_cursor
from api.http.errors import Refused
from api.native.files import csv_rows
from api.native.files.har import har_entry
from storage.errors import StorageUnavailable
from storage.query import Page, RecordQuery
from storage.record import Body, Entry, Payload, Stream
from tests.api.conftest import BEARER, Client, Start, World, ask
from tests.api.samples import make_body, make_event, make_payload, make_record
from tests.support.cases import each_of
from tests.support.pages import answer_pages

PAYLOAD = Payload(
    b"POST /v1/users?page=1 HTTP/1.1\r\nHost: service.test\r\nContent-Type: application/json",
    b"HTTP/1.1 201 Created all right\r\nContent-Type: image/png\r\nLocation: /x",
    Body(b'{"a": 1}', b"", 8, False, None, None),
    Body(b"\x89PNG\x00\xff", b"\xfe", 100, True, None, None),
)


async def fill(world: World, count: int) -> None:
    """Store exchanges with payloads, and one event."""
    entries = [Entry(make_record(n, method="POST", query="page=1"), PAYLOAD) for n in range(count)]
    event = make_record(
        count, kind="event", name="gap", data=b'{"count": 3}', method=None, status=None
    )
    await world.store(*entries, event)


async def fetch(client: Client, query: str) -> str:
    """Export and return the text."""
    response = await client.get(f"/api/export?{query}", headers=BEARER)
    assert response.status == 200
    assert response.headers["Content-Disposition"].startswith("attachment")
    return await response.text()


async def test_ndjson_is_one_record_a_line_and_resumes(client: Client, world: World) -> None:
    """All pages come, oldest first; from a cursor on, exactly the rest."""
    await fill(world, 1203)
    lines = [json.loads(line) for line in (await fetch(client, "format=ndjson")).splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 1204))
    rest = await fetch(client, f"format=ndjson&cursor={encode_cursor('asc', 1200)}")
    assert [json.loads(line)["seq"] for line in rest.splitlines()] == [1201, 1202, 1203]
    with_bodies = json.loads((await fetch(client, "format=ndjson&bodies=true")).splitlines()[0])
    assert with_bodies["request"]["body"]["head"] == '{"a": 1}'
    events = await fetch(client, "format=ndjson&kind=event")
    assert json.loads(events)["data"] == {"count": 3}


async def test_csv_reads_back(client: Client, world: World) -> None:
    """An independent reader finds a row per record, with the columns of the header."""
    await fill(world, 3)
    rows = list(csv.DictReader(io.StringIO(await fetch(client, "format=csv"), newline="")))
    assert [row["method"] for row in rows] == ["POST"] * 3
    assert rows[0]["path"] == "/v1/users/0"
    assert list(rows[0]) == list(csv_rows.COLUMNS)
    shown = json.loads((await fetch(client, "format=ndjson")).splitlines()[0])
    assert set(csv_rows.COLUMNS) <= set(shown)
    assert rows[0]["duration_us"] == str(shown["duration_us"])


def test_csv_says_what_a_call_used() -> None:
    """What the output did and what it is paid by stand in columns of their own."""
    used = {
        "resolved_model": "gpt-1",
        "cache_read_tokens": 3,
        "usage_state": "exact",
        "price_source": "reported",
    }
    stream = Stream(None, None, None, True, "tool_calls", tools=["search", "=add"])
    (cells,) = csv.reader(
        io.StringIO(csv_rows.row(make_record(1, stream=stream, **used)), newline="")
    )
    shown = dict(zip(csv_rows.COLUMNS, cells, strict=True))
    assert {name: shown[name] for name in used} == {
        name: str(value) for name, value in used.items()
    }
    assert (shown["finish_reason"], shown["called_tools"], shown["reasoning_tokens"]) == (
        "tool_calls",
        "search, =add",
        "",
    )


async def test_every_format_says_what_was_taken_out(client: Client, world: World) -> None:
    """A line of JSON and an archive as they show everything, CSV in a cell."""
    found = {"github-token": 1, "name:password": 2}
    await world.store(make_record(1, redactions=found), make_record(2))
    lines = [json.loads(line) for line in (await fetch(client, "format=ndjson")).splitlines()]
    assert [line["redactions"] for line in lines] == [found, None]
    entries = json.loads(await fetch(client, "format=har"))["log"]["entries"]
    assert [entry.get("_redactions") for entry in entries] == [found, None]
    rows = list(csv.DictReader(io.StringIO(await fetch(client, "format=csv"), newline="")))
    assert [row["redactions"] for row in rows] == ["github-token (1), name:password (2)", ""]


async def test_every_format_says_for_how_many_a_record_stands(client: Client, world: World) -> None:
    """A whole number as one; an archive only where it is more than one."""
    await world.store(make_record(1, weight=10.0), make_record(2, weight=2.5), make_record(3))
    lines = [json.loads(line) for line in (await fetch(client, "format=ndjson")).splitlines()]
    assert [line["weight"] for line in lines] == [10, 2.5, 1]
    entries = json.loads(await fetch(client, "format=har"))["log"]["entries"]
    assert [entry.get("_weight") for entry in entries] == [10, 2.5, None]
    rows = list(csv.DictReader(io.StringIO(await fetch(client, "format=csv"), newline="")))
    assert [row["weight"] for row in rows] == ["10", "2.5", "1"]


@each_of("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_formulas_are_neutralised(start: str) -> None:
    """A cell that would run in a spreadsheet becomes text; quotes and line ends survive."""
    record = make_record(1, path=f'{start}cmd|"x",\r\n', user_agent="plain, with comma")
    (cells,) = csv.reader(io.StringIO(csv_rows.row(record), newline=""))
    shown = dict(zip(csv_rows.COLUMNS, cells, strict=True))
    assert shown["path"] == f'\'{start}cmd|"x",\r\n'
    assert shown["user_agent"] == "plain, with comma"


async def test_csv_has_bodies_where_they_are_asked_for(client: Client, world: World) -> None:
    """As text or base64, and beside each what is missing of it."""
    cut = make_body(b"=ab", tail=b"z", size=90, truncated=True)
    await world.store(
        (make_record(1), make_payload(cut, make_body(b"\xff\x00"))),
        (
            make_record(2),
            make_payload(make_body(b"{}"), make_body(b"", size=7, omitted="coding")),
        ),
        make_record(3),
    )
    text = await fetch(client, "format=csv&bodies=true")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == csv_rows.COLUMNS + csv_rows.BODY_COLUMNS
    mark = "cut: the first 3 and the last 1 of 90 bytes were kept"
    assert [row[-4:] for row in rows] == [
        [f"'=ab\n[{mark}]\nz", mark, "/wA=", "base64"],
        ["{}", "", "", "not kept: coding"],
        ["", "", "", ""],
    ]
    plain = await fetch(client, "format=csv")
    assert tuple(next(csv.reader(io.StringIO(plain, newline="")))) == csv_rows.COLUMNS


async def test_csv_for_excel_begins_with_a_mark(client: Client, world: World) -> None:
    """Without it Excel reads UTF-8 as the encoding of the machine."""
    await world.store(make_record(1))
    marked = await fetch(client, "format=csv&bom=true")
    plain = await fetch(client, "format=csv")
    assert marked == "\ufeff" + plain


@pytest.mark.parametrize("query", ["kind=event", "query=kind:event", "query=kind:event%20name:gap"])
async def test_an_archive_of_events_alone_is_empty(
    client: Client, world: World, query: str
) -> None:
    """It knows exchanges only, and shows none that was not asked for."""
    await world.store(make_event(1), make_record(2))
    assert json.loads(await fetch(client, f"format=har&{query}"))["log"]["entries"] == []


async def test_an_order_that_is_not_the_cursor_s_is_refused(client: Client, world: World) -> None:
    """An export that goes on the other way would miss what it has not written, and write the rest
    again.
    """
    await world.store(*(make_record(n) for n in range(4)))
    cursor = encode_cursor("asc", 2)
    lines = (await fetch(client, f"cursor={cursor}&order=asc")).splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [3, 4]
    assert (await ask(client, f"/api/export?cursor={cursor}&order=desc", 400))[
        "parameter"
    ] == "order"


async def test_har_has_the_required_members(client: Client, world: World) -> None:
    """The archive is JSON with all that is known of each exchange, and no events."""
    await fill(world, 60)
    log = json.loads(await fetch(client, "format=har&kind=all"))["log"]
    assert (log["version"], len(log["entries"])) == ("1.2", 60)
    assert log["creator"] == {"name": "sidelog", "version": "0.1.0"}
    for entry in log["entries"]:
        check_entry(entry)


async def test_an_archive_has_a_page_that_all_entries_are_of(client: Client, world: World) -> None:
    """Firefox opens none without; it begins with the first of them, in whatever order they are."""
    await fill(world, 3)
    assert json.loads(await fetch(client, "format=har&path=/none"))["log"]["pages"] == []
    log = json.loads(await fetch(client, "format=har&order=desc"))["log"]
    [page] = log["pages"]
    assert {entry["pageref"] for entry in log["entries"]} == {page["id"]}
    assert page["startedDateTime"] == min(entry["startedDateTime"] for entry in log["entries"])


def test_cookies_are_listed_as_they_are_stored() -> None:
    """By name; their values are redacted, and attributes of a cookie are none."""
    payload = make_payload()
    payload.request_head += b"\r\nCookie: session=[REDACTED:1a2b]; theme=dark"
    payload.response_head += (
        b"\r\nSet-Cookie: session=[REDACTED]; Path=/; HttpOnly\r\nSet-Cookie: a=b=c"
    )
    entry: Any = har_entry(make_record(1), payload)
    assert entry["request"]["cookies"] == [
        {"name": "session", "value": "[REDACTED:1a2b]"}, {"name": "theme", "value": "dark"},
    ]  # fmt: skip
    assert entry["response"]["cookies"] == [
        {"name": "session", "value": "[REDACTED]"},
        {"name": "a", "value": "b=c"},
    ]


def test_sizes_and_addresses_are_what_they_are_called() -> None:
    """The size of content is that behind its coding; the name of an upstream is no address."""
    body = Body(b"x" * 50, b"", 20, False, "gzip", None)
    payload = Payload(b"GET / HTTP/1.1", b"HTTP/1.1 200 OK", None, body)
    entry: Any = har_entry(make_record(1, upstream="api.example:443", response_bytes=20), payload)
    content = entry["response"]["content"]
    assert (content["size"], content["compression"], entry["response"]["bodySize"]) == (50, 30, 20)
    assert "serverIPAddress" not in entry
    entry = har_entry(make_record(1, upstream="[::1]:443"), None)
    assert entry["serverIPAddress"] == "::1"


def test_a_target_that_is_no_path_is_no_part_of_a_url() -> None:
    """`OPTIONS *` is about the server as a whole."""
    entry: Any = har_entry(
        make_record(1, method="OPTIONS", host="app:8080", path="*", query=None), None
    )
    assert entry["request"]["url"] == "http://app:8080/"


def check_entry(entry: dict[str, Any]) -> None:
    """Check what an entry says of its exchange."""
    assert entry["startedDateTime"].endswith("Z")
    request = entry["request"]
    response = entry["response"]
    for message in (request, response):
        assert message["httpVersion"] == "HTTP/1.1"
        assert message["cookies"] == []

    assert (
        request["url"]
        == f"http://service.test/v1/users/{request['url'].split('/')[-1].split('?')[0]}?page=1"
    )
    assert request["queryString"] == [{"name": "page", "value": "1"}]
    assert request["postData"]["mimeType"] == "application/json"
    assert response["statusText"] == "Created all right"
    assert response["redirectURL"] == "/x"
    assert response["content"]["encoding"] == "base64"
    assert response["content"]["comment"].startswith("cut: the first ")
    base64.b64decode(response["content"]["text"], validate=True)
    assert all(
        entry["timings"][name] >= -1
        for name in ("blocked", "dns", "connect", "send", "wait", "receive")
    )


def test_an_exchange_without_answer_is_an_entry_too() -> None:
    """What failed before the first byte, and has no payload any more, is still readable."""
    entry = har_entry(make_record(1, status=None, first_byte_us=None, query=None), None)
    assert entry["response"]["status"] == 0  # type: ignore[index]
    assert entry["request"]["headers"] == []  # type: ignore[index]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("format=xml", "format"),
        ("cursor=no", "cursor"),
        ("limit=3", "limit"),
        ("format=har&fields=id", "fields"),
        ("bom=true", "bom"),
    ],
)
async def test_bad_parameters_are_named(client: Client, query: str, parameter: str) -> None:
    """A bad parameter, or one without effect, is refused before the export begins."""
    assert (await ask(client, f"/api/export?{query}", 400))["parameter"] == parameter


async def test_a_client_that_leaves_its_export_is_no_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is noticed, nothing is logged above DEBUG, and the port serves on."""
    noticed = asyncio.Event()
    caplog.set_level(logging.DEBUG, "api.middleware")

    def notice(record: logging.LogRecord) -> bool:
        if "client left" in record.msg:
            noticed.set()
        return True

    caplog.handler.addFilter(notice)
    large = Payload(
        b"GET / HTTP/1.1",
        b"HTTP/1.1 200 OK",
        None,
        Body(b"x" * 65536, b"", 65536, False, None, None),
    )
    await world.store(*((make_record(number), large) for number in range(400)))
    # As the admin port: handlers run to their end.
    runner = web.AppRunner(make_app(world.services()), access_log=None)
    await runner.setup()

    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
        async with ClientSession(headers={**BEARER, "Host": "admin.internal"}) as session:
            response = await session.get(f"{url}/export?bodies=true")
            assert await response.content.readany()
            response.close()
            async with asyncio.timeout(60):
                await noticed.wait()
            async with session.get(f"{url}/records?limit=1") as after:
                assert after.status == 200
    finally:
        await runner.cleanup()

    assert [
        record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG
    ] == []


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "error", [StorageUnavailable("away"), Refused(503, "too many"), RuntimeError("bug")]
)
async def test_an_export_that_fails_on_its_way_breaks_off(
    world: World, start: Start, monkeypatch: pytest.MonkeyPatch, version: str, error: Exception
) -> None:
    """Nothing that is sent behind its beginning could be told from records: not even an end."""
    monkeypatch.setattr("api.native.files.export.PAGE_RECORDS", 3)
    await fill(world, 9)
    select = world.storage.read

    async def select_few(query: RecordQuery) -> Page:
        if query.after is not None:
            raise error
        return await select(query)

    answer_pages(monkeypatch, world.storage, select_few)
    client = await start(world.services())
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = (
        f"GET /api/export HTTP/{version}\r\nHost: localhost\r\nAuthorization: "
        f"{BEARER['Authorization']}\r\n\r\n"
    )
    writer.write(head.encode())
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1 << 20)
    writer.close()


async def test_exports_take_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them reads at a time, whoever else waits; all are whole."""
    monkeypatch.setattr("api.native.files.export.PAGE_RECORDS", 2)
    await fill(world, 9)
    services = world.services()
    client = TestClient(TestServer(make_app(services)))
    select = world.storage.read
    running = 0
    most = 0

    async def select_slowly(query: RecordQuery) -> Page:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return await select(query)

    answer_pages(monkeypatch, world.storage, select_slowly)
    async with client:
        responses = [
            await client.get("/api/export", headers={**BEARER, "Host": "localhost"})
            for _ in range(5)
        ]
        lines = [(await response.text()).count("\n") for response in responses]

    assert (lines, most) == ([9] * 5, 1)
    assert not services.export_turns.locked()
