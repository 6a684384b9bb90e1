"""The credentials of the admin port are the data directory's token and those of the settings."""

from hashlib import sha256
from pathlib import Path

import pytest

from proxy.collector.admin_port import cookie_mark, credentials_of, scope_of
from proxy.collector.admin_token import AdminToken
from proxy.process.data_dir import LOCK_FILE
from proxy.settings.model import AdminHostSettings, AdminSettings, Settings, TokenSettings

READER = TokenSettings(
    name="grafana", token="sha256:" + sha256(b"reader-token").hexdigest(), projects=("p",)
)


@pytest.fixture
def token(tmp_path: Path) -> AdminToken:
    """The token of a data directory."""
    (tmp_path / "admin-token").write_text("admin-token-of-it\n")
    return AdminToken(tmp_path, "admin-token-of-it")


def test_each_token_stands_for_its_principal(token: AdminToken) -> None:
    """The admin's sees everything, a configured one its scope, any other nothing."""
    credentials = credentials_of(Settings(tokens=(READER,)), token)
    admin = credentials.find("admin-token-of-it")
    reader = credentials.find("reader-token")
    assert admin is not None
    assert admin.principal.is_unrestricted
    assert reader is not None
    assert (reader.principal.name, reader.principal.role) == ("grafana", "reader")
    assert reader.principal.scope.projects == ("p",)
    assert credentials.find("other") is None


def test_authentication_can_be_off(token: AdminToken) -> None:
    """Then nobody is asked; the settings allow it on loopback only."""
    assert credentials_of(
        Settings(admin=AdminSettings(auth="off"), tokens=(READER,)), token
    ).are_off


def test_a_name_carries_its_scope() -> None:
    """What is listed for a host name is what is shown under it."""
    scope = scope_of(AdminHostSettings(name="a.example", containers=("c",), clients=("o",)))
    assert (scope.projects, scope.containers, scope.clients) == ((), ("c",), ("o",))


def test_the_cookie_keeps_its_name(tmp_path: Path) -> None:
    """It follows from the id of the data directory; where that cannot be read, from its place."""
    (tmp_path / LOCK_FILE).write_text("0123456789abcdef")
    mark = cookie_mark(tmp_path)
    assert (len(mark), cookie_mark(tmp_path)) == (12, mark)
    (tmp_path / LOCK_FILE).write_text("fedcba9876543210")
    assert cookie_mark(tmp_path) != mark
    assert cookie_mark(tmp_path / "a") != cookie_mark(tmp_path / "b")
