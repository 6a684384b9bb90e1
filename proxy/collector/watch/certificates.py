"""When the certificates of sidelog's own ports expire, as a metric.

A renewed file is read anew. New handshakes get it after a reload; the date shows that it is there.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.metrics_core import Metric

from api.metrics.metrics import gauges
from proxy.process.certificate_expiry import expires_at_s
from proxy.settings.model import Settings

log = logging.getLogger(__name__)

Files = tuple[str, str]
"""Certificate, and its key."""


class _Known(NamedTuple):
    modified_ns: tuple[int, int]
    expires_at_s: float | None


class Certificates:
    """Reads each certificate once, and again when its file has changed."""

    def __init__(self, files: Mapping[str, Files]) -> None:
        """Take the files of each port that has some."""
        self._files = files
        self._known: dict[str, _Known] = {}

    def families(self) -> Iterator[Metric]:
        """Yield the metric; none where no port has a certificate."""
        if self._files:
            text = "When the certificate of a port expires, in seconds since 1970."
            known = {port: self._expiry_s(port, *files) for port, files in self._files.items()}
            found = {port: seconds for port, seconds in known.items() if seconds is not None}
            yield gauges("certificate_expiry_timestamp_seconds", text, "port", found)

    def _expiry_s(self, port: str, cert_file: str, key_file: str) -> float | None:
        try:
            modified_ns = (_modified_ns(cert_file), _modified_ns(key_file or cert_file))
        except OSError:  # between two states of a renewal; what was read before still serves
            known = self._known.get(port)
            return None if known is None else known.expires_at_s

        known = self._known.get(port)
        if known is None or known.modified_ns != modified_ns:
            known = self._known[port] = _Known(modified_ns, _read(port, cert_file, key_file))
        return known.expires_at_s


def certificates_of(settings: Settings) -> Certificates:
    """Return the certificates of the settings' ports."""
    files = {
        "data": (settings.proxy.tls_cert_file, settings.proxy.tls_key_file),
        "admin": (settings.admin.tls_cert_file, settings.admin.tls_key_file),
    }
    return Certificates({port: pair for port, pair in files.items() if pair[0]})


def _modified_ns(file: str) -> int:
    return os.stat(file).st_mtime_ns


def _read(port: str, cert_file: str, key_file: str) -> float | None:
    try:
        return expires_at_s(cert_file, key_file)
    except (OSError, ValueError, KeyError) as error:
        log.warning("the certificate of the %s port cannot be read: %s: %s", port, cert_file, error)
        return None
