"""The expiry of the certificate of one of our ports.

The standard library shows a certificate only to the peer of a handshake. So a handshake is made in
memory, without a socket, by a client that trusts the certificate itself and ignores the clock.
"""

import ssl
from typing import Final

from proxy.process.tls import client_context, server_context

_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: accept expired certificates, too."""
_MAX_STEPS: Final = 8


def expires_at_s(cert_file: str, key_file: str) -> float:
    """Return the expiry of a certificate, in seconds since 1970.

    Raises:
        OSError: a file cannot be read, or the certificate is not one (`ssl.SSLError`).
        ValueError: the key has a passphrase, or there is no certificate.
    """
    serving = server_context(cert_file, key_file)
    if serving is None:
        raise ValueError("there is no certificate")

    trusting = client_context(cert_file)
    trusting.verify_flags = ssl.VerifyFlags(trusting.verify_flags | _NO_CHECK_TIME)

    to_client = ssl.MemoryBIO()
    to_server = ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = serving.wrap_bio(to_server, to_client, server_side=True)

    for _ in range(_MAX_STEPS):
        are_done = [_is_done(side) for side in (client, server)]
        if all(are_done):
            break

    peer = client.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(peer["notAfter"])))


def _is_done(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
