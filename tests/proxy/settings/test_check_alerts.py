"""What alerts may not be."""

import json

from proxy.settings.check_alerts import secret_of
from proxy.settings.load import load
from proxy.settings.model import redacted
from tests.proxy.settings.test_check import refusal
from tests.support.cases import each_of

ALERT = {"name": "a", "url": "http://hooks:9000/x", "above": 1}


def with_alerts(*alerts: dict[str, object]) -> dict[str, str]:
    """An environment with alerts."""
    return {"SIDELOG_ALERTS": json.dumps(list(alerts))}


@each_of(
    ("changes", "expected"),
    [
        ({"above": None}, "alerts[0].above: expected either above or below"),
        ({"below": 1}, "alerts[0].above: expected either above or below"),
        ({"above": -1}, "alerts[0].above: expected"),
        (
            {"figure": "share", "of": "status:5xx", "above": 5},
            "alerts[0].above: is never reached: a share is from 0 to 1",
        ),
        ({"above": None, "below": 0}, "alerts[0].below: is never reached: no figure is below 0"),
        ({"url": "http://a..b/x"}, "alerts[0].url: the host is not a name or an IP address"),
        ({"query": "colour:red"}, "alerts[0].query: at character 1"),
        (
            {"figure": "share"},
            "alerts[0].of: expected the search whose share is taken, such as 'status:5xx'",
        ),
        (
            {"of": "status:5xx"},
            "alerts[0].of: goes with figure = 'share' alone, got figure = 'count'",
        ),
        ({"figure": "mean"}, "alerts[0].figure: expected one of count, share"),
        ({"by": "colour"}, "alerts[0].by: expected one of endpoint"),
        ({"by": "key", "above": None, "below": 1}, "alerts[0].by: cannot be with `below`"),
        ({"window_s": "1s"}, "alerts[0].window_s: expected"),
        ({"name": "a/b"}, "alerts[0].name: expected printable characters and no slash"),
        (
            {"url": "hooks"},
            "alerts[0].url: expected http://host:port or https://host:port, perhaps with a path",
        ),
        (
            {"url": "http://u:p@hooks/"},
            "alerts[0].url: expected http://host:port or https://host:port, perhaps with a path",
        ),
        (
            {"url": "http://hooks/?a=b#c"},
            "alerts[0].url: expected http://host:port or https://host:port",
        ),
        (
            {"url": "http://hooks/a\r\nb"},
            "alerts[0].url: expected http://host:port or https://host:port",
        ),
        ({"url": "http://127.0.0.1:8080/"}, "alerts[0].url: is this proxy's own address"),
        ({"url": "env:NOT_THERE"}, "the environment has no NOT_THERE for url"),
        ({"url": None}, "alerts[0].url: is missing"),
        ({"secret": "whsec_%%%"}, "alerts[0].secret: expected Base64 behind whsec_"),
        ({"secret": "whsec_c2hvcnQ="}, "alerts[0].secret: expected a key of 24 to 64 bytes, got 5"),
        ({"resolve_at": 2}, "alerts[0].resolve_at: expected at most above = 1, got 2"),
        ({"resolve_at": 0}, "alerts[0].resolve_at: is never reached: no figure is below 0"),
        (
            {"above": None, "below": 2, "resolve_at": 1},
            "alerts[0].resolve_at: expected at least below = 2, got 1",
        ),
        (
            {
                "figure": "share",
                "of": "status:5xx",
                "above": None,
                "below": 0.5,
                "resolve_at": 1,
            },
            "alerts[0].resolve_at: is never reached: a share is from 0 to 1, got 1",
        ),
        ({"for_s": -1}, "alerts[0].for_s: expected"),
        ({"headers": {"a b": "x"}}, "alerts[0].headers: expected header names, got 'a b'"),
        ({"headers": {"Webhook-Id": "x"}}, "alerts[0].headers: Webhook-Id belongs to the message"),
        ({"headers": {"a": "c2hvcnQ\n"}}, "alerts[0].headers: the value of 'a' must not hold CR"),
        (
            {"headers": {"a": "env:NOT_THERE"}},
            "alerts[0].headers: the environment has no NOT_THERE for a",
        ),
        (
            {"format": "ntfy", "headers": {"Markdown": "yes"}},
            "alerts[0].headers: Markdown belongs to the message",
        ),
        (
            {"format": "irc"},
            "alerts[0].format: expected one of standard, alertmanager, slack, discord, teams",
        ),
        (
            {"format": "pagerduty"},
            "alerts[0].secret: expected the integration key of PagerDuty, got ''",
        ),
        (
            {"format": "slack", "body": "{}"},
            "alerts[0].body: cannot be with a format, got format = 'slack'",
        ),
        ({"body": '{"a": "{nme}"}'}, "alerts[0].body: expected {id}, {alert}, {status}, {group}"),
        ({"body": '{"a": "{nme}"}'}, "{text}, got {nme} (SIDELOG_ALERTS)"),
        (
            {"body": '{"c2hvcnQ": {alert}}'},
            "alerts[0].body: is not JSON once its fields are filled in: Expecting value at "
            "character 13",
        ),
        ({"body": "env:NOT_THERE"}, "alerts[0].body: the environment has no NOT_THERE for body"),
    ],
)
def test_an_alert_that_cannot_work_is_refused(changes: dict[str, object], expected: str) -> None:
    """With each setting that is wrong, once, and no secret."""
    given = {name: value for name, value in (ALERT | changes).items() if value is not None}
    said = refusal(with_alerts(given))
    assert expected in said
    settings = [line.partition(": ")[0] for line in said.splitlines()]
    assert len(settings) == len(set(settings)), said
    assert "c2hvcnQ" not in said


