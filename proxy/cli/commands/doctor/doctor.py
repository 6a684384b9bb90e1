"""`sidelog doctor`: checks whether this machine can run sidelog with these settings, and suggests
fixes.

Strategy: each check is a function of the settings. It yields findings, and changes nothing
permanently. All checks run at the same time, each on its own thread, because a database, a name
server or a network file system may hang. A check without an answer in time is a finding, and so is
a check that raises. `fail` means that sidelog would not start or would drop records; `warn` means
that it would work with restrictions.
"""

import os
import resource
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from proxy.cli.commands.doctor.databases import CLOCK_FIX
from proxy.cli.commands.doctor.finding import Finding, State, is_read_only, why_not_writable
from proxy.cli.commands.doctor.network import (
    check_certificates,
    check_ports,
    check_proxies,
    check_receiver,
    check_upstreams,
)
from proxy.cli.commands.doctor.outgoing import check_outgoing_calls
from proxy.cli.commands.doctor.store import check_spool, check_sqlite, check_storage
from proxy.cli.commands.output import console, flush, say_json
from proxy.process.data_dir import is_in_use, open_to_others
from proxy.process.descriptors import OWN_DESCRIPTORS, least_descriptors
from proxy.process.shared_memory import RING_OVERHEAD_BYTES, SHARED_MEMORY
from proxy.process.terminal import visible_line
from proxy.settings.check import NO_UPSTREAM, warnings
from proxy.settings.model import Settings

JSON_KEYS: Final = ("state", "name", "text", "mend")
"""Names of the fields of a finding, in their order."""
TIME_LIMIT_S: Final = 4.0
"""Timeout of all checks together: the command must end within five seconds."""
CONNECTION_DESCRIPTORS: Final = 2
"""One to the client, one to the upstream."""
_PLAUSIBLE_S: Final = range(1_700_000_000, 4_000_000_000)
_ROOM: Final = "docker run --shm-size, an emptyDir of medium Memory, or smaller ring.bytes"
_ANONYMOUS: Final = "until then rings are in anonymous memory, which is lost with the supervisor"

Check = Callable[[Settings], Iterator[Finding]]
Leave = Callable[[int], object]


def run(
    settings: Settings,
    problems: list[str],
    *,
    as_json: bool,
    leave: Leave = os._exit,
) -> int:
    """Print all findings; return 1 if one of them is a failure.

    If a check hangs, `leave` ends the process: the interpreter would wait for the threads of its
    resolver.
    """
    findings, is_hanging = run_checks([_check_of(problems), *CHECKS], settings)
    if as_json:
        say_json([dict(zip(JSON_KEYS, finding, strict=True)) for finding in findings])
    else:
        _print(findings)

    code = int(any(finding.state == "fail" for finding in findings))
    if is_hanging:
        flush()
        leave(code)
    return code


def run_checks(
    checks: Sequence[Check], settings: Settings, limit_s: float = TIME_LIMIT_S
) -> tuple[list[Finding], bool]:
    """Run checks at the same time; return their findings, in order, and whether one is still
    running.
    """
    found: list[list[Finding]] = [[] for _ in checks]
    denied: list[tuple[str, PermissionError]] = []
    pool = ThreadPoolExecutor(len(checks))
    runs = [
        pool.submit(_run, check, settings, findings)
        for check, findings in zip(checks, found, strict=True)
    ]
    hanging = wait(runs, limit_s).not_done

    for check, run, findings in zip(checks, runs, found, strict=True):
        name = check.__name__.removeprefix("check_").replace("_", " ")
        error = None if run in hanging else run.exception()
        if run in hanging:
            fix = "check the database, the name server and network file systems: one of them does not answer"
            findings.append(Finding("fail", name, f"no answer within {limit_s:g} s", fix))
        elif isinstance(error, PermissionError):
            denied.append((name, error))
        elif error is not None:  # one broken check must not hide the others
            findings.append(Finding("fail", name, f"{type(error).__name__}: {error}"))

    found.append(list(_denials(denied, settings.data_dir)))
    return [finding for findings in found for finding in findings], bool(hanging)


def _run(check: Check, settings: Settings, findings: list[Finding]) -> None:
    """Gather findings one by one: those before an error stay."""
    findings.extend(check(settings))


def _denials(denied: list[tuple[str, PermissionError]], data_dir: str) -> Iterator[Finding]:
    """Report files that this user may not read: each on its own, but one finding for all files in a
    closed data directory.
    """
    fix = "run `sidelog doctor` as the user that sidelog runs as"
    is_closed = not os.access(data_dir, os.X_OK)
    below = []
    for name, error in denied:
        if is_closed and Path(str(error.filename)).is_relative_to(data_dir):
            below.append((name, error))
        else:
            yield Finding("fail", name, f"{error.filename}: {error.strerror}", fix)

    if below:
        names = ", ".join(sorted(name for name, _ in below))
        text = f"{data_dir}: {below[0][1].strerror}; not checked: {names}"
        yield Finding("fail", "data directory", text, fix)


