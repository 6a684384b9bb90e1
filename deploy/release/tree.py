"""What a working tree says of the release that would be made of it: read by git and from its files."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.release.version import SOURCE, read_versions


@dataclass(frozen=True, slots=True)
class Tree:
    """A working tree."""

    commit: str
    branch: str
    """Empty where none is checked out."""
    changed: tuple[str, ...]
    """Files that are not as committed, or that git does not know."""
    tags: frozenset[str]
    versions: Mapping[str, str]
    """File → version that it names; empty where it should name one."""
    changelog: str

    @property
    def version(self) -> str:
        return self.versions[SOURCE]


def read_tree(root: Path) -> Tree:
    """Read the tree at the root of a repository."""
    return Tree(
        commit=git(root, "rev-parse", "HEAD").strip(),
        branch=git(root, "branch", "--show-current").strip(),
        changed=tuple(line[3:] for line in git(root, "status", "--porcelain").splitlines()),
        tags=frozenset(git(root, "tag", "--list").split()),
        versions=read_versions(root),
        changelog=(root / "CHANGELOG.md").read_text("utf-8"),
    )


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout
