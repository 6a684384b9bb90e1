"""How the supervisor begins a reload."""

import logging
import os
import resource
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from proxy.settings.model import Settings
from proxy.supervisor.children import Shared
from proxy.supervisor.reload import Reload
from proxy.supervisor.ring_room import RingRoom


def test_no_descriptor_for_a_reload_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    """The kernel may have none to give: what runs goes on with the settings of before."""
    refused: list[object] = []
    shared = cast(Shared, SimpleNamespace(settings=msgspec.to_builtins(Settings())))
    room = cast(RingRoom, SimpleNamespace(look=lambda *_: "free", is_waiting=False))
    reload = Reload(shared, -1, room, lambda _: None, lambda *_: None, refused.append, lambda: 0)
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
