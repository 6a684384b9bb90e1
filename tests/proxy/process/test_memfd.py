"""Documents travel between processes without a name, whole, however often they are read."""

import os

import pytest

from proxy.process.memfd import anonymous_file, hand_over, read_document, write_document


@pytest.mark.parametrize("has_memfd", [True, False])
def test_a_document_is_read_from_its_start(
    monkeypatch: pytest.MonkeyPatch, has_memfd: bool
) -> None:
    """Whoever moved the shared offset, with and without anonymous memory; only what is handed over
    is inherited.
    """
    if not has_memfd:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    document = bytes(range(256)) * 1000
    fd = hand_over(document, "test")
    own = anonymous_file("test")

    try:
        os.read(fd, 100)
        assert read_document(fd) == read_document(fd) == document
        assert os.get_inheritable(fd)
        assert not os.get_inheritable(own)
        assert read_document(own) == b""
        write_document(own, b"late")
        assert read_document(own) == b"late"
    finally:
        os.close(fd)
        os.close(own)
