"""The files of one version: a data directory as a kill leaves it, two databases, and what the
program answered then.

Strategy: what is text stays text, so that a change shows in a review. The rest is compressed: rings
and segments of the spool are mostly zeros.
"""

import gzip
import json
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

from proxy.process.data_dir import STATE_FILE, TOKEN_FILE, read_state, update_state
from proxy.process.ring_home import STATE_NAME
from proxy.process.version import VERSION
from proxy.ring.key_snapshot import SNAPSHOT_FILE

FIXTURES: Final = Path(__file__).parents[2] / "fixtures" / "layouts"
NEXT: Final = "1.0.0"
"""The version whose fixture `make layouts` makes: the next one that is released with other layouts.
"""
STORE_FILE: Final = "sidelog.db"
_RINGS: Final = "rings"
_SPOOL: Final = "spool"
_COPIED: Final = (STATE_FILE, TOKEN_FILE, SNAPSHOT_FILE)
_PRAGMAS: Final = ("page_size", "auto_vacuum", "user_version")
"""Of a database: what its dump does not say."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """The directory of one version."""

    path: Path

    @property
    def version(self) -> Version:
        """The first that has these layouts."""
        return Version(self.path.name)

    @property
    def is_released(self) -> bool:
        """Whether that version is out; until then layouts may change without a migration, and it is
        made anew.
        """
        return Version(VERSION) >= self.version

    @property
    def config(self) -> str:
        """Its configuration; `{upstream}` stands for the upstream's address."""
        return (self.path / "config.toml").read_text()

    def json(self, name: str) -> Any:
        """Read one of its JSON files."""
        return json.loads((self.path / f"{name}.json").read_text())

    def write_json(self, name: str, value: Any) -> None:
        """Write one of its JSON files."""
        (self.path / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")

    def expected(self, kind: str) -> Any:
        """Read what the program said of one kind of store when the fixture was made."""
        return json.loads(gzip.decompress((self.path / f"expected-{kind}.json.gz").read_bytes()))

    def write_expected(self, kind: str, value: Any) -> None:
        """Write what it says."""
        packed = gzip.compress(json.dumps(value, sort_keys=True).encode(), mtime=0)
        (self.path / f"expected-{kind}.json.gz").write_bytes(packed)

    def keep_data_dir(self, data_dir: Path) -> None:
        """Keep a data directory and its rings, of which no process is left."""
        for name in _COPIED:
            shutil.copy(data_dir / name, self.path / name)
        with closing(sqlite3.connect(data_dir / STORE_FILE)) as store:
            pragmas = [
                f"PRAGMA {name} = {store.execute(f'PRAGMA {name}').fetchone()[0]};"
                for name in _PRAGMAS
            ]
            (self.path / "sqlite.sql").write_text("\n".join((*pragmas, *store.iterdump())) + "\n")

        _pack((data_dir / _SPOOL).iterdir(), self.path / _SPOOL)
        _pack(Path(read_state(data_dir)[STATE_NAME]).glob("*.ring"), self.path / _RINGS)

    def restore_data_dir(self, data_dir: Path, rings: Path) -> None:
        """Make the data directory anew.

        Args:
            data_dir: Where; it must not exist.
            rings: The setting `ring.directory` of whoever reads it.
        """
        data_dir.mkdir()
        for name in _COPIED:
            shutil.copy(self.path / name, data_dir / name)
        with closing(sqlite3.connect(data_dir / STORE_FILE, isolation_level=None)) as store:
            store.executescript((self.path / "sqlite.sql").read_text())
        _unpack(self.path / _SPOOL, data_dir / _SPOOL)
        place = rings / "0123456789abcdef"
        _unpack(self.path / _RINGS, place)
        update_state(data_dir, **{STATE_NAME: str(place)})


def _pack(files: Iterable[Path], into: Path) -> None:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    for file in files:
        (into / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))


def _unpack(packed: Path, into: Path) -> None:
    into.mkdir(parents=True)
    into.chmod(0o700)
    for file in packed.iterdir():
        unpacked = into / file.name.removesuffix(".gz")
        unpacked.write_bytes(gzip.decompress(file.read_bytes()))
        unpacked.chmod(0o600)


def fixtures() -> list[Fixture]:
    """Find the fixtures of all versions, the oldest first."""
    return sorted(
        (Fixture(path) for path in FIXTURES.iterdir()), key=lambda fixture: fixture.version
    )
