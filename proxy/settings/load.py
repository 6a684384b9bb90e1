"""Merges the settings from their sources and reports all faults at once.

Each source is flattened (`sources.py`) and laid over the previous one. Values are converted one by
one, so that a bad value does not hide the next; then the structs are built and checked
(`check.py`). Invariant: settings that `load` returns are complete and valid, and nothing is read
from files or environment later.
"""

import json
import os
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from proxy.process.terminal import without_credentials
from proxy.settings import model
from proxy.settings.addresses import networks_of, parse_upstream, proxy_in, via_for
from proxy.settings.check import NO_EFFECT, NO_UPSTREAM, check
from proxy.settings.conversion import convert
from proxy.settings.section import traits_of
from proxy.settings.sources import (
    TABLES,
    Found,
    Given,
    fields_of,
    from_environment,
    from_file,
    from_flags,
    section_of,
)
from proxy.settings.templates import read_templates
from proxy.settings.tokens import resolve_tokens

NEEDS_RESTART: typing.Final = (
    "data_dir",
    "proxy.listen",
    "proxy.data_port",
    "proxy.workers",
    "egress.listen",
    "proxy.instance",
    "storage.url",
    "ring.directory",
    "admin.listen",
    "admin.metrics_listen",
    "admin.health_listen",
)
"""Settings that need a restart: sockets, number of processes, paths of the records."""

_STAND_IN: typing.Final = "http://missing"
"""Value of a required setting without one; an upstream has to be an address."""


Trial = Callable[[model.Settings], Iterable[tuple[str, str]]]
"""Yields (dotted setting, reason) for valid settings that do not work in practice."""


def load(
    overrides: Mapping[str, str],
    environ: Mapping[str, str],
    config_path: Path | None,
    trial: Trial | None = None,
) -> model.Settings:
    """Load and validate: defaults < TOML file < environment < flags.

    Args:
        overrides: dotted setting → text as given on the command line, e.g. `{"proxy.listen": ":8080"}`.
        environ: the process environment; `SIDELOG_PROXY__LISTEN` and so on.
        config_path: TOML file, or none.
        trial: called if there is no other fault.

    Raises:
        SettingsError: with every problem found.
    """
    given, problems, found = _read(overrides, environ, config_path)
    settings = _effective(given, environ)
    if trial is not None and not problems:
        problems = [_with_origin(name, text, found) for name, text in trial(settings)]
    if problems:
        raise model.SettingsError(problems)

    return settings


def load_without_upstream(
    overrides: Mapping[str, str], environ: Mapping[str, str], config_path: Path | None
) -> model.Settings:
    """Load as `load` does, but accept settings without an upstream."""
    settings, problems = read(overrides, environ, config_path)
    if others := [problem for problem in problems if NO_UPSTREAM not in problem]:
        raise model.SettingsError(others)
    return settings


def load_again(
    overrides: Mapping[str, str],
    environ: Mapping[str, str],
    config_path: Path | None,
    running: Mapping[str, typing.Any],
) -> tuple[model.Settings, list[str]]:
    """Load for a running sidelog: settings that need a restart, and those derived from them, keep
    their values.

    The first three arguments are as for `load`; `running` are the settings in effect, as plain
    values.

    Returns: The settings to run with, and the names of changed settings that need a restart.

    Raises:
        SettingsError: with every problem of the given settings, alone or together with those that stay.
    """
    given, problems, found = _read(overrides, environ, config_path)
    if problems:
        raise model.SettingsError(problems)

    merged, kept = merge(running, msgspec.to_builtins(given))
    settings = _effective(msgspec.convert(merged, model.Settings), environ)
    here = found | {name: Given(None, "kept until a restart", is_text=False) for name in kept}

    problems = [_with_origin(name, text, here) for name, text in check(settings)]
    if problems:
        raise model.SettingsError(
            problems + [_with_origin(name, "changes only with a restart", found) for name in kept]
        )

    return settings, kept


