"""The authority of outgoing calls: a key and a certificate of this sidelog alone (RFC 5280).

A client that trusts its certificate lets sidelog read its requests to the hosts in
`[egress] hosts`. It is made at first use and kept for ten years, so that clients can trust it in
advance. It has three files in one directory. `ca.key` (0600) is secret. `ca.pem` is for programs
that add an authority to those they know. `bundle.pem` also has the authorities of the machine, for
programs that replace theirs. Other users may read the last two if they reach the directory.

Needs `cryptography`, the extra `egress`: import this module where egress is on, not before.
"""

import fcntl
import os
import secrets
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy.process.data_dir import BUNDLE_FILE, CERTIFICATE_FILE
from proxy.process.files import read_file, replace_file

KEY_FILE: Final = "ca.key"

VALID: Final = timedelta(days=3652)
"""How long an authority is valid: ten years."""
LEAF_VALID: Final = timedelta(days=60)
CLOCK_TOLERANCE: Final = timedelta(days=1)
"""How far a client's clock may be behind ours."""

_ROOTS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Fedora, SUSE and Alpine have the machine's authorities."""
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
OF_MACHINE: Final = b"# The authorities of this machine, and sidelog's own.\n"
"""First line of a bundle without authorities that a user named."""


class AuthorityError(Exception):
    """The authority cannot be used; the message says which file, why, and what to do."""


class Authority:
    """Signs the certificates that clients are shown in the place of a host's own."""

    def __init__(
        self, path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """Sign with a key; `path` is the file of its certificate."""
        self.path: Final = path
        self._certificate = certificate
        self._key = key
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        self._issued_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)

    @property
    def pem(self) -> bytes:
        """Return the authority's certificate as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the authority's certificate, as `AB:CD:…`, to compare it with the
        one that a client shows.
        """
        return self._certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def expires_at(self) -> datetime:
        """Return the time at which the authority's certificate expires, in UTC."""
        return self._certificate.not_valid_after_utc

    def leaf(self, host: str, key: ec.EllipticCurvePublicKey) -> bytes:
        """Return a certificate (PEM) for a host name or an address, and for nothing else.

        Clients judge the name by subjectAltName alone (RFC 9525 §6.3). Python 3.13 asks for the key
        identifier of the issuer.
        """
        now = datetime.now(UTC)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("sidelog"))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_TOLERANCE)
            .not_valid_after(min(now + LEAF_VALID, self.expires_at))
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(self._issued_by, critical=False)
        )
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


def open_authority(directory: Path) -> Authority:
    """Return the authority in a directory, which is made there at first use. A bundle of the
    machine's authorities follows those; one of files that a user named stays.

    Raises:
        AuthorityError: a file is missing, damaged or belongs to another key.
        OSError: the directory cannot be read or written.
    """
    with _locked(directory):
        authority = _open(directory)
        bundle = directory / BUNDLE_FILE
        if not bundle.exists() or read_file(bundle).startswith(OF_MACHINE):
            _write_bundle(directory, authority)
        return authority


def rotate(directory: Path) -> Authority:
    """Put a new authority in the place of the one that is there; clients have to trust it anew.

    A running sidelog signs with the old one until it is reloaded.

    Raises:
        OSError: the directory cannot be written.
    """
    with _locked(directory):
        authority = _make(directory)
        _write_bundle(directory, authority)
        return authority


def write_bundle(directory: Path, roots: Sequence[Path] = (), added: Sequence[Path] = ()) -> Path:
    """Write `bundle.pem` anew and return its path: the authorities in `roots`, or without any those
    of the machine, then those in `added`, and ours behind them. One that is itself among the `roots`
    stays as it is.

    Raises:
        AuthorityError: the authority cannot be used, or a file holds no certificate.
        OSError: a file cannot be read or written.
    """
    with _locked(directory):
        return _write_bundle(directory, _open(directory), roots, added)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock a directory for one process within the context, because workers start at the same time."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o755, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(directory: Path) -> Authority:
    exists = (directory / CERTIFICATE_FILE).exists()
    if exists:
        return _load(directory)
    return _make(directory)


def _load(directory: Path) -> Authority:
    path = directory / CERTIFICATE_FILE
    key_path = directory / KEY_FILE
    try:
        certificate = x509.load_pem_x509_certificate(read_file(path))
        key = serialization.load_pem_private_key(read_file(key_path), None)
    except FileNotFoundError as error:
        raise AuthorityError(f"{key_path} is missing: put it back, or {_ANEW}") from error
    except (ValueError, TypeError) as error:
        raise AuthorityError(f"{path} or {key_path} is damaged ({error}): {_ANEW}") from error

    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != (
        certificate.public_key()
    ):
        raise AuthorityError(f"{key_path} is not the key of {path}: {_ANEW}")
    return Authority(path, certificate, key)


_ANEW: Final = "make a new authority with sidelog ca rotate"


def _make(directory: Path) -> Authority:
    """Make an authority and store it in a directory. The certificate is written last, so that an
    interrupted run leaves no authority.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = _name(f"sidelog {secrets.token_hex(4)}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )

    authority = Authority(directory / CERTIFICATE_FILE, certificate, key)
    replace_file(directory / KEY_FILE, key_pem(key))
    _publish(authority.path, authority.pem)
    return authority


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM, without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write_bundle(
    directory: Path, authority: Authority, roots: Sequence[Path] = (), added: Sequence[Path] = ()
) -> Path:
    path = directory / BUNDLE_FILE
    if path.resolve() in [each.resolve() for each in roots]:
        return path
    others = [*map(_certificates_in, roots or _machine_roots()), *map(_certificates_in, added)]
    title = b"" if roots or added else OF_MACHINE
    content = b"".join([title, *others, authority.pem])
    if not path.exists() or read_file(path) != content:
        _publish(path, content)
    return path


def _certificates_in(path: Path) -> bytes:
    content = read_file(path)
    if _PEM not in content:
        raise AuthorityError(f"{path} holds no certificate (PEM)")
    return content.rstrip(b"\n") + b"\n"


def _publish(path: Path, content: bytes) -> None:
    """Replace a file by one with this content that every user may read."""
    replace_file(path, content)
    path.chmod(0o644)


def _machine_roots() -> list[Path]:
    """Return the file of the authorities that the machine trusts, in a list, which is empty on a
    machine without one.
    """
    usual = map(Path, (ssl.get_default_verify_paths().openssl_cafile, *_ROOTS))
    return [path for path in usual if path.is_file()][:1]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
