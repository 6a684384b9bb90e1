"""Payloads and headers of messages, in the format that the receiver of a webhook reads. Pure.

Strategy: one function a format. Names, searches and values of groups come from operators and from
traffic, so each format escapes them, or puts them where its receiver reads no mark-up.

Standards: Standard Webhooks (ids, timestamps, HMAC-SHA256 signatures); Alertmanager's API v2
(`POST /api/v2/alerts`); PagerDuty's Events API v2 (`POST /v2/enqueue`); incoming webhooks of Slack
and Discord; Adaptive Cards 1.2, as webhooks of Teams' Workflows take them; publishing to a topic
of ntfy; RFC 2047 §2 for text in its headers.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec

from api.http.times import format_time
from proxy.collector.watch.alerts.searches import page_of, page_of_record
from proxy.collector.watch.alerts.state import Message, message_id
from proxy.collector.watch.alerts.wording import (
    about,
    limit_text,
    line_of,
    query_text,
    span_text,
    title_of,
    value_text,
)
from proxy.settings.alert_template import NUMBER, fill
from proxy.settings.check_alerts import secret_of
from proxy.settings.model import AlertSettings

_FAR_US: Final = 366 * 86_400_000_000
"""Time to the end of a firing alert, as Alertmanager would end one without `endsAt` by itself."""
_MAX_DATA_CHARACTERS: Final = 1000
"""Longest text within the details of an event of PagerDuty, whose size is limited."""
_MAX_TITLE_CHARACTERS: Final = 80
"""Longest title of a Discord embed. Discord takes 256 characters, and escaping triples one at most.
"""
_MARKDOWN: Final = re.compile(r"([\\*_~`|<>#\[\]()@:-])")
_COLOURS: Final = {"firing": 0xC62828, "resolved": 0x2E7D32, "test": 0x546E7A}
_CARD_COLOURS: Final = {"firing": "Attention", "resolved": "Good", "test": "Default"}
_NTFY: Final = {
    "firing": ("high", "rotating_light"),
    "resolved": ("default", "white_check_mark"),
    "test": ("low", "test_tube"),
}
"""Priority and tag by status."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a webhook."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass(frozen=True, slots=True)
class Notice:
    """A message with its alert, and the texts and links that formats show."""

    alert: AlertSettings
    message: Message
    public_url: str = ""
    """Address of the web UI; empty for messages without links."""

    @property
    def title(self) -> str:
        return title_of(self.alert, self.message.status, self.message.group)

    @property
    def about(self) -> str:
        return about(self.alert, self.message.value, sampled=self.message.sampled)

    @property
    def text(self) -> str:
        """Return title, figure and search of the notice on one line."""
        text = f"{self.title}: {self.about}"
        query = query_text(self.alert)
        if query:
            return f"{text}; {query}"
        return text

    @property
    def link(self) -> str:
        """Address of the page with the requests of the message."""
        message = self.message
        return page_of(self.public_url, message.search, message.begin_us, message.at_us)

    def link_of(self, record: str) -> str:
        return page_of_record(self.public_url, record)


def call_of(notice: Notice, now_s: int) -> Call:
    """Return the call for a message, with the headers of Standard Webhooks. Headers of the settings
    replace these.
    """
    alert = notice.alert
    message = notice.message
    if alert.body:
        call = Call(_filled(notice))
    else:
        call = _FORMATS[alert.format](notice)
    headers = {**call.headers, "webhook-id": message.id, "webhook-timestamp": str(now_s)}

    if alert.secret and alert.format != "pagerduty":
        signed = f"{message.id}.{now_s}.".encode() + call.body
        signature = hmac.digest(secret_of(alert.secret), signed, sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(signature).decode()}"

    return Call(call.body, headers | {name.lower(): value for name, value in alert.headers.items()})


def _filled(notice: Notice) -> bytes:
    """Return the body that the settings of the alert define, filled in for a notice."""
    alert = notice.alert
    message = notice.message
    if message.value is None:
        number = "null"
    else:
        number = f"{message.value:.15g}"
    fields = {
        "id": message.id,
        "alert": alert.name,
        "status": message.status,
        "group": message.group,
        "by": alert.by,
        "figure": alert.figure,
        "value": value_text(alert.figure, message.value, sampled=message.sampled),
        NUMBER: number,
        "limit": limit_text(alert),
        "window": span_text(alert.window_s),
        "query": alert.query,
        "search": message.search,
        "since": format_time(message.since_us),
        "time": format_time(message.at_us),
        "link": notice.link,
        "ids": ", ".join(message.ids),
        "text": notice.text,
    }
    return fill(alert.body, fields).encode()


def _data(notice: Notice) -> dict[str, Any]:
    """Return the members of a notice in sidelog's own format."""
    alert = notice.alert
    message = notice.message
    return {
        "alert": alert.name,
        "status": message.status,
        "by": alert.by or None,
        "group": message.group or None,
        "figure": alert.figure,
        "value": message.value,
        "sampled": message.sampled,
        "above": alert.above,
        "below": alert.below,
        "window_s": alert.window_s,
        "query": alert.query,
        "search": message.search,
        "since": format_time(message.since_us),
        "text": notice.text,
        "link": notice.link or None,
        "ids": message.ids,
    }


def _standard(notice: Notice) -> Call:
    at = format_time(notice.message.at_us)
    return _json({"type": f"alert.{notice.message.status}", "timestamp": at, "data": _data(notice)})


