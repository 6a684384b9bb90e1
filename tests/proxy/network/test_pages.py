"""Pages of a buffer that holds nothing go back to the kernel."""

import mmap

import pytest

from proxy.network.tls_buffers import give_back


@pytest.mark.parametrize("size", [1, mmap.PAGESIZE, 10 * mmap.PAGESIZE])
def test_what_is_given_back_is_a_buffer_as_before(size: int) -> None:
    """Its whole pages read as zeros and may be written; what lies beside them is not touched."""
    block = bytearray(b"x" * (size + 2 * mmap.PAGESIZE))
    inner = memoryview(block)[mmap.PAGESIZE : mmap.PAGESIZE + size]
    give_back(inner)
    assert block[: mmap.PAGESIZE] == b"x" * mmap.PAGESIZE
    assert block[mmap.PAGESIZE + size :] == b"x" * mmap.PAGESIZE
    assert set(bytes(inner)) <= set(b"x\0")
    assert bytes(inner).count(b"\0") >= size - 2 * mmap.PAGESIZE
    inner[:] = b"y" * size
    assert bytes(inner) == b"y" * size
