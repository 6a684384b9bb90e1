"""Providers of models, and the variables or settings in which programs look for their addresses.

Strategy: each provider gets a route of its own, below a path of one port. Each place (a variable,
or a key of the program's settings) is set to the address of that route. If a place already has an
address, the route leads there, so that a gateway in front of the provider stays in use.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.settings.addresses import parse_upstream

UPSTREAMS: Final[Mapping[str, str]] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "openrouter": "https://openrouter.ai/api",
    "mistral": "https://api.mistral.ai",
    "groq": "https://api.groq.com",
    "deepseek": "https://api.deepseek.com",
    "xai": "https://api.x.ai",
    "cohere": "https://api.cohere.com",
    "together": "https://api.together.xyz",
    "fireworks": "https://api.fireworks.ai/inference",
    "cerebras": "https://api.cerebras.ai",
    "ollama": "http://127.0.0.1:11434",
    "opencode": "https://opencode.ai/zen",
    "code-assist": "https://cloudcode-pa.googleapis.com",
}
"""Provider → address. Others (Azure) have a different address for each customer."""

Suffixes = Mapping[str, str]
Places = Mapping[str, Suffixes]
"""Provider → place → suffix of addresses in that place, after the upstream of the provider."""

VARIABLES: Final[Places] = {
    "anthropic": {"ANTHROPIC_BASE_URL": "", "ANTHROPIC_API_BASE": ""},
    "openai": {"OPENAI_BASE_URL": "/v1", "OPENAI_API_BASE": "/v1"},
    "gemini": {"GOOGLE_GEMINI_BASE_URL": "", "GEMINI_API_BASE": "/v1beta"},
    "openrouter": {"OPENROUTER_BASE_URL": "/v1", "OPENROUTER_API_BASE": "/v1"},
    "mistral": {
        "MISTRAL_BASE_URL": "/v1",
        "MISTRAL_API_BASE": "/v1",
        "MISTRAL_AZURE_API_BASE": "/v1",
    },
    "groq": {"GROQ_BASE_URL": "", "GROQ_API_BASE": "/openai/v1"},
    "deepseek": {"DEEPSEEK_BASE_URL": "", "DEEPSEEK_API_BASE": "/beta"},
    "xai": {"XAI_BASE_URL": "/v1", "XAI_API_BASE": "/v1"},
    "cohere": {"CO_API_URL": ""},
    "together": {"TOGETHER_BASE_URL": "/v1", "TOGETHER_AI_API_BASE": "/v1"},
    "fireworks": {"FIREWORKS_BASE_URL": "/v1", "FIREWORKS_API_BASE": "/v1"},
    "cerebras": {"CEREBRAS_BASE_URL": "", "CEREBRAS_API_BASE": "/v1"},
    "ollama": {"OLLAMA_HOST": "", "OLLAMA_API_BASE": ""},
    "azure": {"AZURE_OPENAI_ENDPOINT": "", "AZURE_API_BASE": ""},
    "vertex": {"GOOGLE_VERTEX_BASE_URL": "", "ANTHROPIC_VERTEX_BASE_URL": ""},
}
"""Variables that clients read: the providers' own, and those of LangChain and LiteLLM."""
_OLLAMA: Final = "OLLAMA_HOST"
_OLLAMA_PORT: Final = 11434
_FURTHER: Final = "."
"""Separates the name of a provider from the number of its second upstream."""


class Route(NamedTuple):
    """Requests below a path of the data port go to an upstream."""

    name: str
    path: str
    """Without a trailing slash."""
    upstream: str


class Target(NamedTuple):
    """The target of a place."""

    route: Route
    behind: str
    """Suffix of the address, after the route."""

    @property
    def path(self) -> str:
        return self.route.path + self.behind


class Plan(NamedTuple):
    """The routes of a run, and the target of each place."""

    routes: list[Route]
    """In matching order."""
    targets: dict[str, Target]
    """By place."""
    left: dict[str, str]
    """Place that keeps its address → reason why no route can lead there."""


def plan(places: Places, given: Mapping[str, str], wanted: Mapping[str, str]) -> Plan:
    """Return the routes of a run, and the route of each place.

    Args:
        places: The places of the program, by provider.
        given: Place → current address.
        wanted: Name → URL of further routes, and of providers at other addresses.
    """
    made = Plan([], {}, {})
    again = []

    further = {name: VARIABLES.get(name, {variable_of(name): ""}) for name in wanted}
    for name, suffixes in {**further, **places}.items():
        if name in wanted:
            own = {}
        else:
            own = _addresses(suffixes, given, made.left)
        # If some places of a provider have an address, the others follow the first of them.
        first = wanted.get(name) or next(iter(own.values()), _default(name, suffixes))
        for place, suffix in suffixes.items():
            if first and place not in made.left:
                upstream, behind = _split(own.get(place, first), suffixes)
                if place not in own and behind is not None:
                    behind = suffix
                target = Target(_route_to(made.routes, name, upstream), behind or "")
                made.targets[place] = target
                if behind:
                    again.append(_twice(target))

    # The first route whose path matches is used.
    made.routes[:0] = dict.fromkeys(again)
    return made


def _twice(target: Target) -> Route:
    """Return the route for clients that add the suffix a second time; it counts once."""
    route, behind = target
    return Route(f"{route.name}{behind}", target.path + behind, route.upstream + behind)


def variable_of(name: str) -> str:
    """Return the variable with the address of a further route."""
    return f"{name.upper().replace('-', '_')}_BASE_URL"


def _default(name: str, suffixes: Suffixes) -> str:
    if name in UPSTREAMS:
        return UPSTREAMS[name] + next(iter(suffixes.values()))
    return ""


def _addresses(places: Suffixes, given: Mapping[str, str], left: dict[str, str]) -> dict[str, str]:
    """Return the valid addresses of places; add places with other addresses to `left`."""
    found = {}
    for place in places:
        if given.get(place):
            address = _url_of(place, given[place])
            try:
                parse_upstream(address)
            except ValueError as error:
                left[place] = str(error)
            else:
                found[place] = address

    return found


def _url_of(place: str, text: str) -> str:
    """Return a value as a URL; Ollama's may lack scheme and port, or name any host."""
    if place != _OLLAMA or "://" in text:
        return text.rstrip("/")
    host, _, port = text.partition(":")
    if host in ("", "0.0.0.0"):  # noqa: S104 - compared, not listened on
        host = "127.0.0.1"
    return f"http://{host}:{port or _OLLAMA_PORT}"


def _split(address: str, suffixes: Suffixes) -> tuple[str, str | None]:
    """Split an address into upstream and suffix; the suffix is None if the address has none."""
    fitting = [suffix for suffix in suffixes.values() if address.endswith(suffix)]
    if not fitting:
        return address, None
    longest = max(fitting, key=len)
    return address.removesuffix(longest), longest


def _route_to(routes: list[Route], name: str, upstream: str) -> Route:
    """Return the route of a provider to an upstream; make it if it does not exist."""
    own = [route for route in routes if route.name.partition(_FURTHER)[0] == name]
    for route in own:
        if route.upstream == upstream:
            return route
    if own:
        full_name = f"{name}{_FURTHER}{len(own) + 1}"
    else:
        full_name = name
    routes.append(Route(full_name, f"/{full_name}", upstream))
    return routes[-1]
