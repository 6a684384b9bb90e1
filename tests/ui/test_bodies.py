"""Bodies in the form that suits them: images, forms, parts, JSON of any size, messages of
WebSockets.
"""

import json
import struct
import zlib

from storage.record import Batch, Body, Entry, Payload
from tests.ui.conftest import Site
from tests.ui.world import body_of, record_of

MULTIPART = "multipart/form-data; boundary=b+1"
SHEET = "document.querySelector('#sheet')"


def png(width: int = 48, height: int = 32) -> bytes:
    """Make an image of one colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = (b"\0" + b"\x33\x99\xcc" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def upload() -> bytes:
    """Make a form with a text, JSON, an image and a file of bytes."""
    parts = [
        (b'form-data; name="title"', b"", "Grüße".encode()),
        (b'form-data; name="meta"', b"application/json", b'{"tags": ["a", "b"]}'),
        (b'form-data; name="photo"; filename="sky.png"', b"image/png", png()),
        (b'form-data; name="raw"; filename="<b>.bin"', b"", b"\x00\xff\x10"),
    ]
    kinds = [b"\r\nContent-Type: " + kind if kind else b"" for _, kind, _ in parts]
    return (
        b"".join(
            b"--b+1\r\nContent-Disposition: %b%b\r\n\r\n%b\r\n" % (said, kind, content)
            for (said, _, content), kind in zip(parts, kinds, strict=True)
        )
        + b"--b+1--\r\n"
    )


async def show(site: Site, body: Body | bytes, kind: str, number: int = 9) -> None:
    """Store an exchange with a response of this type, and open its tab."""
    record = record_of(number, path="/body")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}".encode()
    stored = body if isinstance(body, Body) else body_of(body)
    payload = Payload(
        request_head=b"GET /body HTTP/1.1",
        response_head=head,
        request_body=None,
        response_body=stored,
    )
    await site.world.storage.commit(Batch("side-1", [Entry(record, payload)]))
    await open_first(site, "response")


async def open_first(site: Site, tab: str) -> None:
    """Open a tab of the newest exchange of the path."""
    await site.open("/requests?period=15m&filter=path:/body")
    await site.page.wait_for("#rows tr[data-id]")
    await site.page.press("j")
    await site.page.press("Enter")
    await site.page.click(f"#tab-{tab}")


async def test_an_image_is_drawn(site: Site) -> None:
    """Whatever type was named; the policy of the page stays as it is, and hex is a click away."""
    await show(site, png(), "application/octet-stream")
    await site.page.until("document.querySelector('#sheet canvas')?.width === 48")
    await site.page.wait_for("#sheet figcaption", "PNG, 48 × 32")
    await site.page.click("[data-view=hex]")
    await site.page.wait_for("pre.hex", "89 50 4e 47")


async def test_what_only_looks_like_an_image_says_so(site: Site) -> None:
    """A broken one is a note; an SVG image is the text that it is, and nothing in it runs."""
    await show(site, png()[:40], "image/png")
    await site.page.wait_for("#sheet figcaption", "PNG that this browser cannot read")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "ran"</script></svg>'
    await show(site, svg, "image/svg+xml", number=8)
    await site.page.wait_for("#sheet pre", "<svg")
    assert await site.page.evaluate("document.querySelector('#sheet pre svg')") is None


async def test_a_form_is_a_table(site: Site) -> None:
    """Names and values as they are meant, in their order, with what was redacted marked."""
    await show(
        site,
        b"q=a+b%26c&q=%C3%BC&token=[REDACTED]&empty=",
        "application/x-www-form-urlencoded;charset=utf-8",
    )
    await site.page.wait_for(".form-fields", "token")
    rows = await site.page.evaluate(
        "[...document.querySelectorAll('.form-fields tbody tr')].map((row) => "
        "[...row.cells].map((c) => c.textContent))"
    )
    assert rows == [["q", "a b&c"], ["q", "ü"], ["token", "[REDACTED]"], ["empty", ""]]
    assert await site.page.evaluate("document.querySelector('.form-fields .redacted') !== null")


async def test_a_multipart_body_is_shown_part_by_part(site: Site) -> None:
    """Each in its own form: text, JSON as a tree, an image, bytes."""
    await show(site, upload(), MULTIPART)
    await site.page.until("document.querySelectorAll('#sheet .body-part').length === 4")
    await site.page.until("document.querySelector('#sheet .body-part canvas')?.height === 32")
    heads = await site.page.evaluate(
        "[...document.querySelectorAll('.body-part h4')].map((head) => head.textContent)"
    )
    assert heads[0] == "title 7\N{NO-BREAK SPACE}B"
    assert heads[1].startswith("meta application/json · 20")
    assert heads[2].startswith("photo sky.png · image/png · ")
    assert heads[3] == "raw <b>.bin · 3\N{NO-BREAK SPACE}B"
    shown = await site.page.evaluate(f"{SHEET}.innerText")
    assert "Grüße" in shown
    assert "00 ff 10" in shown
    assert await site.page.evaluate("document.querySelectorAll('.body-part .tree').length") == 1


async def test_parts_are_shown_up_to_a_cut(site: Site) -> None:
    """The last one says that it is cut off, and what was not kept is said below."""
    whole = upload()
    cut = whole[: whole.index(b"IDAT") + 6]
    await show(
        site,
        Body(head=cut, tail=b"", size=9_000_000, truncated=True, coding=None, omitted=None),
        MULTIPART,
    )
    await site.page.until("document.querySelectorAll('#sheet .body-part').length === 3")
    await site.page.wait_for(".body-part:last-of-type h4", "cut off")
    await site.page.wait_for("#sheet .cut", "were not kept")


async def test_protobuf_without_a_schema_says_how_its_fields_get_names(site: Site) -> None:
    """Where they have some, nothing is said."""
    for number, (messages, value, is_named) in enumerate(
        ((b'[{"1":"A-1"},{"2":3}]', "A-1", False), (b'[{"sku":"B-2"}]', "B-2", True))
    ):
        size = len(messages)
        coding = "gzip, protobuf"
        body = Body(
            head=messages, tail=b"", size=size, truncated=False, coding=coding, omitted=None
        )
        await show(site, body, "application/grpc", 9 - number)
        await site.page.wait_for(".tree", value)
        shown = await site.page.evaluate(f"{SHEET}.innerText")
        assert ("a schema gives them names" in shown) is not is_named


async def test_json_of_any_size_is_a_tree(site: Site) -> None:
    """A part is drawn at first; more on request; what is searched for is found at the end too."""
    items = [{"id": number, "deep": {"a": {"b": {"c": [number]}}}} for number in range(4000)]
    await show(
        site, json.dumps({"items": items, "last": "here it ends"}).encode(), "application/json"
    )
    await site.page.wait_for(".tree", '"last"')
    lines = "document.querySelectorAll('.tree .line').length"
    before = await site.page.evaluate(lines)
    assert 500 <= before < 6000
    await site.page.evaluate(
        "[...document.querySelectorAll('.tree button')].find((one) => !one.hidden).click()"
    )
    assert await site.page.evaluate(lines) > before
    await site.page.evaluate("document.querySelector('.find').focus()")
    await site.page.type("399")
    await site.page.wait_for(".find-line", "28 found")
    await site.page.until(
        "[...document.querySelectorAll('.tree .hit')].at(-1).textContent === '3999'"
    )
    await site.page.until("document.querySelectorAll('.tree .hit').length === 28")


async def test_a_message_that_is_json_opens_as_a_tree(site: Site) -> None:
    """On one line until then; what is no JSON stays text."""
    session = record_of(3, status=101, path="/body", level="info")
    data = {
        "direction": "in",
        "opcode": "text",
        "size": 30,
        "text": '{"type": "ping", "ids": [1, 2]}',
    }
    event = record_of(
        2, kind="event", name="websocket_message", status=None, method=None, path=None, level="debug",
        trace_id=session.id.hex(), data=json.dumps(data).encode(),
    )  # fmt: skip
    session.trace_id = None
    await site.store(session, event)
    await open_first(site, "messages")
    await site.page.wait_for("#messages .json summary", '{"type": "ping"')
    await site.page.click("#messages .json summary")
    await site.page.wait_for("#messages .tree", '"ids": [')
