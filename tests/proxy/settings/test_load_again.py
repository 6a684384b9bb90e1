"""What of new settings a running sidelog takes over, and what is refused together with what it
keeps.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.settings.load import NEEDS_RESTART, load, load_again, merge
from proxy.settings.model import (
    KEEP_ALL,
    ProxySettings,
    RetentionSettings,
    RouteSettings,
    Settings,
    SettingsError,
    freeze,
    thaw,
)
from proxy.settings.sources import leaves
from tests.support.cases import each_of

ROUTE = '[[routes]]\nid = "a"\nupstream = "%s"\n'
APP = ROUTE % "http://app:3000"


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as the supervisor has them."""
    shown: dict[str, Any] = json.loads(freeze(settings))
    return shown


def reload(directory: Path, before: str, after: str) -> tuple[Settings, list[str]]:
    """Start with one file, and load again when it is another."""
    path = directory / "sidelog.toml"
    path.write_text(before)
    running = plain(load({}, {}, path))
    path.write_text(after)
    load({}, {}, path)  # by itself it is valid
    return load_again({}, {}, path, running)


def test_what_needs_a_restart_are_settings() -> None:
    """Each name is one that is declared."""
    assert set(NEEDS_RESTART) <= {name for name, _ in leaves()}


@each_of("name", NEEDS_RESTART)
def test_what_needs_a_restart_stays_and_is_named(name: str) -> None:
    """The rest of the new settings is taken over; neither argument changes."""
    old = plain(Settings())
    new = plain(
        Settings(
            proxy=ProxySettings(stage="new"), routes=(RouteSettings(id="a", upstream="http://a"),)
        )
    )
    section, _, key = name.rpartition(".")
    (new[section] if section else new)[key] = "other"
    before = json.dumps([old, new])
    merged, kept = merge(old, new)
    assert kept == [name]
    assert (merged[section] if section else merged)[key] == (old[section] if section else old)[key]
    assert (merged["proxy"]["stage"], len(merged["routes"])) == ("new", 1)
    assert json.dumps([old, new]) == before
    thaw(json.dumps(merged).encode())


@pytest.mark.parametrize(
    ("before", "after", "problem", "kept"),
    [
        (
            f'{APP}[admin]\nlisten = "0.0.0.0:8090"\n',
            f'{APP}[admin]\nlisten = "127.0.0.1:8090"\nauth = "off"\n',
            "admin.auth: `off` is accepted only on a loopback address, admin.listen is "
            "'0.0.0.0:8090' ({path}:6)",
            "admin.listen: changes only with a restart ({path}:5)",
        ),
        (
            f'{APP}[proxy]\nlisten = "127.0.0.1:8080"\n',
            f'{ROUTE % "http://127.0.0.1:8080"}[proxy]\nlisten = "127.0.0.1:9000"\n',
            "routes[0].upstream: is this proxy's own address, got 'http://127.0.0.1:8080' "
            "({path}:3)",
            "proxy.listen: changes only with a restart ({path}:5)",
        ),
        (
            APP,
            f'{APP}[otel]\nendpoint = "http://127.0.0.1:8090"\n[admin]\nlisten = '
            '"127.0.0.1:8091"\n',
            "otel.endpoint: is this proxy's own address",
            "admin.listen: changes only with a restart ({path}:7)",
        ),
        (
            APP,
            "[proxy]\ndata_port = false\n",
            "routes: no upstream configured: use --upstream URL or add [[routes]]",
            "proxy.data_port: changes only with a restart ({path}:2)",
        ),
    ],
)
def test_what_contradicts_a_setting_that_stays_is_refused(
    tmp_path: Path, before: str, after: str, problem: str, kept: str
) -> None:
    """The settings are checked as they would be in effect; what stays is named with what it
    contradicts.
    """
    with pytest.raises(SettingsError) as caught:
        reload(tmp_path, before, after)
    path = tmp_path / "sidelog.toml"
    assert caught.value.problems[0].startswith(problem.format(path=path))
    assert kept.format(path=path) in caught.value.problems[1:]


def test_a_setting_that_stays_and_is_wrong_is_not_blamed_on_the_new_one(tmp_path: Path) -> None:
    """The directory of the rings is gone: the line of the file that names another one is not what
    is wrong.
    """
    old = tmp_path / "old"
    new = tmp_path / "new"
    new.mkdir()
    running = plain(load({"proxy.upstream": "http://app"}, {}, None))
    running["ring"]["directory"] = str(old)
    path = tmp_path / "sidelog.toml"
    path.write_text(f'{APP}[ring]\ndirectory = "{new}"\n')
    with pytest.raises(SettingsError) as caught:
        load_again({}, {}, path, running)
    assert caught.value.problems == [
        f"ring.directory: is not a directory, got {str(old)!r} (kept until a restart)",
        f"ring.directory: changes only with a restart ({path}:5)",
    ]


def test_what_is_wrong_by_itself_is_refused_even_if_it_were_not_taken(tmp_path: Path) -> None:
    """The next start would fail with it."""
    path = tmp_path / "sidelog.toml"
    path.write_text(f'{APP}[storage]\nurl = "oracle://x"\n')
    with pytest.raises(SettingsError, match="unknown store 'oracle'"):
        load_again({}, {}, path, plain(load({"proxy.upstream": "http://app"}, {}, None)))


@pytest.mark.parametrize("has_data_port", [False, True])
def test_what_follows_from_a_setting_that_stays_stays_with_it(
    tmp_path: Path, has_data_port: bool
) -> None:
    """A viewer never deletes what others record; a recorder goes on deleting what is too old, as it
    is told now.
    """
    text = APP + "[proxy]\ndata_port = %s\n[retention]\nmax_age_days = %d\n"
    before = text % (str(has_data_port).lower(), 3)
    after = text % (str(not has_data_port).lower(), 5)
    settings, kept = reload(tmp_path, before, after)
    assert (settings.proxy.data_port, kept) == (has_data_port, ["proxy.data_port"])
    assert settings.retention == (RetentionSettings(max_age_days=5) if has_data_port else KEEP_ALL)


def test_the_default_route_and_the_levels_are_there_once(tmp_path: Path) -> None:
    """What is derived from the new settings is what a start would derive."""
    text = (
        '[proxy]\nupstream = "http://app"\ntrusted_proxies = ["private"]\n[capture]\nlevel = '
        '"meta"\n'
    )
    settings, kept = reload(tmp_path, APP, text)
    assert kept == []
    assert settings == load({}, {}, tmp_path / "sidelog.toml")
    assert [(route.id, route.capture) for route in settings.routes] == [("default", "meta")]
