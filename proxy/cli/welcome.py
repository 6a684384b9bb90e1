"""The greeting of `serve`: addresses, and commands to try."""

import os
import shlex
import sys
from pathlib import Path
from shutil import which

from proxy.process.data_dir import DEMO_DIRECTORY, OWN_DIRECTORY
from proxy.process.listeners import UNIX_PREFIX, host_port
from proxy.settings.addresses import is_loopback, parse_address, parse_listen


def url_of(address: str) -> str:
    """Return the URL of an address for this machine; a wildcard address becomes loopback."""
    host, port = parse_address(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 — compared, not listened on
    return f"http://{host_port(host, port)}"


def own_program() -> str:
    """Return the command that runs this sidelog: its name, or its path if the name is not found."""
    beside = os.path.join(os.path.dirname(sys.executable), "sidelog")
    if which("sidelog") == beside or not os.path.exists(beside):
        return "sidelog"
    return os.path.relpath(beside)


def welcome(before: str, listen: str, admin_listen: str, data_directory: Path, token: str) -> str:
    """Return the greeting: addresses, a login link, and commands; `before` names the upstream."""
    (host, _), admin_url = parse_listen(listen), url_of(admin_listen)
    is_unix = listen.startswith(UNIX_PREFIX)
    proxy_url = listen if is_unix else url_of(listen)
    if is_unix:
        request = f"--unix-socket {shlex.quote(host)} http://localhost/"
    else:
        request = f"{proxy_url}/"
    reach = (
        "this machine only; --listen 0.0.0.0:PORT, or make run LISTEN=0.0.0.0:PORT, lets others in"
    )
    is_found = data_directory.parent == Path.cwd() and data_directory.name in (
        OWN_DIRECTORY,
        DEMO_DIRECTORY,
    )
    if is_found:
        where = ""
    else:
        where = f" --data-dir {shlex.quote(str(data_directory))}"
    return f"""
  sidelog

  proxy    {proxy_url}   in front of {before}
           {reach if is_loopback(host) else f"open to other machines at {listen}"}
  web UI   {admin_url}/login#token={token}
  records  {data_directory}

  try:
    curl {request}
    {own_program()} query --since 5m{where}
    {own_program()} tail{where}

  Ctrl-C stops everything; the records stay.

"""
