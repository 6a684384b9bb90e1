"""The commands: what each takes, what help says of it, and where what it does is."""

from typing import Final, NamedTuple

from proxy.cli.options import CLIENT, FILTERS, READER, READER_LATER, SEARCH, Shared, settings_flags
from proxy.settings.flags import FLAGS


class Row(NamedTuple):
    """One command."""

    words: str
    help: str
    example: str
    """What is behind the words; or a whole line, where another program is before them."""
    parameters: str
    """Names, in the order of help."""
    shared: tuple[Shared, ...] = ()
    run: str = ""
    """Module below `proxy/cli/commands` and function that returns the exit code, where they are
    called otherwise.
    """
    has_command: bool = False
    """Whether its arguments are the line of another command, whose options are not its own."""


GROUPS: Final = {
    "config": "Check or show the configuration.",
    "redact": "What is taken out before anything is stored, and by which rule.",
    "token": "The admin token.",
    "keys": "API keys of the proxied service.",
    "db": "Inspect, migrate and back up the store.",
    "view": "Saved searches.",
    "grpc": "Schemas of gRPC services.",
    "alerts": "Alerts on figures of the log.",
}
"""First words of commands, and what help says of them."""
SECTIONS: Final = {
    "Run": "serve run demo health doctor config redact token version completion",
    "Look": "query tail get open compare stats top conversations view export mcp",
    "Send again": "save replay mock",
    "Manage": "keys db alerts grpc",
}
"""What the first words are under in help, in this order."""
_SETTINGS: Final = settings_flags("proxy.upstream", "data_dir")

