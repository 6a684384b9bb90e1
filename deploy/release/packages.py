"""Source archive and wheel: built from what is committed, the wheel from the archive alone, and looked into.

They are built by setuptools itself, without network, as the image and the tests do.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from deploy.release.checks import Finding

Kind = Literal["sdist", "wheel"]

PACKAGES: Final = ("api", "proxy", "storage")
SHIPPED: Final = frozenset({".py", ".sql", ".html", ".css", ".js", ".svg"})
"""Suffixes of what runs, or is served."""
_ARCHIVED: Final = frozenset(
    {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py", "sidelog.egg-info"}
)
"""What is in the source archive beside the packages."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Both files of a release, and what the wheel should have."""

    archive: Path
    wheel: Path
    modules: frozenset[str]

    @property
    def files(self) -> tuple[Path, Path]:
        return self.archive, self.wheel


class BuildFailed(Exception):
    """A package cannot be built; the end of what setuptools said."""


def build(tree: Path, kind: Kind, into: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Build a package of a tree, which is written to, and return its path.

    Raises:
        BuildFailed: setuptools ended with an error.
    """
    into.mkdir(parents=True, exist_ok=True)
    code = f"from setuptools import build_meta; import sys; sys.stderr.write(build_meta.build_{kind}({str(into)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env={**os.environ, **(environ or {})}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if built.returncode:
        raise BuildFailed(built.stderr[-4000:])
    return into / built.stderr.splitlines()[-1]


def build_packages(root: Path, into: Path) -> Packages:
    """Build both of the commit that is checked out at a root."""
    committed = subprocess.run(["git", "archive", "HEAD"], cwd=root, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as directory:
        tree, unpacked = Path(directory, "tree"), Path(directory, "unpacked")
        with tarfile.open(fileobj=io.BytesIO(committed)) as packed:
            packed.extractall(tree, filter="data")
        archive = build(tree, "sdist", into)
        with tarfile.open(archive) as packed:
            packed.extractall(unpacked, filter="data")
        wheel = build(next(unpacked.iterdir()), "wheel", into)
        return Packages(archive, wheel, modules_of(tree))


def modules_of(tree: Path) -> frozenset[str]:
    """List what a wheel of a tree should have: modules, and what they serve."""
    return frozenset(
        str(path.relative_to(tree))
        for package in PACKAGES
        for path in (tree / package).rglob("*")
        if path.suffix in SHIPPED and "__pycache__" not in path.parts
    )


def check_packages(packages: Packages, version: str) -> Iterator[Finding]:
    """Yield what is wrong with names and contents, and what both are."""
    names = [path.name for path in packages.files]
    expected = [f"sidelog-{version}.tar.gz", f"sidelog-{version}-py3-none-any.whl"]
    if names != expected:
        yield Finding("wrong", f"expected {' and '.join(expected)}, built {' and '.join(names)}")
    with zipfile.ZipFile(packages.wheel) as packed:
        shipped = {name for name in packed.namelist() if ".dist-info/" not in name}
    if shipped != packages.modules:
        yield Finding("wrong", f"{packages.wheel.name}: {_difference(shipped, packages.modules)}")
    with tarfile.open(packages.archive) as archived:
        inside = {Path(member.name).parts[1] for member in archived if "/" in member.name}
    if inside - _ARCHIVED != set(PACKAGES):
        yield Finding("wrong", f"{packages.archive.name}: {_difference(inside - _ARCHIVED, set(PACKAGES))}")
    for path in packages.files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield Finding("ok", f"{path.name}, {path.stat().st_size} bytes, sha256 {digest}")


def check_metadata(packages: Packages, twine: Path) -> Finding:
    """Judge the metadata as the package index does, README included."""
    if not twine.exists():
        return Finding("wrong", f"there is no {twine} to judge the metadata with: make release-setup installs it")
    command = [str(twine), "check", "--strict", *map(str, packages.files)]
    done = subprocess.run(command, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, check=False)
    if done.returncode:
        return Finding("wrong", f"twine check: {(done.stdout + done.stderr).strip()}")
    return Finding("ok", "twine check --strict accepts the metadata of both")


def _difference(have: set[str], expected: set[str] | frozenset[str]) -> str:
    return f"lacks {sorted(expected - have)[:5]}, has {sorted(have - expected)[:5]} too many"
