"""Archives as browsers write them: what is there is read as it was sent, and what is not is known
to be missing.
"""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from api.native.files.har import har_entry
from api.replay.request import Given, outgoing_of, refusal_of
from api.replay.suite import Recorded, read_suite
from storage.record import Payload
from tests.api.samples import make_body, make_record
from tests.support.cases import each_of

FORM = "application/x-www-form-urlencoded"


def entry(url: str = "http://shop.test/a", **changes: Any) -> dict[str, Any]:
    """Make an entry; names with two underscores are members of its request or response."""
    made: dict[str, Any] = {
        "startedDateTime": "2026-06-12T14:07:14.500Z",
        "time": 12.5,
        "request": {"method": "GET", "url": url, "headers": [], "bodySize": 0},
        "response": {
            "status": 200,
            "headers": [],
            "content": {"size": 2, "text": "ok"},
            "bodySize": -1,
        },
    }
    for name, value in changes.items():
        half, _, member = name.partition("__")
        made[half][member] = value
    return made


def read(path: Path, *entries: dict[str, Any]) -> list[Recorded]:
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return list(read_suite(path, lambda target: target))


def headers(**fields: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in fields.items()]


def test_decoded_text_goes_without_its_coding(tmp_path: Path) -> None:
    """As browsers write it; what is still coded keeps its field."""
    coded = base64.b64encode(gzip.compress(b"hello")).decode()
    kind = headers(content_encoding="gzip", content_type="text/plain")
    plain, still = read(
        tmp_path / "har",
        entry(request__method="POST", request__headers=kind, request__postData={"text": "hello"}),
        entry(
            request__method="POST",
            request__headers=kind,
            request__postData={"text": coded, "encoding": "base64"},
            response__headers=kind,
        ),
    )
    assert plain.payload is not None
    assert plain.payload.request_body is not None
    sent = outgoing_of(plain, Given())
    assert (plain.payload.request_body.coding, sent.body) == ("gzip", b"hello")
    assert "content-encoding" not in dict(sent.headers)
    sent = outgoing_of(still, Given())
    assert (gzip.decompress(sent.body), dict(sent.headers)["content-encoding"]) == (
        b"hello",
        "gzip",
    )
    assert still.payload is not None
    assert still.payload.response_body is not None
    assert still.payload.response_body.coding == "gzip"


@each_of(
    ("changes", "body"),
    [
        (
            {"params": [{"name": "a b", "value": "1&2"}, {"name": "c"}], "mimeType": FORM},
            b"a+b=1%262&c=",
        ),
        ({"params": [{"name": "a%20b", "value": "1%262"}], "mimeType": FORM}, b"a%20b=1%262"),
        (
            {"params": [{"name": "a", "value": "é"}], "mimeType": f"{FORM}; charset=utf-8"},
            b"a=%C3%A9",
        ),
        (
            {
                "params": [{"name": "a", "value": "1"}],
                "mimeType": "multipart/form-data; boundary=x",
            },
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
        ),
        ({"params": [{"name": "a", "value": "1"}], "mimeType": "multipart/form-data"}, None),
        (
            {
                "params": [{"name": "a", "fileName": "b"}],
                "mimeType": "multipart/form-data; boundary=x",
            },
            None,
        ),
        ({"params": [{"name": "a", "value": "1"}], "text": "a=1", "mimeType": FORM}, b"a=1"),
        ({"params": [{"name": "a", "value": "1"}], "mimeType": "application/json"}, None),
    ],
)
def test_fields_of_a_form_are_sent_as_one(
    tmp_path: Path, changes: dict[str, Any], body: bytes | None
) -> None:
    """Whether sizes are 0, -1 or there is none; a file that is not there makes a request without
    its body.
    """
    for size in (0, -1):
        posted = entry(request__method="POST", request__postData=changes, request__bodySize=size)
        [one] = read(tmp_path / "har", posted)
        reason = refusal_of(one)
        assert reason == ("" if body is not None else "its body was not kept: not in the archive")
        if body is not None:
            assert outgoing_of(one, Given()).body == body


def test_what_is_no_exchange_of_http_is_left_out(tmp_path: Path) -> None:
    """With the reason; a request that had no answer is known by its status."""
    urls = (
        "chrome-extension://abcd/script.js",
        "file:///etc/hosts",
        "data:text/plain,x",
        "blob:http://shop.test/1",
    )
    for one in read(tmp_path / "har", *map(entry, urls)):
        assert refusal_of(one).endswith("which is not HTTP")
    [aborted] = read(tmp_path / "har", entry(response__status=0))
    assert aborted.record.status is None