def _check_of(problems: list[str]) -> Check:
    """Return a check that reports the known problems of the settings."""

    def check_settings(settings: Settings) -> Iterator[Finding]:
        """Report each problem; a missing upstream is only a warning."""
        directory = Path(settings.data_dir)
        for problem in problems:
            if NO_UPSTREAM not in problem:
                yield Finding("fail", "settings", problem)
            elif is_in_use(directory) and os.access(directory, os.R_OK | os.X_OK):
                text = f"no upstream here; the sidelog that runs in {settings.data_dir} has one"
                yield Finding("ok", "settings", text)
            else:
                fix = "--upstream URL, or --config FILE with [[routes]]"
                yield Finding("warn", "settings", "no upstream configured", fix)

        if not problems:
            for name, text in warnings(settings):
                yield Finding("warn", "settings", f"{name}: {text}")
            yield Finding("ok", "settings", f"valid, {len(settings.routes)} route(s)")

    return check_settings


def check_prices(settings: Settings) -> Iterator[Finding]:
    """Check whether the price list of models, an extra, is installed. Without it, costs are only
    those that providers report.
    """
    if find_spec("genai_prices") is None:
        text = (
            "no price list: only costs that providers report are known, and few report them; pip "
            "install 'sidelog[llm]'"
        )
        yield Finding("ok", "prices", text)
    else:
        yield Finding("ok", "prices", "the price list of models is installed")


def check_descriptors(settings: Settings) -> Iterator[Finding]:
    """Compare the limit of open files with the connections that a worker may hold."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)  # `serve` raises the soft limit to it
    need = settings.proxy.limits.max_connections * CONNECTION_DESCRIPTORS + OWN_DESCRIPTORS
    if limit == resource.RLIM_INFINITY or limit >= need:
        yield Finding(
            "ok", "open files", f"limit {limit}, {need} needed for proxy.limits.max_connections"
        )
        return

    text = (
        f"hard limit {limit}, {need} needed for {settings.proxy.limits.max_connections} connections"
    )
    fix = (
        f"ulimit -n {need}, or LimitNOFILE={need} in the systemd unit, or a lower "
        "proxy.limits.max_connections"
    )
    yield Finding(
        "fail" if limit < least_descriptors(settings.proxy.workers) else "warn",
        "open files",
        text,
        fix,
    )


def check_ring_space(settings: Settings) -> Iterator[Finding]:
    """Check that the directory of rings is writable and has room for the rings of all workers."""
    if not settings.proxy.data_port:
        yield Finding("ok", "ring space", "not needed: there is no data port")
        return
    directory = settings.ring.directory or str(SHARED_MEMORY)
    need = (settings.ring.bytes + RING_OVERHEAD_BYTES) * max(settings.proxy.workers, 1)
    lesser: State = "fail" if settings.ring.directory else "warn"
    if settings.ring.directory:
        fix = _ROOM
    else:
        fix = f"{_ROOM}; {_ANONYMOUS}"

    try:
        space = os.statvfs(directory)
    except OSError as error:
        yield Finding(lesser, "ring space", f"{directory}: {error.strerror}", fix)
        return

    free = space.f_bavail * space.f_frsize
    text = f"{directory} has {free >> 20} MiB free, rings take {need >> 20} MiB"
    if not os.access(directory, os.W_OK | os.X_OK):
        text = f"{directory} is {why_not_writable(space)}, rings take {need >> 20} MiB"
        yield Finding(lesser, "ring space", text, fix)
    else:
        yield (
            Finding("ok", "ring space", text)
            if free >= need
            else Finding(lesser, "ring space", text, fix)
        )


def check_data_directory(settings: Settings) -> Iterator[Finding]:
    """Check that the data directory is private, and that it can be made or written."""
    directory = Path(settings.data_dir)
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    space = os.statvfs(existing)

    if not existing.is_dir():
        yield Finding(
            "fail",
            "data directory",
            f"{existing} is not a directory",
            "choose another with --data-dir",
        )
    elif not os.access(existing, os.W_OK | os.X_OK):
        fix = f"chown it to uid {os.geteuid()}, or choose another with --data-dir"
        if is_read_only(space):
            fix = f"mount a volume at {directory}, or choose a directory on one with --data-dir"
        yield Finding("fail", "data directory", f"{existing} is {why_not_writable(space)}", fix)
    elif existing != directory:
        yield Finding("ok", "data directory", f"{directory} will be created at the first start")
    elif opened := open_to_others(directory, stat.S_IRWXG | stat.S_IRWXO):
        for path, fix in opened.items():
            text = f"{path} is accessible to other users"
            yield Finding("warn", "data directory", text, fix)
    else:
        yield Finding("ok", "data directory", f"{directory} is writable and private")


def check_clock(settings: Settings) -> Iterator[Finding]:
    """Check that the wall clock is plausible."""
    now = time.time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    yield (
        Finding("ok", "clock", shown)
        if int(now) in _PLAUSIBLE_S
        else Finding("fail", "clock", shown, CLOCK_FIX)
    )


CHECKS: Final[tuple[Check, ...]] = (
    check_prices,
    check_descriptors,
    check_ring_space,
    check_data_directory,
    check_storage,
    check_spool,
    check_sqlite,
    check_clock,
    check_ports,
    check_certificates,
    check_proxies,
    check_upstreams,
    check_receiver,
    check_outgoing_calls,
)


def _print(findings: list[Finding]) -> None:
    from rich.text import Text

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    out = console()

    for finding in findings:
        out.print(
            Text.assemble(
                (f"{finding.state:4}", styles[finding.state]),
                f"  {finding.name:15} {visible_line(finding.text)}",
            )
        )
        if finding.fix:
            out.print(Text(f"      fix: {visible_line(finding.fix)}"))
