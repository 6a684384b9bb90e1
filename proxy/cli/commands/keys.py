"""`sidelog keys`: API keys of the proxied service, through the admin API of a running sidelog.

The secret is printed once, alone on its line on stdout, so that a script can take it; everything
else about a new key goes to stderr.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import click

from proxy.cli.command import Group
from proxy.cli.commands.client import Client
from proxy.cli.commands.output import (
    CommandError,
    complain,
    console,
    report,
    report_list,
)
from proxy.cli.options import argument, client_options, json_option
from proxy.cli.parameter_types import NUMBER_WITH_UNIT
from proxy.process.terminal import visible

_AGE_PART: Final = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)
_AGE: Final = re.compile(rf"(?:{_AGE_PART.pattern})+", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment(text: str, now: datetime) -> str:
    """Convert a duration such as `30d` to that time from now; return other text unchanged, for the
    API to judge.

    Raises:
        CommandError: the text is neither.
    """
    if _AGE.fullmatch(text.strip()) is None:
        if _DATE.match(text.strip()):
            return text
        a_time = "a time such as 2026-11-20T10:32Z, or one from now such as 12h or 30d"
        is_bare = text.strip().isdecimal()
        expected = (
            f"{NUMBER_WITH_UNIT}, such as {text.strip()}d, or a time such as 2026-11-20T10:32Z"
        )
        raise CommandError(
            f"--expires is {text!r}, expected {expected if is_bare else a_time}", exit_code=2
        )

    try:
        seconds = sum(int(number) * _UNIT_S[unit] for number, unit in _AGE_PART.findall(text))
        return (now + timedelta(seconds=seconds)).isoformat()
    except OverflowError as error:
        raise CommandError(
            f"--expires is {text!r}, expected a time before the year 10000", exit_code=2
        ) from error


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
@json_option
@client_options
def create(
    client: Client,
    name: str,
    scope: tuple[str, ...],
    agent: tuple[str, ...],
    expires: str | None,
    disabled: bool,
    project: str | None,
    user: str | None,
    as_json: bool,
) -> int:
    """Create a key and print its secret, which is not shown again.

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
    if not as_json:
        complain(
            f"created key {key['id']} ({visible(key['name'])}); its secret is not shown again:"
        )

    return report(key, key["secret"], as_json=as_json)


@keys.command("list")
@json_option
@client_options
def list_keys(client: Client, as_json: bool) -> int:
    """List the keys.

    Example: sidelog keys list --json
    """
    return report_list(client.get_json("/api/keys")["keys"], "keys", _print_table, as_json=as_json)


@keys.command()
@_key_argument
@json_option
@client_options
def disable(client: Client, key: str, as_json: bool) -> int:
    """Disable a key. Takes effect within a second.

    Example: sidelog keys disable "Mobile app"
    """
    return _switch(client, key, is_disabled=True, as_json=as_json)


@keys.command()
@_key_argument
@json_option
@client_options
def enable(client: Client, key: str, as_json: bool) -> int:
    """Enable a key again.

    Example: sidelog keys enable "Mobile app"
    """
    return _switch(client, key, is_disabled=False, as_json=as_json)


def _switch(client: Client, key: str, *, is_disabled: bool, as_json: bool) -> int:
    found = _find(client, key)
    changed = client.send_json(
        "PATCH", f"/api/keys/{quote(found['id'], safe='')}", {"disabled": is_disabled}
    )
    done = "disabled" if is_disabled else "enabled"
    text = f"{done} key {changed['id']} ({visible(changed['name'])})"
    return report(changed, text, as_json=as_json)


@keys.command()
@_key_argument
@json_option
@client_options
def delete(client: Client, key: str, as_json: bool) -> int:
    """Delete a key permanently. Records keep its name.

    Example: sidelog keys delete "Mobile app"
    """
    found = _find(client, key)
    client.send_json("DELETE", f"/api/keys/{quote(found['id'], safe='')}")
    text = f"deleted key {found['id']} ({visible(found['name'])})"
    return report({"deleted": found["id"]}, text, as_json=as_json)


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
    from rich.table import Table
    from rich.text import Text

    titles = (
        "id",
        "name",
        "secret",
        "state",
        "scopes",
        "agents",
        "project",
        "expires",
        "last used",
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=title in ("id", "secret", "state"))
    for key in rows:
        state = "disabled" if key["disabled"] else _state(key["expires_at"])
        cells = (
            key["id"], key["name"], f"····{key['last4']}", state, _list(key["scopes"]), _list(key["agents"]),
            key["project"], key["expires_at"] or "never", key["last_used_at"] or "never",
        )  # fmt: skip
        style = "" if state == "active" else "yellow"
        table.add_row(*(Text(visible(cell or "-"), style=style) for cell in cells))

    console().print(table)


def _state(expires_at: str | None) -> str:
    is_over = expires_at is not None and datetime.fromisoformat(expires_at) <= datetime.now(UTC)
    return "expired" if is_over else "active"


def _list(values: list[str] | str | None) -> str:
    if values is None:
        return "all"
    if isinstance(values, str):
        return values
    return ", ".join(values) or "none"
