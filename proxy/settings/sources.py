"""The three sources of settings, each flattened to dotted names with value and origin.

The declared structs are walked together with the given values, so unknown names are found here.
Names are dotted (`proxy.limits.max_headers`, `routes[0].path`). The line of a TOML key is found by
scanning the text, because the TOML reader of the standard library does not keep it; if the scan
fails, only the file is named.
"""

import difflib
import re
import tomllib
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from proxy.process.files import read_file
from proxy.settings.flags import FLAGS
from proxy.settings.model import (
    AdminHostSettings,
    AlertSettings,
    CaptureRuleSettings,
    PriceSettings,
    RouteSettings,
    Settings,
    TokenSettings,
)
from proxy.settings.redact_rules import Rule

TABLES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "routes": RouteSettings,
    "tokens": TokenSettings,
    "alerts": AlertSettings,
    "admin_hosts": AdminHostSettings,
    "capture.rules": CaptureRuleSettings,
    "llm.prices": PriceSettings,
    "redact.rules": Rule,
}
"""Settings that are lists of tables: each table is flattened under its index, `routes[0]`."""
ENV_PREFIX: Final = "SIDELOG_"
MAX_SUGGESTIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was given."""

    value: object
    origin: str
    """`file:line`, the environment variable or the flag."""
    is_text: bool
    """Whether it is text still to be read as the setting's type."""


Found = dict[str, Given]
"""Dotted setting → what was given."""


def section_of(kind: object) -> type[msgspec.Struct] | None:
    """Return the struct of a field that is a section, None for a leaf."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return None


def fields_of(section: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(section)}


def leaves(
    section: type[msgspec.Struct] = Settings, prefix: str = ""
) -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Yield every declared setting under its dotted name; a list of tables comes as one name, such
    as `routes`.
    """
    for field in msgspec.structs.fields(section):
        inner = section_of(field.type)
        if inner is None:
            yield prefix + field.encode_name, field
        else:
            yield from leaves(inner, f"{prefix}{field.encode_name}.")


def from_file(path: Path, problems: list[str]) -> Found:
    """Read a TOML file; what cannot be read is a problem, not an exception."""
    try:
        # Some editors begin a file with a byte order mark.
        text = read_file(path).decode("utf-8-sig")
        tree = tomllib.loads(text)
    except OSError as error:
        problems.append(f"cannot read the configuration file {path}: {error.strerror}")
        return {}
    except UnicodeDecodeError:
        problems.append(f"{path}: is not UTF-8")
        return {}
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path}: is not TOML: {error}")
        return {}

    lines = key_lines(text)

    def origin(name: str) -> str:
        line = lines.get(name)
        if line:
            return f"{path}:{line}"
        return str(path)

    found: Found = {}
    if "data_dir" in tree:
        problems.append(
            "data_dir: is given by --data-dir or SIDELOG_DATA_DIR, not in a file "
            f"({origin('data_dir')})"
        )
        del tree["data_dir"]

    _flatten(Settings, tree, "", origin, found, problems)
    return found


def from_environment(environ: Mapping[str, str], problems: list[str]) -> Found:
    """Pick the settings out of an environment.

    Names without a double underscore that are no setting are left alone: Kubernetes sets
    `SIDELOG_PORT` and the like for a service called sidelog. Only those that are a setting but for
    the second underscore are refused: else `SIDELOG_LOG_LEVEL` would have no effect, without a
    word.
    """
    known = dict(leaves())
    misspelt = {_variable(name).replace("__", "_"): name for name in known if "." in name}
    found: Found = {}

    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX):
            continue
        name = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".")
        if name in TABLES:
            _tables_from_text(name, text, variable, found, problems)
        elif name in known:
            found[name] = Given(text, variable, is_text=True)
        elif variable in misspelt and not name.endswith("_port"):
            # One that Kubernetes sets for a service.
            meant = misspelt[variable]
            problems.append(
                f"{meant}: expected two underscores between levels, as in {_variable(meant)} "
                f"({variable})"
            )
        elif "." in name:
            problems.append(f"{name}: {_unknown(name, name, known)} ({variable})")

    return found


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper().replace(".", "__")


