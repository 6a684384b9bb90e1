"""What a webhook is sent: the payload in the form that its receiver reads, and the headers that sign it. Pure.

Standards: Standard Webhooks (ids, timestamps, HMAC-SHA256 signatures); Alertmanager's API v2 (`POST /api/v2/alerts`);
Slack's incoming webhooks.
"""

import base64
import hmac
from hashlib import sha256
from typing import Any, Final

import msgspec

from api.http.times import format_time
from proxy.collector.watch.alerts.state import Message
from proxy.settings.check_outgoing import secret_of
from proxy.settings.outgoing_model import AlertSettings

_UNITS: Final = {"p50": " ms", "p95": " ms", "p99": " ms", "cost": " USD", "change": " times that of the window before"}
_FAR_US: Final = 366 * 86_400_000_000
"""Alertmanager ends what has no end by itself; ours ends when it does."""


def payload_of(alert: AlertSettings, message: Message) -> bytes:
    """Write a message."""
    match alert.format:
        case "slack":
            content: Any = {"text": text_of(alert, message)}
        case "alertmanager":
            content = [_for_alertmanager(alert, message)]
        case _:
            content = _standard(alert, message)
    return msgspec.json.encode(content)


def headers_of(alert: AlertSettings, message: Message, body: bytes, now_s: int) -> dict[str, str]:
    """Return the headers of Standard Webhooks; the signature only with a secret."""
    headers = {"content-type": "application/json", "webhook-id": message.id, "webhook-timestamp": str(now_s)}
    if alert.secret:
        signed = f"{message.id}.{now_s}.".encode() + body
        signature = hmac.digest(secret_of(alert.secret), signed, sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(signature).decode()}"
    return headers


def text_of(alert: AlertSettings, message: Message) -> str:
    """Say it in a line."""
    where = f" ({alert.by} {message.group})" if message.group else ""
    value = "unknown" if message.value is None else f"{message.value:,.6g}{_UNITS.get(alert.figure, '')}"
    limit = f"above {alert.above:g}" if alert.above is not None else f"below {alert.below:g}"
    about = f"{alert.figure} over {alert.window_s:g} s is {value}, the limit is {limit}"
    return f"[{message.status}] {alert.name}{where}: {about}" + (f"; {alert.query}" if alert.query else "")


def _standard(alert: AlertSettings, message: Message) -> dict[str, Any]:
    return {
        "type": f"alert.{message.status}",
        "timestamp": format_time(message.at_us),
        "data": {
            "alert": alert.name,
            "status": message.status,
            "by": alert.by or None,
            "group": message.group or None,
            "figure": alert.figure,
            "value": message.value,
            "above": alert.above,
            "below": alert.below,
            "window_s": alert.window_s,
            "query": alert.query,
            "since": format_time(message.since_us),
            "text": text_of(alert, message),
        },
    }


def _for_alertmanager(alert: AlertSettings, message: Message) -> dict[str, Any]:
    labels = {"alertname": alert.name, "source": "sidelog"} | ({"group": message.group} if message.group else {})
    ends_us = message.at_us + (_FAR_US if message.status == "firing" else 0)
    return {
        "labels": labels,
        "annotations": {"summary": text_of(alert, message), "id": message.id},
        "startsAt": format_time(message.since_us),
        "endsAt": format_time(ends_us),
    }
