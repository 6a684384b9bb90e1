"""What `serve` and `demo` say at their start: where everything is, and what to try. Pure."""

import os
import shlex
from pathlib import Path

from proxy.process.data_dir import TOKEN_FILE
from proxy.settings.addresses import is_loopback, parse_address


def url_of(address: str) -> str:
    """Return the URL under which this machine reaches an address; a wildcard is reached by loopback."""
    host, port = parse_address(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 — compared, not listened on
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def welcome(before: str, listen: str, admin_listen: str, data_directory: Path, token: str) -> str:
    """Write the addresses, a link that logs in, and commands; `before` is what the proxy stands in front of."""
    proxy_url, admin_url = url_of(listen), url_of(admin_listen)
    token_path = str(data_directory / TOKEN_FILE)
    token_file = shlex.quote(min(token_path, os.path.relpath(token_path), key=len))
    reach = "this machine only; --listen 0.0.0.0:PORT, or make run LISTEN=0.0.0.0:PORT, lets others in"
    return f"""
  sidelog

  proxy    {proxy_url}   in front of {before}
           {reach if is_loopback(parse_address(listen)[0]) else f"open to other machines at {listen}"}
  web UI   {admin_url}/login#token={token}
  records  {data_directory}

  try:
    curl {proxy_url}/
    sidelog query --since 5m         # .venv/bin/sidelog after make run; also tail, top, get ID, conversations
    curl -H "Authorization: Bearer $(cat {token_file})" {admin_url}/api/ledger

  Ctrl-C stops everything; the records stay.

"""