def test_two_alerts_have_two_names() -> None:
    """A name is what they are silenced by."""
    assert "alerts[1].name: is given twice" in refusal(with_alerts(ALERT, ALERT))


def test_an_alert_keeps_its_secrets() -> None:
    """Read from the environment, and shown nowhere: the path of a webhook is often one, and so is a
    part of a body.
    """
    key = "whsec_" + "c2VjcmV0" * 4
    given = ALERT | {
        "url": "env:HOOK",
        "secret": "env:KEY",
        "window_s": "10m",
        "repeat_s": "4h",
        "for_s": "5m",
    }
    given |= {"headers": {"Authorization": "env:TOKEN"}, "body": "env:BODY"}
    environ = {
        "HOOK": "https://h/T0/B0?sig=a%2Fb",
        "KEY": key,
        "TOKEN": "Bearer tk",
        "BODY": '{"token": "tk"}',
    }
    settings = load({"proxy.upstream": "http://app:3000"}, with_alerts(given) | environ, None)
    [alert] = settings.alerts
    assert (alert.url, alert.secret, alert.window_s, alert.repeat_s) == (
        environ["HOOK"],
        key,
        600,
        14_400,
    )
    assert (alert.headers, alert.body, alert.for_s) == (
        {"Authorization": "Bearer tk"},
        environ["BODY"],
        300,
    )
    shown = redacted(settings)["alerts"][0]
    assert (shown["url"], shown["secret"]) == ("https://h/[REDACTED]", "[REDACTED]")
    assert (shown["headers"], shown["body"]) == ({"Authorization": "[REDACTED]"}, "[REDACTED]")


def test_a_key_that_signs_is_read() -> None:
    """With its mark and without."""
    assert secret_of("whsec_" + "c2VjcmV0" * 4) == secret_of("c2VjcmV0" * 4) == b"secret" * 4


@each_of(
    ("url", "expected"),
    [
        (
            "logs.example",
            "admin.public_url: expected http://host:port or https://host:port, perhaps with a path",
        ),
        (
            "https://logs.example/?a=b",
            "admin.public_url: expected http://host:port or https://host:port",
        ),
        (
            "https://u:p@logs.example",
            "admin.public_url: expected http://host:port or https://host:port",
        ),
        ("https://a..b/", "admin.public_url: the host is not a name"),
        ("https://a//evil.example", "admin.public_url: expected a path such as /sidelog"),
        ("https://a/x/../b", "admin.public_url: expected a path such as /sidelog"),
        ("https://a/api/", "and not one of ours, got 'https://a/api/'"),
    ],
)
def test_an_address_for_links_that_is_none_is_refused(url: str, expected: str) -> None:
    """Links would lead nowhere."""
    assert expected in refusal({"SIDELOG_ADMIN__PUBLIC_URL": url})
