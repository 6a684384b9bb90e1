"""The doctor looks for the OpenTelemetry receiver."""

from aiohttp import web

from proxy.cli.commands.doctor.network import check_receiver
from proxy.settings.model import OtelSettings, Settings
from tests.support.otlp import Receiver
from tests.support.upstream import running


def settings(endpoint: str) -> Settings:
    """Settings that name a receiver."""
    return Settings(otel=OtelSettings(endpoint=endpoint, signals=("traces",)))


def answered(status: int, body: bytes = b"", **headers: str) -> Receiver:
    return Receiver(
        lambda path, sent, before: web.Response(status=status, body=body, headers=headers)
    )


def test_a_receiver_is_reached_or_warned_of() -> None:
    """Below its path too; without an endpoint nothing is said."""
    assert list(check_receiver(settings(""))) == []
    for receiver, state, said in (
        (answered(200, b"{}"), "ok", "accepts traces"),
        (answered(204), "ok", "accepts traces"),
        (answered(415), "warn", "traces: status 415"),
        (answered(401, b"no such token"), "warn", "traces: status 401: no such token"),
        (answered(500), "warn", "traces: status 500"),
        (answered(308, Location="/new"), "warn", "status 308: it is moved to /new"),
        (answered(200, b"<html>Sign in"), "warn", "a page, as of a login"),
    ):
        with running(receiver.app()) as url:
            [finding] = check_receiver(settings(f"{url}/otlp"))
        assert finding.state == state
        assert said in finding.text

    for endpoint in ("http://127.0.0.1:1", "https://127.0.0.1:1/otlp/"):
        [finding] = check_receiver(settings(endpoint))
        assert (finding.state, "refused" in finding.text) == ("warn", True)
