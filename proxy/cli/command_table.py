"""The commands: what each takes, what help says of it, and where what it does is."""

from pathlib import Path
from typing import Final

import typer
from typer import Option

from proxy.cli.completion import Shell, complete_view
from proxy.cli.options import (
    CLIENT,
    CONFIG,
    DATA_DIR,
    FIELDS,
    FILTERS,
    FROM_VIEW,
    JSON,
    JSON_LINES,
    ORDER,
    READER,
    SEARCH,
    URL,
    UTC,
    WIDE,
    Command,
    Many,
    alike,
    argument,
    flag,
    number,
    settings_flags,
    text,
)
from proxy.settings.flags import FLAGS

_SETTINGS: Final = settings_flags("proxy.upstream", "data_dir")
_KEY: Final = {"key": argument("KEY", "Id of a key, or its name if that is unique.")}
_VIEW: Final = {"name": argument("NAME", "Name of a view.", autocompletion=complete_view)}

COMMANDS: Final = (
    Command(
        "serve",
        "Run the proxy.",
        "--upstream http://127.0.0.1:3000 --listen 127.0.0.1:8080",
        CONFIG | {"greets": flag("--greet", "Print addresses and commands to try, as on a terminal.")},
        (settings_flags(*FLAGS),),
    ),
    Command(
        "demo",
        "Run a demo upstream with sample traffic, and the proxy in front of it; its records are in ./sidelog-demo.",
        "--listen 127.0.0.1:8888",
        {
            "listen": text("HOST:PORT", "Address of the data port.", "127.0.0.1:8080"),
            "admin_listen": text("HOST:PORT", "Address of the admin port.", "127.0.0.1:8090"),
        }
        | DATA_DIR,
        run="serve:demo",
    ),
    Command(
        "health",
        "Say whether sidelog is ready, and exit with 0 if it is; for container health checks.",
        "--url http://127.0.0.1:8090",
        URL | DATA_DIR | JSON,
    ),
    Command(
        "doctor",
        "Check this machine and the settings, and suggest a fix for each problem.",
        "--config sidelog.toml",
        CONFIG | JSON,
        (_SETTINGS,),
        "doctor.doctor:diagnose",
    ),
    *alike(
        CONFIG | JSON,
        (_SETTINGS,),
        ("config check", "Validate the configuration and report every problem at once.", "--config sidelog.toml"),
        ("config show", "Print the effective configuration, secrets redacted.", "--config sidelog.toml --json"),
    ),
    Command(
        "token show",
        "Print the admin token of a data directory.",
        'curl -H "Authorization: Bearer $(sidelog token show)" http://127.0.0.1:8090/api/status',
        DATA_DIR | JSON,
        run="health:show_token",
    ),
    Command(
        "token rotate",
        "Replace the admin token. A running sidelog uses the new one at once; sessions of the web UI end.",
        "--data-dir /var/lib/sidelog",
        DATA_DIR | JSON,
        run="health:rotate",
    ),
    Command(
        "version",
        "Print the version and build (pure or compiled) of sidelog, and the versions of Python and the main libraries.",
        "--json",
        JSON,
    ),
    Command(
        "completion",
        'Print a completion script for a shell; load it with: eval "$(sidelog completion bash)".',
        "bash",
        {"shell": argument("SHELL", "Which shell: bash, zsh or fish.", Shell)},
        run="manual:completion",
    ),
    Command(
        "man",
        "Print the manual page; `sidelog man > ~/.local/share/man/man1/sidelog.1` installs it for man.",
        "",
        {"context": (typer.Context, None)},
        run="manual:manual",
    ),
    Command(
        "keys create",
        "Create a key and print its secret, which is not shown again.",
        '"Mobile app" --scope agent --expires 30d',
        {
            "name": argument("NAME", "Display name."),
            "scope": (Many, Option(None, metavar="TEXT …", help="Scope of the key; may be repeated. Default: all.")),
            "agent": (Many, Option(None, metavar="TEXT …", help="Agent of the key; may be repeated. Default: all.")),
            "expires": text("TEXT", "Expiry: RFC 3339, or relative to now: 12h, 30d. Default: never."),
            "disabled": flag("--disabled", "Create the key disabled."),
            "project": text("TEXT", "Project of the records of its requests."),
            "user": text("TEXT", "User of the records of its requests."),
        }
        | JSON,
        (CLIENT,),
    ),
    Command("keys list", "List the keys.", "--json", JSON, (CLIENT,), "keys:list_keys"),
    *alike(
        _KEY | JSON,
        (CLIENT,),
        ("keys disable", "Disable a key. Takes effect within a second.", '"Mobile app"'),
        ("keys enable", "Enable a key again.", '"Mobile app"'),
        ("keys delete", "Delete a key permanently. Records keep its name.", '"Mobile app"'),
    ),
    *alike(
        CONFIG | DATA_DIR | JSON,
        (),
        (
            "db status",
            "Show the store's contents, layout, size and retention. Changes nothing.",
            "--data-dir /var/lib/sidelog",
        ),
        (
            "db migrate",
            "Migrate the store to the newest layout, as a start of sidelog does.",
            "--data-dir /var/lib/sidelog",
        ),
        (
            "db vacuum",
            "Return free space to the file system; works while sidelog is running.",
            "--data-dir /var/lib/sidelog",
        ),
    ),
    Command(
        "db backup",
        "Copy a SQLite store into a file, as it is at this moment; works while sidelog is running.",
        "records.db",
        {"file": argument("FILE", "File for the copy; must not exist.", Path)} | CONFIG | DATA_DIR | JSON,
    ),
    Command("view list", "List the views.", "", JSON, (READER,), "views:list_views"),
    Command(
        "view save",
        "Save a search under a name, with its columns, period and order.",
        "\"slow tenants\" 'status:5xx duration:>1s' --since 24h --fields time,code,header.x-tenant",
        {"name": argument("NAME", "Name of the view; an existing one is replaced.")}
        | FIELDS
        | ORDER
        | {"by": text("FIELD", "Group by this field, as `sidelog top` does.")}
        | UTC
        | JSON,
        (CLIENT, FILTERS, SEARCH),
        "views:save",
    ),
    Command("view show", "Show a view.", '"slow tenants" --json', _VIEW | JSON, (READER,), "views:show"),
    Command(
        "view rename",
        "Rename a view.",
        '"slow tenants" slow',
        _VIEW | {"new_name": argument("NEW-NAME", "New name of the view.")} | JSON,
        (CLIENT,),
        "views:rename",
    ),
    Command("view delete", "Delete a view.", "slow", _VIEW | JSON, (CLIENT,), "views:delete"),
)
"""All but those that read records."""