def from_flags(overrides: Mapping[str, str], problems: list[str]) -> Found:
    known = {name for name, _ in leaves()} - TABLES.keys()
    found: Found = {}
    for name, text in overrides.items():
        if name in FLAGS:
            origin = FLAGS[name].option
        else:
            origin = "command line"
        if name in known:
            found[name] = Given(text, origin, is_text=True)
        else:
            problems.append(f"{name}: {_unknown(name, name, known)} ({origin})")

    return found


def parse_text(text: str) -> object:
    """Read a list or table given as text: JSON, else a TOML value.

    Raises:
        ValueError: it is neither.
    """
    try:
        return typing.cast(object, msgspec.json.decode(text))
    except msgspec.DecodeError:
        pass

    try:
        return typing.cast(object, tomllib.loads(f"value = {text}")["value"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ValueError('expected JSON or a TOML value, such as ["a", "b"]') from error


_TABLE: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)


def key_lines(text: str) -> dict[str, int]:
    """Find the line (from 1) of each key and table header of a TOML text, by dotted name; the first
    one counts.
    """
    lines: dict[str, int] = {}
    arrays: dict[str, int] = {}
    prefix = ""

    for number, line in enumerate(text.splitlines(), 1):
        if table := _TABLE.match(line):
            name = _plain(table[2])
            first, dot, rest = name.partition(".")
            if dot and first in arrays:  # [routes.limits] belongs to the last of [[routes]]
                name = f"{first}[{arrays[first]}].{rest}"
            if table[1] == "[[":
                arrays[name] = arrays.get(name, -1) + 1
                name = f"{name}[{arrays[name]}]"
            lines.setdefault(name, number)
            prefix = f"{name}."
        elif key := _KEY.match(line):
            lines.setdefault(prefix + _plain(key[1]), number)

    return lines


def _plain(name: str) -> str:
    return re.sub(r"\s*\.\s*", ".", name.replace('"', "").replace("'", "").strip())


def _flatten(
    section: type[msgspec.Struct],
    tree: Mapping[str, object],
    prefix: str,
    origin: Callable[[str], str],
    found: Found,
    problems: list[str],
) -> None:
    known = fields_of(section)
    for key, value in tree.items():
        name = prefix + key
        if key not in known:
            problems.append(f"{name}: {_unknown(name, key, known)} ({origin(name)})")
        elif name in TABLES:
            _flatten_tables(name, value, origin, found, problems)
        elif (inner := section_of(known[key].type)) is None:
            found[name] = Given(value, origin(name), is_text=False)
        elif isinstance(value, dict):
            _flatten(inner, value, f"{name}.", origin, found, problems)
        else:
            header = re.sub(r"\[\d+\]", "", name)  # of `routes[0].limits`: [routes.limits]
            problems.append(f"{name}: expected a table, as in [{header}] ({origin(name)})")


def _flatten_tables(
    name: str, value: object, origin: Callable[[str], str], found: Found, problems: list[str]
) -> None:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        problems.append(f"{name}: expected a list of tables, as in [[{name}]] ({origin(name)})")
        return
    found[name] = Given(None, origin(name), is_text=False)
    for index, table in enumerate(value):
        place = f"{name}[{index}]"
        found[place] = Given(None, origin(place), is_text=False)
        _flatten(TABLES[name], table, f"{place}.", origin, found, problems)


def _tables_from_text(
    name: str, text: str, variable: str, found: Found, problems: list[str]
) -> None:
    try:
        value = parse_text(text)
    except ValueError as error:
        problems.append(f"{name}: {error} ({variable})")
        return
    _flatten_tables(name, value, lambda _: variable, found, problems)


def _unknown(name: str, key: str, known: typing.Iterable[str]) -> str:
    """Return the message for an unknown setting, with the setting that may be meant."""
    return f"unknown setting{_elsewhere(name) or _suggestion(key, known)}"


def _elsewhere(name: str) -> str:
    """Suggest the settings of that name in other sections: `proxy.limits.max_headers` for
    `proxy.max_headers`.
    """
    owner, _, key = name.rpartition(".")
    table = TABLES.get(owner.partition("[")[0])
    if table:
        known = leaves(table, f"{owner.partition('.')[0]}.")
    else:
        known = leaves()
    same = [other for other, _ in known if other.rpartition(".")[2] == key]
    if 0 < len(same) <= MAX_SUGGESTIONS:
        return f"; did you mean {' or '.join(same)}?"

    return ""


def _suggestion(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    if near:
        return f"; did you mean {near[0]}?"
    return ""
