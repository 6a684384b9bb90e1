"""WebSocket subprotocols: names stay, tokens among them go."""

import base64
import json

import pytest

from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.subprotocols import redact_subprotocols

_JSON = base64.b64encode(json.dumps({"session_id": "4qB25zPpzwvreveRTA7R9VoP", "expiry": 1795409243}).encode())
_HEX = b"c25dcefbe4abc3f524b7eb93b9402f55"


@pytest.mark.parametrize(
    "value",
    [
        *(b"graphql-transport-ws", b"mqtt, mqttv3.1", b"v1.kernel.websocket.jupyter.org", b"ocpp1.6, ocpp2.0.1"),
        *(
            b"v5.channel.k8s.io, v4.channel.k8s.io",
            b"wamp.2.msgpack.batched",
            b"actioncable-v1-json",
            b"binary, base64",
        ),
        *(b"realtime, openai-beta.realtime-v1", b"vnd.example.notification-stream.v2", b""),
    ],
)
def test_names_stay(value: bytes) -> None:
    """Byte for byte."""
    assert redact_subprotocols(value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bokeh, " + _JSON, b"bokeh, [REDACTED]"),
        (b"streamlit, 2|3ead2153|" + _HEX + b"|1795408934", b"streamlit, [REDACTED]"),
        (b"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io." + _JSON,
         b"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.[REDACTED]"),
        (b"v1.token.websocket.jupyter.org." + _HEX, b"v1.token.websocket.jupyter.org.[REDACTED]"),
        (b"x7Gh29LqW1", b"[REDACTED]"),
        (b"a" * 65, b"[REDACTED]"),
    ],
)  # fmt: skip
def test_tokens_go(value: bytes, expected: bytes) -> None:
    """The name before a token stays; redacting twice changes nothing."""
    assert redact_subprotocols(value) == expected
    assert redact_subprotocols(expected) == expected


def test_of_a_head() -> None:
    """In either spelling of the name, as one of many lines."""
    head = b"GET /ws HTTP/1.1\r\nHost: a\r\nsec-websocket-protocol: bokeh, " + _JSON + b"\r\nA: b"
    assert Redactor().redact_head(head) == (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nsec-websocket-protocol: bokeh, [REDACTED]\r\nA: b"
    )
