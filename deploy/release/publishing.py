"""What publishes a release: a tag, an upload, and the tag for all users.

The tag is made before the upload, and taken back if that fails; it is pushed when the index has the
files.
"""

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.release.checks import tag_of
from deploy.release.packages import Packages
from deploy.release.tree import Tree


class NotPublished(Exception):
    """A step failed; what is done already, and what to do."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """The commands of one release."""

    root: Path
    tree: Tree
    packages: Packages
    twine: Path

    @property
    def steps(self) -> list[list[str]]:
        """The commands in their order: tag, upload, push."""
        version = self.tree.version
        tag = tag_of(version)
        return [
            ["git", "tag", "--annotate", "--message", f"sidelog {version}", tag, self.tree.commit],
            [str(self.twine), "upload", "--non-interactive", *map(str, self.packages.files)],
            ["git", "push", "origin", tag],
        ]

    def lines(self) -> Iterator[str]:
        """Write them as commands to type."""
        for step in self.steps:
            yield shlex.join([argument.removeprefix(f"{self.root}/") for argument in step])

    def run(self) -> None:
        """Publish.

        Raises:
            NotPublished: a command failed.
        """
        tag, upload, push = self.steps
        if not self._succeeds(tag):
            raise NotPublished("the tag could not be made; nothing was uploaded")
        if not self._succeeds(upload):
            self._succeeds(["git", "tag", "--delete", tag_of(self.tree.version)])
            raise NotPublished(
                "the upload failed, the tag was taken back; look whether the index has one of the "
                "files"
            )
        if not self._succeeds(push):
            raise NotPublished(f"the files are uploaded, the tag is not pushed: {shlex.join(push)}")

    def _succeeds(self, command: list[str]) -> bool:
        return subprocess.run(command, cwd=self.root, check=False).returncode == 0
