"""The metric of certificates: read once, and again when the file changes."""

import os
import time
from pathlib import Path

import pytest

from proxy.collector.watch.certificates import Certificates
from tests.support.certificate import self_signed


def read(certificates: Certificates) -> dict[str, float]:
    return {
        sample.labels["port"]: sample.value
        for family in certificates.families()
        for sample in family.samples
    }


def test_a_certificate_is_read_again_when_it_was_renewed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is gone for a moment keeps its date; what is no certificate has none, and the log
    says so once.
    """
    cert, key = self_signed(tmp_path)
    certificates = Certificates({"data": (str(cert), str(key))})
    assert read(certificates) == {"data": pytest.approx(time.time() + 2 * 86_400, abs=600)}

    kept = cert.read_bytes()
    cert.unlink()
    assert "data" in read(certificates)

    cert.write_text("no certificate")
    for _ in range(2):
        assert read(certificates) == {}
    assert caplog.text.count("cannot be read") == 1

    cert.write_bytes(kept)
    os.utime(cert, ns=(1, 1))
    assert "data" in read(certificates)


def test_without_certificates_there_is_no_family() -> None:
    assert list(Certificates({}).families()) == []
