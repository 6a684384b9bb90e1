"""What a release has to fulfil, judged from what its tree says. Pure.

Standards: Keep a Changelog 1.1 (a section a version, with its date), PEP 440 (the form of a
version).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from deploy.release.tree import Tree
from deploy.release.version import SOURCE, UNRELEASED, VERSION

Level = Literal["ok", "note", "wrong"]
"""A note stops publishing, but is nothing that is wrong before that."""

_SECTION: Final = re.compile(r"^## (.+)\n((?:(?!## ).*\n)*)", re.MULTILINE)
MAX_NAMED: Final = 5
"""Files that a finding names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    text: str


def tag_of(version: str) -> str:
    return f"v{version}"


def check_tree(tree: Tree) -> Iterator[Finding]:
    """Yield what can be said before anything is built."""
    yield _check_branch(tree)
    yield _check_changes(tree)
    yield _check_versions(tree)
    tag = tag_of(tree.version)
    if tag in tree.tags:
        yield Finding("wrong", f"the tag {tag} is there already: {SOURCE} needs the next version")
    yield check_changelog(tree.changelog, tree.version)


def check_changelog(text: str, version: str) -> Finding:
    """Judge the first section: that of the version, with its date."""
    section = _SECTION.search(text)
    if section is None or not re.search(r"^- ", section[2], re.MULTILINE):
        return Finding("wrong", "CHANGELOG.md: the first section lists no change")

    heading = section[1].strip()
    if heading == UNRELEASED:
        return Finding(
            "note",
            f"CHANGELOG.md: the first section is {UNRELEASED}, and becomes '{version} - DATE'",
        )

    named, _, day = heading.partition(" - ")
    if named.strip("[]") != version or not _is_date(day):
        return Finding(
            "wrong", f"CHANGELOG.md: the first section is {heading!r}, expected '{version} - DATE'"
        )

    return Finding("ok", f"CHANGELOG.md has {heading}")


def _check_branch(tree: Tree) -> Finding:
    if tree.branch == "main":
        return Finding("ok", f"on main, {tree.commit[:12]}")
    return Finding("wrong", f"on {tree.branch or 'no branch'}: releases are made of main")


def _check_changes(tree: Tree) -> Finding:
    if not tree.changed:
        return Finding("ok", "everything is committed")
    named = ", ".join(tree.changed[:MAX_NAMED])
    rest = f" and {len(tree.changed) - MAX_NAMED} more" if len(tree.changed) > MAX_NAMED else ""
    return Finding("wrong", f"not committed: {named}{rest}")


def _check_versions(tree: Tree) -> Finding:
    version = tree.version
    if not VERSION.fullmatch(version):
        return Finding(
            "wrong", f"{SOURCE}: expected a version such as 1.2.3 or 1.2.3rc1, got {version!r}"
        )

    others = [
        f"{file} has {other or 'none'}" for file, other in tree.versions.items() if other != version
    ]
    if others:
        return Finding("wrong", f"{SOURCE} has {version}, {', '.join(others)}")

    return Finding("ok", f"version {version} in {len(tree.versions)} files")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
