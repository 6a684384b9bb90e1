"""The hosts that a command asks by their own names: which of them are read, and whether any can be.

A program that has no variable for the address of a provider is recorded by a proxy, which reads
the hosts of models and those that are asked for. All others are tunnelled.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from proxy.cli.commands.run.providers import UPSTREAMS
from proxy.egress.hosts import is_pattern
from proxy.enrich.llm.reader import PROVIDER_ENDS

MODEL_HOSTS: Final = tuple(
    dict.fromkeys(
        (
            *(
                urlsplit(url).hostname or ""
                for url in UPSTREAMS.values()
                if url.startswith("https")
            ),
            "chatgpt.com",
            *(pattern for end in PROVIDER_ENDS for pattern in (end, f"*.{end}")),
        )
    )
)
"""Hosts that are read without being asked for."""
_REGIONAL: Final = {
    "AWS_REGION": "bedrock-runtime.{}.amazonaws.com",
    "AWS_DEFAULT_REGION": "bedrock-runtime.{}.amazonaws.com",
    "CLOUD_ML_REGION": "{}-aiplatform.googleapis.com",
    "GOOGLE_CLOUD_LOCATION": "{}-aiplatform.googleapis.com",
}
"""Variable that has a region → the host of models there: of Amazon Bedrock, of Vertex AI."""
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def hosts_of(texts: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read further hosts, several separated by commas, and put them behind those of models.

    Raises:
        ValueError: one is no name, address or pattern.
    """
    asked = [host.strip() for text in texts for host in text.split(",")]
    for host in asked:
        if not is_pattern(host):
            raise ValueError(f"{host!r} is no host: expected api.example.com, *.example.com or *")
    known = ((environ.get(name), host) for name, host in _REGIONAL.items())
    regional = dict.fromkeys(host.format(region) for region, host in known if region)
    return (*MODEL_HOSTS, *filter(is_pattern, regional), *asked)


def upstream_proxy(environ: Mapping[str, str]) -> str:
    """Return the URL of the proxy that the user reaches hosts by; "" without one."""
    return next(filter(None, map(environ.get, _PROXIES)), "")


def obstacle(environ: Mapping[str, str]) -> str:
    """Say why nothing can be read; "" where it can."""
    if find_spec("cryptography") is None:
        return "that needs certificates: pip install 'sidelog[egress]'"
    proxy = upstream_proxy(environ)
    if proxy and not proxy.startswith("http://"):
        return f"it would have to pass {proxy}, which is no http:// proxy"
    return ""
