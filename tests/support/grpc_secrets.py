"""Calls of gRPC-Web with secrets in every place, for a service that sends bodies back."""

import gzip
from base64 import b64encode
from collections.abc import Callable, Iterator

Write = Callable[[str], str]


def field(text: bytes) -> bytes:
    """Write field 1 of a message."""
    return b"\x0a" + bytes((len(text),)) + text


def frame(flags: int, data: bytes) -> bytes:
    """Write a message as it goes over the wire."""
    return bytes((flags,)) + len(data).to_bytes(4, "big") + data


def binary(secret: str) -> str:
    """Write metadata that is binary."""
    return b64encode(field(secret.encode())).decode().rstrip("=")


def grpc_requests(secret: Write, percent: Write) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield bodies and headers; `secret` makes one for a place, in messages, metadata, status or
    trailers.
    """
    for kind in ("", "-text"):
        escaped = percent(secret(f"escaped status{kind}"))
        trailers = (
            f"grpc-status: 2\r\ngrpc-message: {secret(f'status{kind}')} and {escaped}\r\n"
            f"grpc-status-details-bin: {binary(secret(f'details{kind}'))}\r\nx-note: "
            f"{secret(f'trailer{kind}')}\r\n"
        )
        body = b"".join((
            frame(0, field(b"see " + secret(f"text of a message{kind}").encode())),
            frame(0, field(b"\xff\x00" + secret(f"bytes of a message{kind}").encode())),
            frame(0, b"\xff\xff" + secret(f"no message{kind}").encode()),
            frame(1, gzip.compress(field(secret(f"compressed message{kind}").encode()))),
            frame(0x80, trailers.encode()),
        ))  # fmt: skip
        yield b64encode(body) if kind else body, {
            "Content-Type": f"application/grpc-web{kind}", "grpc-encoding": "gzip",
            "x-note": secret(f"metadata{kind}"), "x-note-bin": binary(secret(f"binary metadata{kind}")),
            "X-Reply-Note": secret(f"metadata of the answer{kind}"),
        }  # fmt: skip
