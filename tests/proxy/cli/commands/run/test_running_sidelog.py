"""The addresses of a command at a running sidelog."""

import pytest

from proxy.cli.commands.output import CommandError
from proxy.cli.commands.run.providers import VARIABLES, plan
from proxy.cli.commands.run.running_sidelog import addresses_in

PROXY = "http://127.0.0.1:8080"
PLAN = plan({name: VARIABLES[name] for name in ("anthropic", "openai", "openrouter")}, {}, {})


def route(upstream: str, path: str = "/", host: str = "") -> dict[str, object]:
    """One of its settings."""
    return {"upstream": upstream, "path": path, "host": host, "strip_prefix": path != "/"}


def test_a_route_for_everything_is_one_to_its_upstream() -> None:
    """Other places keep their addresses."""
    found = addresses_in(f"{PROXY}/", [route("https://api.openai.com")], PLAN, has_outgoing=False)
    assert found == {"OPENAI_BASE_URL": f"{PROXY}/v1", "OPENAI_API_BASE": f"{PROXY}/v1"}


def test_a_route_below_a_path_is_asked_there() -> None:
    """Also if the route leads to only a part of the base path of the upstream."""
    routes = [
        route("https://api.anthropic.com", "/claude/"),
        route("https://openrouter.ai", "/or/"),
    ]
    found = addresses_in(PROXY, routes, PLAN, has_outgoing=False)
    assert found["ANTHROPIC_BASE_URL"] == f"{PROXY}/claude"
    assert found["OPENROUTER_BASE_URL"] == f"{PROXY}/or/api/v1"


def test_a_route_that_another_one_hides_is_none() -> None:
    """The first route whose path fits is taken; one of a host is not reached by this address."""
    hidden = [route("http://app:3000"), route("https://api.openai.com", "/openai/")]
    of_a_host = [route("https://api.openai.com", host="models.example.com")]
    for routes in (hidden, of_a_host, []):
        with pytest.raises(CommandError, match=r"has no route to https://api\.anthropic\.com, "):
            addresses_in(PROXY, routes, PLAN, has_outgoing=False)
