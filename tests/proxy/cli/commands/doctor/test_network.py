"""The doctor on the network: ports that are free or held, Unix sockets, and upstreams that are
there or not.
"""

import contextlib
import socket
import threading
from pathlib import Path

import msgspec

from proxy.cli.commands.doctor import network as doctor_network
from proxy.cli.commands.doctor.finding import Finding
from proxy.process.tls import server_context
from proxy.settings.model import Settings
from tests.proxy.cli.commands.doctor.conftest import changed, running, states
from tests.support.certificate import self_signed


def test_ports_of_the_sidelog_of_this_directory_are_its_own(settings: Settings) -> None:
    """Those it says it holds, while it holds the lock; neither speaks for another program's port."""
    with socket.socket() as own, socket.socket() as foreign:
        for listener in (own, foreign):
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        ports = [listener.getsockname()[1] for listener in (own, foreign)]
        proxy, admin = ({"listen": f"127.0.0.1:{port}"} for port in ports)
        both = changed(settings, proxy=proxy, admin=admin)
        with running(settings, proxy__listen=ports[0]):
            assert states(doctor_network.check_ports(both)) == ["ok", "fail"]
        assert states(doctor_network.check_ports(both)) == ["fail", "fail"]


def test_of_a_running_sidelog_its_own_ports_count(settings: Settings) -> None:
    """Flags that it was started with are not known to the doctor: its state says where it listens."""
    usual = changed(settings, proxy=Settings().proxy, admin=Settings().admin)
    with running(usual, proxy__listen=18080, admin__listen=18090):
        texts = [finding.text for finding in doctor_network.check_ports(usual)]
    assert texts == [f"{port} is in use; sidelog is running here" for port in (18080, 18090)]


def test_a_unix_socket_is_looked_at_and_left_alone(settings: Settings, tmp_path: Path) -> None:
    """It is free, left by a program that was killed, in use, our own, or no socket."""
    path = tmp_path / "data.sock"
    settings = changed(settings, proxy={"listen": f"unix:{path}"})

    def look() -> Finding:
        return next(iter(doctor_network.check_ports(settings)))

    assert (look().state, path.exists()) == ("ok", False)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert (look().state, "--listen" in look().fix) == ("fail", True)
        with running(settings, proxy__listen=str(path)):
            assert look().text == f"unix:{path} is in use; sidelog is running here"

    assert (look().state, path.exists()) == ("ok", True)
    path.unlink()
    path.write_text("precious")
    assert (look().state, look().text) == (
        "fail",
        f"unix:{path}: a file that is not a socket exists there",
    )


def test_an_upstream_is_reached_or_warned_of(settings: Settings, tmp_path: Path) -> None:
    """Each once, however many routes lead there."""
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as local:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        local.bind(str(tmp_path / "app.sock"))
        local.listen()
        port = listener.getsockname()[1]
        upstreams = [f"http://127.0.0.1:{port}"] * 2 + [
            f"unix:{tmp_path}/app.sock",
            "http://127.0.0.1:1",
        ]
        upstreams.append(f"unix:{tmp_path}/none.sock")
        routes = tuple(
            msgspec.structs.replace(settings.routes[0], upstream=upstream) for upstream in upstreams
        )
        findings = list(doctor_network.check_upstreams(changed(settings, routes=routes)))

    assert states(findings) == ["ok", "ok", "warn", "warn"]
    assert "refused" in findings[2].text


def test_an_upstream_whose_certificate_nobody_trusts(settings: Settings, tmp_path: Path) -> None:
    """The reason is the verifier's, and the route's own authority or `tls_verify` is heeded."""
    cert, key = self_signed(tmp_path)
    context = server_context(str(cert), str(key))
    assert context is not None
    cases: tuple[tuple[dict[str, object], str], ...] = (
        ({}, "warn"),
        ({"tls_verify": False}, "ok"),
        ({"upstream_ca_file": str(cert)}, "ok"),
    )

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in cases:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        upstream = f"https://127.0.0.1:{listener.getsockname()[1]}"

        for changes, state in cases:
            route = msgspec.structs.replace(settings.routes[0], upstream=upstream, **changes)
            (finding,) = doctor_network.check_upstreams(changed(settings, routes=(route,)))
            assert finding.state == state
            assert ("certificate" in finding.text) is (state == "warn")

        thread.join()


def test_port_in_use_by_another_program_is_a_failure(settings: Settings) -> None:
    """A foreign listener on the data port fails, with a fix; a free admin port is ok."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        data, admin = doctor_network.check_ports(changed(settings, proxy={"listen": place}))
        assert (data.state, admin.state) == ("fail", "ok")
        assert "--listen" in data.fix
        *_, health = doctor_network.check_ports(changed(settings, admin={"health_listen": place}))

    assert (health.state, health.name) == ("fail", "health port")
    assert "admin.health_listen" in health.fix


def test_certificates_are_looked_at_before_they_expire(settings: Settings, tmp_path: Path) -> None:
    """Two weeks before the end, when a renewal has failed."""
    cert, key = self_signed(tmp_path)
    admin = {"tls_cert_file": str(cert), "tls_key_file": str(key)}
    [finding] = doctor_network.check_certificates(changed(settings, admin=admin))
    assert finding.state == "warn"
    assert finding.text == f"{cert} of the admin port expires in 2.0 days"
    assert list(doctor_network.check_certificates(settings)) == []