READING: Final = (
    Command(
        "get",
        "Show one exchange: its outcome, headers and bodies.",
        "0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6 --curl",
        {
            "record_id": argument("ID", "Record id, with or without dashes, its beginning, req_…, or an X-Request-Id."),
            "raw": flag("--raw", "Print only the stored bytes of the response body."),
            "request": flag("--request", "With --raw: the request body instead."),
            "around": flag("--around", "List what the same service did a minute before and after."),
            "curl": flag("--curl", "Print a curl command that repeats the request."),
            "har": flag("--har", "Print the exchange as an HTTP Archive (HAR 1.2)."),
            "has_all": flag("--all", "Print all fields, with timings and usage."),
        }
        | JSON,
        (READER,),
        "records:get",
    ),
    Command(
        "query",
        "Search records.",
        "'status:5xx path:/api/*' --since 15m",
        ORDER
        | {"limit": number("Maximum number of records.", 100)}
        | FIELDS
        | WIDE
        | {"no_header": flag("--no-header", "Leave out the line with the titles.")}
        | FROM_VIEW
        | UTC
        | JSON_LINES,
        (READER, FILTERS, SEARCH),
        "records:query",
    ),
    Command(
        "tail",
        "Follow new records as they are stored; resumes without a gap when the connection breaks or sidelog restarts.",
        "--level warn --level error",
        FIELDS | WIDE | UTC | JSON_LINES,
        (CLIENT, FILTERS, SEARCH),
    ),
    Command(
        "stats",
        "Show totals by status, level, project, container and service, and latency percentiles.",
        "--since 24h --route default",
        UTC | JSON,
        (READER, FILTERS, SEARCH),
    ),
    Command(
        "top",
        "Show the most frequent endpoints, or values of another field, with errors, latency, bytes and cost.",
        "--since 1h --sort p95",
        {
            "by": text(
                "FIELD",
                "What to group by: endpoint (default), path, ip, ua, key, user, status, outcome, error, failure "
                "(endpoint, reason and status), method, host, model, provider, tool (calls of MCP tools), route, "
                "service, project, container, client, instance, a header (header.x-tenant) or place in JSON bodies "
                "(body.user.id).",
            ),
            "sort": text(
                "FIGURE",
                "Sort by, the highest first: requests, 4xx, 5xx, p50, p95, p99, bytes, tokens or cost.",
                "requests",
            ),
        }
        | FROM_VIEW
        | {"limit": number("Maximum number of rows.", 20, 1000)}
        | UTC
        | JSON,
        (READER, FILTERS, SEARCH),
        "stats:top",
    ),
    Command(
        "export",
        "Export all matching records, oldest first, with a progress bar on stderr.",
        "csv --since yesterday --until today --bom -o yesterday.csv",
        {
            "format": argument("FORMAT", "What to write: har, ndjson or csv."),
            "output": (
                Path | None,
                Option(None, "--output", "-o", metavar="FILE", help="Output file; default: standard output."),
            ),
            "bodies": flag("--bodies", "Include bodies (NDJSON, CSV)."),
            "fields": text(
                "NAME,…",
                "Columns of CSV, or members of NDJSON: members of records, headers (header.x-tenant), places in JSON "
                "bodies (body.user.id). Default: all columns.",
            ),
            "bom": flag("--bom", "CSV: begin with a byte order mark, for Excel."),
        }
        | UTC,
        (READER, FILTERS, SEARCH),
    ),
    Command(
        "conversations",
        "List LLM conversations, or show one: turns, tools, tokens, cost, time, where it failed.",
        "--since 24h --sort cost",
        {
            "conversation_id": (
                str | None,
                typer.Argument(
                    None, metavar="[ID]", help="One conversation, with its calls: its id, or the beginning of it."
                ),
            ),
            "min_turns": number("Leave out those with fewer calls.", 1),
            "sort": text(
                "FIGURE", "What is first: newest, or most cost, turns, failures, tokens or duration.", "newest"
            ),
            "limit": number("Maximum number of conversations.", 20),
        }
        | UTC
        | JSON_LINES,
        (READER, FILTERS),
    ),
)
