"""The metric of the expiry of sidelog's own certificates.

A renewed file is read at once, so its date is shown before a reload makes handshakes use it.
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
"""Certificate and key file; the key is empty if the certificate's file contains it."""


class _Known(NamedTuple):
    modified_ns: tuple[int, int]
    expires_at_s: float | None


class Certificates:
    """Reads each certificate once, and again when its file has changed."""

    def __init__(self, files: Mapping[str, Files]) -> None:
        """`files` are the files by port."""
        self._files = files
        self._known: dict[str, _Known] = {}

    def families(self) -> Iterator[Metric]:
        """Yield the metric; nothing if no port has a certificate."""
        if not self._files:
            return
        expiries_s = {port: self._expiry_s(port, *files) for port, files in self._files.items()}
        known = {port: seconds for port, seconds in expiries_s.items() if seconds is not None}
        text = "When the certificate of a port expires, in seconds since 1970."
        yield gauges("certificate_expiry_timestamp_seconds", text, "port", known)

    def _expiry_s(self, port: str, cert_file: str, key_file: str) -> float | None:
        known = self._known.get(port)
        try:
            modified_ns = (_modified_ns(cert_file), _modified_ns(key_file or cert_file))
        except OSError:
            # A renewal is under way, and the port still serves the certificate of before.
            if known is None:
                return None
            return known.expires_at_s

        if known is None or known.modified_ns != modified_ns:
            known = _Known(modified_ns, _read(port, cert_file, key_file))
            self._known[port] = known
        return known.expires_at_s


def certificates_of(settings: Settings) -> Certificates:
    """Return the certificates of the ports in some settings."""
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
