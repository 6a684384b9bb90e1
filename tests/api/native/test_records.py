"""The native API over HTTP."""

import base64
from typing import Any

from api.dialects.gateway import format_request_id
from storage.record import Payload, format_id, new_id
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import (
    START_US,
    make_body,
    make_in_flight,
    make_payload,
    make_record,
)
from tests.support.cases import each_of


async def test_pages_follow_the_cursor_to_the_end(world: World, client: Client) -> None:
    """Every record comes once, in order, whichever way, also while others arrive."""
    await world.store(*(make_record(n) for n in range(1, 8)))
    for order, expected in (("desc", [7, 6, 5, 4, 3, 2, 1]), ("asc", [1, 2, 3, 4, 5, 6, 7])):
        seen: list[int] = []
        page = await ask(client, limit=3, order=order)
        while True:
            seen += [record["seq"] for record in page["records"]]
            assert page["complete"] is True
            if page["next_cursor"] is None:
                break
            page = await ask(client, limit=3, cursor=page["next_cursor"])

        assert seen == expected


async def test_a_pasted_start_includes_its_row(world: World, client: Client) -> None:
    """`since` with a shown time is inclusive at its millisecond, `until` excludes it."""
    await world.store(make_record(1, started_at_us=START_US + 1999), make_record(2))
    first = (await ask(client, order="asc"))["records"][0]
    assert first["started_at"] == "2024-06-12T14:07:14.001Z"
    assert len((await ask(client, since=first["started_at"]))["records"]) == 2
    assert len((await ask(client, until=first["started_at"]))["records"]) == 0


async def test_exchanges_in_flight_stand_on_top_of_the_first_page(
    world: World, client: Client
) -> None:
    """They come newest first, without end or duration, filtered, on the first page only and never
    twice.
    """
    stored = make_record(1)
    await world.store(stored, make_record(2))
    world.in_flight = [
        make_in_flight(3),
        make_in_flight(5),
        make_in_flight(4, method="POST"),
        make_in_flight(1),
    ]
    assert len((await ask(client))["records"]) == 2
    page = await ask(client, in_flight="true", limit=1)
    assert [(r["in_flight"], r["path"]) for r in page["records"]][-1] == (False, "/v1/users/2")
    assert page["records"][0]["path"] == "/v1/users/5"
    page = await ask(client, in_flight="true")
    assert [r["path"][-1] for r in page["records"]] == ["5", "4", "3", "2", "1"]
    flying = page["records"][0]
    assert [
        flying[name] for name in ("seq", "ended_at_us", "ended_at", "duration_us", "status")
    ] == [None] * 5
    assert [
        r["path"][-1] for r in (await ask(client, in_flight="true", method="POST"))["records"]
    ] == ["4"]
    assert len((await ask(client, in_flight="true", status="2xx"))["records"]) == 2
    assert len((await ask(client, in_flight="true", min_latency_ms=0))["records"]) == 2
    assert len((await ask(client, in_flight="true", order="asc"))["records"]) == 2


async def test_the_detail_shows_heads_and_bodies(world: World, client: Client) -> None:
    """By any spelling of the id; headers in their order with repeats; text as text, octets in
    base64.
    """
    record = make_record(1, data=None)
    payload = make_payload(
        make_body('{"ü": 1}'.encode()), make_body(b"\x00\xff", size=70, truncated=True, tail=b"z")
    )
    await world.store((record, payload))
    detail: dict[str, Any] = {}

    for spelling in (
        format_id(record.id),
        record.id.hex(),
        format_request_id(record.id),
        format_id(record.id).upper(),
    ):
        detail = await ask(client, f"/api/records/{spelling}")
        assert detail["id"] == format_id(record.id)

    for name in record.__struct_fields__:
        assert (name in detail) == (name != "marks")
    assert detail["request"]["start_line"] == "GET /v1/users HTTP/1.1"
    assert detail["request"]["headers"][-2:] == [["X-A", "1"], ["X-A", "2"]]
    assert detail["request"]["body"] == {
        "encoding": "utf-8", "head": '{"ü": 1}', "tail": "", "head_bytes": 9, "tail_bytes": 0, "size": 9,
        "truncated": False, "coding": None, "omitted": None, "coding_error": None, "charset": None,
    }  # fmt: skip
    body = detail["response"]["body"]
    assert (body["encoding"], base64.b64decode(body["head"]), base64.b64decode(body["tail"])) == (
        "base64", b"\x00\xff", b"z",
    )  # fmt: skip
    assert (body["size"], body["truncated"], body["head_bytes"], body["tail_bytes"]) == (
        70,
        True,
        2,
        1,
    )


