"""What webhooks are sent: in the form of each receiver, signed by Standard Webhooks."""

import base64
import hmac
import json
from email.header import decode_header, make_header
from hashlib import sha256
from typing import Any

import pytest

from proxy.collector.watch.alerts.payloads import Call, Notice, call_of
from proxy.collector.watch.alerts.state import Message, Status
from proxy.settings.model import AlertSettings

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
AT_US = 1_700_000_000_000_000
PUBLIC_URL = "https://logs.example/sidelog"
ID = "0192f0c1-8a3b-7c4d-9e5f-a6b7c8d9e0f1"
LINK = (
    f"{PUBLIC_URL}/requests?filter=path%3A%2Fa%20key%3Ak1&since=2023-11-14T22%3A12%3A20.000Z"
    "&until=2023-11-14T22%3A13%3A20.000Z"
)


def called(
    status: Status = "firing", group: str = "k1", *, public_url: str = "", **changes: Any
) -> Call:
    """What is sent of a message of an alert."""
    fields: dict[str, Any] = {
        "name": "spend",
        "url": "http://x/",
        "above": 5.0,
        "figure": "cost",
        "by": "key",
    }
    alert = AlertSettings(**(fields | changes))
    message = Message("msg_1", alert.name, group, status, 7.25, AT_US - 60_000_000, AT_US)
    message.search = "path:/a key:k1"
    message.begin_us = AT_US - 60_000_000
    message.ids = [ID]
    return call_of(Notice(alert, message, public_url), 1_700_000_001)


def sent(status: Status = "firing", group: str = "k1", **changes: Any) -> Any:
    """The payload of a message."""
    return json.loads(called(status, group, **changes).body)


def test_a_standard_webhook_has_type_time_and_data() -> None:
    """As https://www.standardwebhooks.com has it."""
    content = sent(query="model:gpt-*")
    assert content | {"type": "alert.firing", "timestamp": "2023-11-14T22:13:20.000Z"} == content
    data = content["data"]
    assert data | {"alert": "spend", "group": "k1", "value": 7.25, "above": 5.0} == data
    assert data["since"] == "2023-11-14T22:12:20.000Z"
    assert "cost over 10 min is $7.25, the limit is above $5.00" in data["text"]
    assert data["sampled"] is False


def test_a_message_has_the_page_and_the_ids_of_its_requests() -> None:
    """The page only where it is known how a browser reaches it."""
    data = sent(public_url=PUBLIC_URL + "/")["data"]
    assert data | {"link": LINK, "ids": [ID], "search": "path:/a key:k1"} == data
    assert sent()["data"]["link"] is None


def test_the_signature_is_that_of_the_id_the_time_and_the_body() -> None:
    """Computed as a receiver would; without a secret there is none."""
    call = called(secret=SECRET)
    expected = hmac.new(b"k" * 32, b"msg_1.1700000001." + call.body, sha256).digest()
    assert call.headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    named = {"webhook-id": "msg_1", "webhook-timestamp": "1700000001"}
    assert call.headers.items() >= named.items()
    assert "webhook-signature" not in called().headers


def test_the_headers_of_the_settings_count_before_those_of_a_format() -> None:
    """However they are written."""
    headers = called(
        format="ntfy", headers={"Authorization": "Bearer tk", "PRIORITY": "urgent"}
    ).headers
    own = {"authorization": "Bearer tk", "priority": "urgent", "tags": "rotating_light"}
    assert headers.items() >= own.items()


def test_alertmanager_gets_labels_and_both_ends() -> None:
    """One that fires ends far ahead, as Alertmanager would end it otherwise; one that is over ends
    now.
    """
    [firing] = sent(format="alertmanager", public_url=PUBLIC_URL)
    [resolved] = sent("resolved", format="alertmanager")
    assert (
        firing["labels"]
        == {"alertname": "spend", "source": "sidelog", "group": "k1"}
        == resolved["labels"]
    )
    assert firing["startsAt"] == resolved["startsAt"] == "2023-11-14T22:12:20.000Z"
    assert firing["endsAt"] > "2024-11"
    assert resolved["endsAt"] == "2023-11-14T22:13:20.000Z"
    assert firing["generatorURL"] == LINK
    assert "generatorURL" not in resolved


def test_slack_gets_no_mention_that_a_client_wrote() -> None:
    """A group is called as a client says; and a name may have an ampersand."""
    text = str(
        sent(format="slack", name="a & <b>", group="<!channel> & co", query="body:<b>")["text"]
    )
    assert text.startswith("[firing] a &amp; &lt;b&gt; (key &lt;!channel&gt; &amp; co): ")
    assert text.splitlines()[0].endswith("body:&lt;b&gt;")


def test_slack_gets_a_line_its_requests_and_a_link() -> None:
    """With all that a reader needs at three in the morning."""
    line = (
        "[firing] spend (key k1): cost over 10 min is $7.25, the limit is above $5.00; project:shop"
    )
    assert sent(format="slack", query="project:shop") == {"text": f"{line}\nRequests: {ID}"}
    link = LINK.replace("&", "&amp;")
    assert sent(format="slack", query="project:shop", public_url=PUBLIC_URL)[
        "text"
    ].splitlines() == [
        line,
        f"Requests: <{PUBLIC_URL}/requests?record={ID}|{ID}>",
        f"<{link}|Show all of them>",
    ]


