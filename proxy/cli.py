"""The command line: what each command takes, and how each way of ending becomes an exit code.

Strategy: only declarations stand here; what a command does is in `proxy/commands/`, imported when it runs, so that
`sidelog version` does not pay for the proxy. Exit codes: 0 ok, 1 failure, 2 usage or invalid configuration, 130
interrupted. A user's mistake is one line on stderr, never a traceback.
"""

import os
from pathlib import Path
from typing import Annotated

import typer
from typer import Option


def _end(code: object) -> None:
    """Turn what a command returned into the exit code."""
    raise typer.Exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="sidelog",
    help="A logging reverse proxy that keeps a complete, redacted, searchable record of every exchange.",
    no_args_is_help=True,
    add_completion=False,  # its two options alone would cost every start the import of their validators
    pretty_exceptions_enable=False,
    result_callback=_end,
)
config_app = typer.Typer(help="Check or show the configuration.", no_args_is_help=True)
token_app = typer.Typer(help="The admin token.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(token_app, name="token")
keys_app = typer.Typer(help="API keys of the proxied service.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

Config = Annotated[Path | None, Option("--config", metavar="FILE", envvar="SIDELOG_CONFIG", help="TOML file.")]
DataDir = Annotated[str | None, Option("--data-dir", metavar="DIR", help="where everything that lasts is kept")]
Json = Annotated[bool, Option("--json", help="JSON for programs.")]
Upstream = Annotated[
    str | None,
    Option("--upstream", metavar="URL", help="catch-all route `default`: http, https, or unix:/path"),
]
Listen = Annotated[str | None, Option("--listen", metavar="HOST:PORT", help="address of the data port, host:port")]
AdminListen = Annotated[
    str | None, Option("--admin-listen", metavar="HOST:PORT", help="address of the admin port, host:port")
]
StorageUrl = Annotated[
    str | None,
    Option(
        "--storage",
        metavar="URL",
        help="sqlite:///FILE (relative to the data directory; four slashes: absolute) or memory:",
    ),
]
Workers = Annotated[
    int | None, Option("--workers", metavar="N", help="worker processes; 0 = everything in one process")
]
Engine = Annotated[
    str | None, Option("--engine", metavar="E", help="`reference` (aiohttp) is for reading and comparison")
]
LogLevel = Annotated[str | None, Option("--log-level", metavar="L", help="least severe level shown")]
Url = Annotated[
    str | None, Option("--url", metavar="URL", help="Admin port; default: SIDELOG_URL, else from the data directory.")
]
Token = Annotated[
    str | None, Option("--token", metavar="T", help="Default: SIDELOG_TOKEN, else from the data directory.")
]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of a key, or its name when only one has it.")]
Many = list[str] | None


def _overrides(**options: str | int | None) -> dict[str, str]:
    """Name what was given on the command line by its setting: `proxy__listen` is `proxy.listen`."""
    return {name.replace("__", "."): str(value) for name, value in options.items() if value is not None}


@app.command()
def serve(
    config: Config = None,
    upstream: Upstream = None,
    listen: Listen = None,
    admin_listen: AdminListen = None,
    storage: StorageUrl = None,
    data_dir: DataDir = None,
    workers: Workers = None,
    engine: Engine = None,
    log_level: LogLevel = None,
) -> None:
    """Run the proxy."""
    from proxy.commands import serve as command

    overrides = _overrides(
        proxy__upstream=upstream,
        proxy__listen=listen,
        admin__listen=admin_listen,
        storage__url=storage,
        data_dir=data_dir,
        proxy__workers=workers,
        proxy__engine=engine,
        log__level=log_level,
    )
    command.run(overrides, config)


@app.command()
def demo(
    listen: Annotated[str, Option("--listen", metavar="HOST:PORT", help="Data port.")] = "127.0.0.1:8080",
    admin_listen: Annotated[str, Option("--admin-listen", metavar="HOST:PORT", help="Admin port.")] = "127.0.0.1:8090",
    data_dir: DataDir = None,
) -> int:
    """Run a demo upstream with sample traffic, and the proxy in front of it."""
    from proxy.demo.run import main as run

    return run(listen, admin_listen, data_dir)


@config_app.command("check")
def config_check(
    config: Config = None, upstream: Upstream = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Validate the configuration; every problem is reported at once."""
    from proxy.commands import config as command

    return command.check(_overrides(proxy__upstream=upstream, data_dir=data_dir), config, as_json=as_json)


@config_app.command("show")
def config_show(
    config: Config = None, upstream: Upstream = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Print the effective configuration, secrets redacted."""
    from proxy.commands import config as command

    return command.show(_overrides(proxy__upstream=upstream, data_dir=data_dir), config, as_json=as_json)


@app.command()
def get(
    record_id: Annotated[str, typer.Argument(metavar="ID", help="Record id, in any of its spellings.")],
    raw: Annotated[bool, Option("--raw", help="Only the stored bytes of the response body.")] = False,
    request: Annotated[bool, Option("--request", help="With --raw: of the request body.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> int:
    """Show one exchange: fields, heads and bodies."""
    from proxy.commands import records
    from proxy.commands.client import client_from_environment

    client = client_from_environment(url, token, data_dir)
    if raw:
        return records.get_raw(client, record_id, "request" if request else "response")
    return records.get(client, record_id, as_json=as_json)


@app.command()
def query(
    since: Annotated[str | None, Option(help="Inclusive; ISO 8601, or relative: 15m, 24h.")] = None,
    until: Annotated[str | None, Option(help="Exclusive.")] = None,
    status: Annotated[Many, Option(help="404, 5xx, lists.")] = None,
    method: Annotated[Many, Option(help="GET, POST, …")] = None,
    host: Annotated[Many, Option(help="Authority the client asked for.")] = None,
    path: Annotated[str | None, Option(help="Part of the path, upper and lower case alike.")] = None,
    route: Annotated[Many, Option(help="Route id.")] = None,
    service: Annotated[Many, Option(help="Service of the route.")] = None,
    project: Annotated[Many, Option(help="Project of the route.")] = None,
    container: Annotated[Many, Option(help="Container of the route.")] = None,
    client: Annotated[Many, Option(help="Client (organisation) of the route.")] = None,
    key: Annotated[Many, Option(help="Id of an API key of the proxied service.")] = None,
    level: Annotated[Many, Option(help="debug, info, warn, error.")] = None,
    kind: Annotated[str | None, Option(help="exchange (default), event, all.")] = None,
    source: Annotated[Many, Option(help="backend or edge.")] = None,
    outcome: Annotated[Many, Option(help="ok, upstream_error, client_closed, …")] = None,
    error_type: Annotated[Many, Option(help="Error code.")] = None,
    trace_id: Annotated[str | None, Option(help="W3C trace id.")] = None,
    min_latency_ms: Annotated[int | None, Option(help="At least this long.")] = None,
    max_latency_ms: Annotated[int | None, Option(help="At most this long.")] = None,
    order: Annotated[str | None, Option(help="desc (newest first, default) or asc.")] = None,
    limit: Annotated[int, Option(min=1, help="Most records to print.")] = 100,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Search records; options that can be repeated are alternatives."""
    given = dict(locals())
    from proxy.commands import records
    from proxy.commands.client import client_from_environment

    for name in ("limit", "url", "token", "data_dir", "as_json"):
        del given[name]
    filters = {name: value if isinstance(value, list) else str(value) for name, value in given.items() if value}
    return records.query(client_from_environment(url, token, data_dir), filters, limit, as_json=as_json)


@token_app.command("show")
def token_show(data_dir: DataDir = None, as_json: Json = False) -> int:
    """Print the admin token of a data directory."""
    from proxy.commands import health as command

    return command.show_token(data_dir, as_json=as_json)


@token_app.command("rotate")
def token_rotate(data_dir: DataDir = None, as_json: Json = False) -> int:
    """Replace the admin token; a running sidelog takes the new one at once, and sessions end."""
    from proxy.commands import health as command

    return command.rotate(data_dir, as_json=as_json)


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    scope: Annotated[Many, Option(help="Scope it opens; may be repeated. Default: all.")] = None,
    agent: Annotated[Many, Option(help="Agent it may call; may be repeated. Default: all.")] = None,
    expires: Annotated[str | None, Option(help="RFC 3339 time, or from now: 12h, 30d. Default: never.")] = None,
    disabled: Annotated[bool, Option("--disabled", help="Create it switched off.")] = False,
    project: Annotated[str | None, Option(help="Project of the records it makes.")] = None,
    user: Annotated[str | None, Option(help="User of the records it makes.")] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> int:
    """Create a key and print its secret, this once."""
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    members = command.members(name, scope, agent, expires, is_disabled=disabled, project=project, user=user)
    return command.create(client_from_environment(url, token, data_dir), members, as_json=as_json)


@keys_app.command("list")
def keys_list(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """List the keys."""
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.list_keys(client_from_environment(url, token, data_dir), as_json=as_json)


@keys_app.command("disable")
def keys_disable(
    key: KeyId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Switch a key off; takes effect within a second."""
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.switch(client_from_environment(url, token, data_dir), key, is_disabled=True, as_json=as_json)


@keys_app.command("enable")
def keys_enable(
    key: KeyId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Switch a key on again."""
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.switch(client_from_environment(url, token, data_dir), key, is_disabled=False, as_json=as_json)


@keys_app.command("delete")
def keys_delete(
    key: KeyId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False
) -> int:
    """Delete a key for good; records keep its name."""
    from proxy.commands import keys as command
    from proxy.commands.client import client_from_environment

    return command.delete(client_from_environment(url, token, data_dir), key, as_json=as_json)


@app.command()
def health(url: Url = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Exit 0 when sidelog is ready; for container checks."""
    from proxy.commands import health as command

    return command.health(url, data_dir, as_json=as_json)


@app.command()
def doctor(config: Config = None, upstream: Upstream = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Check this machine and the settings, and say how to mend what is wrong."""
    from proxy.commands import doctor as command
    from proxy.settings import Settings, SettingsError, load

    problems: list[str] = []
    overrides = _overrides(proxy__upstream=upstream, data_dir=data_dir)
    try:
        settings = load(overrides, os.environ, config)
    except SettingsError as error:
        problems, settings = error.problems, Settings()
    return command.run(settings, problems, as_json=as_json)


@app.command()
def version(as_json: Json = False) -> int:
    """Print versions: sidelog, Python, the libraries that matter."""
    from proxy.commands import version as command

    return command.run(as_json=as_json)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code; usage errors and interruption are typer's, everything else ours."""
    try:
        app(args=arguments, prog_name="sidelog")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception as error:
        return _failed(error)
    return 0


def _failed(error: Exception) -> int:
    """Report a user's mistake in plain words; anything else is a bug and keeps its traceback."""
    from proxy.commands.output import CommandError, complain
    from proxy.settings import SettingsError

    if isinstance(error, SettingsError):
        for problem in error.problems:
            complain(f"sidelog: {problem}")
        return 2
    if isinstance(error, CommandError):
        complain(f"sidelog: {error}")
        return error.exit_code
    raise error
