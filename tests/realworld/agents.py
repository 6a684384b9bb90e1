"""Coding agents that nobody here wrote: how each is started once, without a person, and what it
said at the end.

Each gets a home of its own and a directory with notes, may do everything there, and is told not to
look for updates nor to report to its makers; what it tries all the same ends at a proxy that is not
there.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.realworld.programs import npm_file, npm_program, python_program, run, system_program

QUESTION: Final = "What do my notes say?"
NOTES: Final = "buy milk"
KEY: Final = "sk-test-5bf00d1e0c9a4d5e8a7b6c5d4e3f2a1b"
"""What every agent has for a key."""
_NOWHERE: Final = "http://127.0.0.1:9"
_ALONE: Final = {
    "no_proxy": "127.0.0.1",
    "NO_PROXY": "127.0.0.1",
    "HTTPS_PROXY": _NOWHERE,
    "https_proxy": _NOWHERE,
}


@dataclasses.dataclass(frozen=True)
class Start:
    """One run of an agent, ready to go."""

    command: list[str]
    environ: dict[str, str]
    answer_of: Callable[[str], str]
    """Find the final answer in what the agent wrote."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an agent runs, and the address it has for its provider's."""

    directory: Path
    url: str

    @property
    def home(self) -> Path:
        """The agent's own settings and caches."""
        return self.directory / "home"

    @property
    def work(self) -> Path:
        """Where the notes are."""
        return self.directory / "work"

    def write(self, name: str, text: str) -> None:
        """Write a file into the home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def ask(start: Callable[[Place], Start], directory: Path, url: str) -> str:
    """Run an agent to its end; return its answer."""
    place = Place(directory, url)
    place.home.mkdir(parents=True)
    place.work.mkdir()
    (place.work / "notes.txt").write_text(f"{NOTES}\n")
    started = start(place)
    return started.answer_of(
        run(started.command, place.work, {"HOME": str(place.home)} | _ALONE | started.environ)
    ).strip()


def claude(place: Place) -> Start:
    """Claude Code; npm runs no scripts, so its wrapper looks for the program that one of them would
    have linked.
    """
    program = [system_program("node"), npm_file("@anthropic-ai/claude-code/cli-wrapper.cjs")]
    command = [
        *program,
        "-p",
        QUESTION,
        "--dangerously-skip-permissions",
        "--output-format",
        "json",
    ]
    environ = {
        "ANTHROPIC_BASE_URL": place.url,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",  # else it refuses to run as root
    }
    return Start(
        command, environ, lambda output: str(json.loads(output.splitlines()[-1])["result"])
    )


_CODEX: Final = """
{provider}
check_for_update_on_startup = false
[features]
plugins = false
[analytics]
enabled = false
"""
_CODEX_PROVIDER: Final = """
[model_providers.sidelog]
name = "OpenAI through sidelog"
base_url = "{url}/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""


def codex(place: Place) -> Start:
    """Codex with a provider of its own, as `docs/guides/coding-agent.md` says: events over HTTP."""
    return _codex(place, 'model_provider = "sidelog"', _CODEX_PROVIDER.format(url=place.url))


def codex_socket(place: Place) -> Start:
    """Codex with its own provider at another address: a WebSocket."""
    return _codex(place, f'openai_base_url = "{place.url}/v1"')


def _codex(place: Place, provider: str, more: str = "") -> Start:
    place.write(".codex/config.toml", _CODEX.format(provider=provider) + more)
    last = place.home / "last.txt"
    command = [
        npm_program("codex"),
        "exec",
        "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox",
    ]
    environ = {"OPENAI_API_KEY": KEY, "CODEX_API_KEY": KEY}
    return Start(
        [*command, "--output-last-message", str(last), QUESTION],
        environ,
        lambda _: last.read_text(),
    )


def gemini(place: Place) -> Start:
    """Gemini CLI."""
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
    }
    place.write(".gemini/settings.json", json.dumps(settings))
    command = [
        npm_program("gemini"),
        "--skip-trust",
        "--yolo",
        "--output-format",
        "json",
        "-p",
        QUESTION,
    ]
    environ = {"GOOGLE_GEMINI_BASE_URL": place.url, "GEMINI_API_KEY": KEY}
    return Start(command, environ, lambda output: str(_object_in(output)["response"]))


def _object_in(output: str) -> dict[str, Any]:
    """Read the object that stands after and before what else was written."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(output, output.index("{\n"))[0]
    return found


def opencode(model: str) -> Callable[[Place], Start]:
    """opencode, of whose providers that of Chat Completions needs a name."""
    return lambda place: _opencode(place, model)


def _opencode(place: Place, model: str) -> Start:
    reached = {"options": {"baseURL": f"{place.url}/v1", "apiKey": KEY}}
    provider, _, name = model.partition("/")
    package = {"npm": "@ai-sdk/openai-compatible"} if provider == "local" else {}
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "permission": "allow",
        "provider": {provider: reached | {"models": {name: {}}} | package},
    }
    place.write(".config/opencode/opencode.json", json.dumps(settings))
    program = npm_file("opencode-linux-x64-baseline/bin/opencode")
    environ = {
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }
    return Start(
        [program, "run", "--format", "json", "-m", model, QUESTION], environ, _opencode_answer
    )


def _opencode_answer(output: str) -> str:
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return "".join(event["part"]["text"] for event in events if event["type"] == "text")


def mini(place: Place) -> Start:
    """mini-swe-agent: Chat Completions through litellm, one answer at a time; it ends with a
    command.
    """
    course = place.home / "course.json"
    settings = ["-c", "mini.yaml", "-c", f"model.model_kwargs.api_base={place.url}/v1"]
    command = [
        python_program("mini"),
        "-m",
        "openai/local-model",
        *settings,
        "-t",
        QUESTION,
        "-o",
        str(course),
    ]
    environ = {
        "OPENAI_API_KEY": KEY,
        "MSWEA_CONFIGURED": "true",
        "MSWEA_COST_TRACKING": "ignore_errors",
        "MSWEA_GLOBAL_CONFIG_DIR": str(place.home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command += ["--yolo", "--exit-immediately"]
    return Start(
        command, environ, lambda _: str(json.loads(course.read_text())["info"]["submission"])
    )
