"""What export and alerts may not be."""

import json
from pathlib import Path

import pytest

from proxy.settings.load import load
from proxy.settings.model import SettingsError, redacted
from tests.support.cases import each_of

ENDPOINT = "SIDELOG_OTEL__ENDPOINT"
HTTP, HTTPS = {ENDPOINT: "http://collector:4318"}, {ENDPOINT: "https://collector"}


def refusal(environ: dict[str, str]) -> str:
    """What is wrong with these settings."""
    with pytest.raises(SettingsError) as caught:
        load({"proxy.upstream": "http://app:3000"}, environ, None)
    return "\n".join(caught.value.problems)


@each_of(
    ("environ", "expected"),
    [
        ({ENDPOINT: "collector:4318"}, "otel.endpoint: expected http://host:port or https://host:port"),
        ({ENDPOINT: "grpc://collector:4317"}, "otel.endpoint: expected http://host:port or https://host:port"),
        ({ENDPOINT: "http://user:secret@collector"}, "perhaps with a path; no credentials"),
        ({ENDPOINT: "http://collector:99999"}, "otel.endpoint: the port is above 65535"),
        ({ENDPOINT: "http://collector/v1/traces"}, "otel.endpoint: must end before /v1/traces"),
        ({ENDPOINT: "http://127.0.0.1:8080"}, "otel.endpoint: is this proxy's own address"),
        (
            {ENDPOINT: "env:NOT_THERE"},
            "otel.endpoint: the environment has no NOT_THERE for endpoint (SIDELOG_OTEL__ENDPOINT)",
        ),
        ({**HTTP, "SIDELOG_OTEL__HEADERS": '{"a b": "x"}'}, "otel.headers: expected header names, got 'a b'"),
        ({**HTTP, "SIDELOG_OTEL__HEADERS": '{"Host": "x"}'}, "otel.headers: Host belongs to the export"),
        ({**HTTP, "SIDELOG_OTEL__HEADERS": '{"a": "x\\ny"}'}, "otel.headers: the value of 'a' must not hold CR"),
        ({**HTTP, "SIDELOG_OTEL__HEADERS": '{"a": "env:NOT_THERE"}'}, "the environment has no NOT_THERE for a"),
        ({**HTTP, "SIDELOG_OTEL__SIGNALS": "[]"}, "otel.signals: expected traces, logs or both, got []"),
        ({**HTTP, "SIDELOG_OTEL__SIGNALS": '["logs", "logs"]'}, "otel.signals: expected traces, logs or both"),
        (
            {**HTTP, "SIDELOG_OTEL__SIGNALS": '["metrics"]'},
            "otel.signals: expected a list of some of traces, logs, got",
        ),
        ({**HTTP, "SIDELOG_OTEL__CA_FILE": "/etc/hosts"}, "otel.ca_file: has no effect on an http endpoint"),
        ({**HTTPS, "SIDELOG_OTEL__CA_FILE": "/not/there"}, "otel.ca_file: cannot be used: No such file"),
        ({**HTTPS, "SIDELOG_OTEL__CA_FILE": "/etc/hosts"}, "otel.ca_file: cannot be used"),
        ({**HTTP, "SIDELOG_PROXY__DATA_PORT": "false"}, "otel.endpoint: has no effect without a data port"),
    ],
)
def test_a_bad_export_is_refused_with_its_reason(environ: dict[str, str], expected: str) -> None:
    """Secrets are not in what is said."""
    report = refusal(environ)
    assert expected in report
    assert "secret" not in report


def test_secrets_come_from_the_environment_and_are_not_shown(tmp_path: Path) -> None:
    """Endpoint and headers; without an endpoint the rest is not looked at."""
    config = tmp_path / "sidelog.toml"
    config.write_text('[otel]\nendpoint = "env:COLLECTOR"\nheaders = { authorization = "env:TOKEN" }\n')
    environ = {"COLLECTOR": "https://collector.example:4318/otlp", "TOKEN": "Bearer secret"}
    settings = load({"proxy.upstream": "http://app:3000"}, environ, config)
    assert settings.otel.endpoint == "https://collector.example:4318/otlp"
    assert settings.otel.headers == {"authorization": "Bearer secret"}
    assert redacted(settings)["otel"]["headers"] == {"authorization": "[REDACTED]"}
    load({"proxy.upstream": "http://app:3000"}, {"SIDELOG_OTEL__SIGNALS": "[]"}, None)


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
        ({"figure": "share"}, "alerts[0].of: expected the search whose share is taken, such as 'status:5xx'"),
        ({"of": "status:5xx"}, "alerts[0].of: goes with figure = 'share' alone, got figure = 'count'"),
        ({"figure": "mean"}, "alerts[0].figure: expected one of count, share"),
        ({"by": "colour"}, "alerts[0].by: expected one of endpoint"),
        ({"by": "key", "above": None, "below": 1}, "alerts[0].by: cannot be with `below`"),
        ({"window_s": "1s"}, "alerts[0].window_s: expected"),
        ({"name": "a/b"}, "alerts[0].name: expected printable characters and no slash"),
        ({"url": "hooks"}, "alerts[0].url: expected http://host:port or https://host:port, perhaps with a path"),
        (
            {"url": "http://u:p@hooks/"},
            "alerts[0].url: expected http://host:port or https://host:port, perhaps with a path",
        ),
        ({"url": "http://127.0.0.1:8080/"}, "alerts[0].url: is this proxy's own address"),
        ({"url": "env:NOT_THERE"}, "the environment has no NOT_THERE for url"),
        ({"url": None}, "alerts[0].url: is missing"),
        ({"secret": "whsec_%%%"}, "alerts[0].secret: expected Base64 behind whsec_"),
        ({"secret": "whsec_c2hvcnQ="}, "alerts[0].secret: expected a key of 24 to 64 bytes, got 5"),
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
    """Read from the environment, and shown nowhere: the path of a webhook is often one."""
    key = "whsec_" + "c2VjcmV0" * 4
    given = ALERT | {"url": "env:HOOK", "secret": "env:KEY", "window_s": "10m", "repeat_s": "4h"}
    settings = load(
        {"proxy.upstream": "http://app:3000"}, with_alerts(given) | {"HOOK": "https://h/T0/B0", "KEY": key}, None
    )
    [alert] = settings.alerts
    assert (alert.url, alert.secret, alert.window_s, alert.repeat_s) == ("https://h/T0/B0", key, 600, 14_400)
    shown = redacted(settings)["alerts"][0]
    assert (shown["url"], shown["secret"]) == ("https://h/[REDACTED]", "[REDACTED]")
