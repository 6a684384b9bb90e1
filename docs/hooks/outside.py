"""Pages that stand outside of `docs/`, for MkDocs; links to files that are no page become their names."""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""File of the repository → page of the site."""
_LINK: Final = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, and leave out this folder."""
    for file in [file for file in files if file.src_uri.startswith("hooks/")]:
        files.remove(file)
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn links, which are right in the repository, into such that are right on the site."""
    here = page.file.src_uri
    outside = {page: source for source, page in PAGES.items()}
    source = outside.get(here, f"docs/{here}")

    def placed(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        named = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if named == "docs/decisions":
            named = "docs/decisions/README.md"
        on_site = PAGES.get(named) or (
            named.removeprefix("docs/") if named.startswith("docs/") else None
        )
        if on_site is None:
            return f"{text} (`{named}`)" if text != named and f"`{named}`" != text else f"`{named}`"
        return f"[{text}]({posixpath.relpath(on_site, posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(placed, markdown)
