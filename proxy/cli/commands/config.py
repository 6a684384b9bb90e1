"""`sidelog config check` and `config show`: validates the configuration and shows the one in
effect.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from proxy.cli.command import Group, config_option, json_option, settings_options
from proxy.cli.commands.client import connect, data_directory
from proxy.cli.commands.output import Json, Result, complain, say
from proxy.process.data_dir import is_in_use
from proxy.process.terminal import json_escaped
from proxy.settings.check import NO_UPSTREAM, warnings
from proxy.settings.load import load
from proxy.settings.model import Settings, SettingsError, redacted

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
"""A TOML key that needs no quotes."""


_SETTINGS: Final = ("proxy.upstream", "data_dir")
"""Settings that have flags on these commands."""


@click.group("config", cls=Group)
def config_group() -> None:
    """Check or show the configuration."""


@config_group.command()
@config_option
@settings_options(*_SETTINGS)
@json_option
def check(overrides: Mapping[str, str], config: Path | None) -> Result:
    """Validate the configuration and report every problem at once.

    Example: sidelog config check --config sidelog.toml
    """
    try:
        settings = load(overrides, os.environ, config, examples)
    except SettingsError as error:
        lines = "\n".join(error.problems)
        return Result({"ok": False, "problems": error.problems}, lambda _: complain(lines), 2)

    warned = [f"{name}: {text}" for name, text in warnings(settings)]
    count = len(settings.routes)

    def show(_: object) -> None:
        for warning in warned:
            complain(f"warning: {warning}")
        say(f"valid: {count} route{'s' if count != 1 else ''}, data directory {settings.data_dir}")

    return Result({"ok": True, "problems": [], "warnings": warned}, show)


def examples(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield own rules that miss their examples, and disabled names that are not secret, as (dotted
    setting, reason): a trial for `load`.
    """
    if settings.redact.rules or settings.redact.disable:
        from proxy.enrich.redact.examples import (  # most settings have none
            problems_of,
            problems_of_disabled,
        )

        yield from problems_of(settings.redact.rules)
        yield from problems_of_disabled(settings.redact)


@config_group.command()
@config_option
@settings_options(*_SETTINGS)
@json_option
def show(overrides: Mapping[str, str], config: Path | None) -> Result:
    """Print the effective configuration, secrets redacted; without settings, the configuration of
    the running sidelog.

    Example: sidelog config show --config sidelog.toml --json
    """
    try:
        shown = redacted(load(overrides, os.environ, config))
    except SettingsError as error:
        directory = data_directory(overrides.get("data_dir"))
        is_missing = config is None and all(NO_UPSTREAM in each for each in error.problems)
        if not is_missing or not is_in_use(directory):
            raise
        status = connect(None, None, str(directory)).get_json("/api/status")
        shown = status["configuration"]

    settings = {name: value for name, value in shown.items() if name != "data_dir"}
    return Result(shown, f"# data directory: {shown['data_dir']}\n{to_toml(settings)}")


def to_toml(tree: Json) -> str:
    """Return settings as TOML: tables, then lists of tables. JSON and TOML write the leaves alike."""
    return "\n".join(_table(tree, "")).strip("\n")


def _table(tree: Json, prefix: str) -> list[str]:
    lines = [
        f"{_key(key)} = {_value(value)}" for key, value in tree.items() if not _is_table(key, value)
    ]
    for key, value in tree.items():
        if not _is_table(key, value):
            continue
        for header, table in _headed(f"{prefix}{key}", value):
            lines += ["", header, *_table(table, f"{prefix}{key}.")]

    return lines


def _is_table(key: str, value: object) -> bool:
    """Return whether a value is a section. The headers that a route sets are a table, too, but one
    setting.
    """
    is_list_of_tables = (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(isinstance(item, dict) for item in value)
    )
    return is_list_of_tables or (isinstance(value, dict) and not key.startswith(("set_", "add_")))


def _headed(name: str, value: Any) -> list[tuple[str, Json]]:
    if isinstance(value, dict):
        return [(f"[{name}]", value)]
    return [(f"[[{name}]]", item) for item in value]


def _key(key: str) -> str:
    if _BARE_KEY.fullmatch(key):
        return key
    return _value(key)


def _value(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        if inner:
            return f"{{ {inner} }}"
        return "{}"
    # DEL is the one character TOML wants escaped and JSON does not; a terminal wants more.
    return json_escaped(json.dumps(value, ensure_ascii=False))
