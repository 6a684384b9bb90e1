"""`sidelog keys`: over a real admin port, with a store in memory."""

import json
from datetime import UTC, datetime

import pytest

from proxy.cli.commands.keys import moment
from proxy.cli.commands.output import CommandError
from tests.proxy.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("admin")


def test_a_key_is_created_listed_switched_and_deleted(run: Run) -> None:
    """The secret stands alone on stdout, once; a key is found by its name or id."""
    printed = run("keys create 'Production Key' --scope agent --project shop --expires 30d")
    secret = printed.out.strip()
    assert secret.startswith("sk_")
    assert "Production Key" in printed.err
    assert secret not in printed.err
    table = run("keys list").out
    assert "Production Key" in table
    assert f"····{secret[-4:]}" in table
    assert "active" in table
    assert secret not in table
    assert run("keys disable 'Production Key'").out.startswith("disabled key")
    (key,) = json.loads(run("keys list --json").out)
    assert key | {"disabled": True, "scopes": ["agent"], "agents": "all", "project": "shop"} == key
    assert json.loads(run(f"keys enable {key['id']} --json").out)["disabled"] is False
    assert run(f"keys delete {key['id']}").out.startswith("deleted key")
    assert run("keys list").err.strip() == "no keys"


def test_json_has_the_secret_beside_the_key(run: Run) -> None:
    """For programs, the answer of the API as it is."""
    key = json.loads(run("keys create n --agent a --agent b --disabled --user ann --json").out)
    assert key["secret"].startswith("sk_")
    assert key | {"agents": ["a", "b"], "disabled": True, "user_id": "ann"} == key
    assert json.loads(run("keys delete n --json").out) == {"deleted": key["id"]}


def test_mistakes_are_one_line(run: Run) -> None:
    """An unknown key, an ambiguous name, and what the API refuses."""
    assert "no keys are named 'nobody'" in run("keys disable nobody", code=1).err
    for _ in range(2):
        run("keys create twin")
    assert "2 keys are named 'twin'" in run("keys delete twin", code=1).err
    for expires, said in (
        ("soon", "--expires is 'soon', expected a time such as 2026-11-20T10:32Z, or one from"),
        (
            "30",
            "--expires is '30', expected a number with a unit (s, m, h, d or w), such as 30d",
        ),
        ("2e3", "--expires is '2e3', expected a time such as 2026-11-20T10:32Z, or one from"),
        ("2026-13-01", "expires_at is '2026-13-01'"),
    ):
        assert said in run(f"keys create n --expires {expires}", code=2).err


def test_names_cannot_move_the_cursor(run: Run) -> None:
    """A direction override in a name is shown, not obeyed."""
    run("keys create", "a\u202eb")
    assert "a\\u202eb" in run("keys list").out


def test_an_age_is_a_time_from_now() -> None:
    """A time is passed on for the API to judge."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment("12h", now) == "2026-01-01T12:00:00+00:00"
    assert moment("2w", now) == "2026-01-15T00:00:00+00:00"
    assert moment("1d12h", now) == "2026-01-02T12:00:00+00:00"
    assert moment("2030-01-01", now) == "2030-01-01"
    with pytest.raises(CommandError, match="10000"):
        moment("999999w", now)
