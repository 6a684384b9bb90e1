"""What of new settings a running sidelog takes over."""

import json
from typing import Any

import msgspec
import pytest

from proxy.settings.model import ProxySettings, RouteSettings, Settings, thaw
from proxy.settings.sources import leaves
from proxy.supervisor.reload import NEEDS_RESTART, merge


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as the supervisor has them."""
    shown: dict[str, Any] = json.loads(msgspec.json.encode(settings))
    return shown


def test_what_needs_a_restart_are_settings() -> None:
    """Each name is one that is declared."""
    assert set(NEEDS_RESTART) <= {name for name, _ in leaves()}


@pytest.mark.parametrize("name", NEEDS_RESTART)
def test_what_needs_a_restart_stays_and_is_named(name: str) -> None:
    """The rest of the new settings is taken over; neither argument changes."""
    old = plain(Settings())
    new = plain(Settings(proxy=ProxySettings(stage="new"), routes=(RouteSettings(id="a", upstream="http://a"),)))
    section, _, key = name.rpartition(".")
    (new[section] if section else new)[key] = "other"
    before = json.dumps([old, new])
    merged, kept = merge(old, new)
    assert kept == [name]
    assert (merged[section] if section else merged)[key] == (old[section] if section else old)[key]
    assert (merged["proxy"]["stage"], len(merged["routes"])) == ("new", 1)
    assert json.dumps([old, new]) == before
    thaw(json.dumps(merged).encode())
