"""Give the tree a version, and its changes a date: `make version TO=1.2.3`.

The program and its packages have their version from one line (SOURCE). What is read by kubectl and
Helm names it again.
"""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

SOURCE: Final = "proxy/process/version.py"
UNRELEASED: Final = "Unreleased"
"""Heading of what is to come in the changelog."""
VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
_PLACES: Final = {
    SOURCE: re.compile(r'^(VERSION: Final = ")(.*)(?=")', re.MULTILINE),
    "deploy/kubernetes/*/kustomization.yaml": re.compile(r"(newTag: )([^\s}]+)"),
    "deploy/helm/*/Chart.yaml": re.compile(r"^((?:version|appVersion): )(\S+)", re.MULTILINE),
}
"""Files that name the version, and how."""


def _places(root: Path) -> Iterator[tuple[Path, str, re.Pattern[str]]]:
    for place, pattern in _PLACES.items():
        for path in sorted(root.glob(place)):
            text = path.read_text("utf-8")
            if pattern.search(text) or path.name != "kustomization.yaml":
                yield path, text, pattern


def read_versions(root: Path) -> dict[str, str]:
    """Read the version that each file names; empty where it should name one, all of them where they
    differ.
    """
    return {
        str(path.relative_to(root)): " and ".join(
            sorted({found for _, found in pattern.findall(text)})
        )
        for path, text, pattern in _places(root)
    }


def set_version(root: Path, version: str, day: str) -> None:
    """Write a version wherever it is named, and the day over what was not released yet."""
    for path, text, pattern in _places(root):
        path.write_text(pattern.sub(rf"\g<1>{version}", text), "utf-8")
    changelog = root / "CHANGELOG.md"
    heading = re.compile(rf"^## {UNRELEASED}$", re.MULTILINE)
    changelog.write_text(
        heading.sub(f"## {version} - {day}", changelog.read_text("utf-8"), count=1), "utf-8"
    )


if __name__ == "__main__":
    (asked,) = sys.argv[1:] or ("",)
    if not VERSION.fullmatch(asked):
        sys.exit(
            f"expected a version such as 1.2.3 or 1.2.3rc1, got {asked!r}: make version TO=1.2.3"
        )
    set_version(Path(__file__).parents[2], asked, datetime.now(UTC).date().isoformat())
