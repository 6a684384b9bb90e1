"""`sidelog alerts`: firing alerts, sent messages, a test, and silences."""

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import click

from api.http.times import format_time
from proxy.cli.command import Group, Seconds, argument, client_options, json_option
from proxy.cli.commands.client import Client
from proxy.cli.commands.output import Json, Result, columns_of, list_result, print_table, say
from proxy.collector.watch.alerts.wording import span_text, value_text

MAX_MESSAGES: Final = 20
"""Number of sent messages in the table."""
_alert_argument: Final = argument("name", "Name of the alert.")


@click.group(cls=Group)
def alerts() -> None:
    """Alerts on figures of the log."""


@alerts.command("list")
@client_options
@json_option
def list_alerts(client: Client) -> Result:
    """List the alerts: the figure of each, its limit, what fires, and what was sent.

    Example: sidelog alerts list
    """
    answer = client.get_json("/api/alerts")
    messages = [*reversed(answer["waiting"]), *answer["history"]]
    for alert in answer["alerts"]:
        alert["messages"] = [each for each in messages if each["alert"] == alert["name"]]

    def show(found: list[dict[str, Any]]) -> None:
        list_result(found, "alerts", _print_alerts).print(as_json=False)
        if messages:
            say("")
            figures = {alert["name"]: alert["figure"] for alert in found}
            _print_messages(messages[:MAX_MESSAGES], figures)

    return Result(answer["alerts"], show)


def _print_alerts(found: list[dict[str, Any]]) -> None:
    rows = []
    for alert in found:
        side = "below" if alert["above"] is None else "above"
        if alert["of"]:
            what = f"share of {alert['of']}"
        else:
            what = alert["figure"]
        limit = value_text(alert["figure"], alert[side])
        figure = f"{what} {side} {limit} over {span_text(alert['window_s'])}"
        figure += f" by {alert['by']}" if alert["by"] else ""
        rows.append((alert["name"], _state_of(alert), figure, alert["query"] or "all"))

    print_table(columns_of("name", "state", "figure", "search"), rows)


def _print_messages(messages: list[dict[str, Any]], figures: Mapping[str, str]) -> None:
    rows = []
    for message in messages:
        about = f"{message['alert']} {message['group']}".strip()
        value = _value_text(figures.get(message["alert"], ""), message)
        if message["taken_us"]:
            outcome = "delivered"
        else:
            outcome = message["problem"] or "waits"
        rows.append((format_time(message["at_us"]), message["status"], about, value, outcome))
    print_table(columns_of("sent", "message", "alert", "value", "outcome"), rows)


def _value_text(figure: str, valued: Json) -> str:
    """Return the value of a message or of a firing group as text."""
    return value_text(figure, valued["value"], sampled=valued.get("sampled", False))


def _state_of(alert: Json) -> str:
    """Return the firing groups with their values, or why the state is unknown."""
    fires = [
        f"{group} {_value_text(alert['figure'], firing)}".strip()
        for group, firing in alert["firing"].items()
    ]
    if fires:
        state = f"firing: {', '.join(fires)}"
    else:
        state = alert["problem"] or "not firing"
    if (alert["silenced_until_us"] or 0) > time.time() * 1e6:
        return f"{state}, silent"

    return state


@alerts.command("test")
@_alert_argument
@client_options
@json_option
def test_alert(client: Client, name: str) -> Result:
    """Evaluate an alert now and call its webhook; exits with 1 if the webhook did not accept it.

    Example: sidelog alerts test "checkout fails"
    """
    done = client.send_json("POST", f"/api/alerts/{quote(name, safe='')}/test")
    problem = done["problem"]
    if problem:
        outcome = f"not delivered: {problem}"
    else:
        outcome = "delivered"
    return Result(done, f"{done['text']}\n{outcome}, {done['id']}", 1 if problem else 0)


@alerts.command()
@_alert_argument
@click.option(
    "--for",
    "seconds",
    metavar="TIME",
    type=Seconds(),
    default="1h",
    show_default=True,
    help="How long, such as 90s or 2h; 0 ends the silence.",
)
@client_options
@json_option
def silence(client: Client, name: str, seconds: int) -> Result:
    """Hold back the messages of an alert that begins to fire, for some time.

    Example: sidelog alerts silence "checkout fails" --for 2h
    """
    client.send_json("PUT", f"/api/alerts/{quote(name, safe='')}/silence", {"seconds": seconds})
    if seconds:
        text = f"{name}: silenced for {span_text(seconds)}"
    else:
        text = f"{name}: silence ended"
    return Result({"name": name, "seconds": seconds}, text)
