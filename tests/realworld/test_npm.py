"""verdaccio, a private registry, and the npm client: an account, a published package, its
installation.
"""

import contextlib
import hashlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realworld.programs import npm_program, run, serving, system_program
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

CONFIG = """
storage: ./storage
auth:
  htpasswd:
    file: ./htpasswd
    max_users: 10
uplinks: {}
packages:
  "**":
    access: $all
    publish: $authenticated
web:
  enable: false
log: {type: stdout, format: json, level: info}
"""


@contextlib.contextmanager
def registry(home: Path) -> Iterator[str]:
    """Serve an empty registry that asks no other one."""
    home.mkdir()
    (home / "config.yaml").write_text(CONFIG)
    port = free_port()
    command = [
        npm_program("verdaccio"),
        "--config",
        "config.yaml",
        "--listen",
        f"http://127.0.0.1:{port}",
    ]
    with serving(command, port, home, ready_path="/-/ping") as url:
        yield url


def log_in(url: str) -> str:
    """Make the account `anybody`, with the request that `npm adduser` sends; return its token."""
    user = {"name": "anybody", "password": "not-a-secret-1", "type": "user", "roles": []}
    request = urllib.request.Request(
        f"{url}/-/user/org.couchdb.user:anybody",
        method="PUT",
        data=json.dumps(user).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["token"])


def publish_and_install(url: str, cwd: Path) -> tuple[list[str], str]:
    """Publish two versions, look at them, install one; return what npm says and the digest of what
    it installed.
    """
    package = cwd / "package"
    user = cwd / "user"
    package.mkdir(parents=True)
    user.mkdir()
    npmrc = f"registry={url}/\n{url.removeprefix('http:')}/:_authToken={log_in(url)}\n"
    npmrc += "audit=false\nfund=false\nupdate-notifier=false\nfetch-retries=0\n"
    (package / ".npmrc").write_text(npmrc)
    (user / ".npmrc").write_text(npmrc)
    (user / "package.json").write_text('{"name": "user", "private": true}')
    (package / "index.js").write_text("// hello\n" * 50_000)
    npm = system_program("npm")
    own = {"HOME": str(cwd)}  # npm's cache: in the package's folder it would be published too
    said = []

    for version in ("1.0.0", "1.1.0"):
        (package / "package.json").write_text(
            json.dumps({"name": "@hello/sidelog", "version": version})
        )
        said.append(run([npm, "publish", "--silent"], package, own))

    said.append(run([npm, "whoami"], package, own))
    said.append(run([npm, "view", "@hello/sidelog", "versions", "dist.integrity", "--json"], user))
    run([npm, "install", "--silent", "@hello/sidelog@1.0.0"], user)
    installed = (user / "node_modules/@hello/sidelog/index.js").read_bytes()
    return said, hashlib.sha256(installed).hexdigest()


def test_publish_and_install(tmp_path: Path) -> None:
    """npm publishes, lists and installs the same, and finds the tarball at the address it came by."""
    with registry(tmp_path / "a") as url:
        direct = publish_and_install(url, tmp_path / "direct")
    with registry(tmp_path / "b") as url, proxied(tmp_path, url) as way:
        assert publish_and_install(way.url, tmp_path / "proxied") == direct
        records = way.check_record()
        assert "not-a-secret-1" not in json.dumps(
            [way.sidelog.record(record["id"]) for record in records]
        )

    done = [(record["method"], record["path"], record["status"]) for record in records]
    assert done.count(("PUT", "/@hello%2fsidelog", 201)) == 2
    assert sum(path.endswith("/-/sidelog-1.0.0.tgz") for _, path, _ in done) == 1
