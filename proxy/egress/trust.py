"""The variables by which programs use the port of outgoing calls, and trust its authority.

Some programs add the authorities of a file to those they know, others replace theirs by it. The
first get `ca.pem`; the others get `bundle.pem`, without which they could verify no other host.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from proxy.process.data_dir import BUNDLE_FILE, CERTIFICATE_FILE

_PROXIES: Final = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
"""In both spellings: curl reads `http_proxy` in lower case only."""
_NO_PROXY: Final = ("no_proxy", "NO_PROXY")
NODE_PROXY: Final = "NODE_USE_ENV_PROXY"
"""Node reads the variables of a proxy only where this one is set; older versions cannot."""
NODE_PROXY_READERS: Final = "Node 22.21, 24 and newer"
_OWN_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""Names that every program compares; few read networks or patterns."""


class Trust(NamedTuple):
    """A variable that names a file of authorities."""

    name: str
    readers: str
    is_added: bool = False
    """Whether the file is added to the authorities that a program knows."""


TRUST: Final = (
    Trust("NODE_EXTRA_CA_CERTS", "Node, Bun", is_added=True),
    Trust("DENO_CERT", "Deno", is_added=True),
    Trust("SSL_CERT_FILE", "OpenSSL, Python, Ruby, Go, Rust, uv"),
    Trust("REQUESTS_CA_BUNDLE", "requests of Python"),
    Trust("CURL_CA_BUNDLE", "curl"),
    Trust("GIT_SSL_CAINFO", "git"),
    Trust("AWS_CA_BUNDLE", "AWS"),
    Trust("PIP_CERT", "pip"),
    Trust("CARGO_HTTP_CAINFO", "cargo"),
    Trust("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "gRPC of C++, Python, Ruby"),
)


def proxy_variables(proxy: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that make a program use a proxy, given by its URL. The
    program still reaches this machine, and the hosts that it excepts already, directly.
    """
    return {
        **dict.fromkeys(_PROXIES, proxy),
        **direct_variables(_OWN_HOSTS, environ),
        NODE_PROXY: "1",
    }


def direct_variables(hosts: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that make a program reach `hosts` without its proxy, in
    addition to the hosts that it excepts already.
    """
    excepted = [host for name in _NO_PROXY for host in environ.get(name, "").split(",") if host]
    return dict.fromkeys(_NO_PROXY, ",".join(dict.fromkeys([*excepted, *hosts])))


def trust_variables(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what makes a program trust the authority in a directory.

    A variable that adds a file takes one alone: where it has a file so far, that is in the bundle
    (`user_files`).
    """
    bundle = str(directory / BUNDLE_FILE)
    certificate = str(directory / CERTIFICATE_FILE)
    return {
        each.name: certificate if each.is_added and not environ.get(each.name) else bundle
        for each in TRUST
    }


class UserFiles(NamedTuple):
    """Files of authorities that variables name so far; those that are not there are left out."""

    roots: tuple[Path, ...]
    """In the place of the machine's."""
    added: tuple[Path, ...]
    """Beside the machine's."""


def user_files(environ: Mapping[str, str]) -> UserFiles:
    """List the files that the bundle must hold, so that a program trusts whom it trusts so far."""
    named: dict[bool, dict[Path, None]] = {False: {}, True: {}}
    for each in TRUST:
        path = Path(environ.get(each.name, ""))
        if path.is_file():
            named[each.is_added][path] = None
    return UserFiles(tuple(named[False]), tuple(named[True]))
