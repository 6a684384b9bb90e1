"""Source archive and wheels: built from what is committed, the wheels from the archive alone, and
looked into.

They are built by setuptools itself, without network, as the image and the tests do. The compiled
wheel is for the Python and processor it is built with, and for each Linux that auditwheel finds it
fit for; others take the pure one.
"""

import io
import os
import shlex
import shutil
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
SHIPPED: Final = frozenset({".py", ".sql", ".toml", ".html", ".css", ".js", ".svg"})
"""Suffixes of what runs, or is served."""
_ARCHIVED: Final = frozenset(
    {
        "LICENSE",
        "MANIFEST.in",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
        "sidelog.egg-info",
    }
)
"""What is in the source archive beside the packages."""


@dataclass(frozen=True, slots=True)
class Packages:
    """What is uploaded of a release, and what a wheel should have."""

    archive: Path
    wheel: Path
    compiled: Path | None
    """None where no C compiler is."""
    modules: frozenset[str]

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.archive, self.wheel, self.compiled) if path is not None]


class BuildFailed(Exception):
    """A package cannot be built; the end of what setuptools said."""


def build(tree: Path, kind: Kind, into: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Build a package of a tree, which is written to, and return its path.

    Raises:
        BuildFailed: setuptools ended with an error.
    """
    into.mkdir(parents=True, exist_ok=True)
    code = (
        "from setuptools import build_meta; import sys; "
        f"sys.stderr.write(build_meta.build_{kind}({str(into)!r}))"
    )
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env={**os.environ, **(environ or {})}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if built.returncode:
        raise BuildFailed(built.stderr[-4000:])

    return into / built.stderr.splitlines()[-1]


def committed_tree(root: Path, directory: Path) -> Path:
    """Write the commit that is checked out at a root into a directory; returns where."""
    committed = subprocess.run(
        ["git", "archive", "HEAD"], cwd=root, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(committed)) as packed:
        packed.extractall(directory, filter="data")
    return directory


def build_packages(tree: Path, into: Path, tools: Path) -> Packages:
    """Build all of a tree, which is written to; `tools` has auditwheel, and patchelf for it.

    Raises:
        BuildFailed: setuptools or auditwheel ended with an error.
    """
    archive = build(tree, "sdist", into)
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(archive) as packed:
            packed.extractall(directory, filter="data")
        (unpacked,) = Path(directory).iterdir()
        wheel = build(unpacked, "wheel", into)
        compiler = shutil.which(shlex.split(os.environ.get("CC", "cc"))[0])
        return Packages(
            archive,
            wheel,
            build_compiled(unpacked, into, tools) if compiler else None,
            modules_of(tree),
        )


def build_compiled(tree: Path, into: Path, tools: Path) -> Path:
    """Build the compiled wheel of a tree for this Python, with the oldest platform that it can run
    on as its name.
    """
    with tempfile.TemporaryDirectory() as directory:
        plain = build(tree, "wheel", Path(directory, "plain"), {"SIDELOG_COMPILE": "1"})
        repaired = Path(directory, "repaired")
        done = subprocess.run(
            [tools / "auditwheel", "repair", "--wheel-dir", repaired, plain],
            env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise BuildFailed(f"auditwheel repair: {done.stderr[-4000:]}")

        (wheel,) = repaired.iterdir()
        return Path(shutil.move(wheel, into / wheel.name))


def modules_of(tree: Path) -> frozenset[str]:
    """List what a wheel of a tree should have: modules, and what they serve."""
    return frozenset(
        str(path.relative_to(tree))
        for package in PACKAGES
        for path in (tree / package).rglob("*")
        if path.suffix in SHIPPED and "__pycache__" not in path.parts
    )


def check_packages(packages: Packages, version: str) -> Iterator[Finding]:
    """Yield what is wrong with names and contents."""
    names = [path.name for path in (packages.archive, packages.wheel)]
    expected = [f"sidelog-{version}.tar.gz", f"sidelog-{version}-py3-none-any.whl"]
    if names != expected:
        yield Finding("wrong", f"expected {' and '.join(expected)}, built {' and '.join(names)}")
    if packages.compiled is None:
        yield Finding(
            "note",
            "no compiled wheel: there is no C compiler (Debian: gcc and python3-dev, or CC=)",
        )
    elif packages.compiled.stem.rpartition("-")[2].startswith("linux"):
        yield Finding(
            "wrong", f"{packages.compiled.name}: the index takes no wheel of one machine's Linux"
        )

    for wheel in packages.files[1:]:
        with zipfile.ZipFile(wheel) as packed:
            shipped = {
                name
                for name in packed.namelist()
                if ".dist-info/" not in name and not name.endswith("/")
            }

        libraries = {name for name in shipped if name.endswith(".so")}
        if shipped - libraries != packages.modules or bool(libraries) != (
            wheel == packages.compiled
        ):
            found = _difference(shipped - libraries, packages.modules)
            yield Finding("wrong", f"{wheel.name}: {found}, {len(libraries)} libraries")

    with tarfile.open(packages.archive) as archived:
        inside = {Path(member.name).parts[1] for member in archived if "/" in member.name}
    if inside - _ARCHIVED != set(PACKAGES):
        yield Finding(
            "wrong", f"{packages.archive.name}: {_difference(inside - _ARCHIVED, set(PACKAGES))}"
        )


def check_metadata(packages: Packages, twine: Path) -> Finding:
    """Judge the metadata as the package index does, README included."""
    if not twine.exists():
        return Finding(
            "wrong",
            f"there is no {twine} to judge the metadata with: make release-setup installs it",
        )

    command = [str(twine), "check", "--strict", *map(str, packages.files)]
    done = subprocess.run(
        command, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return Finding("wrong", f"twine check: {(done.stdout + done.stderr).strip()}")

    return Finding("ok", "twine check --strict accepts the metadata of all packages")


def _difference(have: set[str], expected: set[str] | frozenset[str]) -> str:
    return f"lacks {sorted(expected - have)[:5]}, has {sorted(have - expected)[:5]} too many"
