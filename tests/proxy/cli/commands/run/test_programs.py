"""Programs that say in their own way at which addresses they reach their providers."""

import json
import sys
from pathlib import Path

import pytest

from proxy.cli.commands.run.programs import Start, program_of
from proxy.cli.commands.run.providers import VARIABLES, plan
from tests.support.cases import each_of

URL = "http://127.0.0.1:1"


def started(
    command: list[str], environ: dict[str, str], executable: Path | None = None
) -> tuple[Start, list[str]]:
    """How a command is started, and the upstreams of its routes."""
    program = program_of(command)
    found = program.find(environ, [str(executable or "/nowhere"), *command[1:]])
    planned = plan(found.places, found.given, {})
    start = program.start(
        command, {place: URL + target.path for place, target in planned.targets.items()}, environ
    )
    return start, [*dict.fromkeys(target.route.upstream for target in planned.targets.values())]


def says(tmp_path: Path, text: str) -> Path:
    """A program that writes a text."""
    path = tmp_path / "says"
    path.write_text(f"#!{sys.executable}\nprint({text!r})\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without settings, and a project below it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "project" / ".claude").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def test_any_program_gets_the_variables_of_all_providers(home: Path) -> None:
    """Its command stays as it is."""
    start, upstreams = started(["./venv/bin/python", "-c", "pass"], {})
    assert start.command == ["./venv/bin/python", "-c", "pass"]
    assert start.variables["ANTHROPIC_BASE_URL"] == f"{URL}/anthropic"
    assert set(start.variables) < {place for places in VARIABLES.values() for place in places}
    assert len(upstreams) > 10


def test_a_program_in_javascript_may_add_the_version_to_the_address_of_anthropic(
    home: Path,
) -> None:
    """Or may not: a suffix that appears twice in a path counts once."""
    start, _ = started(["node", "agent.js"], {})
    assert start.variables["ANTHROPIC_BASE_URL"] == f"{URL}/anthropic/v1"
    assert start.variables["OPENAI_BASE_URL"] == f"{URL}/openai/v1"


def test_claude_code_gets_its_variable_and_no_other(home: Path) -> None:
    """Programs that it starts itself are not affected."""
    start, upstreams = started(["claude", "-p", "hello"], {})
    assert start == Start(["claude", "-p", "hello"], {"ANTHROPIC_BASE_URL": f"{URL}/anthropic"})
    assert upstreams == ["https://api.anthropic.com"]


@each_of(
    "name", [".claude/settings.json", ".claude/settings.local.json", "../.claude/settings.json"]
)
def test_an_address_in_the_settings_of_claude_code_is_where_its_route_leads(
    home: Path, name: str
) -> None:
    """It prefers them to its environment, so they are overridden for this start, by an argument."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://gate.example.com/claude"}}))
    start, upstreams = started(
        ["/bin/claude", "-p", "hello"], {"ANTHROPIC_BASE_URL": "https://other.example.com"}
    )
    path.unlink()
    assert upstreams == ["https://gate.example.com/claude"]
    settings = json.dumps({"env": {"ANTHROPIC_BASE_URL": f"{URL}/anthropic"}})
    assert start.command == ["/bin/claude", "--settings", settings, "-p", "hello"]


def test_codex_gets_an_override_before_the_arguments_of_the_user(home: Path) -> None:
    """And no variable."""
    start, upstreams = started(["codex", "exec", "-c", "model=x", "hello"], {})
    override = f'openai_base_url="{URL}/openai/v1"'
    assert start == Start(["codex", "-c", override, "exec", "-c", "model=x", "hello"], {})
    assert upstreams == ["https://api.openai.com"]


@each_of(
    ("text", "key", "upstream"),
    [
        ('openai_base_url = "https://gate/v1"', "openai_base_url", "https://gate"),
        (
            'model_provider = "Own"\n[model_providers.Own]\nbase_url = "http://box:1/api"',
            "model_providers.Own.base_url",
            "http://box:1/api",
        ),
    ],
)
def test_codex_is_set_up_for_another_address(
    home: Path, text: str, key: str, upstream: str
) -> None:
    """The route leads there, and the override is of that provider."""
    (home / ".codex").mkdir(exist_ok=True)
    (home / ".codex" / "config.toml").write_text(text)
    start, upstreams = started(["codex"], {})
    assert upstreams == [upstream]
    assert start.command[:2] == ["codex", "-c"]
    assert start.command[2].startswith(f'{key}="{URL}/')


def test_codex_goes_elsewhere_after_a_login_with_chatgpt(home: Path) -> None:
    """It says itself how its user is logged in; a key in the environment goes before that."""
    program = says(home, "Logged in using ChatGPT")
    start, upstreams = started(["codex"], {}, program)
    assert upstreams == ["https://chatgpt.com/backend-api/codex"]
    assert start.command == ["codex", "-c", f'openai_base_url="{URL}/openai"']
    assert started(["codex"], {"CODEX_API_KEY": "sk"}, program)[1] == ["https://api.openai.com"]


def test_opencode_gets_settings_over_its_own(home: Path) -> None:
    """Those handed over by the user are in them; providers are those that it can use."""
    own = {"provider": {"My Box": {"options": {"baseURL": "http://box:1/v1"}}, "broken": {}}}
    given = {"share": "disabled", "provider": {"anthropic": {"models": {"x": {}}}}}
    environ = {"ANTHROPIC_API_KEY": "k", "OPENCODE_CONFIG_CONTENT": json.dumps(given)}
    (home / ".local/share/opencode").mkdir(parents=True)
    (home / ".local/share/opencode/auth.json").write_text('{"groq": {"type": "api", "key": "k"}}')
    start, upstreams = started(["opencode", "run", "hello"], environ, says(home, json.dumps(own)))
    assert start.command == ["opencode", "run", "hello"]
    settings = json.loads(start.variables["OPENCODE_CONFIG_CONTENT"])
    assert settings["share"] == "disabled"
    assert settings["provider"]["anthropic"] == {
        "models": {"x": {}},
        "options": {"baseURL": f"{URL}/anthropic/v1"},
    }
    assert settings["provider"]["My Box"]["options"]["baseURL"] == f"{URL}/my-box"
    assert settings["provider"]["groq"]["options"]["baseURL"] == f"{URL}/groq/openai/v1"
    assert set(settings["provider"]) == {"anthropic", "My Box", "groq", "opencode"}
    assert sorted(upstreams) == [
        "http://box:1/v1",
        "https://api.anthropic.com",
        "https://api.groq.com",
        "https://opencode.ai/zen",
    ]


def test_what_cannot_be_seen_is_known() -> None:
    """Cursor asks its own servers."""
    assert "not recorded" in program_of(["/usr/bin/cursor"]).note
    assert program_of(["python"]).note == ""
