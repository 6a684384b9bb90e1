"""deploy/example.toml, written from the settings' declarations: `python -m
tests.support.example_config`.

Every table and setting with its default and help, in the order declared. `[[tokens]]` and the like
are commented out; one of `[[routes]]` is written, because a configuration without any is not valid.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import FieldInfo

from proxy.settings.model import (
    AdminHostSettings,
    AlertSettings,
    CaptureRuleSettings,
    LimitSettings,
    PriceSettings,
    RouteSettings,
    Settings,
    TokenSettings,
)
from proxy.settings.redact_rules import Rule
from proxy.settings.sources import fields_of, section_of

EXAMPLE: Final = Path(__file__).parents[2] / "deploy" / "example.toml"
COLUMN: Final = 40
"""Of the help."""
WIDTH: Final = 120
HEAD: Final = """\
# Every setting of sidelog with its default. Precedence: this file < environment < flags.
# Environment: SIDELOG_ and the dotted name in capitals, two underscores between levels (SIDELOG_PROXY__LISTEN); lists
# and tables as JSON or TOML values. The data directory is set by --data-dir or SIDELOG_DATA_DIR.
# `sidelog config check --config FILE` reports every mistake at once; `sidelog config show` prints what is in effect.
"""
TABLES: Final[Mapping[str, tuple[type[msgspec.Struct], Mapping[str, object], str]]] = {
    "tokens": (
        TokenSettings,
        {"name": "grafana", "token": "file:/run/secrets/grafana", "projects": ("proj_a",)},
        "# ",
    ),
    "alerts": (
        AlertSettings,
        {
            "name": "checkout fails",
            "url": "env:ALERT_URL",
            "query": "path:/api/checkout",
            "figure": "share",
        }
        | {"of": "status:5xx", "above": 0.05},
        "# ",
    ),
    "admin_hosts": (
        AdminHostSettings,
        {"name": "proj-a.logs.example", "projects": ("proj_a",)},
        "# ",
    ),
    "capture.rules": (CaptureRuleSettings, {"query": "path:/healthz", "share": 0.0}, "# "),
    "llm.prices": (
        PriceSettings,
        {"model": "acme-*", "since": "2026-03-01", "input_usd": 2.5, "output_usd": 10},
        "# ",
    ),
    "redact.rules": (
        Rule,
        {
            "id": "acme-key",
            "of": "Acme",
            "literals": ("acme_",),
            "regex": "acme_[a-z0-9]{16}",
            "check": "not-words",
        }
        | {"examples": ("acme_9k2mz0q8xw7v1c5b",), "no-examples": ("acme_yourkeyisputhere",)},
        "# ",
    ),
    "routes": (RouteSettings, {"id": "app", "upstream": "http://127.0.0.1:3000"}, ""),
}
"""List of tables → its struct, values of the example, and what each of its lines begins with."""

DEFAULT_LIMITS: Final = msgspec.structs.asdict(LimitSettings())
"""What stands for limits that a route leaves out."""


def render() -> str:
    """Return the text of the file."""
    lines = [HEAD.rstrip()]
    for name, field in fields_of(Settings).items():
        if (section := section_of(field.type)) is not None:
            lines += _section(name, section)
        elif name in TABLES:
            lines += _tables(name)
            for key, inner in fields_of(TABLES[name][0]).items():
                if (limits := section_of(inner.type)) is not None:
                    lines += [
                        _header(f"[{name}.{key}]", limits),
                        *_settings(limits, DEFAULT_LIMITS),
                    ]

    return "\n".join(lines) + "\n"


def _section(name: str, section: type[msgspec.Struct]) -> Iterator[str]:
    yield ""
    yield _header(f"[{name}]", section)
    yield from _settings(section, {}, name)

    for key, field in fields_of(section).items():
        if f"{name}.{key}" in TABLES:
            yield from _tables(f"{name}.{key}")
        elif (inner := section_of(field.type)) is not None:
            yield from _section(f"{name}.{key}", inner)


def _tables(name: str) -> Iterator[str]:
    struct, values, mark = TABLES[name]
    yield ""
    yield from (
        mark + line for line in (_header(f"[[{name}]]", struct), *_settings(struct, values))
    )


def _header(header: str, section: type[msgspec.Struct]) -> str:
    help_text = " ".join(str(section.__doc__).split()).partition(": ")[2].removesuffix(".")
    return f"{header:{COLUMN}}# {help_text}"


def _settings(
    section: type[msgspec.Struct], values: Mapping[str, object], name: str = ""
) -> Iterator[str]:
    for key, field in fields_of(section).items():
        if section_of(field.type) is not None or f"{name}.{key}" in TABLES:
            continue
        value = values[key] if key in values else _default(field)
        setting = f"# {key} =" if value is None else f"{key} = {_toml(value)}"  # TOML has no null
        # Twice "# ": of the help, and of a table that is commented out.
        first, *more = textwrap.wrap(_help(field), WIDTH - COLUMN - 4)
        yield f"{setting:{COLUMN - 2}}  # {first}"
        yield from (f"{'':{COLUMN}}# {line}" for line in more)


def _help(field: FieldInfo) -> str:
    return str(field.type.__metadata__[-1].description)


def _default(field: FieldInfo) -> object:
    if field.default is msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    EXAMPLE.write_text(render())
