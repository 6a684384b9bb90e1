"""A client of that service (grpcio): it makes every kind of call and prints what came of each, as
JSON.
"""

import json
import queue
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
CALL_S = 60


def outcome(call: Callable[[], Any], *, is_described: bool = False) -> Any:
    try:
        return call()
    except grpc.RpcError as error:
        if is_described:
            return [error.code().name, error.details()]
        return error.code().name


class Calls:
    """All of them over one channel."""

    def __init__(self, target: str, cert: str = "") -> None:
        """Connect with the first call, by TLS where there is a certificate to trust."""
        if cert:
            trusted = grpc.ssl_channel_credentials(Path(cert).read_bytes())
            self._channel = grpc.secure_channel(target, trusted, options=UNLIMITED)
        else:
            self._channel = grpc.insecure_channel(target, options=UNLIMITED)

    def unary(self, method: str, request: bytes, **options: Any) -> bytes:
        found: bytes = self._channel.unary_unary(f"/test.Service/{method}")(
            request, **{"timeout": CALL_S, **options}
        )
        return found

    def metadata(self) -> Any:
        call = self._channel.unary_unary("/test.Service/Echo")
        _, done = call.with_call(b"x", timeout=CALL_S, metadata=(("x-sent-bin", b"\x01\xfe"),))
        return {
            key: value.hex() if isinstance(value, bytes) else value
            for key, value in done.trailing_metadata()
        }

    def uploads(self, method: str, pieces: int) -> str:
        call = self._channel.stream_unary(f"/test.Service/{method}")
        return str(call(iter([b"a" * 1000] * pieces), timeout=CALL_S).decode())

    def count(self) -> int:
        return len(list(self._channel.unary_stream("/test.Service/Count")(b"1000", timeout=CALL_S)))

    def chat(self) -> int:
        sent: queue.Queue[bytes | None] = queue.Queue()
        requests: Iterator[bytes] = iter(sent.get, None)
        answers = self._channel.stream_stream("/test.Service/Chat")(requests, timeout=CALL_S)
        for number in range(100):
            sent.put(b"%d" % number)
            assert next(answers) == b"%d" % number
        sent.put(None)
        return 100 + len(list(answers))

    def cancel(self) -> str:
        stream = self._channel.unary_stream("/test.Service/Forever")(b"", timeout=CALL_S)
        next(stream)
        stream.cancel()
        return str(stream.code().name)

    def hold(self) -> int:
        """Read a stream until it fails."""
        return len(list(self._channel.unary_stream("/test.Service/Forever")(b"")))

    def at_once(self) -> bool:
        call = self._channel.unary_unary("/test.Service/Echo")
        running = [call.future(b"%d" % number, timeout=CALL_S) for number in range(300)]
        return all(each.result() == b"%d" % number for number, each in enumerate(running))


def main(*target: str) -> None:
    calls = Calls(*target)
    assert calls.uploads("First", 5000) == "a" * 1000, "an upload that was answered early"
    large = bytes(range(256)) * 32768
    told = {
        "unary": outcome(lambda: calls.unary("Echo", b"hello").decode()),
        "empty": outcome(lambda: len(calls.unary("Echo", b""))),
        "metadata": outcome(calls.metadata),
        "failure": outcome(lambda: calls.unary("Fail", b"x"), is_described=True),
        "unknown": outcome(lambda: calls.unary("Nowhere", b"x")),
        "deadline": outcome(lambda: calls.unary("Slow", b"x", timeout=0.5)),
        "8 MiB": outcome(lambda: calls.unary("Echo", large) == large),
        "gzip": outcome(
            lambda: len(calls.unary("Echo", b"q" * 100_000, compression=grpc.Compression.Gzip))
        ),
        "server stream": outcome(calls.count),
        "client stream": outcome(lambda: calls.uploads("Add", 1000)),
        "both": outcome(calls.chat),
        "cancel": outcome(calls.cancel),
        "at once": outcome(calls.at_once),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    if sys.argv[2:] == ["hold"]:
        json.dump(outcome(Calls(sys.argv[1]).hold), sys.stdout)
    else:
        main(*sys.argv[1:])
