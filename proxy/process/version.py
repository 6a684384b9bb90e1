"""The version, where nothing has to be imported or installed to read it; a test compares it with pyproject.toml."""

from typing import Final

VERSION: Final = "0.1.0"