@each_of(
    ("url", "host", "target"),
    [
        ("http://shop.test/café?q=世", "shop.test", "/caf%C3%A9?q=%E4%B8%96"),
        ('http://shop.test/a b|c"d?e=f g\\h&i=`{}^#part', "shop.test", "/a%20b%7Cc%22d?e=f%20g%5Ch&i=%60%7B%7D%5E"),
        ("http://a.test/a%20b;v=1,2/(x)~y'z?a[]=1&b=%zz&c=é", "a.test", "/a%20b;v=1,2/(x)~y'z?a[]=1&b=%zz&c=%C3%A9"),
        ("http://u:p@Bücher.example:8080", "xn--bcher-kva.example:8080", "/"),
        ("http://[::1]:80/?", "[::1]:80", "/?"),
    ],
)  # fmt: skip
def test_urls_are_sent_in_ascii(tmp_path: Path, url: str, host: str, target: str) -> None:
    """As the browser sent what it shows; what is encoded stays."""
    [one] = read(tmp_path / "har", entry(url))
    assert one.record.host == host
    assert outgoing_of(one, Given()).target == target
    path, mark, query = target.partition("?")
    assert (one.record.path, one.record.query) == (path, query if mark else None)


@each_of(
    ("changes", "is_missing"),
    [
        ({"content": {"comment": "Response bodies are not included."}}, True),
        ({"content": {"size": 0, "comment": "Response bodies are not included."}}, True),
        ({"content": {"size": 0, "text": "", "comment": "not saved"}}, True),
        ({"content": {"size": -1, "mimeType": "text/html"}}, True),
        ({"content": {}}, True),
        ({"content": {"size": 0}, "headers": headers(content_length="7")}, True),
        ({"content": {"size": 0}}, False),
        ({"content": {"size": 0, "text": ""}, "bodySize": -1}, False),
        ({"content": {"comment": "none"}, "headers": headers(content_length="0")}, False),
        ({"content": {"comment": "none"}, "status": 304}, False),
        ({"content": {"size": -1}, "status": 204}, False),
    ],
)
def test_an_answer_without_text_is_missing_or_empty(
    tmp_path: Path, changes: dict[str, Any], *, is_missing: bool
) -> None:
    """Whatever says that there was a body; browsers leave the text of a redirect out."""
    members = {f"response__{name}": value for name, value in changes.items()}
    [one] = read(tmp_path / "har", entry(**{"response__bodySize": 0} | members))
    assert one.payload is not None
    body = one.payload.response_body
    assert (body is not None and body.omitted == "not in the archive") == is_missing
    assert (body is None) != is_missing


def test_our_own_archive_of_a_call_has_its_end(tmp_path: Path) -> None:
    """Trailers, and messages as they are shown, of the size that they had."""
    call = make_record(
        1,
        method="POST",
        path="/shop.Cart/Add",
        scheme="http",
        host="a",
        request_bytes=8,
        response_bytes=9,
    )
    kind = b"content-type: application/grpc"
    message = b'[{"1":"a"}]'
    payload = Payload(
        b"POST /shop.Cart/Add HTTP/2\r\n" + kind,
        b"HTTP/2 200\r\n" + kind + b"\r\ngrpc-encoding: gzip",
        make_body(message, coding="protobuf", size=8),
        make_body(message, coding="gzip, protobuf", size=9),
    )
    payload.response_trailers = b"grpc-status: 0\r\ngrpc-message: fine"
    [one] = read(tmp_path / "har", har_entry(call, payload))
    assert one.payload is not None
    assert one.payload.response_trailers == payload.response_trailers
    for half in ("request_body", "response_body"):
        body, sent = getattr(one.payload, half), getattr(payload, half)
        assert (body.head, body.coding, body.size) == (sent.head, sent.coding, sent.size)


def test_bodies_that_are_not_there_are_missing(tmp_path: Path) -> None:
    """Of a request and of an answer, by any size that says there was one; none where there can be
    none.
    """
    there: dict[str, Any] = {
        "request__method": "POST",
        "request__headers": headers(content_length="9"),
        "request__bodySize": -1,
    }
    sent, answered, not_modified, empty = read(
        tmp_path / "har",
        entry(**there),
        entry(response__content={"size": 7}, response__bodySize=0),
        entry(response__status=304, response__content={"size": 7}),
        entry(response__content={"size": 0, "text": ""}),
    )
    assert refusal_of(sent) == "its body was not kept: not in the archive"
    assert answered.payload is not None
    assert answered.payload.response_body is not None
    assert answered.payload.response_body.omitted == "not in the archive"
    for one in (not_modified, empty):
        assert one.payload is not None
        assert one.payload.response_body is None


def test_a_target_is_as_it_was(tmp_path: Path) -> None:
    """An empty query is none that is not there; fragments, users and fields of HTTP/2 stay behind."""
    urls = ("http://u:p@shop.test:81/q?", "http://shop.test", "http://shop.test/q?a=1#b?c")
    fields = [{"name": ":path", "value": "/q"}, *headers(X_D="1"), {"name": "x-d", "value": "2"}]
    fields += headers(If_None_Match='"a"')
    found = read(tmp_path / "har", *(entry(url, request__headers=fields) for url in urls))
    sent = [outgoing_of(one, Given()) for one in found]
    assert [each.target for each in sent] == ["/q?", "/", "/q?a=1"]
    assert sent[0].headers[:3] == [("X-D", "1"), ("x-d", "2"), ("If-None-Match", '"a"')]
    assert [one.record.host for one in found] == ["shop.test:81", "shop.test", "shop.test"]