def _alertmanager(notice: Notice) -> Call:
    message = notice.message
    labels = {"alertname": notice.alert.name, "source": "sidelog"}
    if message.group:
        labels["group"] = message.group
    ends_us = message.at_us + (_FAR_US if message.status == "firing" else 0)
    requests = ", ".join(message.ids)
    content = {
        "labels": labels,
        "annotations": {"summary": notice.text, "id": message.id, "requests": requests},
        "startsAt": format_time(message.since_us),
        "endsAt": format_time(ends_us),
    }
    if notice.link:
        content["generatorURL"] = notice.link
    return _json([content])


def _slack(notice: Notice) -> Call:
    """Write a text. Mark-up of Slack that could notify people begins with `<` or `&`."""
    lines = [_for_slack(notice.text)]
    requests = [_slack_link(notice.link_of(id), id) for id in notice.message.ids]
    if requests:
        lines.append("Requests: " + ", ".join(requests))
    if notice.link:
        lines.append(_slack_link(notice.link, "Show all of them"))
    return _json({"text": "\n".join(lines)})


def _for_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_link(address: str, text: str) -> str:
    if address:
        return f"<{_for_slack(address)}|{text}>"
    return text


def _discord(notice: Notice) -> Call:
    """Write an embed. Its texts are Markdown, and none of them may mention anyone."""
    message = notice.message
    query = query_text(notice.alert)
    if query:
        fields = [{"name": "Search", "value": _plain_markdown(query)}]
    else:
        fields = []
    requests = message.ids
    if notice.public_url:
        requests = [f"[{id}]({notice.link_of(id)})" for id in message.ids]
    if requests:
        fields.append({"name": "Requests", "value": "\n".join(requests)})
    embed = {
        "title": _plain_markdown(line_of(notice.title, _MAX_TITLE_CHARACTERS)),
        "description": _plain_markdown(notice.about),
        "color": _COLOURS[message.status],
        "timestamp": format_time(message.at_us),
        "fields": fields,
        "footer": {"text": message.id},
    }
    if notice.link:
        embed["url"] = notice.link
    return _json({"embeds": [embed], "allowed_mentions": {"parse": []}})


def _plain_markdown(text: str) -> str:
    """Escape a text for Discord, CommonMark §2.4. A zero-width space after `@` ends each mention."""
    return _MARKDOWN.sub(r"\\\1", text).replace("@", "@\u200b")


def _teams(notice: Notice) -> Call:
    """Return the call that sends a notice to Teams, as an Adaptive Card of text runs, which are
    never read as Markdown.
    """
    message = notice.message
    query = query_text(notice.alert)
    colour = _CARD_COLOURS[message.status]
    title = {"text": notice.title, "weight": "Bolder", "size": "Medium", "color": colour}
    blocks = [_rich(title), _rich({"text": notice.about})]
    if query:
        blocks.append(_rich({"text": query, "fontType": "Monospace"}))
    if message.ids:
        blocks.append(_rich({"text": f"Requests: {', '.join(message.ids)}", "isSubtle": True}))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": blocks,
    }
    if notice.link:
        opening = {"type": "Action.OpenUrl", "title": "Show the requests", "url": notice.link}
        card["actions"] = [opening]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return _json({"type": "message", "attachments": [attachment]})


def _rich(run: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", **run}]}


def _ntfy(notice: Notice) -> Call:
    """Write a text. ntfy shows it as it is unless a header says that it is Markdown."""
    message = notice.message
    query = query_text(notice.alert)
    priority, tag = _NTFY[message.status]
    lines = [notice.about, query, f"Requests: {', '.join(message.ids)}" if message.ids else ""]
    headers = {
        "content-type": "text/plain; charset=utf-8",
        "title": _encoded_word(notice.title),
        "priority": priority,
        "tags": tag,
    }
    if notice.link:
        headers["click"] = notice.link
    return Call("\n".join(line for line in lines if line).encode(), headers)


def _encoded_word(text: str) -> str:
    """Encode a text for a mail header as RFC 2047 §2 defines; ASCII stays unchanged."""
    if text.isascii():
        return text
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def _pagerduty(notice: Notice) -> Call:
    """Write an event. All messages from firing to resolved have one key, so they are one incident."""
    alert = notice.alert
    message = notice.message
    details = _data(notice)
    for name, value in details.items():
        if isinstance(value, str):
            details[name] = value[:_MAX_DATA_CHARACTERS]

    event: dict[str, Any] = {
        "routing_key": alert.secret,
        "event_action": "resolve" if message.status == "resolved" else "trigger",
        "dedup_key": message_id(alert.name, message.group, message.since_us),
        "client": "sidelog",
        "payload": {
            "summary": line_of(notice.text, 1024),
            "source": "sidelog",
            "severity": "info" if message.status == "test" else "error",
            "timestamp": format_time(message.at_us),
            "class": alert.figure,
            "custom_details": details,
        },
    }
    if notice.link:
        event["client_url"] = notice.public_url
        event["links"] = [{"href": notice.link, "text": "Show the requests"}]
    return _json(event)


def _json(content: Any) -> Call:
    return Call(msgspec.json.encode(content))


_FORMATS: Final[Mapping[str, Callable[[Notice], Call]]] = {
    "standard": _standard,
    "alertmanager": _alertmanager,
    "slack": _slack,
    "discord": _discord,
    "teams": _teams,
    "ntfy": _ntfy,
    "pagerduty": _pagerduty,
}
