"""`sidelog keys`: API keys of the proxied service, through the admin API of a running sidelog.

The secret is printed once, alone on its line on stdout, so that a script can take it; everything
else about a new key goes to stderr.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import click

from proxy.cli.command import (
    BARE_NUMBER,
    NUMBER_WITH_UNIT,
    Group,
    argument,
    client_options,
    json_option,
    seconds_in,
)
from proxy.cli.commands.client import Client
from proxy.cli.commands.output import (
    CommandError,
    Result,
    columns_of,
    complain,
    list_result,
    print_table,
    say,
)
from proxy.process.terminal import visible_line

_DATE: Final = re.compile(r"[0-9]{4}-")


def moment(text: str, now: datetime) -> str:
    """Convert a duration (`30d`) to that time from now; leave a time to be parsed by the API.

    Raises:
        CommandError: the text is neither.
    """
    if _DATE.match(text.strip()):
        return text

    expected = "a time such as 2026-11-20T10:32Z, or one from now such as 12h or 30d"
    if text.strip().isdecimal():
        a_time = "or a time such as 2026-11-20T10:32Z"
        expected = f"{NUMBER_WITH_UNIT}, such as {text.strip()}d, {a_time}"
    elif not BARE_NUMBER.fullmatch(text):
        try:
            return (now + timedelta(seconds=seconds_in(text))).isoformat()
        except OverflowError:
            expected = "a time before the year 10000"
        except ValueError:
            pass  # the text is neither

    raise CommandError(f"--expires is {text!r}, expected {expected}", exit_code=2)


class _Keys(Group):
    """Refuses `revoke` with the two commands that it may mean."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "revoke":
            ctx.fail("no such command 'revoke': `keys disable` can be undone, `keys delete` cannot")
        return super().resolve_command(ctx, args)


@click.group(cls=_Keys)
def keys() -> None:
    """API keys of the proxied service."""


_key_argument: Final = argument("key", "Id of a key, or its name if that is unique.")


@keys.command()
@argument("name", "Display name.")
@click.option(
    "--scope",
    metavar="TEXT …",
    multiple=True,
    help="Scope of the key; may be repeated. Default: all.",
)
@click.option(
    "--agent",
    metavar="TEXT …",
    multiple=True,
    help="Agent of the key; may be repeated. Default: all.",
)
@click.option("--expires", help="Expiry: RFC 3339, or relative to now: 12h, 30d. Default: never.")
@click.option("--disabled", is_flag=True, help="Create the key disabled.")
@click.option("--project", help="Project of the records of its requests.")
@click.option("--user", help="User of the records of its requests.")
@client_options
@json_option
def create(
    client: Client,
    name: str,
    scope: tuple[str, ...],
    agent: tuple[str, ...],
    expires: str | None,
    disabled: bool,
    project: str | None,
    user: str | None,
) -> Result:
    """Create a key and print its secret. The secret is not shown again.

    Example: sidelog keys create "Mobile app" --scope agent --expires 30d
    """
    given = {
        "name": name,
        "scopes": scope or None,
        "agents": agent or None,
        "expires_at": None if expires is None else moment(expires, datetime.now(UTC)),
        "disabled": disabled or None,
        "project": project,
        "user_id": user,
    }
    key = client.send_json(
        "POST", "/api/keys", {member: value for member, value in given.items() if value is not None}
    )

    def show(_: object) -> None:
        complain(f"created key {key['id']} ({key['name']}); its secret is not shown again:")
        say(key["secret"])

    return Result(key, show)


@keys.command("list")
@client_options
@json_option
def list_keys(client: Client) -> Result:
    """List the keys.

    Example: sidelog keys list --json
    """
    return list_result(client.get_json("/api/keys")["keys"], "keys", _print_table)


@keys.command()
@_key_argument
@client_options
@json_option
def disable(client: Client, key: str) -> Result:
    """Disable a key. Takes effect within a second.

    Example: sidelog keys disable "Mobile app"
    """
    return _switch(client, key, is_disabled=True)


@keys.command()
@_key_argument
@client_options
@json_option
def enable(client: Client, key: str) -> Result:
    """Enable a key again.

    Example: sidelog keys enable "Mobile app"
    """
    return _switch(client, key, is_disabled=False)


def _switch(client: Client, key: str, *, is_disabled: bool) -> Result:
    found = _find(client, key)
    changed = client.send_json(
        "PATCH", f"/api/keys/{quote(found['id'], safe='')}", {"disabled": is_disabled}
    )
    done = "disabled" if is_disabled else "enabled"
    return Result(changed, f"{done} key {changed['id']} ({changed['name']})")


@keys.command()
@_key_argument
@client_options
@json_option
def delete(client: Client, key: str) -> Result:
    """Delete a key permanently. Records keep its name.

    Example: sidelog keys delete "Mobile app"
    """
    found = _find(client, key)
    client.send_json("DELETE", f"/api/keys/{quote(found['id'], safe='')}")
    return Result({"deleted": found["id"]}, f"deleted key {found['id']} ({found['name']})")


def _find(client: Client, text: str) -> dict[str, Any]:
    """Return the key with an id, or with a name that only one key has."""
    there: list[dict[str, Any]] = client.get_json("/api/keys")["keys"]
    found = [key for key in there if key["id"] == text] or [
        key for key in there if key["name"] == text
    ]
    if len(found) != 1:
        raise CommandError(
            f"{len(found) or 'no'} keys are named {text!r}; `sidelog keys list` shows their ids"
        )

    return found[0]


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    columns = columns_of(
        "id", "name", "secret", "state", "scopes", "agents", "project", "expires", "last used"
    )
    cells = []
    for key in rows:
        expires_at = key["expires_at"]
        is_over = expires_at and datetime.fromisoformat(expires_at) <= datetime.now(UTC)
        if key["disabled"]:
            state = "disabled"
        else:
            state = "expired" if is_over else "active"
        texts = (
            key["id"], key["name"], f"····{key['last4']}", state, _list(key["scopes"]), _list(key["agents"]),
            key["project"], expires_at or "never", key["last_used_at"] or "never",
        )  # fmt: skip
        style = "" if state == "active" else "yellow"
        cells.append([Text(visible_line(text or "-"), style=style) for text in texts])

    whole = ("id", "secret", "state")
    print_table([each._replace(is_wrapped=each.title not in whole) for each in columns], cells)


def _list(values: list[str] | str | None) -> str:
    if values is None:
        return "all"
    if isinstance(values, str):
        return values
    return ", ".join(values) or "none"
