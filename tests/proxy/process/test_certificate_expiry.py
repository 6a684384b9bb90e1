"""When a certificate expires, read as its peer sees it."""

import subprocess
import time
from pathlib import Path

import pytest

from proxy.process.certificate_expiry import expires_at_s
from tests.support.certificate import self_signed

DAY_S = 86_400


def test_the_date_is_that_of_the_certificate(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    assert expires_at_s(str(cert), str(key)) == pytest.approx(time.time() + 2 * DAY_S, abs=600)


def test_an_expired_one_has_a_date_too(tmp_path: Path) -> None:
    """And one file may hold both certificate and key."""
    cert, key = self_signed(tmp_path)
    request = tmp_path / "request.pem"
    options = ["-key", str(key), "-subj", "/CN=localhost", "-out", str(request)]
    subprocess.run(["openssl", "req", "-new", *options], check=True, capture_output=True)
    options = ["-in", str(request), "-signkey", str(key), "-days", "-1", "-out", str(cert)]
    subprocess.run(["openssl", "x509", "-req", *options], check=True, capture_output=True)
    cert.write_text(cert.read_text() + key.read_text())
    assert expires_at_s(str(cert), "") == pytest.approx(time.time() - DAY_S, abs=600)


def test_what_is_no_certificate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        expires_at_s(str(tmp_path / "nowhere"), "")
    with pytest.raises(ValueError, match="there is no certificate"):
        expires_at_s("", "")