def merge(
    old: Mapping[str, typing.Any], new: Mapping[str, typing.Any]
) -> tuple[dict[str, typing.Any], list[str]]:
    """Merge new settings into those of a running sidelog.

    Returns:
        The settings to run with, and the names of changed settings that need a restart.
    """
    merged: dict[str, typing.Any] = json.loads(json.dumps(new))
    kept = []
    for name in NEEDS_RESTART:
        section, _, key = name.rpartition(".")
        before, after = (old[section], merged[section]) if section else (old, merged)
        if after[key] != before[key]:
            kept.append(name)
            after[key] = before[key]

    return merged, kept


def read(
    overrides: Mapping[str, str], environ: Mapping[str, str], config_path: Path | None
) -> tuple[model.Settings, list[str]]:
    """Read settings as `load` does, but replace faulty ones by their default; return them with all
    problems.
    """
    given, problems, _ = _read(overrides, environ, config_path)
    return _effective(given, environ), problems


def _read(
    overrides: Mapping[str, str], environ: Mapping[str, str], config_path: Path | None
) -> tuple[model.Settings, list[str], Found]:
    """Return the given settings without derived values, and the problems they would have in effect."""
    problems: list[str] = []
    found: Found = {}
    if config_path is not None:
        file = from_file(config_path, problems)
    else:
        file = {}
    is_file_lost = bool(problems) and not file

    sources = (
        _built_in(environ),
        file,
        from_environment(environ, problems),
        from_flags(overrides, problems),
    )
    for source in sources:
        # One value: the later list replaces.
        given_anew = tuple(f"{table}[" for table in TABLES if table in source)
        found = {
            name: given for name, given in found.items() if not name.startswith(given_anew)
        } | source

    build = _Build(found, environ, problems)
    values = build.section(model.Settings)
    values["routes"] = tuple(
        build.with_templates(f"routes[{index}]", route)
        for index, route in enumerate(values["routes"])
    )
    values["tokens"], wrong = resolve_tokens(values["tokens"], environ)
    problems += [_with_origin(name, text, found) for name, text in wrong]
    values["data_dir"] = os.path.abspath(values.get("data_dir", model.Settings().data_dir))
    given = model.Settings(**values)

    if not is_file_lost:  # else much would be missing that only could not be read
        # An unread setting has its default here, which can make other settings seem without effect.
        unread = {problem.partition(": ")[0] for problem in problems}
        tables = set(map(_table_of, unread))
        judged = check(_effective(given, environ))
        problems += [
            _with_origin(name, text, found)
            for name, text in judged
            if name not in unread and not (NO_EFFECT in text and _table_of(name) in tables)
        ]

    return given, problems, found


def _table_of(name: str) -> str:
    """Return the list's table that contains a setting, or the setting itself outside of lists."""
    return name[: name.rfind("]") + 1] or name


def _built_in(environ: Mapping[str, str]) -> Found:
    # Systemd gives a list; the first is ours.
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if directory:
        return {"data_dir": Given(directory, "STATE_DIRECTORY", is_text=True)}
    return {}


