"""What the export may not be."""

from pathlib import Path

from proxy.settings.load import load
from proxy.settings.model import redacted
from tests.proxy.settings.test_check import refusal
from tests.support.cases import each_of

ENDPOINT = "SIDELOG_OTEL__ENDPOINT"
HTTP, HTTPS = {ENDPOINT: "http://collector:4318"}, {ENDPOINT: "https://collector"}


@each_of(
    ("environ", "expected"),
    [
        (
            {ENDPOINT: "collector:4318"},
            "otel.endpoint: expected http://host:port or https://host:port",
        ),
        (
            {ENDPOINT: "grpc://collector:4317"},
            "otel.endpoint: expected http://host:port or https://host:port",
        ),
        ({ENDPOINT: "http://user:secret@collector"}, "perhaps with a path; no credentials"),
        ({ENDPOINT: "http://collector:99999"}, "otel.endpoint: the port is above 65535"),
        ({ENDPOINT: "http://collector/v1/traces"}, "otel.endpoint: must end before /v1/traces"),
        ({ENDPOINT: "http://127.0.0.1:8080"}, "otel.endpoint: is this proxy's own address"),
        (
            {ENDPOINT: "env:NOT_THERE"},
            "otel.endpoint: the environment has no NOT_THERE for endpoint (SIDELOG_OTEL__ENDPOINT)",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__HEADERS": '{"a b": "x"}'},
            "otel.headers: expected header names, got 'a b'",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__HEADERS": '{"Host": "x"}'},
            "otel.headers: Host belongs to the export",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__HEADERS": '{"a": "x\\ny"}'},
            "otel.headers: the value of 'a' must not hold CR",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__HEADERS": '{"a": "env:NOT_THERE"}'},
            "the environment has no NOT_THERE for a",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__SIGNALS": "[]"},
            "otel.signals: expected traces, logs or both, got []",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__SIGNALS": '["logs", "logs"]'},
            "otel.signals: expected traces, logs or both",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__SIGNALS": '["metrics"]'},
            "otel.signals: expected a list of some of traces, logs, got",
        ),
        (
            {**HTTP, "SIDELOG_OTEL__CA_FILE": "/etc/hosts"},
            "otel.ca_file: has no effect on an http endpoint",
        ),
        (
            {**HTTPS, "SIDELOG_OTEL__CA_FILE": "/not/there"},
            "otel.ca_file: cannot be used: No such file",
        ),
        ({**HTTPS, "SIDELOG_OTEL__CA_FILE": "/etc/hosts"}, "otel.ca_file: cannot be used"),
        (
            {**HTTP, "SIDELOG_PROXY__DATA_PORT": "false"},
            "otel.endpoint: has no effect without a data port",
        ),
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
    config.write_text(
        '[otel]\nendpoint = "env:COLLECTOR"\nheaders = { authorization = "env:TOKEN" }\n'
    )
    environ = {"COLLECTOR": "https://collector.example:4318/otlp", "TOKEN": "Bearer secret"}
    settings = load({"proxy.upstream": "http://app:3000"}, environ, config)
    assert settings.otel.endpoint == "https://collector.example:4318/otlp"
    assert settings.otel.headers == {"authorization": "Bearer secret"}
    assert redacted(settings)["otel"]["headers"] == {"authorization": "[REDACTED]"}
    load({"proxy.upstream": "http://app:3000"}, {"SIDELOG_OTEL__SIGNALS": "[]"}, None)
