"""What a release has beside its packages: the chart, what the image is built of, and the checksums
of all its files.
"""

import hashlib
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.release.checks import Finding

SUMS: Final = "SHA256SUMS"
_DOCKERFILE: Final = "deploy/Dockerfile"


def pack_chart(tree: Path, into: Path, version: str) -> Path:
    """Pack the chart as `helm package` does, which needs no Helm: links become the files they lead
    to.
    """
    return _pack(into / f"sidelog-{version}.tgz", {"sidelog": tree / "deploy/helm/sidelog"})


def pack_image(tree: Path, into: Path, version: str) -> Path:
    """Pack the context of the image: `docker build -f deploy/Dockerfile -t sidelog - < FILE` builds
    it anywhere.
    """
    ignore = f"{_DOCKERFILE}.dockerignore"
    lines = (tree / ignore).read_text("utf-8").splitlines()
    names = [_DOCKERFILE, ignore, *(line[1:] for line in lines if line.startswith("!"))]
    return _pack(into / f"sidelog-image-{version}.tar.gz", {name: tree / name for name in names})


def _pack(file: Path, members: Mapping[str, Path]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz", dereference=True) as packed:
        for name, path in members.items():
            packed.add(path, name, filter=_anonymous)
    return file


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out who built it, and what running the tree left in it."""
    member.uid = 0
    member.gid = 0
    member.uname = ""
    member.gname = ""
    return None if "__pycache__" in member.name else member


def write_checksums(directory: Path) -> list[Finding]:
    """Write the checksums of all files as sha256sum reads them; says what there is."""
    digests = {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())
    }
    (directory / SUMS).write_text(
        "".join(f"{digest}  {path.name}\n" for path, digest in digests.items())
    )
    return [
        Finding("ok", f"{path.name}, {path.stat().st_size} bytes, sha256 {digest}")
        for path, digest in digests.items()
    ]
