"""Programs, by the name of their executable, and how each takes other addresses.

Strategy: each program has two functions. One reads the places where it keeps addresses, and the
current ones. The other sets new addresses for one start, by variables and arguments. Files of the
user are read if the program prefers them to variables. They are never written.
"""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxy.cli.commands.run.providers import VARIABLES, Places

Environ = Mapping[str, str]
Addresses = Mapping[str, str]
"""By place."""
ANSWER_S: Final = 15.0
"""Timeout of a program that is asked for its settings."""


_UNPLAIN: Final = re.compile("[^a-z0-9-]+")


class Found(NamedTuple):
    """Places where a program looks for addresses of providers."""

    places: Places
    given: Mapping[str, str]
    """Place → current address."""


class Start(NamedTuple):
    """How a program is started."""

    command: list[str]
    variables: dict[str, str]
    """Variables in addition to the inherited ones."""


class Program(NamedTuple):
    """A program, and how its addresses are set."""

    find: Callable[[Environ, Sequence[str]], Found]
    """From its environment and command."""
    start: Callable[[Sequence[str], Addresses, Environ], Start]
    """From its command, the addresses of its places, and its environment."""
    note: str = ""
    """What cannot be recorded."""


def program_of(command: Sequence[str]) -> Program:
    """Return the program that a command starts."""
    return PROGRAMS.get(os.path.basename(command[0]), _EVERY_OTHER)


def _variables(places: Places) -> Callable[[Environ, Sequence[str]], Found]:
    """Return a reader of places that are variables."""
    return lambda environ, _: Found(places, environ)


def _set_variables(command: Sequence[str], addresses: Addresses, _: Environ) -> Start:
    return Start(list(command), dict(addresses))


