"""What webhooks are sent: in the form of each receiver, signed by Standard Webhooks."""

import base64
import hmac
import json
from hashlib import sha256
from typing import Any

from proxy.collector.watch.alerts.payloads import headers_of, payload_of
from proxy.collector.watch.alerts.state import Message, Status
from proxy.settings.outgoing_model import AlertSettings

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
AT_US = 1_700_000_000_000_000


def sent(status: Status = "firing", **changes: Any) -> tuple[AlertSettings, Message, Any]:
    """An alert, a message of it, and its payload."""
    fields: dict[str, Any] = {"name": "spend", "url": "http://x/", "above": 5.0, "figure": "cost", "by": "key"}
    alert = AlertSettings(**(fields | changes))
    message = Message("msg_1", "spend", "k1", status, 7.25, AT_US - 60_000_000, AT_US)
    return alert, message, json.loads(payload_of(alert, message))


def test_a_standard_webhook_has_type_time_and_data() -> None:
    """As https://www.standardwebhooks.com has it."""
    _, _, content = sent(query="model:gpt-*")
    assert (content["type"], content["timestamp"]) == ("alert.firing", "2023-11-14T22:13:20.000Z")
    data = content["data"]
    assert (data["alert"], data["group"], data["value"], data["above"]) == ("spend", "k1", 7.25, 5.0)
    assert data["since"] == "2023-11-14T22:12:20.000Z"
    assert "cost over 600 s is 7.25 USD, the limit is above 5" in data["text"]


def test_the_signature_is_that_of_the_id_the_time_and_the_body() -> None:
    """Computed as a receiver would; without a secret there is none."""
    alert, message, _ = sent(secret=SECRET)
    body = payload_of(alert, message)
    headers = headers_of(alert, message, body, 1_700_000_001)
    expected = hmac.new(b"k" * 32, b"msg_1.1700000001." + body, sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1700000001")
    alert, message, _ = sent()
    assert "webhook-signature" not in headers_of(alert, message, b"", 1)


def test_alertmanager_gets_labels_and_both_ends() -> None:
    """One that fires ends far ahead, as Alertmanager would end it otherwise; one that is over ends now."""
    _, _, [firing] = sent(format="alertmanager")
    _, _, [resolved] = sent("resolved", format="alertmanager")
    assert firing["labels"] == {"alertname": "spend", "source": "sidelog", "group": "k1"} == resolved["labels"]
    assert firing["startsAt"] == resolved["startsAt"] == "2023-11-14T22:12:20.000Z"
    assert firing["endsAt"] > "2024-11"
    assert resolved["endsAt"] == "2023-11-14T22:13:20.000Z"


def test_slack_gets_a_line() -> None:
    """With all that a reader needs at three in the morning."""
    _, _, content = sent(format="slack", query="project:shop")
    assert content == {
        "text": "[firing] spend (key k1): cost over 600 s is 7.25 USD, the limit is above 5; project:shop"
    }