class _Build:
    """Converts given values, and gathers what is wrong with them."""

    def __init__(self, found: Found, environ: Mapping[str, str], problems: list[str]) -> None:
        self._found = found
        self._environ = environ
        self._problems = problems

    def section(self, section: type[msgspec.Struct], prefix: str = "") -> dict[str, typing.Any]:
        """Convert the given values of one section. Faulty settings keep their default, so that
        checks go on.
        """
        values: dict[str, typing.Any] = {}
        for key, field in fields_of(section).items():
            name = prefix + key
            inner = section_of(field.type)
            if inner is not None:
                values[field.name] = inner(**self.section(inner, f"{name}."))
            elif name in TABLES:
                values[field.name] = self._tables(name)
            elif name in self._found:
                try:
                    value = convert(name, self._found[name], field.type)
                except ValueError as error:
                    self._problems.append(
                        _describe(name, self._found[name], field.type, str(error))
                    )
                    continue
                if traits_of(field.type).reads_environment:
                    value = self._resolved(name, value)
                values[field.name] = value

        return values

    def _tables(self, table: str) -> tuple[msgspec.Struct, ...]:
        """Build a list of tables. A stand-in replaces required settings that are absent or faulty,
        so that the tables keep their index in what the checks say.
        """
        found = self._found
        kind = TABLES[table]
        required = [key for key, field in fields_of(kind).items() if field.required]
        tables = []
        for name in [name for name in found if name.startswith(f"{table}[") and name.endswith("]")]:
            values = self.section(kind, f"{name}.")
            self._problems += [
                f"{name}.{key}: is missing ({found[name].origin})"
                for key in required
                if f"{name}.{key}" not in found
            ]
            tables.append(kind(**(dict.fromkeys(required, _STAND_IN) | values)))

        return tuple(tables)

    def with_templates(self, name: str, route: model.RouteSettings) -> model.RouteSettings:
        """Add the templates of a route's OpenAPI description to its own."""
        if not route.openapi:
            return route
        try:
            templates = read_templates(Path(route.openapi))
        except ValueError as error:
            self._problems.append(_with_origin(f"{name}.openapi", str(error), self._found))
            return route

        return msgspec.structs.replace(route, endpoints=route.endpoints + templates)

    def _resolved(self, name: str, value: typing.Any) -> typing.Any:
        """Return the value of a setting, with `env:NAME` replaced from the environment."""
        if isinstance(value, dict):
            return {key: self._variable(name, key, text) for key, text in value.items()}
        return self._variable(name, name.rpartition(".")[2], value)

    def _variable(self, name: str, key: str, text: str) -> str:
        variable = text.removeprefix("env:")
        if variable == text:
            return text
        if variable not in self._environ:
            origin = self._found[name].origin
            self._problems.append(f"{name}: the environment has no {variable} for {key} ({origin})")
        return self._environ.get(variable, "")


def _effective(settings: model.Settings, environ: Mapping[str, str]) -> model.Settings:
    """Fill in derived settings: default route, level of each route, networks, retention."""
    routes = settings.routes
    if settings.proxy.upstream:
        routes += (model.RouteSettings(id="default", upstream=settings.proxy.upstream),)
    return msgspec.structs.replace(
        settings,
        # The sidecars that make records decide how long they are kept.
        retention=settings.retention if settings.proxy.data_port else model.KEEP_ALL,
        proxy=msgspec.structs.replace(
            settings.proxy, trusted_proxies=networks_of(settings.proxy.trusted_proxies)
        ),
        egress=_effective_egress(settings.egress, environ),
        routes=tuple(
            msgspec.structs.replace(
                route,
                capture=route.capture or settings.capture.level,
                via=route.via or _via_of(route, environ),
            )
            for route in routes
        ),
    )


def _effective_egress(
    egress: model.EgressSettings, environ: Mapping[str, str]
) -> model.EgressSettings:
    if not egress.listen:
        return egress
    proxy, excepted = proxy_in(environ)
    # As in curl, HTTP_PROXY is not read: in a CGI program a client's field `Proxy` sets it.
    http_proxy = environ.get("http_proxy", "")
    return msgspec.structs.replace(
        egress,
        clients=networks_of(egress.clients),
        via=egress.via or proxy,
        http_via=egress.http_via or egress.via or http_proxy,
        no_via=egress.no_via or excepted,
    )


def _via_of(route: model.RouteSettings, environ: Mapping[str, str]) -> str:
    try:
        return via_for(parse_upstream(route.upstream), *proxy_in(environ))
    except ValueError:  # reported by the checks
        return ""


def _describe(name: str, given: Given, kind: typing.Any, what: str) -> str:
    if traits_of(kind).hide:
        shown = ""
    else:
        shown = f", got {_shortened(given.value)}"
    return f"{name}: {what[:1].lower()}{what[1:]}{shown} ({given.origin})"


def _shortened(value: object) -> str:
    if isinstance(value, bool):
        text = str(value).lower()
    else:
        text = without_credentials(repr(value))
    if len(text) <= 80:
        return text
    return f"{text[:77]}..."


def _with_origin(name: str, text: str, found: Found) -> str:
    """Add a setting's origin; a part of the setting (`x.headers.set_request`) or its table may have
    it.

    Values are not shown, since any may be an address with a password.
    """
    what, got, shown = text.partition(", got ")
    text = what + got + without_credentials(shown)
    given = found.get(name) or found.get(name.rpartition(".")[0])
    if given is None and name == "routes":  # there are none, and so no default that could be wrong
        return f"{name}: {text}"
    return f"{name}: {text} ({given.origin if given else 'default'})"
