"""git over smart HTTP: the client and `git http-backend`, direct and through sidelog."""

import contextlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realworld.programs import SERVERS, run, serving, system_program
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"), ("DATE", "2026-01-02T03:04:05Z"))
}
LARGE_BYTES = 24 << 20


def git(cwd: Path, *arguments: str) -> str:
    """Run the client; what it writes is the same wherever and whenever it runs."""
    return run([system_program("git"), *arguments], cwd, IDENTITY | {"GIT_TERMINAL_PROMPT": "0"})


@contextlib.contextmanager
def git_server(home: Path) -> Iterator[str]:
    """Serve one empty repository, `project.git`, that takes pushes."""
    (home / "root").mkdir(parents=True)
    git(home, "init", "--quiet", "--bare", "--initial-branch=main", "root/project.git")
    git(home / "root/project.git", "config", "http.receivepack", "true")

    port = free_port()
    with serving(
        [sys.executable, str(SERVERS / "git_cgi.py"), str(port), str(home / "root")], port, home
    ) as url:
        yield url


def commit(work: Path, name: str, content: bytes) -> None:
    """Commit one file."""
    (work / name).write_bytes(content)
    git(work, "add", name)
    git(work, "commit", "--quiet", "--message", f"Add {name}")


def history(repository: Path) -> str:
    """Return all commits and trees of a repository that is whole, as text."""
    git(repository, "fsck", "--full", "--strict")
    return git(repository, "log", "--all", "--format=%H %T %s", "--name-status")


def push_clone_fetch(url: str, directory: Path) -> list[str]:
    """Push a small and a large commit, clone, push a branch, fetch it, clone shallowly; return what
    came of it.
    """
    directory.mkdir()
    git(directory, "clone", "--quiet", f"{url}/project.git", "first")
    first = directory / "first"
    commit(first, "readme", b"hello\n")
    git(first, "push", "--quiet", "origin", "HEAD:main")
    for number in range(40):
        (first / f"file{number}").write_text(f"{number}\n" * number)
    commit(first, "large.bin", random.Random(1).randbytes(LARGE_BYTES))
    git(first, "add", "--all")
    git(first, "commit", "--quiet", "--message", "Add forty files")
    git(first, "push", "--quiet", "origin", "HEAD:main")
    git(directory, "clone", "--quiet", f"{url}/project.git", "second")
    commit(first, "branch", b"a branch\n")
    git(first, "push", "--quiet", "origin", "HEAD:topic")
    git(first, "tag", "v1")
    git(first, "push", "--quiet", "origin", "v1")
    git(directory / "second", "fetch", "--quiet", "--tags", "origin")
    git(directory, "clone", "--quiet", "--depth=1", f"{url}/project.git", "shallow")
    git(first, "push", "--quiet", "origin", ":topic")
    return [
        history(first),
        history(directory / "second"),
        history(directory / "shallow"),
        git(first, "ls-remote", f"{url}/project.git"),
    ]


def test_push_clone_and_fetch(tmp_path: Path) -> None:
    """Repositories are the same after pushes (the large one chunked), clones and fetches."""
    with git_server(tmp_path / "a") as url:
        direct = push_clone_fetch(url, tmp_path / "direct")
    with git_server(tmp_path / "b") as url, proxied(tmp_path, url) as way:
        assert push_clone_fetch(way.url, tmp_path / "proxied") == direct
        records = way.check_record()
    assert history(tmp_path / "a/root/project.git") == history(tmp_path / "b/root/project.git")
    paths = {(record["method"], record["path"].removeprefix("/project.git")) for record in records}
    assert paths == {
        ("GET", "/info/refs"),
        ("POST", "/git-upload-pack"),
        ("POST", "/git-receive-pack"),
    }
    assert sum(record["request_bytes"] for record in records) > LARGE_BYTES
    assert sum(record["response_bytes"] for record in records) > 2 * LARGE_BYTES


def test_absent_repository(tmp_path: Path) -> None:
    """A clone of a repository that is not there fails in the same words."""
    with git_server(tmp_path / "a") as url, proxied(tmp_path, url) as way:
        said = []
        for place in (url, way.url):
            with pytest.raises(AssertionError, match="not found") as failure:
                git(tmp_path, "clone", f"{place}/absent.git")
            said.append(str(failure.value).replace(place, "URL"))

        assert said[0] == said[1]
        assert [record["status"] for record in way.check_record()] == [404]
