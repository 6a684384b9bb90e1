"""`make release`, in a repository of its own with a package index on loopback."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.web_request import FileField

from deploy.release.artefacts import SUMS
from deploy.release.checks import check_tree
from deploy.release.packages import PACKAGES, Packages, check_packages
from deploy.release.publishing import NotPublished, Publishing
from deploy.release.tree import git, read_tree
from deploy.release.version import SOURCE, set_version
from proxy.process.version import VERSION
from tests.support.installed import install, serving
from tests.support.programs import find
from tests.support.sidelog import ROOT
from tests.support.upstream import running

KEPT: Final = (
    *PACKAGES, "deploy", "requirements", "tests/__init__.py", "tests/support/__init__.py", "tests/support/sbom.py",
)  # fmt: skip
TWINE: Final = ROOT / ".venv-release" / "bin" / "twine"
NAMES: Final = (
    *(f"sidelog-{VERSION}.tar.gz", f"sidelog-{VERSION}-py3-none-any.whl"),
    *(
        f"sidelog-{VERSION}.tgz",
        f"sidelog-image-{VERSION}.tar.gz",
        "sbom.cdx.json",
        "licences.txt",
        SUMS,
    ),
)
"""Files of a release, those that are uploaded first; the compiled wheel has its platform in its
name.
"""
BUILD_S: Final = 1800.0
"""What a release may take: a compiler is in it."""


class Repository:
    """A repository with what a release is made of, on main, all of it committed."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "sidelog"
        for name in git(
            ROOT, "ls-files", "--cached", "--others", "--exclude-standard"
        ).splitlines():
            if ("/" not in name or name.startswith(KEPT)) and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)

        (self.root / ".venv").symlink_to(sys.prefix)
        (self.root / ".venv-release").symlink_to(TWINE.parents[1])
        git(self.root, "init", "--quiet", "--initial-branch", "main")
        git(self.root, "config", "user.name", "somebody")
        git(self.root, "config", "user.email", "somebody@example.com")
        self.commit("Unreleased")
        self.origin = directory / "origin.git"
        git(directory, "init", "--quiet", "--bare", str(self.origin))
        git(self.root, "remote", "add", "origin", str(self.origin))

    def commit(self, heading: str) -> None:
        """Commit everything, with a heading of the changelog's first section."""
        changelog = self.root / "CHANGELOG.md"
        changelog.write_text(
            re.sub(r"^## .*$", f"## {heading}", changelog.read_text(), count=1, flags=re.MULTILINE)
        )
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", heading)

    def make_release(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run make, which finds both environments as they are."""
        command = [
            "make",
            "--old-file=.venv/.dev",
            "--old-file=.venv-release/.wheels",
            "release",
            *arguments,
        ]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PUBLISH")
        }
        return subprocess.run(
            command,
            cwd=self.root,
            env=inherited | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_S,
        )


@dataclass
class Index:
    """A package index: it takes what is uploaded, or refuses it."""

    status: int = 200
    taken: dict[str, str] = field(default_factory=dict)
    """Name of a file → its SHA-256."""

    async def take(self, request: web.Request) -> web.Response:
        """Answer an upload."""
        form = await request.post()
        content = form["content"]
        assert isinstance(content, FileField)
        if self.status == 200:
            self.taken[content.filename] = hashlib.sha256(content.file.read()).hexdigest()
        return web.Response(status=self.status)

    @contextmanager
    def listening(self) -> Iterator[dict[str, str]]:
        """Listen; yields the environment with which twine finds it."""
        application = web.Application(client_max_size=64 << 20)
        application.router.add_post("/", self.take)
        with running(application) as url:
            yield {
                "TWINE_REPOSITORY_URL": f"{url}/",
                "TWINE_USERNAME": "somebody",
                "TWINE_PASSWORD": "secret",
            }


@pytest.fixture(scope="module")
def twine() -> Path:
    """The program; without it the tests are skipped."""
    return Path(find(str(TWINE)))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository."""
    return Repository(tmp_path)


def test_what_a_tree_says_is_read(repository: Repository) -> None:
    """Branch, changes, tags, and every place that names the version."""
    before = read_tree(repository.root)
    assert (before.branch, before.changed, before.tags) == ("main", (), frozenset[str]())
    assert before.commit == git(repository.root, "rev-parse", "HEAD").strip()
    assert set(before.versions.values()) == {VERSION}
    kustomized = {f"deploy/kubernetes/{name}/kustomization.yaml" for name in ("example", "sidecar")}
    assert set(before.versions) == {SOURCE, "deploy/helm/sidelog/Chart.yaml"} | kustomized
    git(repository.root, "tag", "v0.0.1")
    git(repository.root, "checkout", "--quiet", "--detach")
    (repository.root / "new.py").touch()
    (repository.root / SOURCE).write_text("")
    after = read_tree(repository.root)
    assert (after.branch, sorted(after.changed), after.tags) == (
        "",
        ["new.py", SOURCE],
        frozenset({"v0.0.1"}),
    )
    assert after.version == ""


def test_one_command_gives_a_tree_its_version(repository: Repository) -> None:
    """In every place that names one, with its day in the changelog; committed, it is ready for a
    release.
    """
    set_version(repository.root, "7.8.9", "2026-03-04")
    changed = read_tree(repository.root)
    assert set(changed.versions.values()) == {"7.8.9"}
    assert set(changed.changed) == {*changed.versions, "CHANGELOG.md"}
    git(repository.root, "commit", "--quiet", "--all", "--message", "7.8.9")
    assert {finding.level for finding in check_tree(read_tree(repository.root))} == {"ok"}


def test_nothing_is_published_of_a_tree_that_is_not_ready(repository: Repository) -> None:
    """Not even built: the changelog has no date yet, and a file is not committed."""
    (repository.root / "new.py").touch()
    done = repository.make_release("PUBLISH=1")
    assert done.returncode != 0
    assert "wrong not committed: new.py\n" in done.stdout
    assert "note  CHANGELOG.md: the first section is Unreleased" in done.stdout
    assert done.stdout.endswith("no release: nothing was built\n")
    assert not (repository.root / "build").exists()
    assert git(repository.root, "tag", "--list") == ""


@pytest.mark.long
def test_a_dry_run_builds_and_publishes_nothing(repository: Repository, twine: Path) -> None:
    """It ends with 0, says what a release would do and lacks, and a failed upload of what it built
    leaves no tag.
    """
    done = repository.make_release(CC="no-compiler")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("dry run: nothing was tagged or uploaded\n")
    tree = read_tree(repository.root)
    assert (
        f"  git tag --annotate --message 'sidelog {VERSION}' v{VERSION} {tree.commit}\n"
        in done.stdout
    )
    assert "note  no compiled wheel: there is no C compiler" in done.stdout
    assert (tree.changed, tree.tags) == ((), frozenset[str]())
    built = repository.root / "build" / "release"
    assert {path.name for path in built.iterdir()} == set(NAMES)

    packages = Packages(built / NAMES[0], built / NAMES[1], None, frozenset({"proxy/never.py"}))
    assert "lacks ['proxy/never.py']" in list(check_packages(packages, VERSION))[1].text

    index = Index(status=403)
    with index.listening() as environ, pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        with pytest.raises(NotPublished, match="the tag was taken back"):
            Publishing(repository.root, tree, packages, twine).run()

    assert git(repository.root, "tag", "--list") == git(repository.origin, "tag", "--list") == ""


@dataclass(frozen=True)
class Published:
    """A release that was made."""

    repository: Repository
    index: Index
    said: str
    built: Path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, twine: Path) -> Published:
    """Make one whole: the compiled wheel takes minutes."""
    assert twine.exists()
    find(os.environ.get("CC", "cc"))
    repository = Repository(tmp_path_factory.mktemp("published"))
    repository.commit(f"{VERSION} - 2026-03-04")
    index = Index()
    with index.listening() as environ:
        done = repository.make_release("PUBLISH=1", **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return Published(repository, index, done.stdout, repository.root / "build" / "release")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_release_is_uploaded_and_tagged(published: Published) -> None:
    """All packages as they were built; a second release of the same version is refused."""
    compiled = {path.name for path in published.built.glob("*linux*.whl")}
    assert {path.name for path in published.built.iterdir()} == {*NAMES, *compiled}
    assert len(compiled) == 1
    assert published.index.taken == {
        name: hashlib.sha256((published.built / name).read_bytes()).hexdigest()
        for name in {*NAMES[:2], *compiled}
    }
    assert "ok    twine check --strict accepts the metadata of all packages" in published.said
    repository = published.repository
    tagged = git(repository.origin, "rev-parse", f"v{VERSION}^{{commit}}").strip()
    assert tagged == git(repository.root, "rev-parse", "HEAD").strip()
    again = repository.make_release("PUBLISH=1")
    assert again.returncode != 0
    assert f"the tag v{VERSION} is there already" in again.stdout


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("build", ["pure", "compiled"])
def test_a_wheel_of_a_release_serves(published: Published, tmp_path: Path, build: str) -> None:
    """Where nothing is installed but what it says it needs."""
    (wheel,) = published.built.glob("*none-any.whl" if build == "pure" else "*manylinux*.whl")
    with serving(install(wheel, tmp_path / "installed"), tmp_path, tmp_path / "data", build=build):
        pass


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_release_has_its_checksums(published: Published) -> None:
    """Of every file, as sha256sum reads them."""
    command = ["sha256sum", "--check", "--strict", SUMS]
    checked = subprocess.run(
        command, cwd=published.built, capture_output=True, text=True, check=True
    ).stdout
    names = {path.name for path in published.built.iterdir()} - {SUMS}
    assert set(checked.splitlines()) == {f"{name}: OK" for name in names}
