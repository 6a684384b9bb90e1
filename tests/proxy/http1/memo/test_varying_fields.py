"""What is cut out of a head."""

from proxy.http1.memo.varying_fields import GAP, VaryingFields

_HEAD = b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nETag: a\r\n\r\n"


def test_values_are_cut_out_by_name() -> None:
    left, values = VaryingFields([b"etag", b"age"], kept=()).cut(_HEAD)
    assert (left, values) == (_HEAD.replace(b"ETag: a", b"ETag: " + GAP), [b"a"])


def test_where_all_names_are_kept_nothing_is_cut_out() -> None:
    assert VaryingFields([b"etag"], kept=[b"etag"]).cut(_HEAD) == (_HEAD, [])
