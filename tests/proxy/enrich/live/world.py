"""A session with a model, and the collector that reads it."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from proxy.http1.websocket_frames import Opcode
from proxy.ring.exchange import NOTE_MESSAGES_DROPPED
from proxy.ring.message import OUT, CapturedMessage
from storage.record import Entry, Outcome, Record, new_id
from tests.proxy.enrich.exchanges import Collector, exchange, wire

RESPONSES = b"api.openai.com:443 /v1/responses"
REALTIME = b"api.openai.com:443 /v1/realtime?model=gpt-realtime"
LIVE = (
    b"generativelanguage.googleapis.com:443 "
    b"/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=AIza"
)
USAGE = {
    "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}  # fmt: skip


def done(status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response that has ended."""
    response = {
        "object": "realtime.response", "id": "resp_1", "status": status, "status_details": None, "usage": USAGE,
        "output": [{"type": "function_call", "name": "weather", "arguments": "{\"usage\": {\"input_tokens\": 1}}"}],
    }  # fmt: skip
    return {"type": "response.done", "event_id": "event_1", "response": response | more}


@dataclass
class World:
    """A session and the collector that reads it."""

    handshake: bytes = REALTIME
    id: bytes = field(default_factory=lambda: new_id(time.time_ns(), 5, 1))

    def __post_init__(self) -> None:
        self.collector = Collector()

    def say(self, what: object, direction: int = OUT, **more: Any) -> Record:
        """Pass one message on; return its record."""
        return self.pass_on(what, direction, **more).record

    def pass_on(self, what: object, direction: int = OUT, **more: Any) -> Entry:
        """Pass one message on."""
        data = wire(what)
        fields: dict[str, Any] = {
            "id": new_id(time.time_ns(), 6, 1), "exchange_id": self.id, "at_ns": time.time_ns(), "size": len(data),
            "route": 0, "opcode": Opcode.TEXT, "direction": direction, "is_compressed": False, "traceparent": b"",
            "data": data, "session": self.handshake,
        }  # fmt: skip
        return self.collector.hear(CapturedMessage(**fields | more))

    def end(
        self, *, dropped: int = 0, started_at_ns: int | None = None, outcome: Outcome = Outcome.OK
    ) -> dict[str, Any]:
        """End the session; return what its record sums up."""
        captured = exchange(
            self.handshake.partition(b" ")[2].decode(), method="GET", status=101, outcome=outcome
        )
        captured.id = self.id
        captured.started_at_ns = started_at_ns or captured.started_at_ns
        if dropped:
            captured.notes[NOTE_MESSAGES_DROPPED] = dropped.to_bytes(8, "little")
        record = self.collector.read(captured).record
        assert (record.provider, record.input_tokens, record.cost_usd) == (None, None, None)
        self.record = record
        shown: dict[str, Any] = json.loads(record.data or b"{}").get("llm", {})
        return shown
