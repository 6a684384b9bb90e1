"""What is installed beside sidelog, as a bill of materials and with its licences: `python -m
tests.support.sbom DIR`.

Names, versions and who needs whom are those of the lock file, licences those of the installed
packages, so that it is run where the lock is installed (`make sbom`). What the lock has for other
systems only is left out. The same lock gives the same bytes. The image has Python and Debian's
packages beside it, of which its own index knows.

Standard: CycloneDX 1.6 in JSON.
"""

import json
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker

from proxy.process.version import VERSION

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements" / "run.lock"
NAMESPACE: Final = uuid.UUID("6f0b7a3e-8f0a-5d0c-9d53-3c1f6b6c2e55")
"""Of serial numbers, made once."""
_NAMED: Final = re.compile(r"([A-Za-z0-9][\w.-]*)==(\S+)(?: ; (.+?))? ?\\?$")
_NEEDED_BY: Final = re.compile(r"    # (?:via|  ) ?([\w.-]+)")
_SPDX: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
"""What packages call a licence → its SPDX identifier."""
MAX_NAME_CHARACTERS: Final = 40
"""Of a licence: where there is more, it is its text."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9.+-]+$")
_LICENCE_FILE: Final = re.compile(r"(?:^|/)(?:licen[cs]e|copying|notice)[^/]*$", re.IGNORECASE)


class NotAsLocked(Exception):
    """What is installed is not what the lock says."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock file."""

    name: str
    version: str
    needed_by: list[str] = field(default_factory=list)
    """Names of packages; `sidelog` is one."""


def read_lock(text: str) -> list[Locked]:
    """Read a lock file as `uv pip compile` writes it; what is for another system, or another
    Python, is left out.
    """
    found: list[Locked] = []
    is_meant = False
    for line in text.splitlines():
        if named := _NAMED.match(line):
            is_meant = named[3] is None or Marker(named[3]).evaluate()
            if is_meant:
                found.append(Locked(named[1], named[2]))
        elif is_meant and (needed := _NEEDED_BY.match(line)):
            found[-1].needed_by.append(needed[1])

    return found


def installed(packages: Iterable[Locked]) -> Iterator[tuple[Locked, Distribution]]:
    """Find those that are installed here.

    Raises:
        NotAsLocked: one is, in another version.
    """
    for package in packages:
        try:
            there = distribution(package.name)
        except PackageNotFoundError:
            continue  # what an extra brings that is not installed here

        if there.version != package.version:
            raise NotAsLocked(
                f"{package.name} is locked as {package.version}, installed as {there.version}"
            )

        yield package, there


def licence_of(package: Distribution) -> str:
    """Return a licence as an SPDX expression, or as the package names it; empty when it names none."""
    metadata = package.metadata
    if expressions := metadata.get_all("License-Expression"):
        return str(expressions[0])

    named = str((metadata.get_all("License") or [""])[0])
    if named and len(named) < MAX_NAME_CHARACTERS:
        return _SPDX.get(named, named)

    classified = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or ()
                  if each.startswith("License ::")]  # fmt: skip
    return " AND ".join(_SPDX.get(each, each) for each in classified)


def bill_of_materials(packages: Iterable[tuple[Locked, Distribution]]) -> dict[str, Any]:
    """Return the document."""
    found = sorted(packages, key=lambda each: each[0].name)
    needs: dict[str, list[str]] = {"sidelog": [], **{package.name: [] for package, _ in found}}
    for package, _ in found:
        for user in package.needed_by:
            if user in needs:
                needs[user].append(package.name)

    refs = {package.name: f"pkg:pypi/{package.name}@{package.version}" for package, _ in found}
    refs["sidelog"] = f"pkg:pypi/sidelog@{VERSION}"
    components = [_component(package.name, package.version, refs[package.name], licence_of(there))
                  for package, there in found]  # fmt: skip
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                **_component("sidelog", VERSION, refs["sidelog"], "Apache-2.0"),
            }
        },
        "components": [{"type": "library", **component} for component in components],
        "dependencies": [
            {"ref": refs[name], "dependsOn": sorted(refs[each] for each in needed)}
            for name, needed in sorted(needs.items())
        ],
    }
    document["serialNumber"] = uuid.uuid5(NAMESPACE, json.dumps(document)).urn
    return document


def _component(name: str, version: str, ref: str, licence: str) -> dict[str, Any]:
    stated: dict[str, Any] = (
        {"license": {"id": licence}} if _IDENTIFIER.match(licence) else {"expression": licence}
    )
    return {
        "bom-ref": ref,
        "name": name,
        "version": version,
        "purl": ref,
        "licenses": [stated] if licence else [],
    }


def licence_texts(packages: Iterable[tuple[Locked, Distribution]]) -> str:
    """Return the licences, each under the package it is of."""
    parts = []
    for package, there in packages:
        texts = [
            file.read_text().strip() for file in there.files or () if _LICENCE_FILE.search(str(file))
        ]  # fmt: skip
        head = f"{package.name} {package.version}: {licence_of(there)}"
        parts.append("\n\n".join([head, "=" * len(head), *texts]))

    return "\n\n\n".join(parts) + "\n"


def main(directory: Path) -> None:
    """Write both files."""
    packages = list(installed(read_lock(LOCK.read_text("utf-8"))))
    directory.mkdir(parents=True, exist_ok=True)
    document = json.dumps(bill_of_materials(packages), indent=2) + "\n"
    (directory / "sbom.cdx.json").write_text(document, "utf-8")
    (directory / "licences.txt").write_text(licence_texts(packages), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