COMMANDS: Final = (
    Row(
        "serve",
        "Run the proxy.",
        "--upstream http://127.0.0.1:3000 --listen 127.0.0.1:8080",
        "config greets",
        (settings_flags(*FLAGS),),
    ),
    Row(
        "run",
        "Run a command, such as a coding agent, and record the calls of models that it makes; at "
        "its end say what they "
        "were, what failed and what they cost. Its exit code is that of the command.",
        "-- claude",
        "command route proxy data_dir output opens again",
        run="run.command:run",
        has_command=True,
    ),
    Row(
        "demo",
        "Run a demo upstream with sample traffic, and the proxy in front of it; its records are "
        "in ./sidelog-demo.",
        "--listen 127.0.0.1:8888",
        "listen admin_listen data_dir",
        run="serve:demo",
    ),
    Row(
        "health",
        "Say whether sidelog is ready, and exit with 0 if it is; for container health checks.",
        "--url http://127.0.0.1:8090",
        "url data_dir as_json",
    ),
    Row(
        "doctor",
        "Check this machine and the settings, and suggest a fix for each problem.",
        "--config sidelog.toml",
        "config rate as_json",
        (_SETTINGS,),
        run="doctor.doctor:diagnose",
    ),
    Row(
        "config check",
        "Validate the configuration and report every problem at once.",
        "--config sidelog.toml",
        "config as_json",
        (_SETTINGS,),
    ),
    Row(
        "config show",
        "Print the effective configuration, secrets redacted.",
        "--config sidelog.toml --json",
        "config as_json",
        (_SETTINGS,),
    ),
    Row(
        "redact list",
        "List the rules by which secrets are found: id, what each is of, an example.",
        "github",
        "text config as_json",
        run="redact:list_rules",
    ),
    Row(
        "redact try",
        "Show what would be taken out of a text, by which rule, and where. Exits with 0 if "
        "nothing is found, with 1 if "
        "something is: the other way round than grep.",
        "response.json --config sidelog.toml",
        "file content_type show config as_json",
        run="redact_try:run",
    ),
    Row(
        "token show",
        "Print the admin token of a data directory.",
        'curl -H "Authorization: Bearer $(sidelog token show)" http://127.0.0.1:8090/api/status',
        "data_dir as_json",
        run="health:show_token",
    ),
    Row(
        "token rotate",
        "Replace the admin token. A running sidelog uses the new one at once; sessions of the web "
        "UI end.",
        "--data-dir /var/lib/sidelog",
        "data_dir as_json",
        run="health:rotate",
    ),
    Row(
        "version",
        "Print the version and build (pure or compiled) of sidelog, and the versions of Python "
        "and the main libraries.",
        "--json",
        "as_json",
        run="about:version",
    ),
    Row(
        "completion",
        'Print a completion script for a shell; load it with: eval "$(sidelog completion bash)".',
        "bash",
        "shell",
        run="about:completion",
    ),
    Row(
        "keys create",
        "Create a key and print its secret, which is not shown again.",
        '"Mobile app" --scope agent --expires 30d',
        "name scope agent expires disabled project user as_json",
        (CLIENT,),
    ),
    Row("keys list", "List the keys.", "--json", "as_json", (CLIENT,), run="keys:list_keys"),
    Row(
        "keys disable",
        "Disable a key. Takes effect within a second.",
        '"Mobile app"',
        "key as_json",
        (CLIENT,),
    ),
    Row("keys enable", "Enable a key again.", '"Mobile app"', "key as_json", (CLIENT,)),
    Row(
        "keys delete",
        "Delete a key permanently. Records keep its name.",
        '"Mobile app"',
        "key as_json",
        (CLIENT,),
    ),
    Row(
        "db status",
        "Show the store's contents, layout, size and retention. Changes nothing.",
        "--data-dir /var/lib/sidelog",
        "config data_dir as_json",
    ),
    Row(
        "db migrate",
        "Migrate the store to the newest layout, as a start of sidelog does.",
        "--data-dir /var/lib/sidelog",
        "config data_dir as_json",
    ),
    Row(
        "db vacuum",
        "Return free space to the file system; works while sidelog is running.",
        "--data-dir /var/lib/sidelog",
        "config data_dir as_json",
    ),
    Row(
        "db backup",
        "Copy a SQLite store into a file, as it is at this moment; works while sidelog is running.",
        "records.db",
        "file config data_dir as_json",
    ),
    Row(
        "alerts list",
        "List the alerts: the figure of each, its limit, what fires, and what was sent.",
        "",
        "as_json",
        (CLIENT,),
        run="health:list_alerts",
    ),
    Row(
        "alerts test",
        "Evaluate an alert now and call its webhook; exits with 1 if the webhook did not accept "
        "it.",
        '"checkout fails"',
        "name as_json",
        (CLIENT,),
        run="health:test_alert",
    ),
    Row(
        "alerts silence",
        "Hold back the messages of an alert that begins to fire, for some time.",
        '"checkout fails" --for 2h',
        "name seconds as_json",
        (CLIENT,),
        run="health:silence_alert",
    ),
    Row("view list", "List the views.", "", "as_json", (READER,), run="views:list_views"),
    Row(
        "view save",
        "Save a search under a name, with its columns, period and order.",
        "\"slow tenants\" 'status:5xx duration:>1s' --since 24h --fields time,code,header.x-tenant",
        "name fields order by utc as_json",
        (CLIENT, FILTERS, SEARCH),
        run="views:save",
    ),
    Row(
        "view show",
        "Show a view.",
        '"slow tenants" --json',
        "name as_json",
        (READER,),
        run="views:show",
    ),
    Row(
        "view rename",
        "Rename a view.",
        '"slow tenants" slow',
        "name new_name as_json",
        (CLIENT,),
        run="views:rename",
    ),
    Row("view delete", "Delete a view.", "slow", "name as_json", (CLIENT,), run="views:delete"),
    Row(
        "get",
        "Show one exchange: its outcome, headers and bodies.",
        "0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6 --curl",
        "record_id raw request around curl har has_all as_json",
        (READER,),
        run="records:get",
    ),
    Row(
        "open",
        "Open one record in the web UI: print its address, and show it in a browser, if this "
        "machine has a screen.",
        "0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6",
        "record_id",
        (CLIENT,),
        run="records:open_record",
    ),
    Row(
        "compare",
        "Show what differs between two exchanges, part by part; exits with 1 if anything does.",
        "0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6 0192f3c4-77d1-7f3a-8f10-5e0c9d2b6a41",
        "record_id other_id ignore as_json",
        (READER,),
    ),
    Row(
        "query",
        "Search records.",
        "'status:5xx path:/api/*' --since 15m",
        "order limit fields wide no_header from_view utc as_json",
        (READER, FILTERS, SEARCH),
        run="records:query",
    ),
    Row(
        "tail",
        "Follow new records as they are stored; resumes without a gap when the connection breaks "
        "or sidelog restarts.",
        "--level warn --level error",
        "lines fields wide utc as_json",
        (CLIENT, FILTERS, SEARCH),
    ),
    Row(
        "stats",
        "Show totals by status, level, project, container and service, and latency percentiles.",
        "--since 24h --route default",
        "utc as_json",
        (READER, FILTERS, SEARCH),
    ),
    Row(
        "top",
        "Show the most frequent endpoints, or values of another field, with errors, latency, "
        "bytes and cost.",
        "--since 1h --sort p95",
        "by sort from_view limit utc as_json",
        (READER, FILTERS, SEARCH),
        run="stats:top",
    ),
    Row(
        "export",
        "Export all matching records, oldest first, with a progress bar on stderr.",
        "csv --since yesterday --until today --bom -o yesterday.csv",
        "format output bodies fields bom utc",
        (READER, FILTERS, SEARCH),
        run="files.export:run",
    ),
    Row(
        "mcp",
        "Serve the log to a coding agent on stdin and stdout (Model Context Protocol), read-only.",
        "--data-dir /var/lib/sidelog",
        "",
        (READER,),
    ),
    Row(
        "grpc reflect",
        "Fetch the schema of a service that offers reflection, for `protobuf` of its route.",
        "127.0.0.1:50051 -o api.pb",
        "address output",
        run="files.reflect:reflect",
    ),
    Row(
        "save",
        "Save matching exchanges with their bodies as a suite, a plain file that can be replayed.",
        "checkout method:GET --since 1h -o checkout.ndjson",
        "name limit per_request ignore output utc",
        (READER, FILTERS, SEARCH),
        run="files.export:save",
    ),
    Row(
        "replay",
        "Send recorded requests again, and compare each answer with the recorded one; exits with "
        "1 if any differs. "
        "Instead of a search, a suite or a HAR file can be given.",
        "'method:GET -path:/admin/*' --since 1h --against http://127.0.0.1:3000",
        "against insecure expect ignore slower rate as_recorded speed loop concurrency timeout_s "
        "set_header edit "
        "unsafe protobuf output junit utc as_json",
        (READER_LATER, FILTERS, SEARCH),
        run="files.replay:run",
    ),
    Row(
        "mock",
        "Answer requests from a suite or a HAR file, streams with their recorded timing.",
        "checkout.ndjson --listen 127.0.0.1:9000 --ignore body.requested_at",
        "suite listen match ignore lenient protobuf",
        run="mock.command:run",
    ),
    Row(
        "conversations",
        "List LLM conversations, or show one: turns, tools, tokens, cost, time, where it failed.",
        "--since 24h --sort cost",
        "conversation_id min_turns min_failed min_cost_usd sort limit html utc as_json",
        (READER, FILTERS),
    ),
)
