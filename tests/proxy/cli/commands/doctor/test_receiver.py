"""The doctor looks for the OpenTelemetry receiver."""

import socket

from proxy.cli.commands.doctor.network import check_receiver
from proxy.settings.model import Settings
from proxy.settings.outgoing_model import OtelSettings


def settings(endpoint: str) -> Settings:
    """Settings that name a receiver."""
    return Settings(otel=OtelSettings(endpoint=endpoint))


def test_a_receiver_is_reached_or_warned_of() -> None:
    """Below its path too; without an endpoint nothing is said."""
    assert list(check_receiver(settings(""))) == []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        endpoints = [
            f"http://127.0.0.1:{port}/otlp",
            "http://127.0.0.1:1",
            "https://127.0.0.1:1/otlp/",
        ]
        findings = [
            finding for endpoint in endpoints for finding in check_receiver(settings(endpoint))
        ]

    assert [finding.state for finding in findings] == ["ok", "warn", "warn"]
    assert "refused" in findings[1].text
