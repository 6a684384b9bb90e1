"""`sidelog health`, `sidelog token show|rotate` and `sidelog alerts`: what a container check and an
operator need.
"""

import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from api.http.times import format_time
from proxy.cli.commands.client import (
    Client,
    client_from_environment,
    data_directory,
    read_token,
    refusal,
)
from proxy.cli.commands.output import (
    CommandError,
    complain,
    print_table,
    report,
    report_list,
    say,
    say_json,
)
from proxy.collector.admin_token import rotate_token
from proxy.collector.watch.alerts.wording import span_text, value_text

NEXT: Final = (
    "`sidelog doctor` looks for causes on this machine; docs/runbook.md says what to do about each"
)
MAX_MESSAGES: Final = 20
"""Of those that were sent, in the table."""


def run(url: str | None, data_dir: str | None, *, as_json: bool) -> int:
    """Request /readyz and print the reasons; return 0 when sidelog is ready, 1 when it is not."""
    answer = client_from_environment(url, "", data_dir).get("/readyz")
    is_ready = answer.status == 200
    try:
        detail = json.loads(answer.body)
    except ValueError:
        detail = answer.body.decode("utf-8", "replace").strip()

    reasons = detail.get("reasons", []) if isinstance(detail, dict) else []
    if as_json:
        say_json({"ready": is_ready, "status": answer.status, "detail": detail})
    elif is_ready:
        say("; ".join(["ready", *map(str, reasons)]))
    else:
        complain(f"not ready: {'; '.join(map(str, reasons)) or refusal(answer)}")

    if reasons and not as_json:
        complain(NEXT)
    return 0 if is_ready else 1


def show_token(data_dir: str | None, *, as_json: bool) -> int:
    """Print the admin token; a directory without one is an error."""
    token = read_token(data_directory(data_dir, os.environ))
    if not token:
        raise CommandError(
            "the token file is empty; remove it and start sidelog again to get a new one"
        )
    return report({"token": token}, token, as_json=as_json)


def rotate(data_dir: str | None, *, as_json: bool) -> int:
    """Replace the admin token and print the new one; the directory must be one a sidelog has run
    in.
    """
    directory = data_directory(data_dir, os.environ)
    read_token(directory)
    try:
        token = rotate_token(directory)
    except OSError as error:
        raise CommandError(f"cannot replace the token in {directory}: {error.strerror}") from error

    return report({"token": token}, token, as_json=as_json)


def list_alerts(client: Client, *, as_json: bool) -> int:
    """Print all alerts of this sidecar, in the order of the configuration, and the newest messages
    that were sent.

    As JSON each alert has its own messages.
    """
    answer = client.get_json("/api/alerts")
    messages = [*reversed(answer["waiting"]), *answer["history"]]
    alerts = answer["alerts"]

    if as_json:
        for alert in alerts:
            alert["messages"] = [
                message for message in messages if message["alert"] == alert["name"]
            ]

    report_list(alerts, "alerts", _print_alerts, as_json=as_json)
    if messages and not as_json:
        say("")
        _print_messages(
            messages[:MAX_MESSAGES], {alert["name"]: alert["figure"] for alert in alerts}
        )

    return 0


def _print_alerts(alerts: list[dict[str, Any]]) -> None:
    rows = []
    for alert in alerts:
        side = "below" if alert["above"] is None else "above"
        what = f"share of {alert['of']}" if alert["of"] else alert["figure"]
        limit = value_text(alert["figure"], alert[side])
        figure = f"{what} {side} {limit} over {span_text(alert['window_s'])}"
        figure += f" by {alert['by']}" if alert["by"] else ""
        rows.append((alert["name"], _state_of(alert), figure, alert["query"] or "all"))

    print_table(("name", "state", "figure", "search"), rows)


def _print_messages(messages: list[dict[str, Any]], figures: Mapping[str, str]) -> None:
    rows = []
    for message in messages:
        about = f"{message['alert']} {message['group']}".strip()
        value = value_text(figures.get(message["alert"], ""), message["value"])
        outcome = "taken" if message["taken_us"] else message["problem"] or "waits"
        rows.append((format_time(message["at_us"]), message["status"], about, value, outcome))
    print_table(("sent", "message", "alert", "value", "outcome"), rows)


def _state_of(alert: Mapping[str, Any]) -> str:
    """Say what fires, with its value, or why nothing can be said."""
    fires = [
        f"{group} {value_text(alert['figure'], firing['value'])}".strip()
        for group, firing in alert["firing"].items()
    ]
    state = f"firing: {', '.join(fires)}" if fires else alert["problem"] or "not firing"
    if (alert["silenced_until_us"] or 0) > time.time() * 1e6:
        return f"{state}, silent"

    return state


def test_alert(client: Client, name: str, *, as_json: bool) -> int:
    """Call the webhook of an alert with its figure of now; return 1 when it was not delivered."""
    done = client.send_json("POST", f"/api/alerts/{quote(name, safe='')}/test")
    problem = done["problem"]
    outcome = f"not delivered: {problem}" if problem else "delivered"
    report(done, f"{done['text']}\n{outcome}, {done['id']}", as_json=as_json)
    return 1 if problem else 0


def silence_alert(client: Client, name: str, *, seconds: int, as_json: bool) -> int:
    """Send nothing of an alert that begins to fire, for some time."""
    client.send_json("PUT", f"/api/alerts/{quote(name, safe='')}/silence", {"seconds": seconds})
    text = (
        f"{name}: silenced for {_duration_text(seconds)}" if seconds else f"{name}: silence ended"
    )
    return report({"name": name, "seconds": seconds}, text, as_json=as_json)


def _duration_text(seconds: int) -> str:
    """Return a duration in whole hours, minutes and seconds, such as `1 h 30 min`."""
    minutes, rest_s = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest_s, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
