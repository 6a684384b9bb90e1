"""The numbered migrations of a backend, read from its package."""

from importlib import resources


def read_migrations(package: str) -> list[str]:
    """Read the migrations of a package; the first makes version 1."""
    files = resources.files(package).iterdir()
    return [
        file.read_text()
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]
