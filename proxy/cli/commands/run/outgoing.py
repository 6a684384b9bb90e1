"""Hosts of a command whose calls are decrypted, and obstacles to that.

A program without a variable for the address of a provider is recorded by a proxy. The proxy
decrypts calls to hosts of models and to requested hosts, and tunnels all others.
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
"""Hosts whose calls are decrypted by default."""
_REGIONAL: Final = {
    "AWS_REGION": "bedrock-runtime.{}.amazonaws.com",
    "AWS_DEFAULT_REGION": "bedrock-runtime.{}.amazonaws.com",
    "CLOUD_ML_REGION": "{}-aiplatform.googleapis.com",
    "GOOGLE_CLOUD_LOCATION": "{}-aiplatform.googleapis.com",
}
"""Variable with a region → host of models in that region (Amazon Bedrock, Vertex AI)."""
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def hosts_of(texts: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the hosts of models, followed by the given ones, which are separated by commas.

    Raises:
        ValueError: a host is not a name, an address or a pattern.
    """
    asked = [host.strip() for text in texts for host in text.split(",")]
    for host in asked:
        if not is_pattern(host):
            raise ValueError(
                f"{host!r} is not a host: expected api.example.com, *.example.com or *"
            )
    known = ((environ.get(name), host) for name, host in _REGIONAL.items())
    regional = dict.fromkeys(host.format(region) for region, host in known if region)
    return (*MODEL_HOSTS, *filter(is_pattern, regional), *asked)


def upstream_proxy(environ: Mapping[str, str]) -> str:
    """Return the URL of the user's own proxy; empty without one."""
    return next(filter(None, map(environ.get, _PROXIES)), "")


def obstacle(environ: Mapping[str, str]) -> str:
    """Return why no call can be decrypted; empty if calls can."""
    if find_spec("cryptography") is None:
        return "decrypting needs certificates; pip install 'sidelog[egress]'"
    proxy = upstream_proxy(environ)
    if proxy and not proxy.startswith("http://"):
        return f"calls pass the proxy {proxy}, and only one of http:// is supported"
    return ""
