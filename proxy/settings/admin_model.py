"""The settings of the admin port, declared: part of `model.py`."""

from typing import Annotated, Literal

from proxy.settings.flags import FLAGS
from proxy.settings.section import Section, about


class AdminSettings(Section, frozen=True):
    """[admin]: the port of the API, the UI and the metrics."""

    listen: Annotated[str, about(FLAGS["admin.listen"].help)] = "127.0.0.1:8090"
    auth: Annotated[
        Literal["token", "off"], about("off is accepted only on a loopback address")
    ] = "token"
    tls_cert_file: Annotated[str, about("PEM certificate chain: TLS on the admin port")] = ""
    tls_key_file: Annotated[str, about("PEM private key; empty: in the same file")] = ""
    allowed_hosts: Annotated[
        tuple[str, ...],
        about("Host names, without port, accepted beside loopback and the listen address"),
    ] = ()
    public_url: Annotated[
        str,
        about(
            "address of the web UI as a browser reaches it, such as https://logs.example/sidelog: "
            "links in messages of alerts begin with it, its host is one of allowed_hosts, and "
            "another proxy may pass its path on or take it off, as an X-Forwarded-Prefix of "
            "[proxy] trusted_proxies says; empty: messages have no links"
        ),
    ] = ""
    max_streams_per_token: Annotated[
        int,
        about(
            "open live streams per token, and a third of those opened a minute, more: 429; 0: "
            "unlimited",
            ge=0,
        ),
    ] = 20
    metrics_listen: Annotated[
        str,
        about(
            "host:port of a further address with only /metrics, /healthz and /readyz, without "
            "token or TLS: for a Prometheus on another host"
        ),
    ] = ""
    health_listen: Annotated[
        str,
        about(
            "host:port of the supervisor's own /healthz and /readyz, without token or TLS: served "
            "even while the collector restarts"
        ),
    ] = ""


class TokenSettings(Section, frozen=True):
    """[[tokens]]: further credentials of the admin port."""

    name: Annotated[str, about("name of the token, for limits and logs")]
    token: Annotated[
        str,
        about(
            'the secret, "env:NAME", "file:PATH" that holds it, or "sha256:" and its SHA-256 in '
            "hexadecimal"
        ),
    ] = ""
    """After `load` always the last."""
    role: Annotated[
        Literal["reader", "operate", "admin"],
        about(
            "`admin` sees and changes everything; `reader` reads its scope; `operate` may send "
            "requests again, too"
        ),
    ] = "reader"
    projects: Annotated[tuple[str, ...], about("projects it may see; empty: all")] = ()
    containers: Annotated[tuple[str, ...], about("containers it may see; empty: all")] = ()
    clients: Annotated[tuple[str, ...], about("clients it may see; empty: all")] = ()


class ReplaySettings(Section, frozen=True):
    """[replay]: Send again in the web UI; `sidelog replay` needs none of it."""

    enabled: Annotated[
        bool,
        about(
            "whether tokens of role `operate` or `admin` may send a recorded request again, "
            "edited or not"
        ),
    ] = False
    targets: Annotated[
        tuple[str, ...],
        about("http://… and https://… where it may go beside the upstream of its own route"),
    ] = ()


class AdminHostSettings(Section, frozen=True):
    """[[admin_hosts]]: names of the admin port that carry a scope, on top of the token's."""

    name: Annotated[str, about("host name, lower case, without port")]
    projects: Annotated[tuple[str, ...], about("what is shown under this name; empty: all")] = ()
    containers: Annotated[tuple[str, ...], about("what is shown under this name; empty: all")] = ()
    clients: Annotated[tuple[str, ...], about("what is shown under this name; empty: all")] = ()
