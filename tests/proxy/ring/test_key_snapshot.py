"""The file between collector and workers: whole or not at all, hashes only, private."""

import stat
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ring.key_snapshot import (
    SNAPSHOT_FILE,
    KnownKey,
    decode_snapshot,
    encode_snapshot,
    read_snapshot,
    write_snapshot,
)
from storage.keys import ApiKey, deleted, new_secret, secret_digest

SECRET = new_secret()
KEY = ApiKey(
    id="01920000-0000-7000-8000-000000000001", name="Production Key", last4=SECRET[-4:],
    secret_sha256=secret_digest(SECRET.encode()), scopes=("agent",), agents=None, expires_at_us=7, project="shop",
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """By the hash of the secret, with all that the check needs."""
    write_snapshot(tmp_path, encode_snapshot([KEY, deleted(KEY, 1)]))
    digest = secret_digest(SECRET.encode())
    assert read_snapshot(tmp_path) == {
        digest: KnownKey(digest, UUID(KEY.id).bytes, ("agent",), None, 7, False)
    }


def test_it_holds_no_secret_and_no_name(tmp_path: Path) -> None:
    """Only its owner may read it, and it tells nothing that could be presented."""
    write_snapshot(tmp_path, encode_snapshot([KEY]))
    raw = (tmp_path / SNAPSHOT_FILE).read_bytes()
    assert SECRET.encode() not in raw
    assert b"Production" not in raw
    assert stat.S_IMODE((tmp_path / SNAPSHOT_FILE).stat().st_mode) == 0o600


def test_it_is_replaced_whole(tmp_path: Path) -> None:
    """Who has the old file open reads the old keys; nothing else is left in the directory."""
    write_snapshot(tmp_path, encode_snapshot([KEY]))
    with (tmp_path / SNAPSHOT_FILE).open("rb") as old:
        write_snapshot(tmp_path, encode_snapshot([]))
        assert len(decode_snapshot(old.read())) == 1
    assert read_snapshot(tmp_path) == {}
    assert [file.name for file in tmp_path.iterdir()] == [SNAPSHOT_FILE]


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """An error is reported, and no part of a file stays behind."""
    with pytest.raises(OSError, match="No such file"):
        write_snapshot(tmp_path / "missing", b"")
    (tmp_path / SNAPSHOT_FILE).mkdir()
    with pytest.raises(OSError, match="directory"):
        write_snapshot(tmp_path, b"")
    assert [file.name for file in tmp_path.iterdir()] == [SNAPSHOT_FILE]


def test_another_format_is_refused() -> None:
    """A newer collector's file is not guessed at."""
    with pytest.raises(ValueError, match="format 2"):
        decode_snapshot(msgspec.msgpack.encode([2, []]))


@given(st.binary(max_size=40) | st.just(encode_snapshot([KEY])[:-1]))
def test_damage_is_an_error_of_value(raw: bytes) -> None:
    """Whatever is in the file, reading it gives keys or ValueError."""
    try:
        keys = decode_snapshot(raw)
    except ValueError:
        return
    assert isinstance(keys, Mapping)
