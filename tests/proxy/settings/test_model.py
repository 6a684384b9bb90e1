"""Settings as values: defaults, freezing, what is shown; and the example file that documents them."""

import re
import tomllib

import msgspec
import pytest
from msgspec.structs import FieldInfo

from proxy.settings.load import load
from proxy.settings.model import (
    HeaderSettings,
    RouteSettings,
    Settings,
    SettingsError,
    freeze,
    redacted,
    thaw,
)
from proxy.settings.sources import TABLES, fields_of, leaves
from tests.support.cases import each_of
from tests.support.example_config import EXAMPLE, WIDTH, render
from tests.support.example_config import TABLES as EXAMPLE_TABLES


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Flatten tables to dotted names; lists and inline tables of the routes stay values."""
    out: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value

    return out


def default_of(field: FieldInfo) -> object:
    """What a setting is when it is not given, as TOML has it."""
    if field.default is msgspec.NODEFAULT:
        return None if field.required else field.default_factory()
    return field.default


def test_example_file_has_every_setting_with_its_default_and_nothing_else() -> None:
    """deploy/example.toml lists exactly the declared settings, each with the declared default."""
    tree = tomllib.loads(EXAMPLE.read_text())
    (route,) = tree.pop("routes")
    declared = {
        name: default_of(field)
        for name, field in leaves()
        if name != "data_dir" and name not in TABLES
    }
    assert tree.pop("llm") == {}
    written = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in flat(tree).items()
    }
    assert written == declared
    fields = fields_of(RouteSettings)
    assert list(route) == list(fields)
    limits = route.pop("limits")
    assert list(limits) == list(fields_of(fields.pop("limits").type))
    assert limits == {name: declared[f"proxy.limits.{name}"] for name in limits}
    assert all(not rule for rule in route.pop("headers").values())
    assert fields.pop("headers").default == HeaderSettings()
    for key, field in fields.items():
        written_value = tuple(route[key]) if isinstance(route[key], list) else route[key]
        assert field.required or written_value == default_of(field)


def test_example_file_is_written_from_the_declarations() -> None:
    """Help and order are those declared; `python -m tests.support.example_config` writes the file
    anew.
    """
    assert EXAMPLE.read_text() == render()
    assert max(map(len, EXAMPLE.read_text().splitlines())) <= WIDTH


def test_example_file_explains_every_table_and_loads() -> None:
    """Each line that sets something obvious or not stands under a commented table, and the file is
    valid.
    """
    settings = load({}, {}, EXAMPLE)
    assert settings.routes[0].id == "app"
    plain = msgspec.structs.replace(settings, routes=(), data_dir="sidelog-data")
    assert plain == Settings()


@each_of("name", EXAMPLE_TABLES)
def test_example_file_explains_every_member_of_a_list_of_tables(name: str) -> None:
    """Also those whose default TOML cannot express: they are written without a value."""
    table = EXAMPLE.read_text().partition(f"[[{name}]]")[2].partition("[[")[0]
    for key, field in fields_of(EXAMPLE_TABLES[name][0]).items():
        if not isinstance(field.type, type):
            help_text = field.type.__metadata__[-1].description
            assert re.search(rf"^(# )*{key} = ?.* # {re.escape(help_text[:20])}", table, re.M), key


def test_every_setting_has_help() -> None:
    """A description is declared with each setting, so that help texts can be derived."""
    for section, prefix in ((Settings, ""), (RouteSettings, "routes.")):
        for name, field in leaves(section, prefix):
            if name != "routes":
                assert field.type.__metadata__[0].description, name


def test_freeze_and_thaw_keep_everything_with_secrets() -> None:
    """What one process freezes another thaws to equal settings, resolved secrets included."""
    settings = load({"proxy.upstream": "http://app:1"}, {}, None)
    route = RouteSettings(
        id="a",
        upstream="unix:/s",
        headers=HeaderSettings(set_request={"authorization": "Bearer s3cret"}),
    )
    settings = msgspec.structs.replace(settings, routes=(route, *settings.routes))
    assert thaw(freeze(settings)) == settings
    assert b"s3cret" in freeze(settings)


def test_shown_settings_have_no_secrets() -> None:
    """Header values and the storage password are hidden, everything else is shown."""
    settings = load({"proxy.upstream": "http://app:1"}, {}, None)
    route = RouteSettings(
        id="a",
        upstream="unix:/s",
        headers=HeaderSettings(set_request={"authorization": "Bearer s3cret"}),
    )
    url = "postgresql://me:hunter2@db/logs"
    storage = msgspec.structs.replace(settings.storage, url=url)
    shown = redacted(msgspec.structs.replace(settings, routes=(route,), storage=storage))
    assert "s3cret" not in repr(shown)
    assert "hunter2" not in repr(shown)
    assert shown["storage"]["url"] == "postgresql://[REDACTED]@db/logs"
    assert shown["routes"][0]["headers"]["set_request"] == {"authorization": "[REDACTED]"}
    assert redacted(settings)["storage"]["url"] == "sqlite:///sidelog.db"


def test_thaw_refuses_what_was_not_frozen() -> None:
    """A foreign document is a validation error, not half-read settings."""
    with pytest.raises(msgspec.ValidationError):
        thaw(b'{"data_dir": 1}')


def test_error_text_joins_all_problems() -> None:
    """The exception's own text holds every problem."""
    assert str(SettingsError(["a", "b"])) == "a; b"
