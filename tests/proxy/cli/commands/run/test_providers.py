"""The routes of a run, and the path of each variable."""

from collections.abc import Mapping

from proxy.cli.commands.run.providers import UPSTREAMS, VARIABLES, Plan, Route, plan
from proxy.settings.addresses import parse_upstream
from tests.support.cases import each_of


def paths(planned: Plan) -> dict[str, str]:
    """Place → path."""
    return {place: target.path for place, target in planned.targets.items()}


def own_routes(planned: Plan) -> dict[str, str]:
    """Path → upstream, without the routes for repeated suffixes."""
    return {target.route.path: target.route.upstream for target in planned.targets.values()}


def test_each_known_provider_has_a_route() -> None:
    """Variables lead to it, with the suffix that clients expect; a provider without a fixed
    upstream has no route.
    """
    planned = plan(VARIABLES, {}, {})
    assert own_routes(planned) == {
        f"/{name}": upstream for name, upstream in UPSTREAMS.items() if name in VARIABLES
    }
    found = paths(planned)
    assert found["ANTHROPIC_BASE_URL"] == "/anthropic"
    assert found["OPENAI_BASE_URL"] == found["OPENAI_API_BASE"] == "/openai/v1"
    assert found | {"GROQ_BASE_URL": "/groq", "GROQ_API_BASE": "/groq/openai/v1"} == found
    assert "AZURE_OPENAI_ENDPOINT" not in found
    assert planned.left == {}


def test_the_known_upstreams_can_be_those_of_routes() -> None:
    """Each is an address without anything else."""
    assert all(parse_upstream(upstream).host for upstream in UPSTREAMS.values())


@each_of(
    ("given", "upstream", "expected"),
    [
        (
            {"OPENAI_BASE_URL": "http://localhost:1234/v1"},
            "http://localhost:1234",
            ("/openai/v1", "/openai/v1"),
        ),
        (
            {"OPENAI_BASE_URL": "http://localhost:1234/v1/"},
            "http://localhost:1234",
            ("/openai/v1", "/openai/v1"),
        ),
        (
            {"OPENAI_API_BASE": "https://gate/llm/v1"},
            "https://gate/llm",
            ("/openai/v1", "/openai/v1"),
        ),
        ({"OPENAI_BASE_URL": "https://gate/llm"}, "https://gate/llm", ("/openai", "/openai")),
        ({"OPENAI_BASE_URL": ""}, "https://api.openai.com", ("/openai/v1", "/openai/v1")),
        (
            {"OPENAI_BASE_URL": "https://gate/v1", "OPENAI_API_BASE": "https://gate/v1"},
            "https://gate",
            ("/openai/v1",) * 2,
        ),
    ],
)
def test_an_address_of_the_user_is_where_the_route_leads(
    given: Mapping[str, str], upstream: str, expected: tuple[str, str]
) -> None:
    """It may be in any variable, and the other one follows; its suffix is kept."""
    planned = plan({"openai": VARIABLES["openai"]}, given, {})
    assert own_routes(planned) == {"/openai": upstream}
    assert tuple(paths(planned).values()) == expected


@each_of(
    ("value", "upstream"),
    [
        ("box:1234", "http://box:1234"),
        ("box", "http://box:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        (":4000", "http://127.0.0.1:4000"),
        ("https://ollama.example.com/api", "https://ollama.example.com/api"),
    ],
)
def test_the_host_of_ollama_is_written_in_its_own_way(value: str, upstream: str) -> None:
    """Without a scheme, without a port, or as a listening address."""
    planned = plan({"ollama": VARIABLES["ollama"]}, {"OLLAMA_HOST": value}, {})
    assert own_routes(planned) == {"/ollama": upstream}


def test_two_addresses_of_one_provider_are_two_routes() -> None:
    """Each variable leads to its own."""
    given = {"OPENAI_BASE_URL": "https://one/v1", "OPENAI_API_BASE": "https://two/v1"}
    planned = plan({"openai": VARIABLES["openai"]}, given, {})
    assert own_routes(planned) == {"/openai": "https://one", "/openai.2": "https://two"}
    assert paths(planned) == {"OPENAI_BASE_URL": "/openai/v1", "OPENAI_API_BASE": "/openai.2/v1"}


def test_what_no_route_can_lead_to_stays_as_it_is() -> None:
    """The reason is given without the value, which has a secret; the other variable keeps its
    provider.
    """
    given = {"OPENAI_BASE_URL": "https://me:secret@gate/v1"}
    planned = plan({"openai": VARIABLES["openai"]}, given, {})
    assert paths(planned) == {"OPENAI_API_BASE": "/openai/v1"}
    assert "credentials" in planned.left["OPENAI_BASE_URL"]
    assert "secret" not in planned.left["OPENAI_BASE_URL"]


def test_a_provider_without_a_fixed_address_has_a_route_to_that_of_the_user() -> None:
    """Azure's is each customer's own."""
    planned = plan(VARIABLES, {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}, {})
    assert own_routes(planned)["/azure"] == "https://me.openai.azure.com"
    assert paths(planned)["AZURE_OPENAI_ENDPOINT"] == "/azure"


def test_further_routes_have_a_variable_and_known_ones_lead_elsewhere() -> None:
    """A requested route wins over the user's variable."""
    wanted = {"web-search": "https://search.example.com/v2", "openai": "http://localhost:1234/v1"}
    planned = plan({"openai": VARIABLES["openai"]}, {"OPENAI_BASE_URL": "https://gate/v1"}, wanted)
    assert own_routes(planned) == {
        "/openai": "http://localhost:1234",
        "/web-search": "https://search.example.com/v2",
    }
    assert paths(planned)["WEB_SEARCH_BASE_URL"] == "/web-search"
    assert paths(planned)["OPENAI_API_BASE"] == "/openai/v1"


def test_a_known_provider_that_a_program_does_not_call_itself_is_reached_by_its_variables() -> None:
    """The user names it, for programs that the program starts."""
    planned = plan({}, {}, {"groq": "https://api.groq.com"})
    assert paths(planned) == {"GROQ_BASE_URL": "/groq", "GROQ_API_BASE": "/groq/openai/v1"}


def test_what_a_client_adds_to_an_address_that_has_it_counts_once() -> None:
    """A route before the provider's own takes it."""
    planned = plan({"openai": VARIABLES["openai"]}, {}, {})
    assert planned.routes == [
        Route("openai/v1", "/openai/v1/v1", "https://api.openai.com/v1"),
        Route("openai", "/openai", "https://api.openai.com"),
    ]
