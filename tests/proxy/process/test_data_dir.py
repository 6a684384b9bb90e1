"""The data directory is private, owned by one sidelog at a time, and keeps its names over restarts."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.process.data_dir import (
    STATE_FILE,
    TOKEN_FILE,
    DataDir,
    DataDirError,
    is_in_use,
    lock_data_dir,
    read_state,
    update_state,
)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    """A directory that is taken."""
    taken = lock_data_dir(tmp_path / "a" / "data")
    yield taken
    os.close(taken.lock_fd)


def mode(path: Path) -> int:
    """Permission bits."""
    return path.stat().st_mode & 0o777


def test_everything_in_it_is_private(data: DataDir) -> None:
    """The directory is 0700, each file in it 0600, whatever the umask."""
    before = os.umask(0)
    try:
        update_state(data.path, more=1)
    finally:
        os.umask(before)

    assert mode(data.path) == 0o700
    assert {path.name: mode(path) for path in data.path.iterdir()} == {
        "lock": 0o600,
        TOKEN_FILE: 0o600,
        STATE_FILE: 0o600,
    }


def test_token_and_instance_are_made_once(tmp_path: Path) -> None:
    """The second start finds what the first made; another directory has others."""
    first = lock_data_dir(tmp_path / "data")
    os.close(first.lock_fd)
    second = lock_data_dir(tmp_path / "data")
    os.close(second.lock_fd)
    other = lock_data_dir(tmp_path / "other")
    os.close(other.lock_fd)
    assert (second.token, second.instance) == (first.token, first.instance)
    assert len(first.token) >= 43  # 256 bits in base64
    assert not {other.token, other.instance} & {first.token, first.instance}
    assert (tmp_path / "data" / TOKEN_FILE).read_text() == first.token + "\n"


def test_a_token_file_of_the_operator_is_used(tmp_path: Path) -> None:
    """What was put there before the first start is the token; an empty file is replaced."""
    (tmp_path / TOKEN_FILE).write_text(" chosen\n")
    taken = lock_data_dir(tmp_path)
    os.close(taken.lock_fd)
    assert taken.token == "chosen"
    (tmp_path / TOKEN_FILE).write_text("\n")
    taken = lock_data_dir(tmp_path)
    os.close(taken.lock_fd)
    assert len(taken.token) >= 43


def test_a_named_instance_is_kept(tmp_path: Path) -> None:
    """A name that was configured once is the name until another is configured."""
    for configured, expected in (("named", "named"), ("", "named"), ("renamed", "renamed")):
        taken = lock_data_dir(tmp_path, configured)
        os.close(taken.lock_fd)
        assert taken.instance == expected
    assert read_state(tmp_path)["instance"] == "renamed"


def test_a_second_taker_is_refused(data: DataDir, caplog: pytest.LogCaptureFixture) -> None:
    """The message names the directory; once the first has let go, it can be taken."""
    with pytest.raises(
        DataDirError, match=f"data directory {data.path} is in use by another sidelog"
    ):
        lock_data_dir(data.path, wait_s=0)

    descriptors = set(os.listdir("/proc/self/fd"))
    with pytest.raises(DataDirError):
        lock_data_dir(data.path, wait_s=0.1)
    assert caplog.messages == [f"waiting up to 0.1 s for another sidelog to leave {data.path}"]
    assert set(os.listdir("/proc/self/fd")) <= descriptors


def test_whoever_inherits_the_lock_holds_it(tmp_path: Path) -> None:
    """A collector that outlives its supervisor keeps a new start waiting."""
    first = lock_data_dir(tmp_path)
    inherited = os.dup(first.lock_fd)
    os.close(first.lock_fd)
    with pytest.raises(DataDirError, match="in use"):
        lock_data_dir(tmp_path, wait_s=0)
    os.close(inherited)
    os.close(lock_data_dir(tmp_path, wait_s=0).lock_fd)


def test_a_spool_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Moved with the files of another user, it would count as damaged, and be deleted."""
    segment = tmp_path / "spool" / "00000000000000000001.spool"
    segment.mkdir(parents=True)  # whoever is root may read any file
    with pytest.raises(DataDirError, match=f"{segment} cannot be read"):
        lock_data_dir(tmp_path)
    segment.rmdir()
    segment.write_bytes(b"")
    os.close(lock_data_dir(tmp_path, wait_s=0).lock_fd)


def test_in_what_is_no_directory_nothing_runs(tmp_path: Path) -> None:
    """It is a place without data, as one that is not there."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        assert (read_state(place), is_in_use(place)) == ({}, False)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_state_file_is_empty_and_replaced(tmp_path: Path, content: bytes) -> None:
    """A state that cannot be read costs the instance name, never the start."""
    (tmp_path / STATE_FILE).write_bytes(content)
    assert read_state(tmp_path) == {}
    taken = lock_data_dir(tmp_path)
    os.close(taken.lock_fd)
    assert read_state(tmp_path) == {"instance": taken.instance}


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, name: str) -> None:
    """A file stands in its place, or on the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match=f"data directory {tmp_path / name}: "):
        lock_data_dir(tmp_path / name)


def test_a_token_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A directory where the token should be, or bytes that are no text, are an error and no
    traceback.
    """
    (tmp_path / TOKEN_FILE).mkdir()
    with pytest.raises(DataDirError, match=f"data directory {tmp_path}: "):
        lock_data_dir(tmp_path)
    (tmp_path / TOKEN_FILE).rmdir()
    (tmp_path / TOKEN_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataDirError, match=r"admin-token holds no text"):
        lock_data_dir(tmp_path)


def test_nothing_temporary_is_left(data: DataDir) -> None:
    """The state is replaced in one step: readers see the old one or the new one."""
    update_state(data.path, a="é")
    assert read_state(data.path) == {"instance": data.instance, "a": "é"}
    assert sorted(path.name for path in data.path.iterdir()) == [TOKEN_FILE, "lock", STATE_FILE]


def test_writers_of_the_state_wait_for_each_other(data: DataDir) -> None:
    """Nothing is lost between threads that set members of their own at the same time."""

    def write(name: str) -> None:
        for number in range(50):
            update_state(data.path, **{name: number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    assert read_state(data.path) == {"instance": data.instance, **dict.fromkeys("abcd", 49)}


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    """Said so: that something exists is no reason for anybody."""
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="file: it is a file; choose another --data-dir"):
        lock_data_dir(tmp_path / "file")


def test_what_others_can_use_is_told_with_the_command_that_ends_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The directory and the token; a group is often meant, as that of a volume."""
    token = tmp_path / "admin-token"
    token.write_text("token")
    for mode, of_token, told in (
        (0o777, 0o644, [f"chmod 700 {tmp_path}", f"chmod 600 {token}"]),
        (0o705, 0o600, [f"chmod 700 {tmp_path}"]),
        (0o770, 0o660, []),
        (0o700, 0o600, []),
    ):
        tmp_path.chmod(mode)
        token.chmod(of_token)
        caplog.clear()
        os.close(lock_data_dir(tmp_path).lock_fd)
        assert [message.rpartition(": ")[2] for message in caplog.messages] == told
    tmp_path.chmod(0o700)
