"""`sidelog replay`: sends recorded requests again and compares each answer with the recorded one.

The sending modules are imported late, since help and completion do without them.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.command import (
    FILE,
    PositiveNumber,
    WholeNumber,
    command,
    ignore_option,
    json_option,
    later_reader_options,
    output_option,
    protobuf_option,
    search_options,
)
from proxy.cli.commands.output import Result, failing

if TYPE_CHECKING:
    from api.replay.judge import Expect
    from proxy.cli.commands.client import Client, Filters


@command(
    instead={
        "--limit": "All that match are sent: narrow them by --since, --until or a search, or keep "
        "the newest with `sidelog save --limit`."
    }
)
@click.option(
    "--against",
    metavar="URL",
    required=True,
    help="Where to send: scheme, host, port, and what comes before the path.",
)
@click.option("--insecure", is_flag=True, help="Do not verify the certificate of --against.")
@click.option(
    "--expect",
    metavar="WHAT",
    type=click.Choice(("status", "shape", "same")),
    default="shape",
    show_default=True,
    help="What an answer must have in common with the recorded one: status, shape (of all that its "
    "endpoint answered: types, members, enums), or same.",
)
@ignore_option
@click.option(
    "--slower",
    metavar="FACTOR",
    type=PositiveNumber(1000),
    help="Also report an endpoint that takes FACTOR times as long as recorded, or longer: 1.5.",
)
@click.option("--rate", type=WholeNumber(1, 10_000), help="Requests begun per second.")
@click.option(
    "--as-recorded",
    is_flag=True,
    help="Begin requests at the intervals at which they were recorded.",
)
@click.option(
    "--speed",
    metavar="FACTOR",
    type=PositiveNumber(1000),
    help="As --as-recorded, FACTOR times as fast: 2, 0.5.",
)
@click.option(
    "--loop",
    type=WholeNumber(1, 100_000),
    default=1,
    show_default=True,
    help="Times that all requests are sent.",
)
@click.option(
    "--concurrency",
    type=WholeNumber(1, 1000),
    help="Maximum number of requests at a time. Default: 1; 64 with --rate, --as-recorded or "
    "--speed.",
)
@click.option(
    "--timeout-s",
    metavar="SECONDS",
    type=PositiveNumber(86_400),
    default=60,
    show_default=True,
    help="Maximum time to wait for an answer.",
)
@click.option(
    "--set-header",
    metavar="NAME=VALUE …",
    multiple=True,
    help="Send this header instead; env:NAME takes a variable, an empty value leaves it out.",
)
@click.option(
    "--edit",
    metavar="PART=VALUE …",
    multiple=True,
    help="Change path, query.NAME, body, or a path in the body (body.user.id) where a request has "
    "it; env:NAME takes a variable.",
)
@click.option(
    "--unsafe",
    is_flag=True,
    help="Also send methods that are not safe: POST, PUT, PATCH, DELETE, …",
)
@protobuf_option
@output_option(
    "Write a line for each result. Requests with a result in the file are not sent again."
)
@click.option("--junit", metavar="FILE", type=FILE, help="Also write a report as JUnit XML.")
@search_options
@later_reader_options
@json_option
def replay(
    reader: "Callable[[], AbstractContextManager[Client]]",
    filters: "Filters",
    zone: tzinfo | None,
    against: str,
    insecure: bool,
    expect: "Expect",
    ignore: tuple[str, ...],
    slower: float | None,
    rate: int | None,
    as_recorded: bool,
    speed: float | None,
    loop: int,
    concurrency: int | None,
    timeout_s: float,
    set_header: tuple[str, ...],
    edit: tuple[str, ...],
    unsafe: bool,
    protobuf: Path | None,
    output: Path | None,
    junit: Path | None,
) -> Result:
    """Send recorded requests again, and compare each answer with the recorded one; exits with 1 if
    any differs. Instead of a search, a suite or a HAR file can be given.

    Example: sidelog replay 'method:GET -path:/admin/*' --since 1h --against http://127.0.0.1:3000
    """
    import asyncio

    from api.replay.judge import Judge
    from api.replay.request import read_given
    from proxy.cli.commands.files.progress import Progress
    from proxy.cli.commands.files.replaying import (
        Pace,
        Plan,
        Replay,
        calls_to,
        ignored_places,
        prepare,
    )
    from proxy.cli.commands.files.report import Report
    from proxy.cli.commands.files.results import Results
    from proxy.cli.commands.files.shown_report import junit_xml, result_of
    from proxy.cli.commands.files.source import suite_of

    calls = calls_to(against, insecure, timeout_s, protobuf)
    speed = speed or (1.0 if as_recorded else 0.0)
    if rate and speed:
        raise click.UsageError("--rate and --as-recorded, or --speed, are two paces: give one")
    pace = Pace(rate, speed, loop, concurrency, timeout_s)
    with failing("", ValueError, exit_code=2):
        given = read_given(set_header, edit, os.environ)
    report = Report(slower)
    with suite_of(reader, filters) as (suite, hosts):
        judge = Judge(expect, ignored_places(suite, ignore))
        plan = Plan(suite, hosts, against, insecure, given, pace, unsafe, calls)
        expected = prepare(plan, judge)
        of = {"of": str(filters.get("query", "")), "against": against, "expect": expect}
        results = Results(output, of, report.add)
        progress = Progress(expected * loop)
        try:
            asyncio.run(Replay(plan, judge, results, progress).run())
        finally:
            progress.end(is_kept=False)
            results.close()

    endpoints = report.endpoints()
    if junit is not None:
        text = junit_xml(endpoints, results.reasons, against)
        with failing(f"cannot write {junit}", OSError):
            junit.write_text(text, errors="backslashreplace")

    return result_of(results, endpoints)
