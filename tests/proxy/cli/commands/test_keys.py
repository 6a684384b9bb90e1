"""`sidelog keys`: over a real admin port, with a store in memory."""

import json
from datetime import UTC, datetime

import pytest

from proxy.cli import app
from proxy.cli.commands.keys import moment
from proxy.cli.commands.output import CommandError
from tests.support.memory_store import MemoryStorage


def run(*arguments: str) -> int:
    """Run one command."""
    return app.main(["keys", *arguments])


def test_a_key_is_created_listed_switched_and_deleted(
    admin: MemoryStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The secret stands alone on stdout, once; a key is found by its name or id."""
    assert (
        run("create", "Production Key", "--scope", "agent", "--project", "shop", "--expires", "30d")
        == 0
    )
    printed = capsys.readouterr()
    secret = printed.out.strip()
    assert secret.startswith("sk_")
    assert "Production Key" in printed.err
    assert secret not in printed.err
    assert run("list") == 0
    table = capsys.readouterr().out
    assert "Production Key" in table
    assert f"····{secret[-4:]}" in table
    assert "active" in table
    assert secret not in table
    assert run("disable", "Production Key") == 0
    assert capsys.readouterr().out.startswith("disabled key")
    assert run("list", "--json") == 0
    (key,) = json.loads(capsys.readouterr().out)
    assert (key["disabled"], key["scopes"], key["agents"], key["project"]) == (
        True,
        ["agent"],
        "all",
        "shop",
    )
    assert run("enable", key["id"], "--json") == 0
    assert json.loads(capsys.readouterr().out)["disabled"] is False
    assert run("delete", key["id"]) == 0
    assert capsys.readouterr().out.startswith("deleted key")
    assert run("list") == 0
    assert capsys.readouterr().err.strip() == "no keys"


def test_json_has_the_secret_beside_the_key(
    admin: MemoryStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    """For programs, the answer of the API as it is."""
    assert (
        run("create", "n", "--agent", "a", "--agent", "b", "--disabled", "--user", "ann", "--json")
        == 0
    )
    key = json.loads(capsys.readouterr().out)
    assert key["secret"].startswith("sk_")
    assert (key["agents"], key["disabled"], key["user_id"]) == (["a", "b"], True, "ann")
    assert run("delete", "n", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": key["id"]}


def test_mistakes_are_one_line(admin: MemoryStorage, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown key, an ambiguous name, and what the API refuses."""
    assert run("disable", "nobody") == 1
    assert "no keys are named 'nobody'" in capsys.readouterr().err
    for _ in range(2):
        assert run("create", "twin") == 0
    capsys.readouterr()
    assert run("delete", "twin") == 1
    assert "2 keys are named 'twin'" in capsys.readouterr().err
    assert run("create", "n", "--expires", "soon") == 2
    assert (
        "--expires is 'soon', expected a time such as 2026-11-20T10:32Z, or one from"
        in capsys.readouterr().err
    )
    assert run("create", "n", "--expires", "30") == 2
    assert (
        "--expires is '30', expected a number with a unit (s, m, h, d or w), such as 30d"
        in capsys.readouterr().err
    )
    assert run("create", "n", "--expires", "2026-13-01") == 2
    assert "expires_at is '2026-13-01'" in capsys.readouterr().err


def test_names_cannot_move_the_cursor(
    admin: MemoryStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    """A direction override in a name is shown, not obeyed."""
    assert run("create", "a\u202eb") == 0
    assert run("list") == 0
    assert "a\\u202eb" in capsys.readouterr().out


def test_an_age_is_a_time_from_now() -> None:
    """A time is passed on for the API to judge."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment("12h", now) == "2026-01-01T12:00:00+00:00"
    assert moment("2w", now) == "2026-01-15T00:00:00+00:00"
    assert moment("1d12h", now) == "2026-01-02T12:00:00+00:00"
    assert moment("2030-01-01", now) == "2030-01-01"
    with pytest.raises(CommandError, match="10000"):
        moment("999999w", now)