def _json_in(text: str) -> dict[str, Any]:
    """Parse a JSON object; other text is an empty one."""
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    return {}


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _output(environ: Environ, command: list[str]) -> bytes:
    """Return the output of a program; empty if it does not end in time."""
    try:
        said = subprocess.run(  # noqa: S603 - the program that the user is about to run
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""

    return said.stdout + said.stderr


def _plain(name: str) -> str:
    """Return a user's name of a provider in a form that is valid in a path."""
    return _UNPLAIN.sub("-", name.lower())


def _home(environ: Environ, variable: str, name: str) -> Path:
    """Return the directory of a program's settings."""
    return Path(environ.get(variable) or os.path.join(os.path.expanduser("~"), name))


_CLAUDE_VARIABLE: Final = "ANTHROPIC_BASE_URL"


def _claude_settings(environ: Environ) -> str:
    """Return the address in the settings of Claude Code; empty without one. Settings override its
    environment.
    """
    paths = [Path(".claude", "settings.local.json"), Path(".claude", "settings.json")]
    for path in (*paths, _home(environ, "CLAUDE_CONFIG_DIR", ".claude") / "settings.json"):
        variables = _json_in(_text_of(path)).get("env")
        if isinstance(variables, dict) and variables.get(_CLAUDE_VARIABLE):
            return str(variables[_CLAUDE_VARIABLE])
    return ""


def _find_claude(environ: Environ, _: Sequence[str]) -> Found:
    places = {"anthropic": {_CLAUDE_VARIABLE: ""}, "vertex": {"ANTHROPIC_VERTEX_BASE_URL": ""}}
    address = _claude_settings(environ)
    return Found(places, {**environ, **({_CLAUDE_VARIABLE: address} if address else {})})


def _start_claude(command: Sequence[str], addresses: Addresses, environ: Environ) -> Start:
    """Set the variable; if the settings have an address, override it by an argument."""
    program, *arguments = command
    has_settings = any(each.startswith("--settings") for each in arguments)
    address = addresses.get(_CLAUDE_VARIABLE)
    if address and _claude_settings(environ) and not has_settings:
        settings = json.dumps({"env": {_CLAUDE_VARIABLE: address}})
        arguments = ["--settings", settings, *arguments]
    return Start([program, *arguments], dict(addresses))


_CODEX_KEY: Final = "openai_base_url"
_CHATGPT: Final = "https://chatgpt.com/backend-api/codex"


def _find_codex(environ: Environ, command: Sequence[str]) -> Found:
    """Read the address of Codex from its settings; after a login with ChatGPT it is a different
    one.
    """
    settings: dict[str, Any] = {}
    with suppress(tomllib.TOMLDecodeError):
        settings = tomllib.loads(_text_of(_home(environ, "CODEX_HOME", ".codex") / "config.toml"))
    provider = settings.get("model_provider", "openai")
    if provider != "openai":
        own = settings.get("model_providers", {}).get(provider, {})
        key = f"model_providers.{provider}.base_url"
        return Found({_plain(str(provider)): {key: ""}}, {key: str(own.get("base_url", ""))})

    address = str(settings.get(_CODEX_KEY) or environ.get("OPENAI_BASE_URL", ""))
    if not address and _is_chatgpt(environ, command[0]):
        address = _CHATGPT
    return Found({"openai": {_CODEX_KEY: "/v1"}}, {_CODEX_KEY: address})


def _is_chatgpt(environ: Environ, program: str) -> bool:
    if environ.get("CODEX_API_KEY"):
        return False
    return b"ChatGPT" in _output(environ, [program, "login", "status"])


def _start_codex(command: Sequence[str], addresses: Addresses, _: Environ) -> Start:
    """Override settings by arguments, placed before the user's own, which win."""
    program, *arguments = command
    overrides = [f"{key}={json.dumps(address)}" for key, address in addresses.items()]
    flags = [part for override in overrides for part in ("-c", override)]
    return Start([program, *flags, *arguments], {})


_OPENCODE_VARIABLE: Final = "OPENCODE_CONFIG_CONTENT"
_OPENCODE: Final[Mapping[str, tuple[str, str]]] = {
    "anthropic": ("anthropic", "/v1"),
    "openai": ("openai", "/v1"),
    "google": ("gemini", "/v1beta"),
    "openrouter": ("openrouter", "/v1"),
    "mistral": ("mistral", "/v1"),
    "groq": ("groq", "/openai/v1"),
    "deepseek": ("deepseek", ""),
    "xai": ("xai", "/v1"),
    "cohere": ("cohere", "/v2"),
    "cerebras": ("cerebras", "/v1"),
    "opencode": ("opencode", "/v1"),
}
"""opencode's name of a provider → our name, and the suffix of its addresses."""
_OPENCODE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "google": ("GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
}
"""Variables with keys; for other providers, NAME_API_KEY."""


def _find_opencode(environ: Environ, command: Sequence[str]) -> Found:
    """Ask opencode for its settings: they come from several files and may add providers.

    Of its built-in providers, only those with a key or a login get an address: an address would add
    the others to its list.
    """
    own = _opencode_providers(environ, command[0])
    data = _home(environ, "XDG_DATA_HOME", ".local/share")
    logins = _json_in(_text_of(data / "opencode" / "auth.json"))
    places: dict[str, dict[str, str]] = {}
    given = {}

    for name in {**own, **_OPENCODE}:
        keys = _OPENCODE_KEYS.get(name, (f"{name.upper()}_API_KEY",))
        if name in own or name in logins or name == "opencode" or any(map(environ.get, keys)):
            ours, suffix = _OPENCODE.get(name, (_plain(name), ""))
            places[ours] = {name: suffix}
            options = own.get(name, {}).get("options", {})
            given[name] = str(options.get("baseURL", ""))

    return Found(places, given)


def _opencode_providers(environ: Environ, program: str) -> dict[str, Any]:
    said = _output(environ, [program, "debug", "config"])
    providers = _json_in(said.decode("utf-8", "replace")).get("provider")
    if isinstance(providers, dict):
        return providers
    return {}


def _start_opencode(command: Sequence[str], addresses: Addresses, environ: Environ) -> Start:
    """Pass settings that override those of files; the user's own settings of this kind are kept."""
    settings = _json_in(environ.get(_OPENCODE_VARIABLE, ""))
    providers = settings.setdefault("provider", {})
    for name, address in addresses.items():
        providers.setdefault(name, {}).setdefault("options", {})["baseURL"] = address
    return Start(list(command), {_OPENCODE_VARIABLE: json.dumps(settings)})


_ELSEWHERE: Final = (
    "calls models through servers of its maker, whatever is set; those calls are not recorded"
)

_GEMINI: Final[Places] = {
    "gemini": {"GOOGLE_GEMINI_BASE_URL": ""},
    "code-assist": {"CODE_ASSIST_ENDPOINT": ""},
    "vertex": {"GOOGLE_VERTEX_BASE_URL": ""},
}
"""For a key, a login with Google, and Google Cloud."""
_GOOSE: Final[Places] = {
    "anthropic": {"ANTHROPIC_HOST": ""},
    "openai": {"OPENAI_HOST": ""},
    "ollama": {"OLLAMA_HOST": ""},
}
_EVERY_OTHER: Final = Program(_variables(VARIABLES), _set_variables)
_WITH_VERSION: Final = {**VARIABLES, "anthropic": {"ANTHROPIC_BASE_URL": "/v1"}}
"""Vercel's AI SDK does not add /v1 to the address of Anthropic; Anthropic's own SDK does."""
_JAVASCRIPT: Final = ("node", "npm", "npx", "pnpm", "yarn", "bun", "bunx", "deno", "tsx")
_CLOSED: Final = ("cursor", "cursor-agent", "windsurf", "copilot", "amp")
PROGRAMS: Final[Mapping[str, Program]] = {
    "claude": Program(_find_claude, _start_claude),
    "codex": Program(_find_codex, _start_codex),
    "opencode": Program(_find_opencode, _start_opencode),
    "gemini": Program(_variables(_GEMINI), _set_variables),
    "goose": Program(_variables(_GOOSE), _set_variables),
    **dict.fromkeys(_JAVASCRIPT, Program(_variables(_WITH_VERSION), _set_variables)),
    **dict.fromkeys(_CLOSED, Program(_variables(VARIABLES), _set_variables, note=_ELSEWHERE)),
}
"""By the name of the executable."""
