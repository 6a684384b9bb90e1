"""TLS on our own ports and towards others: a context each, made from the files in the settings (RFC
8446, RFC 9325).

Nothing below TLS 1.2, no compression, no renegotiation. Of what a client offers (ALPN, RFC 7301)
our ports choose a protocol that they speak: `http/1.1`, and `h2` where the client offers nothing
else or HTTP/2 is preferred. Without one in common the handshake names none; a client that goes on
in HTTP/2 all the same is refused with a reason and a record.
"""

import ssl
from pathlib import Path
from typing import Final, Literal, NoReturn

from proxy.process.files import read_file

Http2 = Literal["on", "off", "prefer"]
_PROTOCOLS: Final[dict[Http2, list[str]]] = {
    "off": ["http/1.1"],
    "on": ["http/1.1", "h2"],
    "prefer": ["h2", "http/1.1"],
}
"""What a port speaks, the preferred protocol first."""


def server_context(cert_file: str, key_file: str, *, http2: Http2 = "off") -> ssl.SSLContext | None:
    """Make the context of a listening port; None when no certificate is set.

    Args:
        cert_file: PEM, leaf first, then intermediates.
        key_file: PEM; empty when the certificate's file holds the key too.
        http2: whether the port speaks it, and chooses it for all that offer it.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: no certificate in it, or key and certificate do not belong together.
        ValueError: the key has a passphrase.
    """
    if not cert_file:
        return None
    for file in filter(None, (cert_file, key_file)):
        read_file(Path(file))  # in time, which OpenSSL does not
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_PROTOCOLS[http2])
    context.load_cert_chain(cert_file, key_file or None, _refuse_to_ask)
    return context


def is_fit_for_http2(version: str, cipher: str) -> bool:
    """Return whether HTTP/2 may be spoken over it: TLS 1.2 only with AEAD and ephemeral keys (RFC
    9113 §9.2).
    """
    is_authenticated = any(name in cipher for name in ("GCM", "CHACHA20", "CCM"))
    return version != "TLSv1.2" or (is_authenticated and cipher.startswith(("ECDHE-", "DHE-")))


def _refuse_to_ask() -> NoReturn:
    """Fail where OpenSSL would ask the terminal and wait, in each process and at each restart."""
    raise ValueError(
        "the key has a passphrase, which sidelog cannot ask for: use a key without one"
    )


def client_context(trusted_cert_file: str) -> ssl.SSLContext:
    """Make the context of a client on this machine that trusts the admin port's own certificate,
    and the system's.

    The certificate itself is the anchor, so a self-signed one works; its name need not be the
    loopback address.
    """
    context = ssl.create_default_context()
    if trusted_cert_file:
        context.load_verify_locations(trusted_cert_file)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
    return context


def upstream_context(
    ca_file: str,
    protocol: str = "http/1.1",
    *,
    is_verified: bool,
    cert_file: str = "",
    key_file: str = "",
) -> ssl.SSLContext:
    """Make the context of connections to an upstream, which trusts the system's authorities, or
    those in the file.

    It offers one protocol by ALPN, and shows a certificate of ours where the upstream asks for one
    (RFC 8446 §4.3.2).

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: it holds no certificate, or key and certificate do not belong together.
        ValueError: the key has a passphrase.
    """
    for file in filter(None, (ca_file, cert_file, key_file)):
        read_file(Path(file))
    context = ssl.create_default_context(cafile=ca_file or None)
    context.set_alpn_protocols([protocol])
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        context.load_cert_chain(cert_file, key_file or None, _refuse_to_ask)
    return context
