"""The grpcurl line of a call: its metadata, deadline and messages, each one shell word, and what it
lacks as a note.
"""

import shlex
from typing import Any

from api.native.files.curl import curl_of
from storage.grpc import Grpc
from storage.record import Body, Payload
from tests.api.samples import make_record

HEAD = (
    b"POST /shop.Cart/Add HTTP/2\r\nHost: api.test\r\ncontent-type: application/grpc\r\nte: "
    b"trailers\r\n"
    b"grpc-timeout: 2S\r\nx-tenant: it's\r\nauthorization: [REDACTED]"
)


def line(body: Body | None, **changes: Any) -> tuple[list[str], list[str]]:
    """Return the words of the command, and its notes."""
    more = {"host": "api.test", "path": "/shop.Cart/Add"} | changes
    record = make_record(1, method="POST", grpc=Grpc(0, timeout_us=2_000_000), **more)
    made = curl_of(record, Payload(HEAD, b"", body, None))
    return shlex.split(made.command.replace("\\\n", "")), made.notes


def test_a_call_is_made_again_by_grpcurl() -> None:
    """What the client and gRPC write themselves is left out; secrets are to be put in."""
    words, notes = line(Body(b'[{"sku":"a"},{"sku":"b"}]', b"", 20, False, "protobuf", None))
    assert words == [
        "grpcurl", "-plaintext", "-H", "x-tenant: it's", "-H", "authorization: <authorization>", "-max-time", "2",
        "-d", '{"sku":"a"} {"sku":"b"}', "api.test:80", "shop.Cart/Add",
    ]  # fmt: skip
    assert notes == ["authorization held a secret: replace <authorization>"]
    assert line(None, scheme="https")[0][-2] == "api.test:443"
    assert line(None, host="-cert=x", path="/-key=x")[0][-3:] == ["--", "-cert=x:80", "-key=x"]


def test_what_cannot_be_sent_is_said() -> None:
    """Numbers in the place of names, what was cut, secrets, and bodies that are no messages."""
    assert "field number" in line(Body(b'[{"1":"a"}]', b"", 20, False, "protobuf", None))[1][-1]
    assert "in part only" in line(Body(b'[{"1":"a"}]', b"", 20, True, "protobuf", None))[1][-1]
    assert (
        "[REDACTED]" in line(Body(b'[{"a":"[REDACTED]"}]', b"", 20, False, "protobuf", None))[1][-1]
    )
    shortened = b'[{"a":{"omitted": "base64", "bytes": 9000}}]'
    assert "were not kept" in line(Body(shortened, b"", 9000, False, "protobuf", None))[1][-1]

    for junk in (b"junk", b"{}"):
        words, notes = line(Body(junk, b"", 4, False, None, None))
        assert "-d" not in words
        assert "no list of messages" in notes[-1]


def test_grpc_web_is_left_to_curl() -> None:
    """Which grpcurl does not speak, and whose body has to be given: it is stored as JSON."""
    record = make_record(1, method="POST", path="/shop.Cart/Add", grpc=Grpc(0))
    head = HEAD.replace(b"application/grpc", b"application/grpc-web+proto")
    assert curl_of(record, Payload(head, b"", None, None)).command.startswith("curl ")
    body = Body(b'[{"1":"a"}]', b"", 8, False, "protobuf", None)
    made = curl_of(record, Payload(head, b"", body, None))
    assert "--data-binary @request-body" in made.command
    assert (
        "8 bytes was not kept (its messages are, as JSON): put it into the file request-body"
        in made.notes[0]
    )
    assert not any("sent decoded" in note for note in made.notes)
