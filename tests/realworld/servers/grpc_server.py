"""A service of gRPC (grpcio) whose messages are bytes. Arguments: its port; certificate and key,
for TLS.
"""

import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc


def echo(request: bytes, context: Any) -> bytes:
    sent = [(key, value) for key, value in context.invocation_metadata() if key == "x-sent-bin"]
    context.set_trailing_metadata((("x-raw-bin", b"\x00\xff"), ("x-text", "v"), *sent))
    return request


def fail(request: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "50 % of ä")
    return b""


def slow(request: bytes, context: Any) -> bytes:
    while context.is_active():
        time.sleep(0.02)
    return b""


def count(request: bytes, context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


def forever(request: bytes, context: Any) -> Iterator[bytes]:
    while context.is_active():
        yield b"tick"
        time.sleep(0.01)


def add(requests: Iterator[bytes], context: Any) -> bytes:
    return b"%d" % sum(map(len, requests))


def first(requests: Iterator[bytes], context: Any) -> bytes:
    return next(requests)


def chat(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    yield from requests


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Forever": grpc.unary_stream_rpc_method_handler(forever),
    "Add": grpc.stream_unary_rpc_method_handler(add),
    "First": grpc.stream_unary_rpc_method_handler(first),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def main(port: str, *files: str) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(300), options=UNLIMITED)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Service", HANDLERS),)
    )
    if files:
        cert, key = (Path(file).read_bytes() for file in files)
        server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, cert)]))
    else:
        server.add_insecure_port(f"127.0.0.1:{port}")

    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