async def test_a_record_without_payload_and_one_in_flight_have_details(
    world: World, client: Client
) -> None:
    """What is not stored is null; an exchange in flight is found by the id its client was given."""
    record = make_record(1)
    flying = make_in_flight(2)
    await world.store(record)
    world.in_flight = [flying]
    detail = await ask(client, f"/api/records/{format_id(record.id)}")
    assert (detail["request"], detail["response"], detail["timeline"]) == (None, None, [])
    detail = await ask(client, f"/api/records/{format_id(flying.id)}")
    assert (detail["in_flight"], detail["request"]) == (True, None)
    world.known[flying.id] = Payload(b"GET /slow HTTP/1.1\r\nHost: a", b"", None, None)
    detail = await ask(client, f"/api/records/{format_id(flying.id)}")
    assert (detail["request"]["start_line"], detail["request"]["headers"]) == (
        "GET /slow HTTP/1.1",
        [["Host", "a"]],
    )
    assert (detail["request"]["body"], detail["response"]["start_line"]) == (None, None)


@each_of(
    "text", ["1", "req_zz", "a" * 32 + "0", format_id(new_id(1, 1, 1)), "..", "%00", "é" * 300]
)
async def test_unknown_ids_are_not_found(client: Client, text: str) -> None:
    """Unknown and unreadable ids are 404 alike, in the detail and in the downloads."""
    for path in ("", "/har", "/request-body", "/response-body"):
        response = await client.get(f"/api/records/{text}{path}", headers=BEARER)
        assert response.status == 404
        assert len(await response.text()) < 1000


async def test_one_exchange_is_an_archive_of_one_entry(world: World, client: Client) -> None:
    """Exactly the record that was asked for, also among others of the same path and time; an event
    has none.
    """
    same = [make_record(number, path="/same", started_at_us=START_US) for number in range(3)]
    event = make_record(4, kind="event", name="gap")
    payload = make_payload(make_body(b"in"), make_body(b"out"))
    await world.store(*((record, payload) for record in same), event)
    response = await client.get(f"/api/records/{format_id(same[1].id)}/har", headers=BEARER)
    assert (
        response.headers["Content-Disposition"]
        == f'attachment; filename="{format_id(same[1].id)}.har"'
    )
    (entry,) = (await response.json())["log"]["entries"]
    assert format_id(same[1].id) in entry["comment"]
    assert (entry["request"]["postData"]["text"], entry["response"]["content"]["text"]) == (
        "in",
        "out",
    )
    await ask(client, f"/api/records/{format_id(event.id)}/har", 404)


async def test_bodies_are_downloaded_as_attachments(world: World, client: Client) -> None:
    """Never shown inline, whatever they hold; a cut one says what is missing."""
    html = b"<script>alert(1)</script>"
    cut = make_body(b"head", tail=b"tail", size=100, truncated=True)
    record = make_record(1)
    await world.store((record, make_payload(make_body(html), cut)))
    base = f"/api/records/{format_id(record.id)}"
    response = await client.get(f"{base}/request-body", headers=BEARER)
    assert await response.read() == html
    assert response.content_type == "application/octet-stream"
    assert (
        response.headers["Content-Disposition"]
        == f'attachment; filename="{format_id(record.id)}-request-body"'
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Sidelog-Truncated" not in response.headers
    response = await client.get(f"{base}/response-body", headers=BEARER)
    assert (
        await response.read()
        == b"head\n[cut: the first 4 and the last 4 of 100 bytes were kept]\ntail"
    )
    assert response.headers["X-Sidelog-Truncated"] == "head=4, tail=4, size=100"


async def test_a_body_is_downloaded_in_the_charset_that_it_came_in(
    world: World, client: Client
) -> None:
    """Shown and archived as text, which says so; each end of a cut one is counted as it is written."""
    text = "日本語".encode()
    asked = make_body(text, size=9, charset="utf-8-sig")
    cut = make_body(
        text,
        tail=text,
        size=99,
        truncated=True,
        charset="shift_jis",
        coding_error="gzip: not coded",
    )
    record = make_record(1)
    await world.store((record, make_payload(asked, cut)))
    base = f"/api/records/{format_id(record.id)}"
    assert (
        await (await client.get(f"{base}/request-body", headers=BEARER)).read()
        == b"\xef\xbb\xbf" + text
    )
    response = await client.get(f"{base}/response-body", headers=BEARER)
    assert (await response.read()).startswith("日本語\n".encode("shift_jis"))
    assert response.headers["X-Sidelog-Truncated"] == "head=6, tail=6, size=99"
    detail = await ask(client, base)
    assert detail["response"]["body"]["head"] == "日本語"
    assert detail["response"]["body"]["coding_error"] == "gzip: not coded"
    content = (await ask(client, f"{base}/har"))["log"]["entries"][0]["response"]["content"]
    assert content["text"].startswith("日本語\n")
    assert content["comment"].endswith(
        "content coding not undone (gzip: not coded), sent in shift_jis"
    )


async def test_a_body_that_was_not_kept_says_why(world: World, client: Client) -> None:
    """404 with the reason."""
    record = make_record(1)
    await world.store((record, make_payload(None, make_body(b"", size=9, omitted="shed"))))
    base = f"/api/records/{format_id(record.id)}"
    await ask(client, f"{base}/request-body", 404)
    answer = await ask(client, f"{base}/response-body", 404)
    assert answer["detail"].endswith("was not kept: shed")