def test_discord_gets_an_embed_that_mentions_no_one() -> None:
    """Texts of others are no Markdown there."""
    hostile = "@everyone <@&1> **b** [x](http://y) `c` ||s||"
    content = sent(format="discord", group=hostile, query="path:/a_b_c", public_url=PUBLIC_URL)
    assert content["allowed_mentions"] == {"parse": []}
    assert "content" not in content
    [embed] = content["embeds"]
    assert embed["url"] == LINK
    assert embed["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert embed["description"] == "cost over 10 min is $7.25, the limit is above $5.00"
    assert "@everyone" not in embed["title"]
    assert (
        embed["title"].replace("\u200b", "").replace("\\", "") == f"[firing] spend (key {hostile})"
    )
    for mark in ("**", "](", "<@", "||"):
        assert mark not in embed["title"]
    search, requests = embed["fields"]
    assert search == {"name": "Search", "value": r"path\:/a\_b\_c"}
    assert requests == {"name": "Requests", "value": f"[{ID}]({PUBLIC_URL}/requests?record={ID})"}


@pytest.mark.parametrize("character", ["@", "\\", "_", "é"])
def test_discord_gets_no_more_than_it_takes(character: str) -> None:
    """256 characters of a title, 4096 of a description, 1024 of a field; Discord refuses longer
    ones.
    """
    long = character * 5000
    [embed] = sent(
        format="discord", name="n" * 100, group=long, query=long, figure="share", of=long
    )["embeds"]
    assert len(embed["title"]) <= 256
    assert len(embed["description"]) <= 4096
    assert max(len(field["value"]) for field in embed["fields"]) <= 1024


def test_teams_gets_a_card_whose_texts_are_no_markdown() -> None:
    """As the template "Send webhook alerts to a channel" of Workflows takes it."""
    hostile = "<at>all</at> [x](http://y) **b**"
    content = sent(format="teams", group=hostile, query="path:/a", public_url=PUBLIC_URL)
    assert content["type"] == "message"
    [attachment] = content["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert card | {"type": "AdaptiveCard", "version": "1.2"} == card
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert [run["text"] for run in runs] == [
        f"[firing] spend (key {hostile})",
        "cost over 10 min is $7.25, the limit is above $5.00",
        "path:/a",
        f"Requests: {ID}",
    ]
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Show the requests", "url": LINK}
    ]
    assert "actions" not in sent(format="teams")["attachments"][0]["content"]


def test_ntfy_gets_a_text_and_headers() -> None:
    """A title of any script, and no line end that a client wrote."""
    call = called(
        format="ntfy",
        name="Köln 🚨",
        group="k\r\nX-Email: a@b",
        query="path:/a",
        public_url=PUBLIC_URL,
    )
    assert (
        str(make_header(decode_header(call.headers["title"])))
        == "[firing] Köln 🚨 (key k  X-Email: a@b)"
    )
    own = {"priority": "high", "tags": "rotating_light", "click": LINK}
    assert call.headers.items() >= own.items()
    assert call.body.decode().splitlines() == [
        "cost over 10 min is $7.25, the limit is above $5.00",
        "path:/a",
        f"Requests: {ID}",
    ]
    assert called("resolved", format="ntfy").headers["title"] == "[resolved] spend (key k1)"


def test_pagerduty_gets_one_incident_for_all_messages_of_a_firing() -> None:
    """Opened by the first, and resolved by the last."""
    key = "0123456789abcdef0123456789abcdef"
    firing = sent(format="pagerduty", secret=key, query="q" * 5000, public_url=PUBLIC_URL)
    resolved = sent("resolved", format="pagerduty", secret=key)
    assert (firing["routing_key"], firing["event_action"], resolved["event_action"]) == (
        key,
        "trigger",
        "resolve",
    )
    assert (
        firing["dedup_key"]
        == resolved["dedup_key"]
        != sent(format="pagerduty", group="k2")["dedup_key"]
    )
    assert len(firing["dedup_key"]) <= 255
    payload = firing["payload"]
    assert payload["summary"].startswith("[firing] spend (key k1): cost over 10 min is $7.25")
    assert len(payload["summary"]) <= 1024
    assert payload | {"source": "sidelog", "severity": "error"} == payload
    assert payload["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert payload["custom_details"]["ids"] == [ID]
    assert firing["links"] == [{"href": LINK, "text": "Show the requests"}]
    assert sent("test", format="pagerduty")["payload"]["severity"] == "info"
    assert "webhook-signature" not in called(format="pagerduty", secret=key).headers


def test_a_body_of_ones_own_has_the_fields_of_the_message() -> None:
    """Escaped, so that what a client wrote stays a text."""
    body = (
        '{"text": "{alert} {status}: {value}, {limit} ({window})", "who": "{group}", "n": '
        '{number}, "at": ["{link}"]}'
    )
    hostile = '", "admin": true, "x": "\\ \n é {link}'
    assert sent(body=body, group=hostile, public_url=PUBLIC_URL) == {
        "text": "spend firing: $7.25, above $5.00 (10 min)",
        "who": hostile,
        "n": 7.25,
        "at": [LINK],
    }
    assert called(body=body).headers["content-type"] == "application/json"
