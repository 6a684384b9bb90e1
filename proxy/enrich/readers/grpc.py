"""Calls of gRPC and gRPC-Web, and the messages of their streams."""

from proxy.enrich.facts import Facts
from proxy.enrich.grpc.reader import GrpcReader, is_grpc, is_long_call
from proxy.enrich.http.bodies import TooLong
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.readers.reader import Dependencies, Reader
from proxy.ring.message import KIND_GRPC, CapturedMessage
from storage.record import Record


class Grpc(Reader):
    """Reads calls and messages. No other reader is asked about them."""

    is_alone = True

    def __init__(self, dependencies: Dependencies) -> None:
        settings = dependencies.settings
        self._calls = GrpcReader(
            dependencies.redactor, settings.routes, settings.capture.message_bytes
        )

    def may_read(self, exchange: DecodedExchange) -> bool:
        return is_grpc(exchange.request.content_type) or is_grpc(exchange.response.content_type)

    def name(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        if not exchange.may_take_long and is_long_call(exchange):
            raise TooLong
        assert exchange.captured is not None
        return self._calls.read(record, exchange.captured, exchange)

    def running(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        return Facts(grpc=self._calls.begin(record, exchange.request.redacted))

    def may_read_message(self, message: CapturedMessage) -> bool:
        return message.kind == KIND_GRPC

    def is_long(self, message: CapturedMessage) -> bool:
        return self._calls.is_long(message)

    def describe(self, message: CapturedMessage, route_id: str) -> tuple[dict[str, object], None]:
        return self._calls.describe(message, route_id), None
