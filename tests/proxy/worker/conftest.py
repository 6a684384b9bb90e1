"""What tests of the worker share: a certificate, and how a row of theirs is tried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.conftest import Start
from tests.proxy.worker.rows import TRANSPORTS, Play, Row, play
from tests.support.certificate import self_signed
from tests.support.plane import Loop, Plane


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost that nobody signed, and its key."""
    cert, key = self_signed(tmp_path_factory.mktemp("tls"))
    return str(cert), str(key)


@pytest.fixture
def start_tls(start: Start, certificate: tuple[str, str]) -> Callable[..., Plane]:
    """Start a plane whose port speaks TLS."""
    cert, key = certificate

    def enter(*arguments: Any, **settings: Any) -> Plane:
        return start(*arguments, tls_cert_file=cert, tls_key_file=key, **settings)

    return enter


@pytest.fixture(name="play")
def playing(tmp_path: Path, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Play:
    """Try a row over a transport."""

    def enter(row: Row, transport: str, loop: Loop) -> None:
        for name, value in row.patches.items():
            monkeypatch.setattr(name, value)
        play(row, TRANSPORTS[transport], loop, tmp_path, certificate)

    return enter
