"""What of new settings a running sidelog takes over."""

import json
import logging
import os
import resource
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from proxy.settings.model import ProxySettings, RouteSettings, Settings, thaw
from proxy.settings.sources import leaves
from proxy.supervisor.children import Shared
from proxy.supervisor.reload import NEEDS_RESTART, Reload, merge


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


def test_no_descriptor_for_a_reload_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    """The kernel may have none to give: what runs goes on with the settings of before."""
    refused: list[object] = []
    shared = cast(Shared, SimpleNamespace(settings=plain(Settings())))
    reload = Reload(shared, -1, lambda _: None, lambda *_: None, refused.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_fd = os.dup(0)
    os.close(next_fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_fd, hard))
    try:
        with caplog.at_level(logging.ERROR):
            reload.request()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert refused == [[]]
    assert "Too many open files" in caplog.text
